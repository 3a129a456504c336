"""The engine's HTTP door on a Unix socket: OpenAI's shapes, health and metrics, in bare ASGI."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pathlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from slipway_runtime.serving import answers, engine, loading, lora, refusal, scheduler, shelf, wire
from slipway_runtime.serving import exchange as exchanges

#: Bodies larger than this are tokenised in a thread, so that other answers flow on.
_LARGE_BODY_BYTES = 32 << 10
#: Likewise those with a schema: compiling a large one takes long.
_COMPILED = (b'"json_schema"', b'"tools"')


class App(exchanges.Application):
    """ASGI application around one `Served` model."""

    def __init__(
        self, served: loading.Served, *, name: str, request_timeout_seconds: float = 600.0
    ) -> None:
        super().__init__()
        self.served = served
        self.name = name
        self.created = int(time.time())
        self.request_timeout_seconds = request_timeout_seconds
        self._shelf = shelf.Shelf(served)
        self.routes = {
            ("POST", "/v1/chat/completions"): self._chat,
            ("POST", "/v1/completions"): self._completion,
            ("GET", "/v1/models"): self._models,
            ("GET", "/health"): self._health,
            ("GET", "/metrics"): self._metrics,
            ("POST", "/v1/load_lora_adapter"): self._attach,
            ("POST", "/v1/unload_lora_adapter"): self._detach,
        }

    async def warm_up(self) -> None:
        """Generate one real token; `ready` afterwards. Raises RequestFailed if that fails."""
        await asyncio.to_thread(self.served.learn_shapes)
        prompt = [self.served.tokenizer.bos_token_id or 0]
        stream = self.served.engine.submit(
            scheduler.Request(prompt=prompt, max_tokens=1, ignore_eos=True)
        )
        async for delta in stream:
            if delta.error is not None:
                raise delta.error
        self.state = "ready"

    async def stop(self, grace_seconds: float) -> None:
        await self.served.engine.stop(grace_seconds)

    async def _chat(self, exchange: exchanges.Exchange) -> None:
        await self._generate(exchange, chat=True)

    async def _completion(self, exchange: exchanges.Exchange) -> None:
        await self._generate(exchange, chat=False)

    async def _generate(self, exchange: exchanges.Exchange, *, chat: bool) -> None:
        body = await exchange.body()

        def parse() -> wire.Call:
            return wire.parse(
                body, chat=chat, served=self.served, names=self._names(), adapter=exchange.adapter
            )

        slow = len(body) > _LARGE_BODY_BYTES or any(word in body for word in _COMPILED)
        call = await asyncio.to_thread(parse) if slow else parse()
        if exchange.adapter:
            # Last before the rows are made, so that it cannot be dropped in between.
            await self._shelf.want(exchange.adapter)
        deadline = time.monotonic() + self.request_timeout_seconds
        streams: list[engine.Stream] = []
        watch = None
        try:
            for request in call.requests:
                request.deadline = deadline
                request.background = exchange.background
                streams.append(self._submit(request, chat=chat))
            watch = asyncio.create_task(exchange.on_disconnect(streams))
            writer = answers.Writer(call, self.served)
            if call.stream:
                await self._stream(exchange, writer, streams)
            else:
                await self._answer(exchange, writer, streams)
        finally:
            for stream in streams:
                stream.cancel()
            if watch is not None:
                watch.cancel()

    def _submit(self, request: scheduler.Request, *, chat: bool) -> engine.Stream:
        try:
            return self.served.engine.submit(request)
        except engine.ContextTooLong as error:
            param = "messages" if chat else "prompt"
            code = "context_length_exceeded"
            raise refusal.ApiError(400, str(error), param=param, code=code) from None
        except engine.Overloaded as error:
            raise refusal.ApiError(
                503,
                str(error),
                code="overloaded",
                retry_after_seconds=error.retry_after_seconds,
            ) from None
        except KeyError:
            message = "The adapter made room for others just now. Try again."
            raise refusal.ApiError(503, message, code="overloaded", retry_after_seconds=1) from None
        except engine.Stopping as error:
            raise refusal.ApiError(
                503, str(error), code="stopping", retry_after_seconds=1
            ) from None

    async def _stream(
        self, exchange: exchanges.Exchange, writer: answers.Writer, streams: Sequence[engine.Stream]
    ) -> None:
        async for index, delta in _merged(streams):
            if not exchange.started:
                # An error before the first token still gets a status of its own.
                if delta.error is not None:
                    raise _as_api_error(delta.error)
                await exchange.start_events()
                await exchange.event(writer.opening())
            if delta.error is not None:
                error = json.dumps(_as_api_error(delta.error).body)
                await exchange.event(f"data: {error}\n\n".encode(), last=True)
                return
            await exchange.event(writer.chunk(index, delta))
        if exchange.gone:
            raise exchanges.Disconnected
        await exchange.event(writer.closing(*_counts(streams)), last=True)

    async def _answer(
        self, exchange: exchanges.Exchange, writer: answers.Writer, streams: Sequence[engine.Stream]
    ) -> None:
        collected: list[list[scheduler.Delta]] = [[] for _ in streams]
        async for index, delta in _merged(streams):
            if delta.error is not None:
                raise _as_api_error(delta.error)
            collected[index].append(delta)
        if exchange.gone:
            raise exchanges.Disconnected
        await exchange.json(200, writer.answer(collected, *_counts(streams)))

    def _names(self) -> dict[str, str | None]:
        return {self.name: None} | {name: name for name in self.served.adapters.names()}

    async def _models(self, exchange: exchanges.Exchange) -> None:
        data = [
            {
                "id": name,
                "object": "model",
                "created": self.created,
                "owned_by": "slipway",
                "max_model_len": self.served.engine.scheduler.limits.max_context,
            }
            for name in self._names()
        ]
        await exchange.json(200, {"object": "list", "data": data})

    async def _health(self, exchange: exchanges.Exchange) -> None:
        trouble = self.served.engine.trouble()
        state = "failing" if trouble else self.state
        body = {"state": state, "reason": trouble, "model": self.name}
        await exchange.json(200 if state == "ready" else 503, body)

    async def _metrics(self, exchange: exchanges.Exchange) -> None:
        await exchange.json(200, self.served.engine.metrics() | {"models": list(self._names())})

    async def _attach(self, exchange: exchanges.Exchange) -> None:
        name, path = await self._adapter_fields(exchange, "lora_name", "lora_path")
        if name == self.name:
            message = f"{name!r} is the name of the base model; choose another."
            raise refusal.ApiError(400, message, param="lora_name")
        try:
            await self.served.engine.between_steps(
                lambda: self.served.attach(name, pathlib.Path(path))
            )
        except (lora.AdapterError, OSError, ValueError) as error:
            raise refusal.ApiError(400, str(error), param="lora_path") from None
        await exchange.json(200, {"attached": name})

    async def _detach(self, exchange: exchanges.Exchange) -> None:
        (name,) = await self._adapter_fields(exchange, "lora_name")
        try:
            await self.served.engine.between_steps(lambda: self.served.detach(name))
        except lora.AdapterError as error:
            raise refusal.ApiError(409, str(error), param="lora_name") from None
        await exchange.json(200, {"detached": name})

    async def _adapter_fields(self, exchange: exchanges.Exchange, *names: str) -> list[str]:
        try:
            fields = json.loads(await exchange.body())
            values = [fields[name] for name in names]
        except (ValueError, KeyError, TypeError):
            values = []
        if not values or not all(isinstance(value, str) and value for value in values):
            raise refusal.ApiError(400, f"The body must be a JSON object with {', '.join(names)}.")
        return values


def _as_api_error(error: Exception) -> refusal.ApiError:
    code = getattr(error, "code", "engine_error")
    status = {"deadline_exceeded": 504, "engine_stopped": 503}.get(code, 500)
    return refusal.ApiError(status, str(error), code=code)


def _counts(streams: Sequence[engine.Stream]) -> tuple[int, int]:
    # Choices of one prompt share it: it is counted once per prompt, not once per choice.
    prompts = {id(s.prompt): s.prompt_tokens for s in streams}
    return sum(prompts.values()), sum(stream.completion_tokens for stream in streams)


async def _merged(
    streams: Sequence[engine.Stream],
) -> AsyncIterator[tuple[int, scheduler.Delta]]:
    """The deltas of all streams as they come, with the stream's index."""
    if len(streams) == 1:
        async for delta in streams[0]:
            yield 0, delta
        return
    queue: asyncio.Queue[tuple[int, scheduler.Delta | None]] = asyncio.Queue()

    async def forward(index: int, stream: engine.Stream) -> None:
        async for delta in stream:
            queue.put_nowait((index, delta))
        queue.put_nowait((index, None))

    tasks = [asyncio.create_task(forward(i, stream)) for i, stream in enumerate(streams)]
    try:
        open_streams = len(streams)
        while open_streams:
            index, found = await queue.get()
            if found is None:
                open_streams -= 1
            else:
                yield index, found
    finally:
        for task in tasks:
            task.cancel()


