"""Reads what a run tells: new notes for the reconcile loop, log lines for whoever follows."""

from __future__ import annotations

import base64
import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from slipway import backends
from slipway.backends.objects import Missing
from slipway.core.errors import Detail, Invalid
from slipway_contracts.progress import Note, NoteKind, from_lines

logger = logging.getLogger(__name__)

#: Chunks taken in at one look, so that a long backlog does not outlast a lease.
CHUNKS_A_LOOK = 100
_SHOWN = {NoteKind.LOG: "info", NoteKind.STAGE: "info", NoteKind.WARNING: "warning"}


@dataclass(frozen=True, kw_only=True)
class Chunk:
    key: str
    notes: list[Note]


def chunks(output_uri: str, *, after: str, limit: int = CHUNKS_A_LOOK) -> list[Chunk]:
    """Up to `limit` chunks whose key comes after `after`, in the order they were written."""
    objects = backends.objects()
    found = []
    for stat in objects.list(f"{objects.key(output_uri)}/progress/", after=after):
        try:
            notes = list(from_lines(objects.read(stat.key)))
        except Missing:
            continue
        except (ValueError, TypeError, KeyError) as error:
            # One chunk that cannot be read must not stop the run's life.
            logger.warning("unreadable progress chunk %s: %s", stat.key, error)
            text = f"a progress chunk could not be read: {type(error).__name__}: {error}"
            notes = [Note(kind=NoteKind.WARNING, at=stat.modified_at.timestamp(), text=text)]
        found.append(Chunk(key=stat.key, notes=notes))
        if len(found) == limit:
            break
    return found


def when(note: Note) -> datetime:
    return datetime.fromtimestamp(note.at, UTC)


@dataclass(frozen=True, kw_only=True)
class LogLine:
    at: datetime
    level: str
    text: str


@dataclass(frozen=True, kw_only=True)
class LogPage:
    lines: list[LogLine]
    #: Pass it back to read on; valid for ever, also at the present end of the log.
    cursor: str
    #: False when everything written so far has been returned.
    more: bool


def log_page(output_uri: str, *, cursor: str = "", limit: int = 1000) -> LogPage:
    """Log lines, stages and warnings after `cursor`, oldest first, whole chunks at a time.

    A page ends with the chunk in which it reaches `limit` lines. Raises Invalid for a cursor
    that this function did not give out.
    """
    after = _decode(cursor)
    lines: list[LogLine] = []
    while len(lines) < limit:
        batch = chunks(output_uri, after=after, limit=20)
        for chunk in batch:
            after = chunk.key
            lines += [
                LogLine(at=when(note), level=_SHOWN[note.kind], text=note.text)
                for note in chunk.notes
                if note.kind in _SHOWN
            ]
            if len(lines) >= limit:
                break
        if len(batch) < 20:
            return LogPage(lines=lines, cursor=_encode(after), more=len(lines) >= limit)
    return LogPage(lines=lines, cursor=_encode(after), more=True)


def _encode(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _decode(cursor: str) -> str:
    try:
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError as error:
        raise Invalid(
            "cursor is not one this API gave out; leave it out to start from the first line.",
            Detail(field="cursor", rule="as returned with the page before", value=cursor),
        ) from error
