"""Where a run's rows come from, and the messages that its model is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from slipway.door.models import File
from slipway.door.services import completions, files, words
from slipway.door.services.graders import Message
from slipway.door.services.words import Bad
from slipway_contracts.grading import templates

MOST_ROWS = 10_000
_LONGEST_LINE = 1024 * 1024
_Seconds = Annotated[int, msgspec.Meta(ge=0, le=9_999_999_999)]


class _Row(msgspec.Struct):
    item: dict[str, Any]
    sample: dict[str, Any] | None = None


class _Content(words.Request, tag="file_content", tag_field="type"):
    content: Annotated[list[_Row], msgspec.Meta(min_length=1, max_length=MOST_ROWS)]


class _FileId(words.Request, tag="file_id", tag_field="type"):
    id: words.Id


class _Stored(words.Request, tag="stored_completions", tag_field="type"):
    metadata: words.Metadata | None = None
    model: words.Name | None = None
    created_after: _Seconds | None = None
    created_before: _Seconds | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS)] | None = None


class _Template(words.Request, tag="template", tag_field="type"):
    template: Annotated[list[Message], msgspec.Meta(min_length=1, max_length=100)]


class _Reference(words.Request, tag="item_reference", tag_field="type"):
    item_reference: str


class _Jsonl(words.Request, tag="jsonl", tag_field="type"):
    source: _Content | _FileId | _Stored


class _Completions(words.Request, tag="completions", tag_field="type"):
    source: _Content | _FileId | _Stored
    model: words.Name | None = None
    input_messages: _Template | _Reference | None = None
    sampling_params: dict[str, Any] | None = None


_lines = msgspec.json.Decoder(_Row)


@dataclass(frozen=True, kw_only=True)
class Source:
    """`model` is empty where the rows bring their answers along."""

    model: str
    messages: _Template | _Reference | None
    sampling: dict[str, Any]
    content: list[_Row] | None
    file: File | None
    stored: _Stored | None = None
    project_id: UUID | None = None

    def rows(self) -> Iterator[_Row]:
        """Every row; Bad naming the line of one that is none."""
        if self.stored is not None and self.project_id is not None:
            yield from _of_stored(self.stored, self.project_id)
            return
        if self.file is None:
            yield from self.content or []
            return
        for number, line in enumerate(_split(files.stream(self.file)), 1):
            if number > MOST_ROWS:
                raise Bad(f"A run has at most {MOST_ROWS} rows.", param="data_source")
            try:
                line.decode()
                yield _lines.decode(line)
            except (UnicodeDecodeError, RecursionError, msgspec.DecodeError) as error:
                raise Bad(f"Row {number} cannot be used: {error}", param="data_source") from error

    def asked(self, item: dict[str, Any]) -> list[dict[str, Any]]:
        """What the model is asked about an item; templates.NoSuchField, or Bad."""
        facts = {"item": item}
        if isinstance(self.messages, _Template):
            return [message.rendered(facts) for message in self.messages.template]
        if self.messages is None:
            return []
        found = templates.look_up(self.messages.item_reference, facts)
        if not isinstance(found, list) or not all(isinstance(m, dict) for m in found):
            raise Bad(f"{self.messages.item_reference} is no list of messages.")
        return found


def read(given: dict[str, Any], *, project_id: UUID, now: datetime) -> Source:
    """The source that a run's `data_source` names; Bad or Gone if there is none."""
    if given.get("type") == "responses":
        raise Bad("Runs ask by chat completions here; use the type completions.",
                  param="data_source.type")  # fmt: skip
    try:
        found = msgspec.convert(given, _Jsonl | _Completions)
    except msgspec.ValidationError as error:
        raise words.misshapen(str(error), under="data_source") from error
    file = None
    if isinstance(found.source, _FileId):
        file = files.of(
            project_id=project_id, file_id=found.source.id, now=now, param="data_source.source.id"
        )
    content = found.source.content if isinstance(found.source, _Content) else None
    stored = found.source if isinstance(found.source, _Stored) else None
    if isinstance(found, _Completions) and found.model is None and stored is None:
        raise Bad("data_source.model is missing; give it.", param="data_source.model")
    if isinstance(found, _Completions) and (found.model is None) != (found.input_messages is None):
        raise Bad("Give model and input_messages, or neither.", param="data_source.input_messages")
    if isinstance(found, _Jsonl) or found.model is None:
        return Source(
            model="", messages=None, sampling={}, content=content, file=file, stored=stored,
            project_id=project_id,
        )  # fmt: skip
    return Source(
        model=found.model,
        messages=found.input_messages,
        sampling=found.sampling_params or {},
        content=content,
        file=file,
        stored=stored,
        project_id=project_id,
    )


def _of_stored(wanted: _Stored, project_id: UUID) -> Iterator[_Row]:
    """Stored chat completions as rows: what was asked is the item, what was said the sample."""
    found = completions.stored(
        project_id=project_id,
        metadata=wanted.metadata,
        model=wanted.model,
        created_after=_time(wanted.created_after),
        created_before=_time(wanted.created_before),
        limit=wanted.limit or MOST_ROWS,
    )
    for each in found:
        said = each["body"]["choices"][0]["message"].get("content") or ""
        item = {"id": each["id"], "model": each["model"], "metadata": each["metadata"],
                "input": each["messages"]}  # fmt: skip
        yield _Row(item=item, sample={"output_text": said})


def _time(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _split(pieces: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line for line in whole if line.strip())
        if len(rest) > _LONGEST_LINE:
            raise Bad(f"A row has at most {_LONGEST_LINE} bytes.", param="data_source")
    if rest.strip():
        yield rest
