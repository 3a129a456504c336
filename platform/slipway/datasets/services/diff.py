"""What differs between two checked versions: rows added, removed, and answered anew."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
import xxhash

from slipway.core.errors import Conflict, Detail
from slipway.datasets.models import Version
from slipway.datasets.services import rows
from slipway.datasets.services.facts import checked_version_of

#: Bytes of both versions together that are compared in one go.
MOST_BYTES = 512 * 1024 * 1024
#: Of each kind of difference, so many are told row by row.
MOST_TOLD = 200


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A row of one version (`row`), of the other (`other_row`), or of both, answered anew."""

    row: int | None = None
    other_row: int | None = None
    value: dict[str, Any] | None = None
    other_value: dict[str, Any] | None = None


@dataclass
class Compared:
    """`same` rows are equal byte for byte; the lists hold the first of each kind."""

    same: int = 0
    added_count: int = 0
    removed_count: int = 0
    changed_count: int = 0
    added: list[Difference] = field(default_factory=list)
    removed: list[Difference] = field(default_factory=list)
    changed: list[Difference] = field(default_factory=list)


def compare(*, project_id: UUID, version_id: UUID, other_id: UUID) -> Compared:
    """How `version_id` differs from `other_id`, the older one. Order does not count.

    Rows that ask the same and are answered differently are changed, not removed and added.
    """
    new = checked_version_of(project_id=project_id, version_id=version_id)
    old = checked_version_of(project_id=project_id, version_id=other_id)
    if new.size_bytes + old.size_bytes > MOST_BYTES:
        raise Conflict(
            "These versions are too large to be compared at once.",
            Detail(field="size_bytes", rule=f"at most {MOST_BYTES} bytes together",
                   value=new.size_bytes + old.size_bytes, fix="export both and compare the files"),
        )  # fmt: skip
    # Of most rows only 8 bytes are held; whole rows only of those that differ.
    left = Counter(_digests(old))
    extra = _surplus(new, left)
    gone = _surplus(old, Counter(_digests(new)))
    out = Compared(same=new.rows - len(extra))
    asked: dict[int, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    for number, row in gone:
        asked[_question(row)].append((number, row))
    for number, row in extra:
        before = asked.get(_question(row))
        if before:
            other_number, other = before.pop(0)
            out.changed_count += 1
            if len(out.changed) < MOST_TOLD:
                out.changed.append(
                    Difference(row=number, other_row=other_number, value=row, other_value=other)
                )
        else:
            out.added_count += 1
            if len(out.added) < MOST_TOLD:
                out.added.append(Difference(row=number, value=row))
    for number, row in sorted((each for rest in asked.values() for each in rest), key=_number):
        out.removed_count += 1
        if len(out.removed) < MOST_TOLD:
            out.removed.append(Difference(other_row=number, other_value=row))
    return out


def _number(numbered: tuple[int, dict[str, Any]]) -> int:
    return numbered[0]


def _digests(version: Version) -> list[int]:
    with rows.lines_from(version) as lines:
        return [xxhash.xxh3_64_intdigest(line) for line in lines]


def _surplus(version: Version, others: Counter[int]) -> list[tuple[int, dict[str, Any]]]:
    """Rows that `others` (rows by digest, used up) does not have, with their numbers."""
    found = []
    with rows.lines_from(version) as lines:
        for number, line in enumerate(lines):
            digest = xxhash.xxh3_64_intdigest(line)
            if others[digest]:
                others[digest] -= 1
            else:
                found.append((number, msgspec.json.decode(line)))
    return found


def _question(row: dict[str, Any]) -> int:
    """What a row asks, as a number: all but its last answer, its label and its weight."""
    if "input" in row:
        asked: Any = row["input"]
    elif "messages" in row:
        messages = row["messages"]
        asked = messages[:-1] if messages[-1]["role"] == "assistant" else messages
    else:
        # Plain text asks nothing: it is the same text or another one.
        asked = row
    return xxhash.xxh3_64_intdigest(msgspec.json.encode(asked))
