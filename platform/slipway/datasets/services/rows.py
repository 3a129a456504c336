"""Read rows of a checked version: by offset, by group, all of them, and its faults."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO
from uuid import UUID

import msgspec

from slipway import backends
from slipway.core.errors import Conflict, Detail
from slipway.datasets.models import Version
from slipway.datasets.services.checking import INDEX_STEP
from slipway.datasets.services.facts import version_of
from slipway_contracts.formats import pairs

#: Bytes read in search of rows of a group before a page is given, full or not.
_SCAN_BYTES = 64 * 1024 * 1024
#: Bytes of rows in one page, so that a page of very long rows stays a page.
_PAGE_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class RowsPage:
    """Rows with their numbers (from 0); `next_offset` None after the last page."""

    rows: list[tuple[int, dict[str, Any]]]
    next_offset: int | None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which rows: of a group, of so many characters (both ends included), labelled or not."""

    group: str = ""
    at_least: int = 0
    at_most: int | None = None
    labelled: bool | None = None

    def holds(self, row: dict[str, Any]) -> bool:
        if self.group and row.get("group") != self.group:
            return False
        if self.labelled is not None and self.labelled != ("label" in row):
            return False
        if not self.at_least and self.at_most is None:
            return True
        length = sum(map(len, pairs.texts(row)))
        return self.at_least <= length and (self.at_most is None or length <= self.at_most)


def page(
    *,
    project_id: UUID,
    version_id: UUID,
    offset: int = 0,
    limit: int = 50,
    wanted: Wanted | None = None,
) -> RowsPage:
    """Up to `limit` rows from row `offset`; the cost does not grow with the offset.

    With `wanted` only such rows; a page may then be short though more follow.
    """
    version = _with_rows(project_id, version_id)
    found: list[tuple[int, dict[str, Any]]] = []
    scanned = kept = 0
    number = offset
    with lines_from(version, offset) as lines:
        for line in lines:
            if len(found) == limit or scanned > _SCAN_BYTES or (found and kept > _PAGE_BYTES):
                return RowsPage(rows=found, next_offset=number)
            scanned += len(line)
            row = msgspec.json.decode(line)
            if wanted is None or wanted.holds(row):
                found.append((number, row))
                kept += len(line)
            number += 1
    return RowsPage(rows=found, next_offset=None)


def rows_at(
    *, project_id: UUID, version_id: UUID, numbers: Sequence[int]
) -> list[tuple[int, dict[str, Any]]]:
    """Rows of these numbers (from 0, ascending), as many of the first as a page holds.

    Rows that lie near each other are read in one go, others each by a seek.
    """
    version = _with_rows(project_id, version_id)
    found: list[tuple[int, dict[str, Any]]] = []
    near: list[list[int]] = []
    for number in numbers:
        if near and number - near[-1][-1] <= INDEX_STEP:
            near[-1].append(number)
        else:
            near.append([number])
    kept = 0
    for run in near:
        wanted = set(run)
        with lines_from(version, run[0]) as lines:
            for number, line in zip(range(run[0], run[-1] + 1), lines, strict=False):
                if number not in wanted:
                    continue
                if found and kept > _PAGE_BYTES:
                    return found
                found.append((number, msgspec.json.decode(line)))
                kept += len(line)
    return found


class _Lines:
    """Lines of the canonical file from a row on; a context manager that closes the stream."""

    def __init__(self, stream: BinaryIO, skip: int) -> None:
        self._stream, self._skip = stream, skip

    def __enter__(self) -> Iterator[bytes]:
        for _ in range(self._skip):
            self._stream.readline()
        return iter(self._stream.readline, b"")

    def __exit__(self, *_: object) -> None:
        self._stream.close()


def lines_from(version: Version, offset: int = 0) -> _Lines:
    """The lines (with line feed) of a version from row `offset`, found by one seek."""
    store = backends.objects()
    slot, skip = divmod(offset, INDEX_STEP)
    start = 0
    if slot:
        with store.open(version.index_key, start=8 * slot, length=8) as index:
            entry = index.read(8)
        # Past the end of the index is past the last row.
        start, skip = (struct.unpack("=Q", entry)[0], skip) if entry else (version.size_bytes, 0)
    return _Lines(store.open(version.canonical_key, start=start), skip)


def faults(
    *, project_id: UUID, version_id: UUID, offset: int = 0, limit: int = 100, rule: str = ""
) -> tuple[list[dict[str, Any]], int | None]:
    """Faults in the order of the file from the `offset`-th on, and where the next page begins."""
    version = version_of(project_id=project_id, version_id=version_id)
    if not version.faults_key:
        raise Conflict(
            f"This version was not checked yet; it is {version.phase}.",
            Detail(field="phase", rule="checked", value=version.phase, fix="wait for its check"),
        )
    found: list[dict[str, Any]] = []
    with backends.objects().open(version.faults_key) as stream:
        seen = 0
        for line in stream:
            fault = msgspec.json.decode(line)
            if rule and fault["rule"] != rule:
                continue
            seen += 1
            if seen <= offset:
                continue
            if len(found) == limit:
                return found, offset + limit
            found.append(fault)
    return found, None


def _with_rows(project_id: UUID, version_id: UUID) -> Version:
    version = version_of(project_id=project_id, version_id=version_id)
    if not version.canonical_key:
        raise Conflict(
            f"This version has no rows yet; it is {version.phase}.",
            Detail(field="phase", rule="checked", value=version.phase, fix="wait for its check"),
        )
    return version
