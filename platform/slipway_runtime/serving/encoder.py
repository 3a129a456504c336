"""A sentence encoder and its batches: texts of many requests share a forward pass."""

from __future__ import annotations

import asyncio
import json
import logging
import pathlib
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import AutoModel

from slipway_contracts import encoders
from slipway_runtime.serving import engine

log = logging.getLogger(__name__)

#: Positions of one forward pass, padding included. More rows than this holds are no faster on a
#: CPU, and whoever comes meanwhile waits longer.
BATCH_TOKENS = 4096
#: A text joins a batch if it is at least this part as long as the longest: padding is work too.
_SIMILAR = 0.7
#: Texts that may wait, of all requests together.
_MOST_WAITING = 32_768
#: A forward pass that takes longer means a sick process.
STUCK_AFTER_SECONDS = 120.0

Vectors = np.ndarray[Any, np.dtype[np.float32]]


class Encoder:
    """Tokens to vectors, by the rules in the model's own files."""

    def __init__(self, model: Any, tokenizer: Tokenizer, rules: encoders.Encoder) -> None:
        self.model = model.train(False).requires_grad_(False)  # noqa: FBT003 - torch's own signature
        self.rules = rules
        self.tokenizer = tokenizer
        # What the file says of cutting and padding is for somebody else's batches.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.dimensions = int(model.config.hidden_size)
        self.vocabulary = int(model.get_input_embeddings().weight.shape[0])

    def tokens(self, text: str) -> list[int]:
        """The token ids of a text, the model's own prompt and special tokens included."""
        ids: list[int] = self.tokenizer.encode(self.rules.prompt + text).ids
        return ids

    @torch.inference_mode()
    def vectors(self, rows: Sequence[Sequence[int]]) -> Vectors:
        """One float32 vector per row of token ids: an array [rows, dimensions]."""
        longest = max(map(len, rows))
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        mask = torch.zeros(len(rows), longest, dtype=torch.long)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row)
            mask[place, : len(row)] = 1
        states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        pooled = self._pool(states, mask)
        if self.rules.normalise:
            pooled = torch.nn.functional.normalize(pooled, dim=1)
        return np.asarray(pooled.numpy(), dtype="<f4")

    def _pool(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        match self.rules.pooling:
            case encoders.FIRST:
                return states[:, 0]
            case encoders.LAST:
                return states[torch.arange(len(states)), mask.sum(1) - 1]
            case encoders.MAX:
                return states.masked_fill(mask[..., None] == 0, float("-inf")).amax(1)
        return (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


class Job:
    """The texts of one request; `done` is set with all their vectors or an error."""

    def __init__(self, rows: Sequence[Sequence[int]], dimensions: int) -> None:
        self.rows = rows
        self.vectors = np.empty((len(rows), dimensions), dtype="<f4")
        self.left = len(rows)
        self.cancelled = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Batches:
    """Runs an encoder in a thread of its own; called from one event loop."""

    def __init__(self, work: Encoder, *, max_queue: int = 256) -> None:
        self.encoder = work
        self.max_queue = max_queue
        self.counts: Counter[str] = Counter()
        self.failures_in_a_row = 0
        self._jobs: set[Job] = set()
        #: (job, row) in the order they came.
        self._waiting: list[tuple[Job, int]] = []
        self._changed = threading.Condition()
        self._stopping = False
        self._began_at: float | None = None
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=self._run, name="encoder", daemon=True)

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def submit(self, rows: Sequence[Sequence[int]]) -> Job:
        """Queue a request's rows of token ids. Raises engine.Overloaded or engine.Stopping."""
        if self._stopping:
            raise engine.Stopping("This copy of the model is stopping.")
        if len(self._jobs) >= self.max_queue or len(self._waiting) > _MOST_WAITING:
            raise engine.Overloaded(len(self._jobs), 1)
        job = Job(rows, self.encoder.dimensions)
        self._jobs.add(job)
        job.done.add_done_callback(lambda _: self._jobs.discard(job))
        with self._changed:
            self._waiting += [(job, row) for row in range(len(rows))]
            self._changed.notify()
        return job

    def cancel(self, job: Job) -> None:
        """Nobody waits for it any more: what was not computed yet never is."""
        job.cancelled = True
        job.done.cancel()

    async def stop(self, grace_seconds: float) -> None:
        """Take nothing new, let running requests end for so long, then fail what is left."""
        self._stopping = True
        if self._jobs:
            await asyncio.wait([job.done for job in self._jobs], timeout=grace_seconds)
        for job in list(self._jobs):
            job.cancelled = True
            _settle(job.done, engine.Stopping("The model was stopped."))
        with self._changed:
            self._changed.notify()
        await asyncio.to_thread(self._thread.join, 10)

    def trouble(self) -> str:
        """Why this process should be replaced; empty while it is well."""
        if not self._thread.is_alive():
            return "the encoder's thread has ended"
        if self.failures_in_a_row >= 3:
            return f"{self.failures_in_a_row} forward passes failed in a row"
        began = self._began_at
        if began is not None and time.monotonic() - began > STUCK_AFTER_SECONDS:
            return f"one forward pass has been running for {time.monotonic() - began:.0f} s"
        return ""

    def _run(self) -> None:
        while True:
            with self._changed:
                self._waiting = [(job, row) for job, row in self._waiting if not job.cancelled]
                if not self._waiting:
                    if self._stopping:
                        return
                    self._changed.wait()
                    continue
                batch = self._take()
            self._began_at = time.monotonic()
            error: Exception | None = None
            rows = [job.rows[row] for job, row in batch]
            try:
                vectors = self.encoder.vectors(rows)
            except Exception as failure:
                log.exception("a forward pass of %d rows failed", len(batch))
                self.failures_in_a_row += 1
                error = failure
            else:
                self.failures_in_a_row = 0
                for (job, row), vector in zip(batch, vectors, strict=True):
                    job.vectors[row] = vector
            finally:
                self._began_at = None
            self.counts["steps"] += 1
            self.counts["prompt_tokens"] += sum(map(len, rows))
            self._tell(batch, error)

    def _take(self) -> list[tuple[Job, int]]:
        """A row, and those of about its length that are no longer.

        Turn about it is the row that waits longest and one of the request that needs least, so
        that one large request delays a small one by a pass or two and is not starved itself.
        """
        first = self._waiting[0]
        if self.counts["steps"] % 2:
            first = min(self._waiting, key=lambda item: item[0].left)
        longest = len(first[0].rows[first[1]])
        fits = [
            item
            for item in self._waiting
            if _SIMILAR * longest <= len(item[0].rows[item[1]]) <= longest
        ]
        batch = [first, *(item for item in fits if item != first)]
        batch = batch[: max(1, BATCH_TOKENS // longest)]
        taken = set(batch)
        self._waiting = [item for item in self._waiting if item not in taken]
        return batch

    def _tell(self, batch: list[tuple[Job, int]], error: Exception | None) -> None:
        ended = set()
        for job, _ in batch:
            job.left -= 1
            if error is not None:
                job.cancelled = True
            if error is not None or not job.left:
                ended.add(job)
        for job in ended:
            try:
                self._loop.call_soon_threadsafe(_settle, job.done, error)
            except RuntimeError:
                log.info("the event loop is closed; nobody waits for these vectors")

    def metrics(self) -> dict[str, Any]:
        """Gauges and counters."""
        return {
            "running": len(self._jobs),
            "waiting": len(self._waiting),
            "max_queue": self.max_queue,
            "max_context": self.encoder.rules.most_tokens,
            **{key: self.counts[key] for key in ("steps", "prompt_tokens")},
        }


def _settle(future: asyncio.Future[None], error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


def rules_of(folder: pathlib.Path) -> encoders.Encoder | None:
    """The rules in a model's folder, or None where it holds no encoder. Raises BadEncoder."""
    paths = [*folder.glob("*.json"), *folder.glob("*/config.json")]
    names = [path for path in paths if not path.name.startswith(("tokenizer", "vocab"))]
    return encoders.read(
        {path.relative_to(folder).as_posix(): json.loads(path.read_text()) for path in names}
    )


def load(folder: pathlib.Path, rules: encoders.Encoder, settings: dict[str, Any]) -> Encoder:
    """Load a safetensors directory. `settings`: threads. Raises OSError or ValueError.

    No code from the directory is run.
    """
    torch.set_num_threads(int(settings.get("threads", 1)))
    model = AutoModel.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, use_safetensors=True
    )
    return Encoder(model, Tokenizer.from_file(str(folder / "tokenizer.json")), rules)
