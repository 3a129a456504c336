"""What a run tells while it runs: notes, written in small objects that appear whole.

A chunk is `progress/<attempt>-<seq>.jsonl` below the run's output, one note a line. Objects
appear whole or not at all, names sort in the order of time, and reading the same chunk twice
changes nothing, so neither side needs to know whether the other was killed in between.
"""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


class NoteKind(enum.StrEnum):
    STAGE = "stage"  # text: what it is doing now, e.g. "loading the base model"
    METRICS = "metrics"  # values at a step: loss, held_out_loss, learning_rate, tokens …
    CHECKPOINT = "checkpoint"  # uri: a complete checkpoint directory; values at that step
    LOG = "log"  # text: one line for the log
    WARNING = "warning"  # text: something the user should know, though the run goes on


@dataclass(frozen=True, kw_only=True)
class Note:
    kind: NoteKind
    #: Unix seconds.
    at: float
    text: str = ""
    step: int | None = None
    total_steps: int | None = None
    epoch: float | None = None
    values: dict[str, float] = dataclasses.field(default_factory=dict)
    uri: str = ""


def chunk_name(*, attempt: int, seq: int) -> str:
    return f"progress/{attempt:03d}-{seq:06d}.jsonl"


def to_lines(notes: Iterable[Note]) -> bytes:
    """One JSON object a line; keys that say nothing are left out."""
    return b"".join(
        json.dumps(
            {k: v for k, v in dataclasses.asdict(note).items() if v not in (None, "", {})},
            ensure_ascii=False,
        ).encode()
        + b"\n"
        for note in notes
    )


def from_lines(data: bytes) -> Iterator[Note]:
    for line in data.splitlines():
        if line.strip():
            fields = json.loads(line)
            yield Note(**fields | {"kind": NoteKind(fields["kind"])})
