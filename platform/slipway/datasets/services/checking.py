"""Check a file of rows line by line and write its canonical form, in one streaming pass.

The fast way decodes a line straight into the shape of a faultless chat row (msgspec) and keeps
its bytes. Whatever that does not take goes the slow way: `slipway_contracts.formats` reports
every fault. So the rules live in one place, and good data pays for none of them.
"""

from __future__ import annotations

import hashlib
import tempfile
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, BinaryIO, Literal, cast

import msgspec
import numpy as np
import xxhash

from slipway.datasets.services import reading, unpack
from slipway.datasets.services.unpack import Unreadable
from slipway_contracts import formats
from slipway_contracts.formats import (
    CSV_HEADERS,
    KIND_OF_FORMAT,
    LIMITS,
    Container,
    Fault,
    Format,
    Row,
    RowKind,
)

#: Every so many rows the offset of a line is noted, so that any row is found by one seek.
INDEX_STEP = 256
#: Keys beyond our own that a file may have and still be read the fast way.
_MAX_LEARNT = 32
_MAX_GROUPS = 1000

#: Told from time to time: bytes and rows done so far. May raise to stop.
Progress = Callable[[int, int], None]


@dataclass(kw_only=True)
class Outcome:
    """What a check found; sizes in bytes, `sha256` of the canonical file in lower-case hex."""

    format: str = ""
    kind: str = ""
    rows: int = 0
    size_bytes: int = 0
    sha256: str = ""
    fault_count: int = 0
    faulty_rows: int = 0
    dropped_rows: int = 0
    warning_count: int = 0
    faults_by_rule: dict[str, int] = field(default_factory=dict)
    statistics: dict[str, Any] = field(default_factory=dict)
    #: The source is its own canonical form, byte for byte, and nothing was written.
    verbatim: bool = False
    #: Byte offset of row 0, INDEX_STEP, 2·INDEX_STEP, …
    index: array[int] = field(default_factory=lambda: array("Q"))


def check_file(
    open_source: Callable[[], BinaryIO],
    *,
    given: str,
    canonical: BinaryIO,
    faults: BinaryIO,
    progress: Progress = lambda _bytes, _rows: None,
) -> Outcome:
    """Read the source (plain, gzip or zip), write canonical rows and faults (both JSON lines).

    `given` names the format, or is empty to detect it. Rows with faults that cannot be mended
    are left out of the canonical file, the others are in it mended. Most files are canonical
    already; such a file is not written again, see `Outcome.verbatim`.
    """
    with tempfile.TemporaryFile() as digests, open_source() as source:
        out = _Out(canonical, open_source)
        check = _Check(out, faults, cast(BinaryIO, digests), progress)
        try:
            with unpack.entries(source) as files:
                for name, stream, plain in files:
                    if not plain:
                        out.diverge()
                    check.read_file(name, stream, Format(given) if given else None)
                    if stream.count != out.size_bytes:
                        # Not all was taken, or the last line lacks its line feed.
                        out.diverge()
        except Unreadable as stop:
            check.blame(stop.fault)
        return check.finish()


class _Out:
    """The canonical file: hashed as it grows, written from where it departs from the source."""

    def __init__(self, file: BinaryIO, open_source: Callable[[], BinaryIO]) -> None:
        self._file, self._open_source = file, open_source
        self._sha = hashlib.sha256()
        self.size_bytes = 0
        self.verbatim = True

    def put(self, data: bytes, *, as_read: bool = False) -> None:
        """Append; `as_read` if these are the very next bytes of the source."""
        if not as_read:
            self.diverge()
        self._sha.update(data)
        self.size_bytes += len(data)
        if not self.verbatim:
            self._file.write(data)

    def diverge(self) -> None:
        """From here on the source is no longer the canonical file: write what was the same."""
        if not self.verbatim:
            return
        self.verbatim = False
        left = self.size_bytes
        if not left:
            return
        with self._open_source() as source:
            while left and (data := source.read(min(left, 1024 * 1024))):
                self._file.write(data)
                left -= len(data)
        # The last line of the source may lack its line feed.
        self._file.write(b"\n" * left)

    def sha256(self) -> str:
        """Of all of it, lower-case hex."""
        return self._sha.hexdigest()


