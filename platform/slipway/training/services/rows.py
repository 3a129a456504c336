"""How long the rows are in tokens of the base model's own tokenizer and chat template.

Small datasets are counted row by row; of large ones an even sample is, and the rows that hold
the most bytes besides, so that what is too long is still found.
"""

from __future__ import annotations

import heapq
import json
import subprocess
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from slipway import backends
from slipway.backends.objects import Missing
from slipway.core.errors import Detail, Invalid
from slipway.training.services import counting

#: Up to so many bytes every row is counted; beyond, about SAMPLE of them and the LONGEST.
EXACT_BYTES = 4 * 1024 * 1024
SAMPLE, LONGEST = 2000, 100
BARS = 20
#: A process that waits rather than works is given up after this.
_SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class Row:
    """Row `number`, counted from 1, and the length of its longest sequence."""

    number: int
    tokens: int


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Tokens of all rows together (of one epoch), and the longest rows, longest first."""

    tokens: int
    longest_rows: tuple[Row, ...]
    #: False where the sum was reckoned from a sample.
    exact: bool
    #: How long rows are: first and last length of a bar, and how many of the rows counted evenly.
    bars: tuple[tuple[int, int, int], ...] = ()
    #: Tokens of each row that bars are of: every `every`-th one.
    each: array[int] = field(default_factory=lambda: array("I"))
    every: int = 1

    @property
    def longest(self) -> int:
        return self.longest_rows[0].tokens if self.longest_rows else 0

    def between(self, low: int, high: int) -> list[Row]:
        """Rows of `low` to `high` tokens, in the order of the file."""
        return [
            Row(number=place * self.every, tokens=tokens)
            for place, tokens in enumerate(self.each, start=1)
            if low <= tokens <= high
        ]


@lru_cache(maxsize=256)
def measure(*, dataset_uri: str, base_uri: str, row_count: int) -> Lengths:
    """Lengths of the dataset's rows; Invalid when the model's tokenizer cannot count them.

    Versions of datasets and models never change, so an answer stays right.
    """
    objects = backends.objects()
    key = objects.key(dataset_uri)
    size_bytes = objects.stat(key).size_bytes
    exact = size_bytes <= EXACT_BYTES
    every = 1 if exact else max(1, row_count // SAMPLE)
    chosen: list[tuple[int, bytes]] = []
    widest: list[tuple[int, int, bytes]] = []
    for number, line in _lines(key):
        if number % every == 0:
            chosen.append((number, line))
        elif len(widest) < LONGEST:
            heapq.heappush(widest, (len(line), number, line))
        else:
            heapq.heappushpop(widest, (len(line), number, line))
    also = [(number, line) for _, number, line in widest]
    counts = _count(base_uri, [line for _, line in chosen + also])
    sampled_tokens = sum(tokens for tokens, _ in counts[: len(chosen)])
    sampled_bytes = sum(len(line) for _, line in chosen)
    each = [longest for _, longest in counts[: len(chosen)]]
    numbers = [number for number, _ in chosen + also]
    rows = (Row(number=n, tokens=t) for n, (_, t) in zip(numbers, counts, strict=True))
    return Lengths(
        tokens=sampled_tokens
        if exact
        else round(size_bytes * sampled_tokens / max(1, sampled_bytes)),
        longest_rows=tuple(heapq.nlargest(LONGEST, rows, key=lambda row: row.tokens)),
        exact=exact,
        bars=_bars(each),
        each=array("I", each),
        every=every,
    )


def _bars(lengths: list[int]) -> tuple[tuple[int, int, int], ...]:
    """At most BARS bars of one width over all lengths; values are counts of tokens."""
    if not lengths:
        return ()
    low, high = min(lengths), max(lengths)
    width = -(-(high - low + 1) // BARS)
    found = [0] * (-(-(high - low + 1) // width))
    for length in lengths:
        found[(length - low) // width] += 1
    return tuple(
        (low + place * width, low + (place + 1) * width - 1, count)
        for place, count in enumerate(found)
    )


def _lines(key: str) -> Iterator[tuple[int, bytes]]:
    with backends.objects().open(key) as stream:
        yield from enumerate((line.strip() for line in stream if line.strip()), start=1)


def _count(base_uri: str, lines: list[bytes]) -> list[tuple[int, int]]:
    header = json.dumps(_documents(base_uri)).encode()
    # -I: nothing of our environment or folder reaches it; sys.executable: the same libraries.
    try:
        done = subprocess.run(  # noqa: S603 - our own script, no shell
            [sys.executable, "-I", str(Path(counting.__file__))],
            input=b"\n".join([header, *lines]), capture_output=True, check=False,
            env={"TOKENIZERS_PARALLELISM": "false"}, timeout=_SECONDS,
        )  # fmt: skip
        counts: list[tuple[int, int]] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise _uncounted(f"it took more than {counting.CPU_SECONDS} s, or failed") from error
    return counts


def _documents(base_uri: str) -> dict[str, Any]:
    prefix = backends.objects().key(base_uri)
    tokenizer = _text(f"{prefix}/tokenizer.json")
    if not tokenizer:
        raise _uncounted("the model has no tokenizer.json")
    settings = json.loads(_text(f"{prefix}/tokenizer_config.json") or "{}")
    template = _text(f"{prefix}/chat_template.jinja") or settings.get("chat_template")
    special = {}
    for name, value in settings.items():
        text = value.get("content") if isinstance(value, dict) else value
        if name.endswith("_token") and isinstance(text, str):
            special[name] = text
    return {
        "tokenizer": tokenizer,
        "template": template if isinstance(template, str) else None,
        "special": special,
    }


def _uncounted(why: str) -> Invalid:
    return Invalid(
        f"The rows cannot be counted with this model's tokenizer: {why}.",
        Detail(field="base", rule="a usable tokenizer.json", value=why,
               fix="import the model again with a fast tokenizer of its own"),
    )  # fmt: skip


def _text(key: str) -> str:
    try:
        return backends.objects().read(key).decode()
    except Missing:
        return ""
