"""Reads a batch's input line by line, whatever its size, and finds what is wrong in it."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import msgspec

from slipway import backends
from slipway.backends.objects import Missing
from slipway.door.models import Batch, BatchLine

MOST_LINES = 50_000
#: Of one line; the gateway takes no larger body.
LONGEST_LINE = 16 * 1024 * 1024
#: Levels of arrays and objects that are read for certain, as by the gateway.
DEEPEST = 900
#: After so many faults no more are looked for.
MOST_ERRORS = 100
_PIECE = 1000

_Short = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]


class _Line(msgspec.Struct):
    custom_id: _Short
    url: str
    body: msgspec.Raw
    method: str = "POST"


class _Body(msgspec.Struct):
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    stream: bool | None = None


_lines, _bodies = msgspec.json.Decoder(_Line), msgspec.json.Decoder(_Body)


class Outcome:
    """What reading has found: faults in OpenAI's shape, how many lines, and their model."""

    def __init__(self) -> None:
        self.errors: list[dict[str, Any]] = []
        self.total = 0
        self.model = ""

    def fault(self, code: str, message: str, *, line: int | None, param: str | None = None) -> None:
        if len(self.errors) < MOST_ERRORS:
            self.errors.append({"code": code, "message": message, "param": param, "line": line})


def read(batch: Batch, tend: Callable[[], None]) -> Outcome:
    """Store a row for each line of the input; `tend` is called now and then and may raise."""
    BatchLine.objects.filter(batch=batch).delete()
    found = Outcome()
    seen: set[str] = set()
    rows: list[BatchLine] = []
    try:
        for number, start, data in _each(batch):
            if found.total >= MOST_LINES:
                text = f"A batch has at most {MOST_LINES} requests."
                found.fault("too_many_tasks", text, line=number)
                break
            found.total += 1
            line = _checked(batch, found, seen, number, data)
            if line is not None and not found.errors:
                rows.append(
                    BatchLine(batch=batch, number=number, custom_id=line.custom_id, start=start,
                              size_bytes=len(data))
                )  # fmt: skip
            if len(rows) >= _PIECE:
                BatchLine.objects.bulk_create(rows)
                rows.clear()
            if not number % _PIECE:
                tend()
            if len(found.errors) >= MOST_ERRORS:
                break
    except Missing:
        found.fault("missing_file", "The input file was deleted.", line=None)
        return found
    BatchLine.objects.bulk_create(rows)
    if not found.total:
        found.fault("empty_file", "The input file has no requests.", line=None)
    return found


def _each(batch: Batch) -> Iterator[tuple[int, int, bytes]]:
    """Number, first byte and bytes of each line that is not blank."""
    start = number = 0
    with backends.objects().open(batch.input_file.key) as stream:
        while data := stream.readline(LONGEST_LINE + 1):
            number += 1
            if data.strip():
                yield number, start, data
            if len(data) > LONGEST_LINE:
                return
            start += len(data)


def _checked(
    batch: Batch, found: Outcome, seen: set[str], number: int, data: bytes
) -> _Line | None:
    """The line, or None with its fault noted."""
    if len(data) > LONGEST_LINE:
        found.fault("invalid_json_line", f"A line has at most {LONGEST_LINE} bytes.", line=number)
        return None
    try:
        data.decode()
        line = _lines.decode(data.removeprefix(codecs.BOM_UTF8))
        body = _bodies.decode(line.body)
    except (UnicodeDecodeError, RecursionError, msgspec.DecodeError) as error:
        deep = isinstance(error, RecursionError)
        text = f"it nests deeper than {DEEPEST} levels" if deep else str(error)[:300]
        found.fault("invalid_json_line", f"This line cannot be used: {text}.", line=number)
        return None
    if "\0" in line.custom_id:
        found.fault("invalid_custom_id", "custom_id holds U+0000.", line=number, param="custom_id")
    elif line.custom_id in seen:
        text = f"The custom_id {line.custom_id[:100]!r} was used before."
        found.fault("duplicate_custom_id", text, line=number, param="custom_id")
    elif line.method != "POST":
        found.fault("invalid_method", "method must be POST.", line=number, param="method")
    elif line.url != batch.endpoint:
        text = f"url is {line.url[:100]!r}, but the batch is for {batch.endpoint}."
        found.fault("url_mismatch", text, line=number, param="url")
    elif found.model and body.model != found.model:
        text = f"model is {body.model[:100]!r}, but the first line's is {found.model!r}."
        found.fault("model_mismatch", text, line=number, param="body.model")
    elif body.stream:
        found.fault(
            "unsupported_stream", "A batch has no streams; leave stream out.", line=number,
            param="body.stream",
        )  # fmt: skip
    else:
        seen.add(line.custom_id)
        found.model = body.model
        return line
    return None


def body_of(batch: Batch, line: BatchLine) -> bytes:
    """The body to send for a line that was read before; Missing if the input is gone."""
    with backends.objects().open(
        batch.input_file.key, start=line.start, length=line.size_bytes
    ) as stream:
        return bytes(_lines.decode(stream.read().removeprefix(codecs.BOM_UTF8)).body)
