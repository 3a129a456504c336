"""Which format a file is in, told from its first bytes."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from slipway_contracts.formats.words import Container, Format

#: Bytes of the beginning of a file that are looked at.
HEAD_BYTES = 1024 * 1024
_LOOK_AT_LINES = 20
#: What a column may be called; a line of plain text is seldom made of such words alone.
_NAME = re.compile(r"[^\W\d][\w-]{0,40}")
CSV_HEADERS = (
    ("prompt", "response"),
    ("question", "answer"),
    ("instruction", "output"),
    ("text",),
)


@dataclass(frozen=True, kw_only=True)
class Detected:
    """How rows lie in the file and what they look like; `format` None if it is not known."""

    container: Container
    format: Format | None
    delimiter: str = ","
    #: What was seen where no format fits, for the message.
    seen: str = ""


def detect(head: bytes, *, whole: bool) -> Detected:
    """Tell the format from the first bytes; `whole` if they are the entire file."""
    text = head.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
    lines = [line for line in text.splitlines() if line.strip()]
    if not whole and len(lines) > 1:
        lines.pop()  # it may be cut
    first = lines[0].lstrip()[:1] if lines else ""
    if first == "{":
        return _objects(lines[:_LOOK_AT_LINES])
    if first == "[":
        return _arrays(text, lines)
    if first == '"' and _parse(lines[0]) is not None:
        return Detected(container=Container.LINES, format=Format.TEXT)
    for delimiter in (",", "\t", ";"):
        if lines and csv_columns(lines[0], delimiter):
            return Detected(container=Container.CSV, format=Format.CSV, delimiter=delimiter)
    for delimiter in (",", "\t", ";"):
        if columns := _table(lines[:_LOOK_AT_LINES], delimiter):
            seen = f"a table with columns {', '.join(columns)}"
            return Detected(
                container=Container.CSV, format=None, delimiter=delimiter, seen=seen[:200]
            )
    return Detected(container=Container.LINES, format=Format.TEXT)


def _table(lines: list[str], delimiter: str) -> list[str]:
    """The columns of what is a table, though with names that mean nothing to us; else nothing."""
    try:
        header, *rows = csv.reader(lines, delimiter=delimiter)
    except (csv.Error, ValueError):
        return []
    # A blank after the comma makes it a sentence.
    named = len(header) > 1 and all(_NAME.fullmatch(cell) for cell in header)
    alike = sum(len(row) == len(header) for row in rows)
    return header if named and rows and alike * 2 > len(rows) else []


def csv_columns(header: str, delimiter: str = ",") -> list[str]:
    """The columns of a header that we know how to read, lower-case; empty if we do not."""
    try:
        cells = next(csv.reader([header], delimiter=delimiter), [])
    except csv.Error:
        return []
    names = [cell.strip().lower() for cell in cells]
    known = any(set(needed) <= set(names) for needed in CSV_HEADERS)
    return names if known and len(set(names)) == len(names) and all(names) else []


def container_of(given: Format, head: bytes, *, whole: bool) -> Detected:
    """As `detect`, for a file whose format its owner named."""
    found = detect(head, whole=whole)
    if given is Format.CSV:
        delimiter = found.delimiter if found.container is Container.CSV else ","
        return Detected(container=Container.CSV, format=given, delimiter=delimiter)
    if given is Format.TEXT:
        container = Container.JSONL if found.container is Container.JSONL else Container.LINES
        return Detected(container=container, format=given)
    container = found.container
    if container not in {Container.JSONL, Container.JSON}:
        container = Container.JSONL
    return Detected(container=container, format=given)


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _format_of(value: Any) -> Format | None:
    """The format of one decoded row, by the keys that only it has."""
    if isinstance(value, list):
        if not value or not all(isinstance(turn, dict) for turn in value):
            return None
        if all("prompt" in turn for turn in value):
            return Format.QIANFAN
        return Format.QIANFAN_DPO if all("user" in turn for turn in value) else None
    if not isinstance(value, dict):
        return None
    for key, found in (
        ("preferred_output", Format.PREFERENCE),
        ("chosen", Format.QIANFAN_DPO if "user" in value else Format.CHOSEN_REJECTED),
        ("messages", Format.PROMPTS if _asks(value) else Format.OPENAI),
        ("conversations", Format.SHAREGPT),
        ("instruction", Format.ALPACA),
    ):
        if key in value:
            return found
    if "prompt" in value and "response" in value:
        return Format.QIANFAN
    return Format.TEXT if "text" in value else None


def _asks(value: Any) -> bool:
    """Whether a row of messages ends with a question: the answer is not given but to be found."""
    messages = value["messages"] if isinstance(value.get("messages"), list) else []
    last = messages[-1] if messages else None
    return isinstance(last, dict) and last.get("role") == "user"


def _objects(lines: list[str]) -> Detected:
    values = [value for line in lines if isinstance(value := _parse(line), dict)]
    votes = Counter(found for value in values if (found := _format_of(value)))
    if votes[Format.OPENAI] and votes[Format.PROMPTS]:
        # Most are answered: a question at the end is one whose answer is missing.
        votes[Format.OPENAI] += votes.pop(Format.PROMPTS)
    if votes:
        return Detected(container=Container.JSONL, format=votes.most_common(1)[0][0])
    if values:
        keys = ", ".join(sorted(map(str, values[0])))[:200]
        return Detected(container=Container.JSONL, format=None, seen=f"objects with keys {keys}")
    # Every line is broken JSON: read it as what most files are, and report line by line.
    return Detected(container=Container.JSONL, format=Format.OPENAI)


def _arrays(text: str, lines: list[str]) -> Detected:
    value = _parse(lines[0])
    if isinstance(value, list) and (found := _format_of(value)):
        return Detected(container=Container.JSONL, format=found)
    if (
        len(lines) > 1
        and any(_format_of(_parse(line)) for line in lines[1:_LOOK_AT_LINES])
        and (isinstance(value, list))
    ):
        return Detected(container=Container.JSONL, format=Format.QIANFAN)
    begin = text.index("[") + 1
    while begin < len(text) and text[begin].isspace():
        begin += 1
    try:
        element, _ = json.JSONDecoder().raw_decode(text, begin)
    except (ValueError, RecursionError):
        # Broken from the first row on; the check says where.
        return Detected(container=Container.JSON, format=Format.OPENAI)
    found = _format_of(element)
    seen = "" if found else f"an array of {type(element).__name__}"
    return Detected(container=Container.JSON, format=found, seen=seen)
