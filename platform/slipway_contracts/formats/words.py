"""The words of dataset formats: names, limits, rules, and what a fault says."""

from __future__ import annotations

import dataclasses
import enum
import json
from dataclasses import dataclass
from typing import Any

#: A row as decoded from JSON.
Row = dict[str, Any]


class Format(enum.StrEnum):
    """What the rows of a file look like."""

    OPENAI = "openai"
    QIANFAN = "qianfan"
    ALPACA = "alpaca"
    SHAREGPT = "sharegpt"
    TEXT = "text"
    CSV = "csv"
    PREFERENCE = "preference"
    CHOSEN_REJECTED = "chosen_rejected"
    QIANFAN_DPO = "qianfan_dpo"
    PROMPTS = "prompts"


class Container(enum.StrEnum):
    """How rows lie in a file."""

    JSONL = "jsonl"  # one JSON value a line
    JSON = "json"  # one JSON array of rows
    CSV = "csv"  # a header and records
    LINES = "lines"  # one text a line, bare or as a JSON string


class RowKind(enum.StrEnum):
    """What a canonical row is, and so which methods learn from it."""

    CHAT = "chat"  # {"messages": […]}, to be learnt as answers
    TEXT = "text"  # {"text": …}
    PAIR = "pair"  # {"input": {"messages": […]}, "preferred_output": […], "non_preferred_output"}
    PROMPT = "prompt"  # {"messages": […]} that ends with the user: the answer is to be found


#: The kind of a format's rows (chats where it is not named; of CSV the header decides), and the
#: format that is a kind's canonical one.
KIND_OF_FORMAT = {
    Format.TEXT: RowKind.TEXT,
    Format.PREFERENCE: RowKind.PAIR,
    Format.CHOSEN_REJECTED: RowKind.PAIR,
    Format.QIANFAN_DPO: RowKind.PAIR,
    Format.PROMPTS: RowKind.PROMPT,
}
CANONICAL = {
    RowKind.CHAT: Format.OPENAI,
    RowKind.TEXT: Format.TEXT,
    RowKind.PAIR: Format.PREFERENCE,
    RowKind.PROMPT: Format.PROMPTS,
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the platform takes; the API, the CLI and the checks all read it here."""

    max_file_bytes: int = 20 * 1024**3
    #: Bytes that an archive may unpack to, and bytes out per byte in once past `ratio_floor_bytes`.
    max_unpacked_bytes: int = 20 * 1024**3
    max_ratio: int = 200
    ratio_floor_bytes: int = 16 * 1024**2
    max_archive_entries: int = 1000
    max_row_bytes: int = 16 * 1024**2
    max_turns: int = 1000
    max_stored_faults: int = 10_000
    max_part_bytes: int = 5 * 1024**3
    part_bytes: int = 16 * 1024**2
    max_parts: int = 10_000
    max_key_characters: int = 200
    #: Fewer rows than this rarely teach a model anything; advice, not a rule.
    advised_rows: int = 32


LIMITS = Limits()

#: Every rule a row or file can break, in one sentence each.
RULES = {
    "utf8": "A file is UTF-8 text.",
    "bom": "A file begins with its first row, not with a byte order mark.",
    "crlf": "Lines end in a line feed alone.",
    "empty_file": "A file has content.",
    "no_rows": "A file has at least one row.",
    "format": "Rows are in one of the known formats.",
    "json": "A row is valid JSON.",
    "depth": "JSON is nested no deeper than its format needs.",
    "row_bytes": f"A row is at most {LIMITS.max_row_bytes} bytes.",
    "file_bytes": f"A file is at most {LIMITS.max_file_bytes} bytes, unpacked too.",
    "archive": "An archive is whole, plain, and holds only files of rows.",
    "csv": "A CSV record has a cell for each column of the header.",
    "surrogate": "Text holds whole Unicode characters, no half of a surrogate pair.",
    "row_type": "A row has the shape that its format names.",
    "messages": "messages is a list with a question and an answer.",
    "message": "A message is an object with role and content.",
    "role": "role is system, user, assistant or tool.",
    "content": "content is text that is not blank.",
    "system_first": "There is at most one system message, and it comes first.",
    "order": "user and assistant take turns.",
    "first_user": "The first message after system is from the user.",
    "answer": "The last message is the assistant's answer.",
    "tool": "A tool message answers an assistant message with tool_calls.",
    "turns": f"A row has at most {LIMITS.max_turns} messages.",
    "ask": "The input ends with the user's turn.",
    "pair": "An answer is one message of the assistant.",
    "differ": "The preferred answer is another than the one it is preferred to.",
    "one_answer": "A question has one response; several belong to ranking data.",
    "text": "text is text that is not blank.",
    "group": "group is a short text that is not blank.",
    "weight": "weight is a number, 0 or more (at most 1 on a message).",
    "cannot_carry": "The format asked for has no place for part of this row.",
    "mixed": "All rows of a version are of one kind: chat, text, pair or prompt.",
}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault: where, which rule, the value found, and how to mend it.

    `fixed` says that the corrected file has the row mended as `fix` tells; a row with any fault
    not fixed is left out of it. A warning (`error` false) was mended without losing anything
    and does not stand in the way of publishing.
    """

    rule: str
    path: str = "$"
    value: str = ""
    fix: str = ""
    fixed: bool = False
    error: bool = True
    #: 1-based line where the row begins; 0 when it concerns the whole file.
    line: int = 0
    #: Name inside the archive; empty for a plain file.
    file: str = ""

    def at(self, *, line: int, file: str = "") -> Fault:
        return dataclasses.replace(self, line=line, file=file)

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"text": RULES[self.rule]}


def shown(value: Any, limit: int = 160) -> str:
    """The offending value as JSON, cut; never longer than `limit`, whatever was given."""
    if isinstance(value, str):
        value = value[: limit + 1]
    elif isinstance(value, list | dict):
        # Rendering all of a huge value only to cut it would be a way to make us slow.
        value = _shallow(value)
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _shallow(value: Any, depth: int = 2) -> Any:
    if isinstance(value, str):
        return value[:80]
    if isinstance(value, dict):
        if not depth:
            return {"…": len(value)} if value else {}
        return {str(k)[:80]: _shallow(v, depth - 1) for k, v in list(value.items())[:8]}
    if isinstance(value, list):
        if not depth:
            return ["…"] if value else []
        return [_shallow(v, depth - 1) for v in value[:8]]
    return value
