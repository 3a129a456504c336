"""Asks a batch's lines through the gateway, a few at a time, and records each answer once."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from typing import Any

import httpx
import msgspec
from django.db import close_old_connections, transaction
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

#: Requests of one batch in flight, at most: as many as fill an engine, and a few that wait there
#: for a row. It begins with fewer, adds one with each answer, and gives way when it is told to.
MOST_AT_ONCE, FIRST_AT_ONCE = 40, 16
#: Answers are recorded together with those that come so soon after: one transaction for them all.
_GATHER_SECONDS = 0.1
#: A worker that is killed loses no more than these: what is in flight, and answers not recorded.
MOST_UNRECORDED = 2 * MOST_AT_ONCE
#: A batch that others wait for gives way after so long.
TURN_SECONDS = 10.0
#: And even alone after so long: what it was lent does not last for ever.
LONGEST_TURN_SECONDS = 600.0
_TEND_SECONDS = 1.0
#: A turn that others wait for lasts at most so long after its last answer: what an engine that
#: wakes, hangs or is slow has not answered by then is recorded when it comes.
_LAST_SECONDS = 10.0
#: And so long after it one whose batch was cancelled or has expired, and what it left behind: then
#: the gateway is told that nobody waits, and ends what it asks.
LAST_OF_ALL_SECONDS = 60.0
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


#: Lines of earlier turns of this process that are still being asked, with their batch and door.
_left_behind: dict[int, tuple[uuid.UUID, Door]] = {}


class Turn:
    """One turn of a batch: until its lines are done, others wait, or the gateway has no room."""

    def __init__(self, batch: Batch, door: Door) -> None:
        self.batch = batch
        self._door = door
        self._pool = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="batch")
        self._at_once = FIRST_AT_ONCE
        #: Answers not recorded yet, and when the first of them came.
        self._gathered: list[tuple[BatchLine, httpx.Response]] = []
        self._gathered_at = 0.0
        self._began = self._tended = time.monotonic()
        self.ending = self.making_way = self.over = False
        #: When something last came.
        self._heard = self._began
        #: Why it stopped before its lines were done; empty if nothing stands against it.
        self.hindrance = ""

    def run(self) -> None:
        """Ask; returns when nothing is in flight any more."""
        running: dict[Future[httpx.Response], BatchLine] = {}
        lines = self._lines()
        try:
            while True:
                self._tend()
                while not self.ending and self._has_room(len(running)):
                    line = next(lines, None)
                    if line is None:
                        break
                    running[self._pool.submit(self._ask, line)] = line
                # Only now: whoever is free is at work while these are written.
                patience = self._record(last=not running)
                if not running or self._is_late():
                    return
                done, _ = wait(running, timeout=patience, return_when=FIRST_COMPLETED)
                self._take([(running.pop(future), future) for future in done])
        finally:
            if self.making_way and running:
                self._leave_behind(running)
            else:
                # What is still in flight here is not ours to record any more: hang up.
                self._door.close()
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _has_room(self, running: int) -> bool:
        return running < self._at_once and running + len(self._gathered) < MOST_UNRECORDED

    def _is_late(self) -> bool:
        silence = time.monotonic() - self._heard
        return (self.making_way and silence > _LAST_SECONDS) or (
            self.over and silence > LAST_OF_ALL_SECONDS
        )

    def _leave_behind(self, running: dict[Future[httpx.Response], BatchLine]) -> None:
        """Let others have their turn; each of these is recorded when it comes."""
        left = set(running)
        _left_behind.update((line.pk, (self.batch.pk, self._door)) for line in running.values())

        def come(future: Future[httpx.Response]) -> None:
            line = running[future]
            try:
                with contextlib.suppress(httpx.HTTPError):
                    answer = future.result()
                    if answer.status_code not in _BUSY | {401}:
                        close_old_connections()
                        record_late(self.batch.pk, line, answer)
            finally:
                close_old_connections()
                _left_behind.pop(line.pk, None)
                left.discard(future)
                if not left:
                    self._door.close()

        for future in running:
            future.add_done_callback(come)

    def _lines(self) -> Iterator[BatchLine]:
        """Waiting lines in their order; one that is to be asked again comes at the next turn."""
        last = 0
        waiting = BatchLine.objects.filter(batch=self.batch, state=LineState.WAITING)
        while page := list(waiting.filter(number__gt=last).order_by("number")[:_PAGE]):
            yield from (line for line in page if line.pk not in _left_behind)
            last = page[-1].number

    def _ask(self, line: BatchLine) -> httpx.Response:
        body = batch_lines.body_of(self.batch, line)
        for attempt in range(1, TRIES + 1):
            answer = self._door.http.post(self.batch.endpoint, content=body)
            if answer.status_code not in _BROKEN or attempt == TRIES:
                break
            time.sleep(0.2 * attempt)
        return answer

    def _take(self, done: Sequence[tuple[BatchLine, Future[httpx.Response]]]) -> None:
        answered = []
        if done:
            self._heard = time.monotonic()
        for line, future in done:
            try:
                answer = future.result()
            except httpx.HTTPError as error:
                self._hinder(f"the gateway does not answer: {type(error).__name__}")
                continue
            if answer.status_code == 401:
                self._hinder("its API key was refused")
            elif answer.status_code in _BUSY:
                self._hinder(_message(answer))
            else:
                answered.append((line, answer))
        if answered and not self._gathered:
            self._gathered_at = time.monotonic()
        self._gathered += answered
        self._at_once = min(MOST_AT_ONCE, self._at_once + len(answered))

    def _record(self, *, last: bool) -> float:
        """Record what was gathered, once that is due; returns how long to wait until it is."""
        if not self._gathered:
            return _TEND_SECONDS
        left = self._gathered_at + _GATHER_SECONDS - time.monotonic()
        if left > 0 and len(self._gathered) < MOST_AT_ONCE and not last:
            return left
        record(self.batch, self._gathered)
        self._gathered = []
        return _TEND_SECONDS

    def _hinder(self, why: str) -> None:
        """Live traffic comes first: come back later, and begin with little again."""
        self.hindrance = why
        self.ending = True

    def _tend(self) -> None:
        """Keep the lease, and see whether it is time to end. LostRace once it is not ours."""
        now = time.monotonic()
        if now - self._tended < _TEND_SECONDS:
            return
        self._tended = now
        # An answer is kept whoever has the batch by now.
        self._record(last=True)
        reconcile.renew(self.batch)
        here = Batch.objects.filter(pk=self.batch.pk)
        here.update(served_at=timezone.now())
        phase, expires_at = here.values_list("phase", "expires_at").get()
        self.over = phase != BatchPhase.IN_PROGRESS or expires_at <= timezone.now()
        long = now - self._began > LONGEST_TURN_SECONDS
        others = now - self._began > TURN_SECONDS and others_wait(self.batch)
        self.making_way = self.making_way or others
        self.ending = self.ending or self.over or long or others


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
        return timedelta(seconds=1) if turn.making_way else timedelta(0)
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


def record(batch: Batch, answered: Sequence[tuple[BatchLine, httpx.Response]]) -> None:
    """Store the answers of some lines, each once: whoever comes second changes nothing."""
    with transaction.atomic():
        here = BatchLine.objects.filter(pk__in=[line.pk for line, _ in answered])
        waiting = set(
            here.filter(state=LineState.WAITING).select_for_update().values_list("pk", flat=True)
        )
        for good, state in ((True, LineState.DONE), (False, LineState.FAILED)):
            lines = [
                (line, *_as_line(batch, line, answer))
                for line, answer in answered
                if line.pk in waiting and (answer.status_code < 300) == good
            ]
            if lines:
                _keep(batch, lines, good=good, state=state)


def still_asked(batch: Batch, *, hang_up: bool) -> bool:
    """Whether answers to lines that earlier turns left behind are awaited; told to end, or not."""
    doors = {door for batch_id, door in list(_left_behind.values()) if batch_id == batch.pk}
    if hang_up:
        for door in doors:
            door.close()
    return bool(doors)


def record_late(batch_id: uuid.UUID, line: BatchLine, answer: httpx.Response) -> None:
    """The same for one that comes after its turn; nothing once the batch is closed."""
    with transaction.atomic():
        open_yet = (BatchPhase.IN_PROGRESS, BatchPhase.CANCELLING)
        here = Batch.objects.select_for_update().filter(pk=batch_id, phase__in=open_yet)
        batch = here.first()
        if batch is not None:
            record(batch, [(line, answer)])


def _keep(
    batch: Batch, lines: Sequence[tuple[BatchLine, str, _Usage]], *, good: bool, state: str
) -> None:
    BatchLine.objects.filter(pk__in=[line.pk for line, _, _ in lines]).update(state=state)
    BatchAnswer.objects.bulk_create(
        BatchAnswer(batch=batch, number=line.number, good=good, text=text)
        for line, text, _ in lines
    )
    name = "completed" if good else "failed"
    Batch.objects.filter(pk=batch.pk).update(
        **{name: F(name) + len(lines)},
        prompt_tokens=F("prompt_tokens") + sum(used.prompt_tokens for _, _, used in lines),
        completion_tokens=F("completion_tokens")
        + sum(used.completion_tokens for _, _, used in lines),
    )
    File.objects.filter(pk=growing_file(batch, good=good)).update(
        size_bytes=F("size_bytes") + sum(len(text.encode()) + 1 for _, text, _ in lines)
    )


def growing_file(batch: Batch, *, good: bool) -> uuid.UUID:
    """The batch's output or error file, made when its first line comes."""
    field = "output_file" if good else "error_file"
    known: uuid.UUID | None = getattr(batch, f"{field}_id")
    if known is None:
        # A late answer may have made it.
        rows = Batch.objects.select_for_update().filter(pk=batch.pk)
        known = rows.values_list(f"{field}_id", flat=True).get()
        setattr(batch, f"{field}_id", known)
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
