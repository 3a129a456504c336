"""Safetensors read without trusting it: a bounded header, and offsets inside the file."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

LARGEST_HEADER = 10 * 1024 * 1024
MOST_TENSORS = 50_000
MOST_DIMENSIONS = 16
#: Bits per element; sub-byte types are packed.
BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8,
    "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32, "U16": 16, "U8": 8,
    "BOOL": 8, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


class BadWeights(Exception):
    """The file is not safetensors, or lies about itself; the text is the rule it breaks."""


@dataclass(frozen=True)
class Tensor:
    """Where one tensor lies: bytes `start` to `end` of the file, row-major."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    #: The length word and the JSON, as they stand at the front of the file.
    raw: bytes
    tensors: dict[str, Tensor]


def read_header(read: Callable[[int, int], bytes], size_bytes: int) -> Header:
    """Parse the header of a file of so many bytes; `read(start, length)` reads from it."""
    word = read(0, 8)
    if len(word) < 8:
        raise BadWeights("shorter than a safetensors header")
    length = int.from_bytes(word, "little")
    if not 2 <= length <= min(LARGEST_HEADER, size_bytes - 8):
        raise BadWeights(
            f"its header claims {length} bytes; at most {LARGEST_HEADER} and the file are allowed"
        )
    text = read(8, length)
    if len(text) != length or text[:1] != b"{":
        raise BadWeights("its header is not a JSON object")
    try:
        entries = json.loads(text, object_pairs_hook=_no_repeats)
    except (ValueError, RecursionError) as error:
        raise BadWeights(f"its header is not JSON: {error}"[:300]) from error
    entries.pop("__metadata__", None)
    if len(entries) > MOST_TENSORS:
        raise BadWeights(f"{len(entries)} tensors; at most {MOST_TENSORS} are allowed")
    first = 8 + length
    tensors = {name: _tensor(name, entry, first) for name, entry in entries.items()}
    _covers(tensors, first, size_bytes)
    return Header(raw=word + text, tensors=tensors)


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Two readers could each believe another of two equal keys.
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _tensor(name: str, entry: Any, first: int) -> Tensor:
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(start), int(end)]}:
            pass
        case _:
            raise BadWeights(f"tensor {name[:100]!r} lacks dtype, shape or data_offsets")
    if dtype not in BITS:
        raise BadWeights(f"tensor {name[:100]!r} has the unknown type {dtype[:20]!r}")
    if len(shape) > MOST_DIMENSIONS or not all(type(n) is int and 0 <= n < 2**48 for n in shape):
        raise BadWeights(f"tensor {name[:100]!r} has the impossible shape {str(shape)[:100]}")
    tensor = Tensor(dtype, tuple(shape), first + start, first + end)
    if not 0 <= start <= end or (end - start) * 8 != tensor.elements * BITS[dtype]:
        raise BadWeights(
            f"tensor {name[:100]!r} has {end - start} bytes, but its shape and type need "
            f"{tensor.elements * BITS[dtype] // 8}"
        )
    return tensor


def _covers(tensors: dict[str, Tensor], first: int, size_bytes: int) -> None:
    """Tensors must follow each other without overlap or gap and end with the file."""
    reached = first
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if tensor.start != reached:
            raise BadWeights(f"tensor {name[:100]!r} overlaps its neighbour or leaves a gap")
        reached = tensor.end
    if reached != size_bytes:
        raise BadWeights(f"its tensors end at byte {reached}, the file at {size_bytes}")
