"""The engine: a scheduler in its own thread, requests in from asyncio, deltas out to it."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from slipway_runtime.serving import scheduler

log = logging.getLogger(__name__)

#: A step that takes longer than this, with work to do, means a sick process.
STUCK_AFTER_SECONDS = 120.0


class ContextTooLong(Exception):
    """The prompt and what was asked for do not fit in the model's context."""

    def __init__(self, *, prompt: int, asked: int | None, limit: int) -> None:
        wanted = f"{prompt} in the prompt" + (f" and {asked} to generate" if asked else "")
        super().__init__(
            f"This model's maximum context length is {limit} tokens, but {prompt + (asked or 1)} "
            f"were requested ({wanted}). Shorten the prompt or lower max_tokens."
        )


class Overloaded(Exception):
    """The queue is full; worth another try after `retry_after_seconds`."""

    def __init__(self, waiting: int, retry_after_seconds: int) -> None:
        super().__init__(
            f"The model is busy: {waiting} requests are waiting. "
            f"Try again in {retry_after_seconds} s."
        )
        self.retry_after_seconds = retry_after_seconds


class Stopping(Exception):
    """The engine is going down and takes no more requests."""


class Stream:
    """The deltas of one request, in order, as an async iterator that ends after the final one."""

    def __init__(self, row: scheduler.Row, forget: Callable[[scheduler.Row], None]) -> None:
        self._row = row
        self._forget = forget
        self.began_at = time.monotonic()
        self._deltas: deque[scheduler.Delta] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self.prompt = row.request.prompt
        self.prompt_tokens = len(self.prompt)

    @property
    def completion_tokens(self) -> int:
        return self._row.generated

    def cancel(self) -> None:
        """Free the row before the next step; no further delta comes."""
        self._row.cancelled = True
        self._ended = True
        self._forget(self._row)
        self._wake()

    def deliver(self, delta: scheduler.Delta) -> None:
        self._deltas.append(delta)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> AsyncIterator[scheduler.Delta]:
        return self

    async def __anext__(self) -> scheduler.Delta:
        while self._ended or not self._deltas:
            if self._ended:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        delta = self._deltas.popleft()
        self._ended = delta.final
        return delta


class Engine:
    """Runs one scheduler. `submit` and the rest are called from one event loop."""

    def __init__(self, work: scheduler.Scheduler, *, max_queue: int = 256) -> None:
        self.scheduler = work
        self.max_queue = max_queue
        self.started_at = time.time()
        self._streams: dict[scheduler.Row, Stream] = {}
        self._answer_seconds = 1.0
        self._calls: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._step_began_at: float | None = None
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def submit(self, request: scheduler.Request) -> Stream:
        """Queue a request.

        Raises ContextTooLong, Overloaded or Stopping; an unknown adapter is a KeyError.
        """
        if self._stopping:
            raise Stopping("This copy of the model is stopping.")
        limit = self.scheduler.limits.max_context
        prompt = len(request.prompt)
        if prompt + (request.max_tokens or 1) > limit:
            raise ContextTooLong(prompt=prompt, asked=request.max_tokens, limit=limit)
        adapters = self.scheduler.layout.adapters.names()
        if request.adapter is not None and request.adapter not in adapters:
            raise KeyError(request.adapter)
        # What was asked for later keeps nobody out.
        waiting = len(self.scheduler.waiting)
        if request.background:
            waiting += len(self.scheduler.later)
        if waiting >= self.max_queue:
            rounds = waiting / self.scheduler.limits.max_rows
            seconds = min(60, max(1, math.ceil(self._answer_seconds * rounds)))
            raise Overloaded(waiting, seconds)
        row = self.scheduler.add(request)
        stream = self._streams[row] = Stream(row, self._forget)
        self._wake.set()
        return stream

    async def between_steps(self, call: Callable[[], Any]) -> Any:
        """Run `call` in the engine's thread while no step is under way; returns its result."""
        future = asyncio.get_running_loop().create_future()
        self._calls.append((call, future))
        self._wake.set()
        return await future

    async def stop(self, grace_seconds: float) -> None:
        """Take nothing new, let running answers end for so long, then fail what is left."""
        self._stopping = True
        deadline = time.monotonic() + grace_seconds
        while not self.scheduler.idle and time.monotonic() < deadline:  # noqa: ASYNC110 - a thread empties it
            await asyncio.sleep(0.02)
        for row, stream in list(self._streams.items()):
            row.cancelled = True
            error = scheduler.RequestFailed("The model was stopped.", code="engine_stopped")
            stream.deliver(scheduler.Delta(error=error))
        self._wake.set()
        await asyncio.to_thread(self._thread.join, 10)

    def trouble(self) -> str:
        """Why this engine should be replaced; empty while it is well."""
        if not self._thread.is_alive():
            return "the engine's thread has ended"
        if self.scheduler.failures_in_a_row >= 3:
            return f"{self.scheduler.failures_in_a_row} forward passes failed in a row"
        began = self._step_began_at
        if began is not None and time.monotonic() - began > STUCK_AFTER_SECONDS:
            return f"one step has been running for {time.monotonic() - began:.0f} s"
        return ""

    def metrics(self) -> dict[str, Any]:
        """Gauges and counters of this engine; times in seconds, sizes in bytes."""
        work = self.scheduler
        return {
            "running": len(work.running),
            "waiting": len(work.waiting),
            "waiting_background": len(work.later),
            "max_rows": work.limits.max_rows,
            "max_queue": self.max_queue,
            "max_context": work.limits.max_context,
            "kv_bytes": work.layout.size_bytes(),
            "layout": type(work.layout).__name__,
            "answer_seconds": round(self._answer_seconds, 3),
            "uptime_seconds": round(time.time() - self.started_at, 1),
            **{
                key: work.counts[key]
                for key in (
                    "steps",
                    "prompt_tokens",
                    "generated_tokens",
                    "finished_stop",
                    "finished_length",
                    "cancelled",
                    "failed",
                    "forward_failures",
                )
            },
        }

    def _run(self) -> None:
        while not (self._stopping and self.scheduler.idle):
            while self._calls:
                self._answer(*self._calls.popleft())
            if self.scheduler.idle:
                self._wake.wait(timeout=0.5)
                self._wake.clear()
                continue
            self._step_began_at = time.monotonic()
            try:
                events = self.scheduler.step()
            except Exception:
                # The scheduler isolates what it can; what is left is a defect worth a restart.
                log.exception("the scheduler failed")
                self.scheduler.failures_in_a_row += 3
                return
            finally:
                self._step_began_at = None
            if events:
                self._post(self._deliver, events)

    def _answer(self, call: Callable[[], Any], future: asyncio.Future[Any]) -> None:
        try:
            result = call()
        except Exception as error:  # noqa: BLE001 - whoever asked hears of it
            self._post(_settle, future, None, error)
        else:
            self._post(_settle, future, result, None)

    def _post(self, callback: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            log.info("the event loop is closed; nobody waits for these answers")

    def _deliver(self, events: list[tuple[scheduler.Row, scheduler.Delta]]) -> None:
        now = time.monotonic()
        for row, delta in events:
            stream = self._streams.get(row)
            if stream is None:
                continue
            stream.deliver(delta)
            if delta.final:
                self._forget(row)
                if delta.error is None:
                    self._answer_seconds += 0.1 * (now - stream.began_at - self._answer_seconds)

    def _forget(self, row: scheduler.Row) -> None:
        self._streams.pop(row, None)


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
