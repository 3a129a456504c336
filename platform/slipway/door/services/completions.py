"""Chat completions that were stored: taken in from the gateway's spool, shown, changed, deleted."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import DataError, transaction
from django.db.models import QuerySet

from slipway.core import spools
from slipway.door.models import CompletionSpool, StoredCompletion
from slipway.door.services import chunks, words
from slipway.tenancy.services import retention
from slipway.traffic import services as traffic
from slipway_contracts.kept import CompletionLine

logger = logging.getLogger(__name__)

_lines = msgspec.json.Decoder(CompletionLine)
_metadata = msgspec.json.Decoder(words.Metadata)


class _LostRace(Exception):
    """Another worker takes in the same file."""


#: What a line that is no completion raises, wherever in it the fault is.
_FAULTS = (ValueError, LookupError, TypeError, AttributeError, RecursionError, DataError)


def take_in(*, now: datetime, directory: Path | None = None) -> None:
    """Store what the gateways spooled, each completion once. Safe to run twice at once."""
    for path in sorted((directory or settings.COMPLETIONS_SPOOL).glob("*.jsonl")):
        try:
            row, _ = CompletionSpool.objects.get_or_create(
                name=path.name, defaults={"created_at": now}
            )

            def store(offset: int, data: bytes, path: Path = path) -> None:
                _store(path, offset, data)

            if spools.take_in(path, offset=row.offset_bytes, store=store):
                row.delete()
        except (_LostRace, FileNotFoundError):
            logger.info("another worker takes in %s", path.name)
        except Exception:
            # It is looked at again; one file must not stop the others.
            logger.exception("completions of %s were not taken in", path.name)


@dataclass(frozen=True, kw_only=True)
class _Line:
    """What became of a line: to be logged, and to be stored if it was asked to be."""

    raw: bytes
    said: traffic.Said
    row: StoredCompletion | None


def _store(path: Path, offset: int, data: bytes) -> None:
    lines = []
    for raw in data.splitlines():
        try:
            line = _read(raw)
        except _FAULTS as error:
            spools.reject(path, offset, raw, f"no completion: {error!r}"[:300])
        else:
            lines += [line] if line is not None else []
    with transaction.atomic():
        here = CompletionSpool.objects.filter(name=path.name, offset_bytes=offset)
        if not here.update(offset_bytes=offset + len(data)):
            raise _LostRace(path.name)
        try:
            _write(lines)
        except _FAULTS:
            # One of them cannot be written; the others can.
            for line in lines:
                try:
                    _write([line])
                except _FAULTS as error:
                    spools.reject(path, offset, line.raw, f"cannot be stored: {error!r}"[:300])


def _write(lines: list[_Line]) -> None:
    with transaction.atomic():
        rows = [line.row for line in lines if line.row is not None]
        StoredCompletion.objects.bulk_create(rows, ignore_conflicts=True, batch_size=100)
        traffic.log_prompts(line.said for line in lines)


def _read(raw: bytes) -> _Line | None:
    """None where the stream told nothing that could be kept."""
    line = _lines.decode(raw)
    request, answer = _clean(json.loads(line.request)), _answer(line)
    if answer is None:
        return None
    answer = _clean(answer)
    said = traffic.Said(
        project_id=UUID(line.project_id), request_id=line.request_id, at=_at(line),
        model=str(answer["model"]), request=request, answer=answer,
    )  # fmt: skip
    # Others are only spooled because their project has everything kept.
    stored = request.get("store") is True and "messages" in request
    return _Line(raw=raw, said=said, row=_row(line, request, answer) if stored else None)


def _clean(value: Any) -> Any:
    """Without the characters that no database keeps: U+0000, and halves of a pair."""
    if isinstance(value, str):
        return value.replace("\0", "").encode(errors="replace").decode()
    if isinstance(value, list):
        return [_clean(each) for each in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(each) for key, each in value.items()}
    return value


def _answer(line: CompletionLine) -> dict[str, Any] | None:
    """The answer in one piece; None where the stream told nothing that could be kept."""
    streamed = line.answer.startswith(("data:", ":"))
    return chunks.completion_of(line.answer) if streamed else json.loads(line.answer)


def _at(line: CompletionLine) -> datetime:
    return datetime.fromtimestamp(line.at, tz=UTC)


def _row(line: CompletionLine, request: dict[str, Any], answer: dict[str, Any]) -> StoredCompletion:
    left_out = {"messages", "metadata", "model", "store", "stream", "stream_options"}
    return StoredCompletion(
        created_at=_at(line),
        project_id=UUID(line.project_id),
        name=str(answer["id"])[:128],
        request_id=line.request_id,
        model=str(answer["model"])[:256],
        metadata=_kept_metadata(request.get("metadata")),
        body=answer,
        messages=request["messages"],
        settings={key: value for key, value in request.items() if key not in left_out},
    )


def _kept_metadata(given: Any) -> dict[str, str] | None:
    # It was answered already: what is no metadata cannot be refused any more.
    try:
        return msgspec.convert(given, words.Metadata | None)
    except msgspec.ValidationError:
        return None


def rows(*, project_id: UUID) -> QuerySet[StoredCompletion]:
    return StoredCompletion.objects.filter(project_id=project_id)


def of(*, project_id: UUID, name: str) -> StoredCompletion:
    """A stored completion of the project; Gone otherwise."""
    found = rows(project_id=project_id).filter(name=name).first()
    if found is None:
        raise words.Gone(
            f"No stored chat completion: {name[:100]!r}. It is kept for 30 days if it was asked "
            "with store: true, and shows a moment after it was answered.",
            param="completion_id",
        )
    return found


def shown(row: StoredCompletion) -> dict[str, Any]:
    """The completion as it was answered, with its metadata and how it was asked."""
    settings_of = {
        key: row.settings.get(key)
        for key in ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed",
                    "tools", "tool_choice", "response_format")
    }  # fmt: skip
    return row.body | {"metadata": row.metadata or {}, "request_id": row.request_id} | settings_of


def messages_of(row: StoredCompletion) -> list[dict[str, Any]]:
    """What it was asked with, each message with an id; parts stand apart from text."""
    found = []
    for number, message in enumerate(row.messages):
        content = message.get("content")
        parts = content if isinstance(content, list) else None
        kept = {key: message[key] for key in ("name", "tool_calls", "tool_call_id")
                if key in message}  # fmt: skip
        found.append(
            {"id": f"{row.name}-{number}", "role": message.get("role"),
             "content": None if parts else content, "content_parts": parts} | kept
        )  # fmt: skip
    return found


def stored(
    *,
    project_id: UUID,
    metadata: Mapping[str, str] | None = None,
    model: str | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    limit: int | None = None,
) -> Iterator[dict[str, Any]]:
    """Stored completions, oldest first: id, model, metadata, messages, body (the completion)."""
    found = rows(project_id=project_id)
    if model is not None:
        found = found.filter(model=model)
    if created_after is not None:
        found = found.filter(created_at__gte=created_after)
    if created_before is not None:
        found = found.filter(created_at__lt=created_before)
    count = 0
    for row in found.order_by("created_at", "pk").iterator(chunk_size=100):
        has = row.metadata or {}
        if any(has.get(key) != value for key, value in (metadata or {}).items()):
            continue
        if limit is not None and count >= limit:
            return
        count += 1
        yield {"id": row.name, "model": row.model, "metadata": has, "messages": row.messages,
               "body": row.body}  # fmt: skip


def forget(now: datetime) -> None:
    for project_id, until in retention.cuts("completions", now):
        old = StoredCompletion.objects.filter(created_at__lt=until)
        (old.filter(project_id=project_id) if project_id else old).delete()
    CompletionSpool.objects.filter(created_at__lt=now - timedelta(days=1)).exclude(
        name__in=[path.name for path in settings.COMPLETIONS_SPOOL.glob("*.jsonl")]
    ).delete()
