"""Bodies of requests: JSON, of which every text can be kept."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from typing import IO, Any

from rest_framework import parsers

from slipway.core.errors import Detail, Invalid

#: NUL as the encoder writes it, which an escaped backslash may only seem to begin; half a pair.
_UNSTORABLE = re.compile(r"(?<!\\)(?:\\\\)*(\\u0000)|([\ud800-\udfff])")
#: Levels of arrays and objects in a body; whoever looks at all of it may do so by recursion.
DEEPEST = 100
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


class Json(parsers.JSONParser):
    """JSON whose texts are texts: half a surrogate pair, or NUL, can be stored nowhere."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        data = stream.read()
        if too_deep(data):
            raise Invalid(
                f"The body nests arrays and objects deeper than {DEEPEST} levels.",
                Detail(
                    field="body",
                    rule=f"at most {DEEPEST} levels of arrays and objects",
                    fix="Flatten it.",
                ),
            )
        found = super().parse(io.BytesIO(data), media_type, parser_context)
        wrong = unstorable(found)
        if wrong is not None:
            raise Invalid(
                f"The body holds {wrong}, which is no character of a text.",
                Detail(
                    field=_place(found) or "body",
                    rule="texts of Unicode characters other than NUL",
                    value=wrong,
                    fix="Leave it out.",
                ),
            )
        return found


def too_deep(data: bytes) -> bool:
    """Whether JSON nests deeper than DEEPEST, read or not; a text that is no JSON may be either."""
    if data.count(b"[") + data.count(b"{") <= DEEPEST:
        return False
    depth = 0
    for token in _TOKEN.finditer(data):
        if (first := token[0][:1]) in b"[{":
            depth += 1
            if depth > DEEPEST:
                return True
        elif first in b"]}":
            depth -= 1
    return False


def unstorable(value: Any) -> str | None:
    """A character in parsed JSON that no database takes, as its escape; None if all is well."""
    found = _UNSTORABLE.search(json.dumps(value, ensure_ascii=False))
    if found is None:
        return None
    return found[1] or f"\\u{ord(found[2]):04x}"


def _place(value: Any, before: str = "") -> str | None:
    """Where in parsed JSON the first such text is: `a.b[0]`; None if it is in no value."""
    if isinstance(value, str):
        return before if unstorable(value) else None
    if isinstance(value, dict):
        inside = ((f"{before}.{key}" if before else key, part) for key, part in value.items())
    else:
        parts = value if isinstance(value, list) else ()
        inside = ((f"{before}[{n}]", part) for n, part in enumerate(parts))
    return next(filter(None, (_place(part, place) for place, part in inside)), None)
