"""Lines of the log: one a message, whatever it holds, with the request it was said in."""

from __future__ import annotations

import logging
from contextvars import ContextVar

#: `req_…` of the request under way; empty outside of one.
request_id: ContextVar[str] = ContextVar("request_id", default="")
#: What could begin a line of its own, or move a terminal's cursor.
_SHOWN = {code: f"\\x{code:02x}" for code in (*range(9), *range(10, 32), *range(127, 160))} | {
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}


class Line(logging.Formatter):
    """Messages hold what users call things: it cannot pretend to be another entry."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        record.message = record.message.translate(_SHOWN)
        record.request = request_id.get() or "-"
        return super().formatMessage(record)
