"""Where a run's rows come from, and the messages that its model is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from slipway.core import parsing
from slipway.door.models import File
from slipway.door.services import (
    completions,
    files,
    response_asks,
    response_items,
    responses,
    words,
)
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


class _Responses(words.Request, tag="responses", tag_field="type"):
    """Those that were kept."""

    metadata: words.Metadata | None = None
    model: words.Name | None = None
    created_after: _Seconds | None = None
    created_before: _Seconds | None = None
    instructions_search: str | None = None
    reasoning_effort: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    tools: list[str] | None = None
    users: list[str] | None = None


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


class _Text(words.Request):
    format: dict[str, Any] | None = None


class _Sampling(words.Request):
    max_completion_tokens: int | None = None
    reasoning_effort: str | None = None
    seed: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    text: _Text | None = None
    tools: list[dict[str, Any]] | None = None


class _ByResponses(words.Request, tag="responses", tag_field="type"):
    """As the responses API asks: the same request to the model, in other words."""

    source: _Content | _FileId | _Responses
    model: words.Name | None = None
    input_messages: _Template | _Reference | None = None
    sampling_params: _Sampling | None = None

    @property
    def sampling(self) -> dict[str, Any]:
        given = self.sampling_params or _Sampling()
        found = {
            name: value
            for name in given.__struct_fields__
            if name not in {"text", "tools"} and (value := getattr(given, name)) is not None
        }
        if given.text is not None:
            found |= response_asks.format_of(given.text.format)
        if given.tools:
            found["tools"] = response_asks.tools_of(given.tools)
        return found


_lines = msgspec.json.Decoder(_Row)


@dataclass(frozen=True, kw_only=True)
class Source:
    """`model` is empty where the rows bring their answers along."""

    model: str
    messages: _Template | _Reference | None
    sampling: dict[str, Any]
    content: list[_Row] | None
    file: File | None
    stored: _Stored | _Responses | None = None
    project_id: UUID | None = None

    def rows(self) -> Iterator[_Row]:
        """Every row; Bad naming the line of one that is none."""
        return (row for _, row in self.placed())

    def placed(self) -> Iterator[tuple[str, _Row]]:
        """The same, each with the place of its item."""
        if self.stored is not None and self.project_id is not None:
            kept = (
                _of_stored(self.stored, self.project_id)
                if isinstance(self.stored, _Stored)
                else _of_responses(self.stored, self.project_id)
            )
            yield from ((f"{row.item['id']}: $.item", row) for row in kept)
            return
        if self.file is None:
            for number, row in enumerate(self.content or []):
                yield f"data_source.source.content[{number}].item", row
            return
        for count, (number, line) in enumerate(_split(files.stream(self.file)), 1):
            if count > MOST_ROWS:
                raise Bad(f"A run has at most {MOST_ROWS} rows.", param="data_source")
            if parsing.too_deep(line):
                raise Bad(
                    f"Line {number} nests arrays and objects deeper than {parsing.DEEPEST} levels; "
                    "flatten it.",
                    param="data_source",
                )
            try:
                line.decode()
                yield f"Line {number}: $.item", _lines.decode(line)
            except (UnicodeDecodeError, msgspec.DecodeError) as error:
                raise Bad(f"Line {number} cannot be used: {error}", param="data_source") from error

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
    try:
        found = msgspec.convert(given, _Jsonl | _Completions | _ByResponses)
    except msgspec.ValidationError as error:
        raise words.misshapen(str(error), under="data_source") from error
    file = None
    if isinstance(found.source, _FileId):
        file = files.of(
            project_id=project_id, file_id=found.source.id, now=now, param="data_source.source.id"
        )
    content = found.source.content if isinstance(found.source, _Content) else None
    stored = found.source if isinstance(found.source, _Stored | _Responses) else None
    if not isinstance(found, _Jsonl):
        if found.model is None and stored is None:
            raise Bad("data_source.model is missing; give it.", param="data_source.model")
        if (found.model is None) != (found.input_messages is None):
            text = "Give model and input_messages, or neither."
            raise Bad(text, param="data_source.input_messages")
    if isinstance(found, _Jsonl) or found.model is None:
        return Source(
            model="", messages=None, sampling={}, content=content, file=file, stored=stored,
            project_id=project_id,
        )  # fmt: skip
    return Source(
        model=found.model,
        messages=found.input_messages,
        sampling=(
            found.sampling if isinstance(found, _ByResponses) else found.sampling_params or {}
        ),
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


def _of_responses(wanted: _Responses, project_id: UUID) -> Iterator[_Row]:
    """Kept responses as rows, likewise; settings are compared as they were asked."""
    asked = {
        name: value
        for name in ("model", "temperature", "top_p")
        if (value := getattr(wanted, name)) is not None
    }
    found = responses.stored(
        project_id=project_id,
        metadata=wanted.metadata,
        asked=asked,
        created_after=_time(wanted.created_after),
        created_before=_time(wanted.created_before),
    )
    count = 0
    for row in found:
        body = row.body
        instructions = body.get("instructions") or ""
        if (
            (wanted.instructions_search or "").lower() not in instructions.lower()
            or (wanted.users is not None and body.get("user") not in wanted.users)
            or (wanted.reasoning_effort or body["reasoning"]["effort"])
            != body["reasoning"]["effort"]
            or not set(wanted.tools or ()) <= {tool.get("name") for tool in body["tools"]}
        ):
            continue
        if (count := count + 1) > MOST_ROWS:
            return
        messages = response_items.messages_of(instructions, row.input_items)
        item = {"id": body["id"], "model": body["model"], "metadata": body["metadata"],
                "input": messages}  # fmt: skip
        said = "".join(
            part.get("text", "")
            for output in body["output"]
            if output["type"] == "message"
            for part in output["content"]
        )
        yield _Row(item=item, sample={"output_text": said})


def _time(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _split(pieces: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each line that is not blank."""
    number, rest = 0, b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            number += 1
            if line.strip():
                yield number, line
        if len(rest) > _LONGEST_LINE:
            text = f"Line {number + 1} is longer than {_LONGEST_LINE} bytes."
            raise Bad(text, param="data_source")
    if rest.strip():
        yield number + 1, rest
