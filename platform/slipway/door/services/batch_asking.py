"""Asks a batch's lines through the gateway, a few at a time, and records each answer once."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from typing import Any

import httpx
import msgspec
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from slipway.core import lifecycle, reconcile
from slipway.core.errors import Forbidden
from slipway.door.models import (
    Batch,
    BatchAnswer,
    BatchLine,
    BatchPhase,
    File,
    FilePhase,
    LineState,
)
from slipway.door.services import batch_lines, words
from slipway.door.services.asking import Door

#: Requests of one batch in flight, at most; it begins with fewer and yields when it is told to.
MOST_AT_ONCE, FIRST_AT_ONCE = 8, 2
#: A batch that others wait for gives way after so long.
TURN_SECONDS = 10.0
#: And even alone after so long: what it was lent does not last for ever.
LONGEST_TURN_SECONDS = 600.0
_TEND_SECONDS = 1.0
#: A line that breaks the engine is asked so often.
TRIES = 3
_PAGE = 200
#: Not the line's fault: it waits, and the batch asks more slowly.
_BUSY = frozenset({408, 425, 429, 503})
#: Perhaps the line's fault.
_BROKEN = frozenset({500, 502, 504})
_LONGEST_PAUSE = timedelta(seconds=30)


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Answered(msgspec.Struct):
    usage: _Usage | None = None


_usage = msgspec.json.Decoder(_Answered)


class Turn:
    """One turn of a batch: until its lines are done, others wait, or the gateway has no room."""

    def __init__(self, batch: Batch, door: Door) -> None:
        self.batch = batch
        self._door = door
        self._pool = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="batch")
        self._at_once = float(FIRST_AT_ONCE)
        self._tries: dict[int, int] = {}
        self._began = self._tended = time.monotonic()
        self.ending = False
        #: Why it stopped before its lines were done; empty if nothing stands against it.
        self.hindrance = ""

    def run(self) -> None:
        """Ask; returns when nothing is in flight any more."""
        running: dict[Future[httpx.Response], BatchLine] = {}
        lines = self._lines()
        try:
            while True:
                self._tend()
                while not self.ending and len(running) < int(self._at_once):
                    line = next(lines, None)
                    if line is None:
                        break
                    running[self._pool.submit(self._ask, line)] = line
                if not running:
                    return
                done, _ = wait(running, timeout=_TEND_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    self._take(running.pop(future), future)
        finally:
            # What is still in flight here is not ours to record any more: hang up.
            self._door.close()
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _lines(self) -> Iterator[BatchLine]:
        """Waiting lines in their order; one that is to be asked again comes at the next turn."""
        last = 0
        waiting = BatchLine.objects.filter(batch=self.batch, state=LineState.WAITING)
        while page := list(waiting.filter(number__gt=last).order_by("number")[:_PAGE]):
            yield from page
            last = page[-1].number

    def _ask(self, line: BatchLine) -> httpx.Response:
        body = batch_lines.body_of(self.batch, line)
        for attempt in range(1, TRIES + 1):
            answer = self._door.http.post(self.batch.endpoint, content=body)
            if answer.status_code not in _BROKEN or attempt == TRIES:
                break
            time.sleep(0.2 * attempt)
        return answer

    def _take(self, line: BatchLine, future: Future[httpx.Response]) -> None:
        try:
            answer = future.result()
        except httpx.HTTPError as error:
            self._hinder(f"the gateway does not answer: {type(error).__name__}")
            return
        if answer.status_code == 401:
            self._hinder("its API key was refused")
        elif answer.status_code in _BUSY:
            self._hinder(_message(answer))
        else:
            record(self.batch, line, answer)
            self._at_once = min(MOST_AT_ONCE, self._at_once + 1 / self._at_once)

    def _hinder(self, why: str) -> None:
        """Live traffic comes first: ask less, and if even little is too much, come back later."""
        self._at_once = max(1.0, self._at_once / 2)
        self.hindrance = why
        self.ending = True

    def _tend(self) -> None:
        """Keep the lease, and see whether it is time to end. LostRace once it is not ours."""
        now = time.monotonic()
        if now - self._tended < _TEND_SECONDS:
            return
        self._tended = now
        reconcile.renew(self.batch)
        here = Batch.objects.filter(pk=self.batch.pk)
        here.update(served_at=timezone.now())
        phase, expires_at = here.values_list("phase", "expires_at").get()
        over = phase != BatchPhase.IN_PROGRESS or expires_at <= timezone.now()
        over = over or now - self._began > LONGEST_TURN_SECONDS
        others = now - self._began > TURN_SECONDS and others_wait(self.batch)
        self.ending = self.ending or over or others


def take_turn(batch: Batch, now: datetime) -> timedelta:
    """Ask lines of the batch; returns how long to wait until its next turn."""
    try:
        door = Door(key_id=batch.key_id, now=now, at_once=MOST_AT_ONCE)
    except Forbidden as error:
        lifecycle.annotate(batch, reason=f"{error.message} Cancel it and ask anew.")
        return _LONGEST_PAUSE
    Batch.objects.filter(pk=batch.pk).update(served_at=now)
    lifecycle.annotate(batch, reason="its lines are being asked")
    turn = Turn(batch, door)
    turn.run()
    if not turn.hindrance:
        return timedelta(0)
    lifecycle.annotate(batch, reason=f"waiting to ask on: {turn.hindrance}"[:500])
    answered = timezone.now() - now > timedelta(seconds=5)
    return timedelta(seconds=1) if answered else timedelta(seconds=3)


def is_next(batch: Batch, now: datetime) -> bool:
    """Whether it is this batch's turn: of the tenants the one served longest ago, and of its
    batches likewise, so that nobody gains by having many."""
    active = list(
        Batch.objects.filter(phase=BatchPhase.IN_PROGRESS).values_list(
            "project_id", "pk", "served_at", "look_at"
        )
    )
    never = datetime.min.replace(tzinfo=now.tzinfo)
    served: dict[Any, datetime] = {}
    for project_id, _, at, _ in active:
        served[project_id] = max(served.get(project_id, never), at or never)
    soon = now + timedelta(milliseconds=500)
    recently = now - timedelta(seconds=3 * _TEND_SECONDS)
    ready = [
        (served[project_id], at or never, str(pk))
        for project_id, pk, at, look_at in active
        if pk == batch.pk or (look_at and look_at <= soon and served[project_id] < recently)
    ]
    return min(ready)[2] == str(batch.pk)


def others_wait(batch: Batch) -> bool:
    """Whether another batch is due."""
    due = Batch.objects.filter(
        phase__in=[BatchPhase.IN_PROGRESS, BatchPhase.VALIDATING], look_at__lte=timezone.now()
    )
    return due.exclude(pk=batch.pk).exists()


def record(batch: Batch, line: BatchLine, answer: httpx.Response) -> None:
    """Store the answer of a line, once: whoever comes second changes nothing."""
    good = answer.status_code < 300
    text, usage = _as_line(batch, line, answer)
    with transaction.atomic():
        here = BatchLine.objects.filter(pk=line.pk, state=LineState.WAITING)
        if not here.update(state=LineState.DONE if good else LineState.FAILED):
            return
        BatchAnswer.objects.create(batch=batch, number=line.number, good=good, text=text)
        name = "completed" if good else "failed"
        Batch.objects.filter(pk=batch.pk).update(
            **{name: F(name) + 1},
            prompt_tokens=F("prompt_tokens") + usage.prompt_tokens,
            completion_tokens=F("completion_tokens") + usage.completion_tokens,
        )
        file_id = growing_file(batch, good=good)
        File.objects.filter(pk=file_id).update(size_bytes=F("size_bytes") + len(text.encode()) + 1)


def growing_file(batch: Batch, *, good: bool) -> uuid.UUID:
    """The batch's output or error file, made when its first line comes."""
    field = "output_file" if good else "error_file"
    known: uuid.UUID | None = getattr(batch, f"{field}_id")
    if known is None:
        name = words.public_id("batch_", batch.pk)
        file = File.objects.create(
            project_id=batch.project_id,
            made_by=batch.made_by,
            filename=f"{name}_{'output' if good else 'error'}.jsonl",
            purpose="batch_output",
            phase=FilePhase.PROCESSED,
            look_at=None,
        )
        Batch.objects.filter(pk=batch.pk).update(**{field: file})
        setattr(batch, field, file)
        known = file.pk
    return known


def _as_line(batch: Batch, line: BatchLine, answer: httpx.Response) -> tuple[str, _Usage]:
    usage = None
    try:
        body: Any = msgspec.Raw(msgspec.json.format(answer.content, indent=-1))
        usage = _usage.decode(body).usage
    except (msgspec.DecodeError, RecursionError):
        body = answer.text[:10_000]
    response = {
        "status_code": answer.status_code,
        "request_id": answer.headers.get("x-request-id", ""),
        "body": body,
    }
    written = written_line(batch, line.number, line.custom_id, response=response, error=None)
    return written, usage or _Usage()


def written_line(
    batch: Batch, number: int, custom_id: str, *, response: Any, error: dict[str, str] | None
) -> str:
    """A line of an output or error file."""
    request_id = uuid.uuid5(batch.pk, str(number)).hex
    line = {
        "id": f"batch_req_{request_id}",
        "custom_id": custom_id,
        "response": response,
        "error": error,
    }
    return msgspec.json.encode(line).decode()


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])[:300]
    except (ValueError, KeyError, TypeError):
        return f"the gateway answered {answer.status_code}"
