"""The HTTP door of a sentence encoder: `/v1/embeddings` in OpenAI's shape, health and metrics."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any

from slipway_runtime.serving import encoder, engine, exchange
from slipway_runtime.serving.refusal import ApiError

#: Texts of one request, and tokens of all of them, as at OpenAI.
MOST_INPUTS, MOST_TOKENS = 2048, 300_000
#: Bodies larger than this are tokenised in a thread, so that other answers flow on.
_LARGE_BODY_BYTES = 8 << 10
_KEYS = {"model", "input", "encoding_format", "dimensions", "user"}


class App(exchange.Application):
    """ASGI application around one encoder."""

    def __init__(
        self, served: encoder.Encoder, *, name: str, request_timeout_seconds: float = 600.0,
        max_queue: int = 256,
    ) -> None:  # fmt: skip
        super().__init__()
        self.encoder = served
        self.batches = encoder.Batches(served, max_queue=max_queue)
        self.name = name
        self.created = int(time.time())
        self.request_timeout_seconds = request_timeout_seconds
        self.routes = {
            ("POST", "/v1/embeddings"): self._embed,
            ("GET", "/v1/models"): self._models,
            ("GET", "/health"): self._health,
            ("GET", "/metrics"): self._metrics,
        }

    async def warm_up(self) -> None:
        """Encode one text; `ready` afterwards. Raises whatever that failed with."""
        self.batches.start()
        await self.batches.submit([self.encoder.tokens("ready")]).done
        self.state = "ready"

    async def stop(self, grace_seconds: float) -> None:
        await self.batches.stop(grace_seconds)

    async def _embed(self, asked: exchange.Exchange) -> None:
        body = await asked.body()
        slow = len(body) > _LARGE_BODY_BYTES
        fields, rows = await asyncio.to_thread(self._read, body) if slow else self._read(body)
        dimensions = self._dimensions(fields.get("dimensions"))
        as_text = _as_text(fields.get("encoding_format"))
        try:
            job = self.batches.submit(rows)
        except (engine.Overloaded, engine.Stopping) as error:
            code = "overloaded" if isinstance(error, engine.Overloaded) else "stopping"
            raise ApiError(503, str(error), code=code, retry_after_seconds=1) from None
        watch = asyncio.create_task(asked.on_disconnect([_Cancel(self.batches, job)]))
        try:
            async with asyncio.timeout(self.request_timeout_seconds):
                await job.done
        except TimeoutError:
            text = f"The answer took longer than {self.request_timeout_seconds:g} s."
            raise ApiError(504, text, code="deadline_exceeded") from None
        except asyncio.CancelledError:
            if asked.gone:
                raise exchange.Disconnected from None
            raise
        except engine.Stopping as error:
            raise ApiError(503, str(error), code="engine_stopped", retry_after_seconds=1) from None
        finally:
            self.batches.cancel(job)
            watch.cancel()
        vectors = self._cut(job.vectors, dimensions)
        count = sum(map(len, rows))
        answer = {
            "object": "list",
            "data": [
                {
                    "object": "embedding",
                    "index": index,
                    "embedding": base64.b64encode(vector.tobytes()).decode()
                    if as_text
                    else vector.tolist(),
                }
                for index, vector in enumerate(vectors)
            ],
            "model": fields["model"],
            "usage": {"prompt_tokens": count, "total_tokens": count},
        }
        await asked.json(200, answer)

    def _read(self, body: bytes) -> tuple[dict[str, Any], list[list[int]]]:
        """The fields and the token ids of each input."""
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise ApiError(400, f"The request body is not valid JSON: {error}") from None
        if not isinstance(fields, dict):
            raise ApiError(400, "The request body must be a JSON object.")
        for key in fields:
            if key not in _KEYS:
                text = f"Unrecognized request argument supplied: {key[:100]}."
                raise ApiError(400, text, param=key[:100], code="unknown_parameter")
        if fields.get("model") != self.name:
            asked = str(fields.get("model"))[:200]
            text = f"The model `{asked}` does not exist here; this copy serves {self.name}."
            raise ApiError(404, text, param="model", code="model_not_found")
        return fields, self._rows(fields.get("input"))

    def _rows(self, given: Any) -> list[list[int]]:
        match given:
            case str():
                listed: list[Any] = [given]
            case [int(), *_]:
                listed = [given]
            case [_, *_]:
                listed = given
            case _:
                text = "`input` must be a string, a list of tokens, or a list of either."
                raise ApiError(400, text, param="input")
        if len(listed) > MOST_INPUTS:
            text = f"`input` has {len(listed)} entries; at most {MOST_INPUTS} are taken at once."
            raise ApiError(400, text, param="input")
        rows, limit, total = [], self.encoder.rules.most_tokens, 0
        for index, one in enumerate(listed):
            row = self._tokens(one, index)
            if len(row) > limit:
                raise ApiError(
                    400,
                    f"This model's maximum context length is {limit} tokens, but input {index} "
                    f"has {len(row)}. Split it into shorter texts.",
                    param="input",
                    code="context_length_exceeded",
                )
            total += len(row)
            rows.append(row)
        if total > MOST_TOKENS:
            text = f"`input` has {total} tokens; at most {MOST_TOKENS} are taken at once."
            raise ApiError(400, text, param="input", code="max_tokens_per_request")
        return rows

    def _tokens(self, one: Any, index: int) -> list[int]:
        if isinstance(one, str) and one:
            return self.encoder.tokens(one)
        highest = self.encoder.vocabulary - 1
        if isinstance(one, list) and one and all(_is_token(each, highest) for each in one):
            return one
        text = f"input {index} must be a string that is not empty, or tokens from 0 to {highest}."
        raise ApiError(400, text, param="input")

    def _dimensions(self, given: Any) -> int:
        whole, shorter = self.encoder.dimensions, self.encoder.rules.shorter
        if given is None or (given == whole and type(given) is int):
            return whole
        if type(given) is int and 0 < given < whole and (shorter is None or given in shorter):
            return given
        allowed = (
            f"1 to {whole}" if shorter is None else ", ".join(map(str, sorted({*shorter, whole})))
        )
        text = f"`dimensions` may be {allowed} for this model, not {str(given)[:50]}."
        raise ApiError(400, text, param="dimensions")

    def _cut(self, vectors: encoder.Vectors, dimensions: int) -> encoder.Vectors:
        """The first so many numbers of each vector, of length one again if the whole was."""
        if dimensions == self.encoder.dimensions:
            return vectors
        cut = vectors[:, :dimensions]
        if self.encoder.rules.normalise:
            cut = cut / (cut**2).sum(1, keepdims=True) ** 0.5
        return cut

    async def _models(self, asked: exchange.Exchange) -> None:
        model = {
            "id": self.name,
            "object": "model",
            "created": self.created,
            "owned_by": "slipway",
            "max_model_len": self.encoder.rules.most_tokens,
        }
        await asked.json(200, {"object": "list", "data": [model]})

    async def _health(self, asked: exchange.Exchange) -> None:
        trouble = self.batches.trouble()
        state = "failing" if trouble else self.state
        body = {"state": state, "reason": trouble, "model": self.name}
        await asked.json(200 if state == "ready" else 503, body)

    async def _metrics(self, asked: exchange.Exchange) -> None:
        await asked.json(200, self.batches.metrics() | {"models": [self.name]})


class _Cancel:
    """A job as the exchange knows what to free when the client hangs up."""

    def __init__(self, batches: encoder.Batches, job: encoder.Job) -> None:
        self._batches, self._job = batches, job

    def cancel(self) -> None:
        self._batches.cancel(self._job)


def _is_token(value: Any, highest: int) -> bool:
    return type(value) is int and 0 <= value <= highest


def _as_text(given: Any) -> bool:
    if given not in {None, "float", "base64"}:
        text = f"`encoding_format` must be float or base64, not {str(given)[:50]!r}."
        raise ApiError(400, text, param="encoding_format")
    return bool(given == "base64")
