"""Change single rows: a new version from another one, with some lines replaced, removed or added.

Rows of a version never change, so an edit makes the next version and leaves the old one as it is.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import datetime
from typing import Any, BinaryIO
from uuid import UUID

import msgspec

from slipway import backends
from slipway.backends.objects import Missing
from slipway.core import nudge, together
from slipway.core.errors import Conflict, Detail, Invalid
from slipway.datasets.models import Phase, Version
from slipway.datasets.services import catalogue, fetch, reading, rows
from slipway.datasets.services.checking import Progress
from slipway.datasets.services.facts import version_of
from slipway.datasets.services.unpack import Unreadable
from slipway_contracts.formats import LIMITS, Container, Format

MOST = 10_000
#: Bytes of a source that are read through for one of its lines.
_LINE_SCAN_BYTES = 256 * 1024 * 1024


class Edit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`row` (from 0) of the checked rows, or `line` (from 1) of the file as it came.

    `text` is the whole new line; null removes the old one. With neither, it is added at the end.
    """

    row: int | None = None
    line: int | None = None
    text: str | None = None


def start(
    *, project_id: UUID, version_id: UUID, edits: list[Edit], now: datetime, made_by: str = ""
) -> Version:
    """The next version of the dataset, which the worker makes of this one and the edits."""
    parent = version_of(project_id=project_id, version_id=version_id)
    upon_source = _judge(parent, edits)
    key = f"{catalogue.folder_of(parent)}edits-{secrets.token_hex(6)}.json"
    backends.objects().put(key, msgspec.json.encode(edits))
    together.begin()
    label = f"{parent.dataset.name}@{parent.number}"
    source = {
        "kind": "edited",
        "of": str(parent.pk),
        "of_label": label,
        "edits_key": key,
        "upon_source": upon_source,
    }
    version = catalogue.create_version(
        project_id=project_id,
        dataset_id=parent.dataset_id,
        now=now,
        format=_format_of(parent) if upon_source else "",
        source=source,
        note=f"{label}, {len(edits)} rows edited",
        made_by=made_by,
    )
    nudge.soon(Version)
    return version


def _format_of(parent: Version) -> str:
    return parent.format if parent.format in set(Format) else ""


def _judge(parent: Version, edits: list[Edit]) -> bool:
    """Whether the edits are of lines of the source; Invalid or Conflict if they cannot be made."""
    by_line = any(edit.line is not None for edit in edits)
    for number, edit in enumerate(edits):
        field = f"edits[{number}]"
        if edit.row is not None and (by_line or not 0 <= edit.row < parent.rows):
            rule = f"0…{parent.rows - 1}, and rows and lines are not mixed"
            raise Invalid(
                "There is no such row.", Detail(field=f"{field}.row", rule=rule, value=edit.row)
            )
        if edit.line is not None and edit.line < 1:
            raise Invalid(
                "Lines are counted from 1.",
                Detail(field=f"{field}.line", rule="1 or more", value=edit.line),
            )
        if edit.text is not None and ("\n" in edit.text or not edit.text.strip()):
            raise Invalid(
                "A row is one line that is not empty.",
                Detail(field=f"{field}.text", rule="one line", value=edit.text[:80]),
            )
        if edit.text is None and edit.row is None and edit.line is None:
            raise Invalid("Say which row, or what to add.", Detail(field=field, rule="row or text"))
    if by_line:
        _check_lines(parent)
    elif parent.phase not in {Phase.VALID, Phase.INVALID, Phase.PUBLISHED} or not parent.rows:
        raise Conflict(
            f"This version has no rows to edit; it is {parent.phase}.",
            Detail(field="phase", rule="checked, rows > 0", value=parent.phase),
        )
    return by_line


def _check_lines(parent: Version) -> None:
    """Lines can be told apart in plain JSON lines only."""
    found = None
    if parent.source_key and parent.phase in {Phase.INVALID, Phase.VALID, Phase.PUBLISHED}:
        given = parent.format if parent.format in set(Format) else ""
        with backends.objects().open(parent.source_key) as stream:
            try:
                text = reading.Text(stream, Format(given) if given else None)
                found = text.detected.container
            except Unreadable:
                found = None
    if found is not Container.JSONL:
        raise Conflict(
            "Lines are edited here in plain JSON lines only; mend the file and upload it again.",
            Detail(field="source", rule="JSONL, not packed", value=str(found or "unreadable")),
        )


def source_line(*, project_id: UUID, version_id: UUID, line: int) -> str:
    """One line of the file as it came, from 1; NUL and broken bytes shown as escapes."""
    version = version_of(project_id=project_id, version_id=version_id)
    _check_lines(version)
    if version.size_bytes > _LINE_SCAN_BYTES and line > 1:
        raise Conflict("The file is too large to look for one line; mend it and upload it again.")
    with backends.objects().open(version.source_key) as stream:
        for number, data in enumerate(_lines(stream), start=1):
            if number == line:
                return data[: LIMITS.max_row_bytes].decode("utf-8", "backslashreplace")
    raise Invalid("The file has no such line.", Detail(field="line", rule="a line", value=line))


def write(version: Version, parent: Version, out: BinaryIO, progress: Progress) -> None:
    """Write the parent's lines with the edits made. FetchFailed if the edits are gone."""
    store = backends.objects()
    source: dict[str, Any] = version.source
    try:
        edits = msgspec.json.decode(store.read(source["edits_key"]), type=list[Edit])
    except Missing as error:
        raise fetch.FetchFailed("the edits were deleted meanwhile") from error
    if source["upon_source"]:
        with store.open(parent.source_key) as stream:
            _rewrite(_lines(stream), {e.line: e.text for e in edits}, 1, edits, out, progress)
    else:
        with rows.lines_from(parent) as lines:
            bare = (line.rstrip(b"\n") for line in lines)
            _rewrite(bare, {e.row: e.text for e in edits}, 0, edits, out, progress)


def _rewrite(
    lines: Iterator[bytes],
    changed: dict[int | None, str | None],
    first: int,
    edits: list[Edit],
    out: BinaryIO,
    progress: Progress,
) -> None:
    done = 0
    for number, line in enumerate(lines, start=first):
        text = changed.get(number, line)
        if text is None:
            continue
        done += out.write((text if isinstance(text, bytes) else text.encode()) + b"\n")
        if not number % 10_000:
            progress(done, number)
    for edit in edits:
        if edit.row is None and edit.line is None and edit.text is not None:
            out.write(edit.text.encode() + b"\n")


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Lines without their end, the byte order mark taken off; a line too long is cut."""
    first = True
    for block in reading.blocks(stream):
        if isinstance(block, int):
            yield b""
            continue
        for line in block.split(b"\n")[:-1]:
            bare = line.removeprefix(b"\xef\xbb\xbf") if first else line
            first = False
            yield bare.rstrip(b"\r")