class _Message(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    role: Literal["system", "user", "assistant"]
    content: Annotated[str, msgspec.Meta(min_length=1)]


_GROUP = Annotated[str, msgspec.Meta(min_length=1, max_length=LIMITS.max_key_characters)]
_WEIGHT = Annotated[float, msgspec.Meta(ge=0)]


def _row_decoder(learnt: set[str], learnt_in_messages: set[str]) -> Any:
    """A decoder for faultless chat rows that may also have these further keys."""
    message: type[msgspec.Struct] = _Message
    if learnt_in_messages:
        message = msgspec.defstruct(
            "Message",
            [(f"extra_{i}", Any, None) for i in range(len(learnt_in_messages))],
            bases=(_Message,),
            rename={f"extra_{i}": key for i, key in enumerate(sorted(learnt_in_messages))},
            gc=False,
            forbid_unknown_fields=True,
        )
    row = msgspec.defstruct(
        "Row",
        [
            ("messages", Annotated[list[message], msgspec.Meta(min_length=2)]),  # type: ignore[valid-type]
            ("group", _GROUP | msgspec.UnsetType, msgspec.UNSET),
            ("weight", _WEIGHT | msgspec.UnsetType, msgspec.UNSET),
            *((f"extra_{i}", Any, None) for i in range(len(learnt))),
        ],
        rename={f"extra_{i}": key for i, key in enumerate(sorted(learnt))},
        gc=False,
        forbid_unknown_fields=True,
    )
    return msgspec.json.Decoder(row)


class _Shapes(dict[tuple[str, ...], bool]):
    """The roles of a row to whether they take turns as they must."""

    def __missing__(self, roles: tuple[str, ...]) -> bool:
        turns = roles[1:] if roles[0] == "system" else roles
        pairs, odd = divmod(len(turns), 2)
        good = not odd and pairs > 0 and turns == ("user", "assistant") * pairs
        good = good and len(roles) <= LIMITS.max_turns
        if len(self) < 4096:
            self[roles] = good
        return good


class _Check:
    """One pass over one file, which may be an archive of several."""

    def __init__(
        self, canonical: _Out, faults: BinaryIO, digests: BinaryIO, progress: Progress
    ) -> None:
        self._canonical, self._faults, self._digests = canonical, faults, digests
        self._progress = progress
        self._file = ""
        self._out = Outcome()
        self._by_rule: Counter[str] = Counter()
        self._stored = 0
        self._bytes_in = 0
        self._formats: set[str] = set()
        self._crlf = 0
        # Statistics: characters and messages of a row to the number of such rows.
        self._characters: defaultdict[int, int] = defaultdict(int)
        self._messages: defaultdict[int, int] = defaultdict(int)
        self._groups: defaultdict[str, int] = defaultdict(int)
        self._new_digests = array("Q")
        self._learnt: set[str] = set()
        self._learnt_in_messages: set[str] = set()
        self._decode = _row_decoder(set(), set()).decode
        self._shapes = _Shapes()

    def read_file(self, name: str, stream: unpack.Plain, given: Format | None) -> None:
        """Read one file of rows; what stops it short is a fault of that file."""
        self._file = name
        rows_before, faults_before = self._out.rows, self._out.fault_count
        try:
            text = reading.Text(cast(BinaryIO, stream), given)
            if text.bom:
                self._canonical.diverge()
                fix = "taken off; save as UTF-8 without signature"
                self.blame(Fault(rule="bom", value="EF BB BF", fix=fix, fixed=True, error=False))
            self._read(text)
        except Unreadable as stop:
            self.blame(stop.fault)
        if self._crlf:
            value = f"{self._crlf} lines"
            self.blame(Fault(rule="crlf", value=value, fix="taken off", fixed=True, error=False))
            self._crlf = 0
        if (self._out.rows, self._out.fault_count) == (rows_before, faults_before):
            self.blame(Fault(rule="no_rows", value="only blank lines or a header", fix="add rows"))

    def _read(self, text: reading.Text) -> None:
        found = text.detected
        if found.format is None:
            names = ", ".join(Format)
            fix = f"use one of {names}; GET /api/v1/dataset-formats has an example of each"
            if found.container is Container.CSV:
                accepted = " or ".join(",".join(columns) for columns in CSV_HEADERS)
                fix = f"name the columns {accepted}; or give format text if it is no table"
            raise Unreadable(Fault(rule="format", value=found.seen, fix=fix))
        columns = text.detected.container is Container.CSV
        first = None
        if found.format is not Format.CSV:
            self._settle(found.format, KIND_OF_FORMAT.get(found.format, RowKind.CHAT))
        if found.container is Container.JSONL:
            self._read_lines(text, found.format)
            return
        for line, value in reading.rows(text):
            if columns and first is None and isinstance(value, dict):
                first = RowKind.TEXT if "text" in value else RowKind.CHAT
                self._settle(Format.CSV, first)
            self._take(value, line, found.format)
            if len(self._new_digests) >= 4096:
                self._note()

    def _settle(self, name: Format, kind: RowKind) -> None:
        if self._out.kind and self._out.kind != kind:
            fix = "keep each kind of rows in versions of their own"
            value = f"{kind.value} rows after {self._out.kind} rows"
            raise Unreadable(Fault(rule="mixed", value=value, fix=fix))
        self._out.kind = kind.value
        self._formats.add(name.value)

    def _read_lines(self, text: reading.Text, name: Format) -> None:
        number = 0
        for block in reading.blocks(cast(BinaryIO, text)):
            if isinstance(block, int):
                number += 1
                self._bytes_in += block
                self._drop(number, reading.too_long(block))
                continue
            self._bytes_in += len(block)
            whole = block
            if b"\r" in block and b"\r\n" in block:
                self._crlf += block.count(b"\r\n")
                whole = block.replace(b"\r\n", b"\n")
            lines = whole.split(b"\n")
            lines.pop()
            if name is Format.OPENAI and len(whole) <= LIMITS.max_row_bytes:
                self._take_lines(lines, number, whole, as_read=whole is block)
            else:
                for line_number, line in enumerate(lines, number + 1):
                    self._take_line(line, line_number, name)
            number += len(lines)
            self._note()

    def _take_lines(self, lines: list[bytes], number: int, whole: bytes, *, as_read: bool) -> None:
        """The fast way; a block of which every line is kept as it is goes out in one write."""
        decode, shapes, digest = self._decode, self._shapes, xxhash.xxh3_64_intdigest
        characters, messages, groups = self._characters, self._messages, self._groups
        digests, index, unset = self._new_digests, self._out.index, msgspec.UNSET
        blank = str.isspace
        out = self._out
        offset, row_number = out.size_bytes, out.rows
        begin = 0  # of the lines not written yet
        for at, line in enumerate(lines):
            try:
                row = decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                good = False
            else:
                turns = row.messages
                contents = [message.content for message in turns]
                good = (
                    shapes[tuple([message.role for message in turns])]
                    and True not in map(blank, contents)
                    and (row.group is unset or not row.group.isspace())
                )
            if not good:
                if begin < at:
                    self._put(b"\n".join(lines[begin:at]) + b"\n")
                begin = at + 1
                out.rows = row_number
                self._take_line(line, number + at + 1, Format.OPENAI)
                offset, row_number, decode = out.size_bytes, out.rows, self._decode
                continue
            characters[sum(map(len, contents))] += 1
            messages[len(contents)] += 1
            digests.append(digest(line))
            if row.group is not unset:
                groups[row.group] += 1
            if not row_number % INDEX_STEP:
                index.append(offset)
            row_number += 1
            offset += len(line) + 1
        if begin == 0:
            self._put(whole, as_read=as_read)
        elif begin < len(lines):
            self._put(b"\n".join(lines[begin:]) + b"\n")
        out.rows = row_number

    def _take_line(self, line: bytes, number: int, name: Format) -> None:
        if not line.strip():
            return
        if len(line) > LIMITS.max_row_bytes:
            self._drop(number, reading.too_long(len(line)))
            return
        value = reading.decode(line)
        if not isinstance(value, Fault) and name is Format.OPENAI:
            row, faults = formats.read(value, name)
            if row is not None and not faults:
                self._learn(row)
                self._keep(row, line)
                return
        self._take(value, number, name)

    def _learn(self, row: Row) -> None:
        """Let the fast way know further keys that this file uses."""
        top = row.keys() - {"messages", "group", "weight"}
        inner = {
            key for message in row["messages"] for key in message if key not in {"role", "content"}
        }
        # Tools and weights have rules of their own, so rows that use them are never fast.
        inner -= {"tool_calls", "weight", "loss_weight"}
        learnt, learnt_in = self._learnt | top, self._learnt_in_messages | inner
        if (learnt, learnt_in) == (self._learnt, self._learnt_in_messages):
            return
        if len(learnt) + len(learnt_in) <= _MAX_LEARNT:
            self._learnt, self._learnt_in_messages = learnt, learnt_in
            self._decode = _row_decoder(learnt, learnt_in).decode

    def _take(self, value: Any, line: int, name: Format) -> None:
        """The slow way: every fault is reported, what can be mended is mended."""
        if isinstance(value, Fault):
            self._drop(line, value)
            return
        row, faults = formats.read(value, name)
        for fault in faults:
            self.blame(fault.at(line=line, file=self._file))
        encoded = b""
        if row is not None:
            try:
                encoded = msgspec.json.encode(row)
            except (UnicodeEncodeError, RecursionError, msgspec.MsgspecError) as error:
                fix = "remove the broken character"
                self._drop(line, Fault(rule="surrogate", value=str(error)[:160], fix=fix))
                return
        if any(fault.error for fault in faults):
            self._out.faulty_rows += 1
        if row is None:
            self._out.dropped_rows += 1
        elif len(encoded) > LIMITS.max_row_bytes:
            self._drop(line, reading.too_long(len(encoded)))
        else:
            self._keep(row, encoded)

    def _keep(self, row: Row, encoded: bytes) -> None:
        texts = formats.texts(row)
        self._characters[sum(map(len, texts))] += 1
        self._messages[len(texts)] += 1
        self._new_digests.append(xxhash.xxh3_64_intdigest(encoded))
        if "group" in row:
            self._groups[row["group"]] += 1
        if not self._out.rows % INDEX_STEP:
            self._out.index.append(self._out.size_bytes)
        self._out.rows += 1
        self._put(encoded + b"\n")

    def _drop(self, line: int, fault: Fault) -> None:
        self._out.faulty_rows += 1
        self._out.dropped_rows += 1
        self.blame(fault.at(line=line, file=self._file))

    def blame(self, fault: Fault) -> None:
        """Count a fault, and store it while there is room."""
        if not fault.file and self._file:
            fault = fault.at(line=fault.line, file=self._file)
        if fault.error:
            self._out.fault_count += 1
        else:
            self._out.warning_count += 1
        self._by_rule[fault.rule] += 1
        if self._stored < LIMITS.max_stored_faults:
            self._stored += 1
            self._faults.write(msgspec.json.encode(fault.as_dict()) + b"\n")

    def _put(self, data: bytes, *, as_read: bool = False) -> None:
        self._canonical.put(data, as_read=as_read)
        self._out.size_bytes += len(data)

    def _note(self) -> None:
        """Between blocks: tell how far we are, and keep what grows on the disk."""
        self._new_digests.tofile(self._digests)
        del self._new_digests[:]
        if len(self._groups) > 2 * _MAX_GROUPS:
            self._fold_groups()
        self._progress(max(self._bytes_in, self._out.size_bytes), self._out.rows)

    def _fold_groups(self) -> None:
        """Keep the largest groups by name and the rest as one, so that names cannot fill us."""
        largest = sorted(self._groups.items(), key=lambda item: (-item[1], item[0]))
        kept = dict(largest[:_MAX_GROUPS])
        rest = sum(count for _, count in largest[_MAX_GROUPS:])
        kept["…"] = kept.get("…", 0) + rest
        self._groups = defaultdict(int, kept)

    def finish(self) -> Outcome:
        self._note()
        out = self._out
        out.sha256 = self._canonical.sha256()
        out.verbatim = self._canonical.verbatim and out.size_bytes > 0
        out.format = ",".join(sorted(self._formats))[:16]
        out.faults_by_rule = dict(self._by_rule)
        if len(self._groups) > _MAX_GROUPS:
            self._fold_groups()
        out.statistics = {
            "characters": summary(self._characters),
            "lengths": bins(self._characters),
            "messages": summary(self._messages),
            "duplicate_rows": self._duplicates(),
            "groups": dict(sorted(self._groups.items(), key=lambda item: (-item[1], item[0]))),
        }
        return out

    def _duplicates(self) -> int:
        """Rows whose bytes equal those of an earlier row (by 64-bit XXH3)."""
        self._digests.seek(0)
        digests = np.fromfile(self._digests, dtype=np.uint64)
        digests.sort()
        return int(np.count_nonzero(digests[1:] == digests[:-1]))


#: Bars of the picture of how long rows are.
_BARS = 20


def bins(histogram: dict[int, int]) -> list[list[int]]:
    """[first value, last value, how many] of at most 20 bars of one width; values as count."""
    if not histogram:
        return []
    low, high = min(histogram), max(histogram)
    width = -(-(high - low + 1) // _BARS)
    bars = [0] * (-(-(high - low + 1) // width))
    for value, count in histogram.items():
        bars[(value - low) // width] += count
    return [
        [low + place * width, min(low + (place + 1) * width - 1, high), count]
        for place, count in enumerate(bars)
    ]


def summary(histogram: dict[int, int]) -> dict[str, float]:
    """count, sum, min, p5, median, p95, mean, max of values given as value to count."""
    if not histogram:
        return {"count": 0, "sum": 0}
    values = np.fromiter(sorted(histogram), dtype=np.int64)
    counts = np.fromiter((histogram[int(v)] for v in values), dtype=np.int64)
    reached = np.cumsum(counts)
    count, total = int(reached[-1]), int(values @ counts)

    def quantile(share: float) -> int:
        # The smallest value that at least this share of the rows does not exceed.
        return int(values[np.searchsorted(reached, share * count)])

    return {
        "count": count,
        "sum": total,
        "min": int(values[0]),
        "p5": quantile(0.05),
        "median": quantile(0.5),
        "p95": quantile(0.95),
        "mean": round(total / count, 2),
        "max": int(values[-1]),
    }