def bind(path: pathlib.Path) -> socket.socket:
    """Listen on a Unix socket that only this user may use. Raises OSError with a remedy."""
    if len(os.fsencode(path)) > 107:
        raise OSError(
            f"{path}: a Unix socket's path may have 107 bytes and this one has "
            f"{len(os.fsencode(path))}; choose a shorter run directory"
        )
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    listener.listen(1024)
    listener.setblocking(False)  # noqa: FBT003 - the library's own signature
    return listener


async def serve(
    app: exchanges.Application,
    path: pathlib.Path,
    stop: asyncio.Event,
    *,
    ready: Callable[[], None] = lambda: None,
    grace_seconds: float = 30.0,
) -> None:
    """Answer on the socket until `stop` is set; then unlink it, let answers end, and return.

    `ready` is called when the first request can be answered.
    """
    import uvicorn

    listener = bind(path)
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        # Longer than a client keeps a connection pooled, so that the client closes first.
        timeout_keep_alive=300,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    own: Any = server
    own.capture_signals = contextlib.nullcontext  # signals are the process's business
    running = asyncio.create_task(server.serve(sockets=[listener]))
    ready()  # the socket listens already: who connects now is answered
    try:
        waiting = asyncio.create_task(stop.wait())
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
    finally:
        app.state = "stopping"
        # First nobody new finds us, then those inside finish, then the lights go out.
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - one system call
        await app.stop(grace_seconds)
        server.should_exit = True
        await running
