"""Continuous batching: who joins the batch, who leaves it, and what each row gets from a step.

Single-threaded and free of clocks' and sockets' business: `add` requests, call `step` until
`idle`, hand the deltas on. Every request ends in exactly one delta with a finish reason or an
error, unless it was cancelled.
"""

from __future__ import annotations

import functools
import logging
import time
from collections import Counter, deque
from dataclasses import dataclass, field

import torch

from slipway_runtime.serving import forward, sampling, text

log = logging.getLogger(__name__)

#: The part of the rows that background requests may fill while somebody else is here: a step over
#: fewer rows is a faster one. Alone they fill them all, and make room for who comes next.
BACKGROUND_BESIDE = 0.25


class RequestFailed(Exception):
    """One request ended early; `code` says why in a word a client can test for."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(kw_only=True)
class Request:
    """One answer to generate."""

    prompt: list[int]
    sampling: sampling.Sampling = field(default_factory=sampling.Sampling)
    #: Most tokens to generate; None for as many as the context holds.
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False
    adapter: str | None = None
    #: Special tokens show in the text.
    show_special: bool = False
    #: Asked for later, by a batch or a judge: it goes behind those who wait for an answer.
    background: bool = False
    #: `time.monotonic()` after which the request is given up; None for never.
    deadline: float | None = None


@dataclass(frozen=True)
class Delta:
    """What one step adds to one answer."""

    text: str = ""
    #: Tokens with their log-probabilities; filled only where those were asked for.
    choices: tuple[sampling.Choice, ...] = ()
    #: `stop` (end of turn, or a stop string) or `length`; None while it goes on.
    finish_reason: str | None = None
    error: Exception | None = None

    @property
    def final(self) -> bool:
        return self.finish_reason is not None or self.error is not None


class Row:
    """A request on its way: waiting, in prefill, running, or done."""

    def __init__(self, request: Request, decode: text.Decode, limit: int) -> None:
        self.request = request
        self.sampler = sampling.Sampler(request.sampling)
        self.limit = limit
        #: Tokens generated so far.
        self.tokens: list[int] = []
        self.cancelled = False
        self._text = text.Detokenizer(
            functools.partial(decode, skip_special_tokens=False) if request.show_special else decode
        )
        self._stops = text.StopStrings(request.stop)

    @property
    def generated(self) -> int:
        return len(self.tokens)

    def known(self) -> list[int]:
        """The tokens to compute before the next one can be chosen; more than the prompt once the
        row was set back."""
        return self.request.prompt + self.tokens

    def length_limit(self) -> int:
        """Tokens that this row may come to hold."""
        return len(self.request.prompt) + self.limit

    def take(self, choice: sampling.Choice | Exception, end_tokens: frozenset[int]) -> Delta:
        """Account for a chosen token; returns what to show for it. Raises what the choice is."""
        if isinstance(choice, Exception):
            raise choice
        self.tokens.append(choice.token)
        shown = choice.logprob is not None
        if choice.token in end_tokens and not self.request.ignore_eos:
            return Delta(self._rest(), finish_reason="stop")
        piece = self._stops.add(self._text.add(choice.token))
        if self._stops.found:
            reason = "stop"
        elif self.sampler.finished:
            piece += self._rest()
            reason = "stop"
        elif self.generated >= self.limit:
            piece += self._rest()
            reason = "stop" if self._stops.found else "length"
        else:
            reason = None
        return Delta(piece, (choice,) if shown else (), reason)

    def _rest(self) -> str:
        rest = self._stops.add(self._text.flush())
        return rest if self._stops.found else rest + self._stops.flush()


@dataclass(kw_only=True)
class Limits:
    """How much one engine takes on."""

    max_rows: int = 32
    max_context: int = 2048
    #: Prompt tokens computed between two decode steps: bounds how long a prompt holds up others.
    prefill_tokens: int = 512
    #: Keys and values of all rows together.
    kv_bytes: int = 2 << 30


class Scheduler:
    """Rows in, deltas out. Only `add` and `Row.cancelled` may be touched from other threads."""

    def __init__(
        self,
        layout: forward.Layout,
        *,
        decode: text.Decode,
        end_tokens: frozenset[int],
        limits: Limits,
    ) -> None:
        self.layout = layout
        self.limits = limits
        self.waiting: deque[Row] = deque()
        #: Background requests that wait.
        self.later: deque[Row] = deque()
        self.running: list[Row] = []
        self.counts: Counter[str] = Counter()
        #: Forward passes over the whole batch that failed in a row; a sign of a sick process.
        self.failures_in_a_row = 0
        self._decode = decode
        self._end_tokens = end_tokens
        self._entering: tuple[forward.Prefill, list[Row]] | None = None
        self._token_bytes = 0

    def add(self, request: Request) -> Row:
        room = self.limits.max_context - len(request.prompt)
        limit = room if request.max_tokens is None else min(room, request.max_tokens)
        row = Row(request, self._decode, limit)
        (self.later if request.background else self.waiting).append(row)
        return row

    @property
    def idle(self) -> bool:
        return not (self.waiting or self.later or self.running or self._entering)

    def rows(self) -> list[Row]:
        """Every request inside, wherever it is on its way."""
        entering = self._entering[1] if self._entering else []
        return [*self.waiting, *self.later, *entering, *self.running]

    @torch.inference_mode()
    def step(self) -> list[tuple[Row, Delta]]:
        """One round: drop who left, compute some prompt, extend every running row by a token."""
        events: list[tuple[Row, Delta]] = []
        self._sweep(events)
        self._enter(events)
        if self.running:
            self._extend(events)
        self.counts["steps"] += 1
        return events

    def _sweep(self, events: list[tuple[Row, Delta]]) -> None:
        now = time.monotonic()
        gone = [row for row in self.running if self._left(row, now, events)]
        self._leave(gone)
        for queue in (self.waiting, self.later):
            # A copy: others add to the queue meanwhile.
            if any(row.cancelled or row.request.deadline is not None for row in list(queue)):
                for _ in range(len(queue)):
                    row = queue.popleft()
                    if not self._left(row, now, events):
                        queue.append(row)
        # A prompt in pieces may leave between two; one of many is gone a step later.
        alone = self._entering[1] if self._entering else []
        if len(alone) == 1 and self._left(alone[0], now, events):
            self._entering = None

    def _left(self, row: Row, now: float, events: list[tuple[Row, Delta]]) -> bool:
        if row.cancelled:
            self.counts["cancelled"] += 1
            return True
        if row.request.deadline is not None and now > row.request.deadline:
            error = RequestFailed(
                f"The request was not answered in time ({row.generated} tokens were generated).",
                code="deadline_exceeded",
            )
            self._fail(row, error, events)
            return True
        return False

    def _enter(self, events: list[tuple[Row, Delta]]) -> None:
        if self._entering is None:
            self._make_room()
            rows = self._next_rows()
            if not rows:
                return
            prefill = self.layout.begin(
                [row.known() for row in rows], [row.request.adapter for row in rows]
            )
            self._entering = prefill, rows
        prefill, rows = self._entering
        try:
            logits = self.layout.advance(prefill, self.limits.prefill_tokens)
            if logits is None:
                return
            self.layout.join(prefill)
        except Exception as error:
            log.exception("prefill of %d prompts failed", len(rows))
            self._entering = None
            self._forward_failed()
            for row in rows:
                self._fail(row, error, events)
            return
        self._entering = None
        self._learn_token_bytes(prefill)
        self.counts["prompt_tokens"] += sum(
            len(row.request.prompt) for row in rows if not row.generated
        )
        self.running += rows
        self._give(rows, logits, events)

    def _make_room(self) -> None:
        """Set background rows back, the youngest first, for people who find no place; what they
        have generated stays theirs and is computed again with the prompt."""
        missing = len(self.waiting) - (self.limits.max_rows - len(self.running))
        if missing <= 0 or not self.waiting:
            return
        background = [row for row in self.running if row.request.background]
        back = sorted(background, key=lambda row: row.generated)[:missing]
        self._leave(back)
        self.later.extendleft(reversed(back))

    def _next_rows(self) -> list[Row]:
        """Rows from the queues' heads that fit together: in tokens, in rows, in memory."""
        rows: list[Row] = []
        longest = 0
        limits = self.limits
        reach = max((row.length_limit() for row in self.running), default=0)
        while queue := self._next_queue(rows):
            row = queue[0]
            wide = max(longest, len(row.known()))
            reach = max(reach, row.length_limit())
            count = len(self.running) + len(rows) + 1
            if rows and (
                wide * (len(rows) + 1) > limits.prefill_tokens
                or len(rows) >= self.layout.prefill_rows
            ):
                break
            if count > 1 and count * reach * self._token_bytes > limits.kv_bytes:
                break
            rows.append(queue.popleft())
            longest = wide
        return rows

    def _next_queue(self, entering: list[Row]) -> deque[Row] | None:
        """The queue whose head may come in next; None where there is no place for anyone."""
        inside = [*self.running, *entering]
        if len(inside) >= self.limits.max_rows:
            return None
        if self.waiting or not self.later:
            return self.waiting or None
        background = sum(row.request.background for row in inside)
        if background == len(inside):
            return self.later
        beside = max(1, int(self.limits.max_rows * BACKGROUND_BESIDE))
        return self.later if background < beside else None

    def _learn_token_bytes(self, prefill: forward.Prefill) -> None:
        if self._token_bytes:
            return
        held = sum(
            tensor.numel() * tensor.element_size()
            for layer in prefill.cache.layers
            for tensor in (getattr(layer, "keys", None), getattr(layer, "values", None))
            if tensor is not None
        )
        self._token_bytes = held // (len(prefill.prompts) * prefill.length)

    def _extend(self, events: list[tuple[Row, Delta]]) -> None:
        try:
            logits = self.layout.decode(
                [row.tokens[-1] for row in self.running],
                [row.request.adapter for row in self.running],
            )
        except Exception as error:
            log.exception("a step over %d rows failed", len(self.running))
            self._forward_failed()
            rows = list(self.running)
            self._leave(rows)
            for row in rows:
                self._fail(row, error, events)
            return
        self.failures_in_a_row = 0
        self._give(self.running, logits, events)

    def _give(self, rows: list[Row], logits: torch.Tensor, events: list[tuple[Row, Delta]]) -> None:
        """Choose and account for one token of each row; whoever is done leaves."""
        done = []
        chosen = sampling.choose(logits, [row.sampler for row in rows])
        for row, choice in zip(rows, chosen, strict=True):
            try:
                delta = row.take(choice, self._end_tokens)
            except Exception as error:
                log.exception("a request failed")
                self._fail(row, error, events)
                done.append(row)
                continue
            self.counts["generated_tokens"] += 1
            if delta.final:
                self.counts[f"finished_{delta.finish_reason}"] += 1
                done.append(row)
            if delta.final or delta.text or delta.choices:
                events.append((row, delta))
        self._leave(done)

    def _leave(self, rows: list[Row]) -> None:
        for row in rows:
            place = self.running.index(row)
            self.layout.remove(place)
            self.running[place] = self.running[-1]
            self.running.pop()

    def _fail(self, row: Row, error: Exception, events: list[tuple[Row, Delta]]) -> None:
        self.counts["failed"] += 1
        if not isinstance(error, RequestFailed):
            error = RequestFailed(f"{type(error).__name__}: {error}", code="engine_error")
        events.append((row, Delta(error=error)))

    def _forward_failed(self) -> None:
        self.counts["forward_failures"] += 1
        self.failures_in_a_row += 1
