"""Lines of text as a PDF document: one typewriter font, as many pages as needed."""

from __future__ import annotations

from collections.abc import Sequence

_WIDTH, _HEIGHT, _MARGIN, _SIZE, _LEADING = 842, 595, 36, 9, 11
_PER_PAGE = (_HEIGHT - 2 * _MARGIN) // _LEADING


def text_pages(head: Sequence[str], lines: Sequence[str]) -> bytes:
    """A landscape A4 document; `head` is repeated on every page.

    The font is Courier, which every reader has; what it lacks (anything beyond Latin-1) is
    shown as `?`.
    """
    room = _PER_PAGE - len(head) - 1
    parts = [lines[at : at + room] for at in range(0, max(len(lines), 1), room)]
    objects: list[bytes] = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", _FONT]
    pages = []
    for number, part in enumerate(parts, 1):
        content = _content([*head, *part], f"page {number} of {len(parts)}")
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % (_WIDTH, _HEIGHT, len(objects))
        )
        pages.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(pages), b" ".join(pages))
    return _file(objects)


_FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>"


def _content(lines: Sequence[str], foot: str) -> bytes:
    top = _HEIGHT - _MARGIN
    said = b"".join(b"(%s) Tj T*\n" % _escaped(line) for line in lines)
    return b"BT /F1 %d Tf %d TL %d %d Td\n%sET\nBT /F1 7 Tf %d 20 Td (%s) Tj ET" % (
        _SIZE, _LEADING, _MARGIN, top, said, _MARGIN, _escaped(foot)
    )  # fmt: skip


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
