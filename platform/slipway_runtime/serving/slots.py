"""A decode step of rows with different LoRA adapters: every row has its own copy of its factors.

Two batched products for a layer, whoever shares the batch; layers that are fed the same tensor
(query, key and value; gate and up) share the first one, with their A side by side. When a row
comes or moves, only its slot is copied anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from slipway_runtime.serving.lora import Adapters, Factors, LoraLinear


class Listening:
    """Adds nothing; hears which layers are fed the very same tensor, one after the other."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self._last: torch.Tensor | None = None
        self._was = torch.empty(0)

    def linear(self, layer: LoraLinear, x: torch.Tensor) -> torch.Tensor:
        # The same tensor with other numbers in it is another input.
        if x is self._last and torch.equal(x, self._was):
            self.groups[-1].append(layer.path)
        else:
            self.groups.append([layer.path])
            self._last, self._was = x, x.clone()
        return nn.functional.linear(x, layer.weight, layer.bias)


@torch.inference_mode()
def listen(model: Any, adapters: Adapters) -> list[list[str]]:
    """Paths of the model's layers, those together that one pass feeds the same tensor."""
    listening = Listening()
    adapters.plan = listening
    try:
        model(input_ids=torch.zeros(1, 1, dtype=torch.long), use_cache=False)
    finally:
        adapters.plan = None
    # A layer that a pass uses twice has its input to itself.
    heard = [path for group in listening.groups for path in group]
    return [group for group in listening.groups if all(heard.count(path) == 1 for path in group)]


@dataclass(frozen=True)
class _Part:
    """One layer's columns of its group's product, and its B of shape [slots, rank, out]."""

    group: int
    begin: int
    end: int
    b: torch.Tensor


class Slots:
    """The factors of a batch's rows, side by side."""

    def __init__(
        self,
        layers: Mapping[str, LoraLinear],
        adapters: Mapping[str, Mapping[str, Factors]],
        groups: Sequence[Sequence[str]],
    ) -> None:
        self._adapters = adapters
        self._layers = layers
        self._ranks = {
            path: max(factors[path][0].shape[1] for factors in adapters.values() if path in factors)
            for path in layers
            if any(path in factors for factors in adapters.values())
        }
        heard = {path for group in groups for path in group}
        groups = [*groups, *([path] for path in self._ranks if path not in heard)]
        touched = [[path for path in group if path in self._ranks] for group in groups]
        self._groups = [group for group in touched if group]
        self._slot_bytes = sum(
            rank
            * (layers[path].in_features + layers[path].out_features)
            * layers[path].weight.element_size()
            for path, rank in self._ranks.items()
        )
        #: The adapter that each slot holds.
        self._held: list[str | None] = []
        #: Per group A of shape [slots, in, ranks], per layer B; first all, then those in use.
        self._all_a: list[torch.Tensor] = []
        self._all_b: dict[str, torch.Tensor] = {}
        self._a: list[torch.Tensor] = []
        self._parts: dict[str, _Part] = {}
        self._rows: list[str | None] = []
        #: The product with A that was computed last, of which group and input.
        self._product: torch.Tensor
        self._group = -1
        self._fed: torch.Tensor | None = None

    def fit(self, rows: Sequence[str | None], limit_bytes: int) -> bool:
        """Make slot i hold the adapter of row i; false where that takes more than the limit."""
        if rows == self._rows:
            return True
        if 2 * len(rows) * self._slot_bytes > limit_bytes:
            return False
        if len(rows) > len(self._held):
            self._grow(max(len(rows), 2 * len(self._held)))
        if len(rows) != len(self._rows):
            self._use(len(rows))
        for slot, name in enumerate(rows):
            if self._held[slot] != name:
                self._fill(slot, self._adapters.get(name or "", {}))
                self._held[slot] = name
        self._rows = list(rows)
        return True

    def linear(self, layer: LoraLinear, x: torch.Tensor) -> torch.Tensor:
        """The layer's own product and what each row's adapter adds to it."""
        out = nn.functional.linear(x, layer.weight, layer.bias)
        part = self._parts.get(layer.path)
        if part is None:
            return out
        # Some architectures give their layers [n, in] instead of [n, 1, in].
        flat = x.dim() == 2
        if x is not self._fed or part.group != self._group:
            self._fed, self._group = x, part.group
            self._product = torch.bmm(x[:, None] if flat else x, self._a[part.group])
        down = self._product[:, :, part.begin : part.end]
        (out[:, None] if flat else out).baddbmm_(down, part.b)
        return out

    def rest(self) -> None:
        """Let go of the last pass."""
        self._fed = None

    def _fill(self, slot: int, factors: Mapping[str, Factors]) -> None:
        for path, part in self._parts.items():
            a, b = self._all_a[part.group][slot, :, part.begin : part.end], self._all_b[path][slot]
            rank = 0
            if path in factors:
                rank = factors[path][0].shape[1]
                a[:, :rank], b[:rank] = factors[path]
            b[rank:] = 0  # what A holds beyond the rank then counts for nothing

    def _grow(self, count: int) -> None:
        self._held = [None] * count
        self._all_a = []
        for group in self._groups:
            layer = self._layers[group[0]]
            ranks = sum(self._ranks[path] for path in group)
            self._all_a.append(layer.weight.new_zeros(count, layer.in_features, ranks))
        self._all_b = {
            path: self._layers[path].weight.new_zeros(count, rank, self._layers[path].out_features)
            for path, rank in self._ranks.items()
        }
        self._rows = []

    def _use(self, count: int) -> None:
        self._a = [a[:count] for a in self._all_a]
        self._parts = {}
        for number, group in enumerate(self._groups):
            begin = 0
            for path in group:
                end = begin + self._ranks[path]
                self._parts[path] = _Part(number, begin, end, self._all_b[path][:count])
                begin = end
