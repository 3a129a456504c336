"""Lines of text as a PDF document, Chinese and Latin in columns, as many pages as needed."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Sequence

_WIDTH, _HEIGHT, _MARGIN, _SIZE, _LEADING = 842, 595, 36, 9, 11
_PER_PAGE = (_HEIGHT - 2 * _MARGIN) // _LEADING
#: Two fonts that need not be in the file: Courier, of every reader, and the Song of Adobe's
#: collection for Chinese (Adobe-GB1), which readers have or have a substitute for.
_FONTS = (
    b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>",
    (
        b"<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light /Encoding /UniGB-UTF16-H "
        b"/DescendantFonts [5 0 R] >>"
    ),
    (
        b"<< /Type /Font /Subtype /CIDFontType0 /BaseFont /STSong-Light /DW 1000 "
        b"/FontDescriptor 6 0 R "
        b"/CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 4 >> >>"
    ),
    (
        b"<< /Type /FontDescriptor /FontName /STSong-Light /Flags 6 /FontBBox [-25 -254 1000 880] "
        b"/ItalicAngle 0 /Ascent 880 /Descent -120 /CapHeight 880 /StemV 93 >>"
    ),
)
#: A Chinese character takes two columns of Courier, which are 1.2 of its own widths.
_WIDE, _PLAIN = b"/F2 %d Tf 120 Tz <%s> Tj\n", b"/F1 %d Tf 100 Tz (%s) Tj\n"


def columns(text: str) -> int:
    """How many columns of the typewriter a text takes."""
    return sum(2 if _is_wide(character) else 1 for character in text)


def cell(text: str, width: int) -> str:
    """The text cut and filled up to so many columns."""
    kept = ""
    for character in text:
        if columns(kept + character) > width:
            break
        kept += character
    return kept + " " * (width - columns(kept))


def text_pages(head: Sequence[str], lines: Sequence[str]) -> bytes:
    """A landscape A4 document; `head` is repeated on every page.

    What neither font has (beyond Latin-1 and the Basic Multilingual Plane) is shown as `?`.
    """
    room = _PER_PAGE - len(head) - 1
    parts = [lines[at : at + room] for at in range(0, max(len(lines), 1), room)]
    objects: list[bytes] = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", *_FONTS]
    pages = []
    for number, part in enumerate(parts, 1):
        content = _content([*head, *part], f"page {number} of {len(parts)}")
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> >>" % (_WIDTH, _HEIGHT, len(objects))
        )
        pages.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(pages), b" ".join(pages))
    return _file(objects)


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF" and ord(character) < 0x10000


def _content(lines: Sequence[str], foot: str) -> bytes:
    top = _HEIGHT - _MARGIN
    said = b"".join(_shown(line, _SIZE) + b"T*\n" for line in lines)
    return b"BT %d TL %d %d Td\n%sET\nBT %d 20 Td %sET" % (
        _LEADING, _MARGIN, top, said, _MARGIN, _shown(foot, 7)
    )  # fmt: skip


def _shown(line: str, size: int) -> bytes:
    """One line, each run of it in the font that has it."""
    runs = [(wide, "".join(run)) for wide, run in itertools.groupby(line, _is_wide)]
    return b"".join(
        _WIDE % (size, run.encode("utf-16-be").hex().encode())
        if wide
        else _PLAIN % (size, _escaped(run))
        for wide, run in runs
    )


def _escaped(text: str) -> bytes:
    plain = text.encode("latin-1", "replace")
    return plain.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")


def _file(objects: Sequence[bytes]) -> bytes:
    out = bytearray(b"%PDF-1.4\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        start,
    )
    return bytes(out)
