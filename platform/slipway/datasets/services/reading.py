"""Read the rows of a plain stream, whatever container they lie in, without holding the file."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterator
from typing import Any, BinaryIO, NoReturn, cast

import msgspec

from slipway.core import parsing
from slipway.datasets.services.unpack import Stream, Unreadable
from slipway_contracts.formats import (
    HEAD_BYTES,
    LIMITS,
    Container,
    Detected,
    Fault,
    Format,
    container_of,
    detect,
    shown,
)

#: Bytes looked at together; large enough that the cost of a block vanishes.
BLOCK_BYTES = 512 * 1024
_OTHER_UNICODE = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}

#: The line where a row begins, and the row as decoded or the fault that stopped it.
Found = tuple[int, Any]


class Text(Stream):
    """A stream with its beginning looked at: format detected, byte order mark taken off."""

    def __init__(self, stream: BinaryIO, given: Format | None) -> None:
        self._stream = stream
        head = _read_up_to(stream, HEAD_BYTES)
        whole = len(head) < HEAD_BYTES
        self.bom = head.startswith(codecs.BOM_UTF8)
        for mark, encoding in _OTHER_UNICODE.items():
            if head.startswith(mark):
                fix = f"save it as UTF-8: iconv -f {encoding} -t UTF-8"
                raise Unreadable(Fault(rule="utf8", value=f"{encoding} text", fix=fix))
        if head[:2] in {b"PK", b"\x1f\x8b"}:
            fix = "no archive inside an archive: pack the files themselves"
            raise Unreadable(Fault(rule="archive", value="packed twice", fix=fix))
        self._head = head.removeprefix(codecs.BOM_UTF8)
        if not self._head:
            raise Unreadable(Fault(rule="empty_file", value="0 bytes", fix="upload rows"))
        if b"\0" in self._head[:4096]:
            fix = "upload a text file of rows, such as .jsonl"
            raise Unreadable(Fault(rule="utf8", value="binary data", fix=fix))
        self.detected: Detected = (
            container_of(given, self._head, whole=whole)
            if given
            else detect(self._head, whole=whole)
        )

    def read(self, size: int = -1) -> bytes:
        if self._head:
            size = len(self._head) if size < 0 else size
            data, self._head = self._head[:size], self._head[size:]
            return data
        return self._stream.read(size)


def _read_up_to(stream: BinaryIO, size: int) -> bytes:
    parts: list[bytes] = []
    while size and (data := stream.read(size)):
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


def blocks(stream: BinaryIO, max_row_bytes: int = LIMITS.max_row_bytes) -> Iterator[bytes | int]:
    """Whole lines, many at a time, each block ending in a line feed.

    A line longer than `max_row_bytes` is not held: in its place comes its length in bytes.
    """
    carry = b""
    while data := stream.read(BLOCK_BYTES):
        end = data.rfind(b"\n") + 1
        if not end:
            carry += data
            if len(carry) > max_row_bytes:
                length, rest = _skip_line(stream, len(carry))
                yield length
                carry = rest
            continue
        yield carry + data[:end]
        carry = data[end:]
    if carry:
        yield carry + b"\n"


def _skip_line(stream: BinaryIO, length: int) -> tuple[int, bytes]:
    while data := stream.read(BLOCK_BYTES):
        end = data.find(b"\n")
        if end >= 0:
            return length + end, data[end + 1 :]
        length += len(data)
    return length, b""


def too_long(length: int) -> Fault:
    fix = f"shorten it to {LIMITS.max_row_bytes} bytes, or split it into several rows"
    return Fault(rule="row_bytes", value=f"{length} bytes", fix=fix)


def decode(line: bytes) -> Any:
    """The JSON value of a line, or the Fault that says where and why it is none."""
    if parsing.too_deep(line):
        fix = f"flatten it to at most {parsing.DEEPEST} levels of arrays and objects"
        return Fault(rule="depth", value=shown(_text(line[:100])), fix=fix)
    try:
        return msgspec.json.decode(line)
    except UnicodeDecodeError:
        return not_utf8(line)
    except (msgspec.DecodeError, ValueError) as error:
        return _not_json(line, str(error))


def not_utf8(line: bytes) -> Fault:
    try:
        line.decode()
    except UnicodeDecodeError as error:
        at = error.start
        around = line[max(0, at - 20) : at + 20]
        fix = "save the file as UTF-8"
        try:
            line.decode("gb18030")
            fix += "; it looks like GB18030: iconv -f GB18030 -t UTF-8"
        except UnicodeDecodeError:
            pass
        value = f"byte {line[at]:#04x} at column {at + 1}: {_text(around)}"
        return Fault(rule="utf8", value=value, fix=fix)
    return Fault(rule="surrogate", value=shown(_text(line[:80])), fix="remove the broken character")


#: What Python's reader says is missing, and what to write there.
_MISSING = {
    "Expecting value": "write a value there: text in double quotes, a number, a list or an object",
    "Expecting ',' delimiter": "put a comma between two values, or close the bracket",
    "Expecting ':' delimiter": "put a colon between a name and its value",
    "Expecting property name": "write a name in double quotes there",
    "Unterminated string": "close the text with a double quote",
    "Invalid \\escape": "write a backslash of a text twice",
}


def _not_json(line: bytes, reason: str) -> Fault:
    if "surrogate" in reason or ("hex escape" in reason and b"\\ud" in line.lower()):
        return Fault(
            rule="surrogate", value=shown(_text(line[:80])), fix="remove the broken \\u escape"
        )
    try:
        json.loads(line)
        text, at = "", 0  # Python is laxer here: an endless number, for instance.
    except (ValueError, RecursionError) as error:
        text, at = getattr(error, "msg", ""), getattr(error, "pos", 0)
    around = _text(line)[max(0, at - 30) : at + 30]
    hint = next(
        (hint for missing, hint in _MISSING.items() if text.startswith(missing)),
        "write one whole JSON value in this line",
    )
    if "trailing comma" in reason:
        hint = "remove the comma before the closing bracket"
    elif "'" in around and "double quotes" in text:
        hint = "use double quotes"
    elif "truncated" in reason:
        hint = "the line is cut off: write one whole JSON value in one line"
    elif "trailing characters" in reason:
        hint = "put a line feed between values"
    elif "control character" in text.lower():
        hint = "write control characters as escapes, such as \\t"
    return Fault(rule="json", value=f"column {at + 1}: {around}"[:200], fix=hint)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def rows(text: Text) -> Iterator[Found]:
    """Every row of a stream that is not JSONL, decoded, or the fault in its place."""
    match text.detected.container:
        case Container.JSON:
            return _array_rows(text)
        case Container.CSV:
            return _csv_rows(text, text.detected.delimiter)
        case _:
            return _line_rows(text)


def _line_rows(text: Text) -> Iterator[Found]:
    number = 0
    for block in blocks(cast(BinaryIO, text)):
        if isinstance(block, int):
            number += 1
            yield number, too_long(block)
            continue
        for line in block.split(b"\n")[:-1]:
            number += 1
            bare = line.rstrip(b"\r")
            if not bare.strip():
                continue
            if len(bare) > LIMITS.max_row_bytes:
                yield number, too_long(len(bare))
            elif bare.startswith(b'"') and bare.rstrip().endswith(b'"'):
                value = decode(bare)
                yield number, value if isinstance(value, str) else _bare(bare)
            else:
                yield number, _bare(bare)


def _bare(line: bytes) -> Any:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return not_utf8(line)


# One JSON array: elements are decoded one after the other from a sliding piece of text.


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


class _Slide:
    """The piece of text that is being decoded, and the line it begins at."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self.text, self.at, self.line = "", 0, 1
        self.ended = False

    def more(self) -> None:
        """Drop what was consumed and read on, at least as much as is pending."""
        self.line += self.text.count("\n", 0, self.at)
        pending = self.text[self.at :]
        data = self._stream.read(max(BLOCK_BYTES, len(pending)))
        self.ended = not data
        try:
            self.text = pending + self._utf8.decode(data, final=self.ended)
        except UnicodeDecodeError:
            raise Unreadable(not_utf8(data).at(line=self.line)) from None
        self.at = 0

    def skip_space(self) -> str:
        """The next character that is no white space, or "" at the end."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in " \t\r\n":
                self.at += 1
            if self.at < len(self.text) or self.ended:
                return self.text[self.at : self.at + 1]
            self.more()

    def here(self) -> int:
        return self.line + self.text.count("\n", 0, self.at)


def _array_rows(text: Text) -> Iterator[Found]:
    slide = _Slide(cast(BinaryIO, text))
    decoder = json.JSONDecoder(parse_constant=_refuse_constant)
    slide.skip_space()
    slide.at += 1  # the opening bracket
    if slide.skip_space() == "]":
        return
    while True:
        slide.skip_space()
        line = slide.here()
        yield line, _element(slide, decoder, line)
        separator = slide.skip_space()
        slide.at += 1
        if separator == "]":
            if slide.skip_space():
                fault = Fault(rule="json", value="text after the array", fix="remove it")
                raise Unreadable(fault.at(line=slide.here()))
            return
        if separator != ",":
            value = f"{separator!r} after a row" if separator else "the array is not closed"
            fix = "the file is cut off or a comma is missing; nothing after this line was read"
            raise Unreadable(Fault(rule="json", value=value, fix=fix, line=slide.here()))


def _element(slide: _Slide, decoder: json.JSONDecoder, line: int) -> Any:
    while True:
        try:
            value, end = decoder.raw_decode(slide.text, slide.at)
            # A number may go on in what is not read yet; nothing else ends at the edge.
            if end < len(slide.text) or slide.ended:
                slide.at = end
                return value
        except RecursionError:
            fault = Fault(rule="depth", value=shown(slide.text[slide.at :][:100]), fix="flatten it")
            raise Unreadable(fault.at(line=line)) from None
        except ValueError as error:
            if slide.ended:
                at = getattr(error, "pos", slide.at)
                around = slide.text[max(0, at - 30) : at + 30]
                fix = "mend it there; nothing after this line was read"
                value = f"column {at - slide.text.rfind(chr(10), 0, at)}: {around}"[:200]
                where = slide.line + slide.text.count("\n", 0, at)
                raise Unreadable(Fault(rule="json", value=value, fix=fix, line=where)) from None
        if len(slide.text) - slide.at > LIMITS.max_row_bytes:
            raise Unreadable(too_long(len(slide.text) - slide.at).at(line=line))
        slide.more()


# CSV: a header, then records; a cell may hold line feeds.


def _csv_rows(text: Text, delimiter: str) -> Iterator[Found]:
    csv.field_size_limit(LIMITS.max_row_bytes)
    wrapped = io.TextIOWrapper(
        io.BufferedReader(text, 1024 * 1024), "utf-8", errors="surrogateescape", newline=""
    )
    reader = csv.reader(_bounded(wrapped), delimiter=delimiter, strict=True)
    header = [cell.strip().lower() for cell in next(reader, [])]
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            fix = "close quotes, and double a quote inside a quoted cell"
            yield line, Fault(rule="csv", value=str(error), fix=fix)
            continue
        if cells is None:
            return
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            fix = f"write {len(header)} cells: {', '.join(header)}"[:160]
            value = f"{len(cells)} cells: {shown(cells)}"
            yield line, Fault(rule="csv", value=value, fix=fix)
        else:
            yield line, _as_utf8(cells) or dict(zip(header, cells, strict=True))


def _bounded(text: io.TextIOWrapper) -> Iterator[str]:
    """Lines, none much longer than a row may be: the csv module then says that it is too long."""
    while line := text.readline(LIMITS.max_row_bytes + 2):
        yield line


def _as_utf8(cells: list[str]) -> Fault | None:
    try:
        for cell in cells:
            cell.encode()
    except UnicodeEncodeError:
        return not_utf8(",".join(cells).encode("utf-8", "surrogateescape"))
    return None
