"""The keys and values of all running rows, kept compact so that a step reads one plain slice."""

from __future__ import annotations

import torch
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache


class Step:
    """Which rows the next forward pass extends, and where: shared by all layers of a `Rows`."""

    rows: torch.Tensor
    #: Column at which each row writes its new token; shape [rows].
    positions: torch.Tensor
    #: Columns a step reads: the longest row, its new token included.
    length: int = 0


class RowLayer(CacheLayerMixin):
    """One layer: keys and values of shape [capacity, kv_heads, max_length, head_dim]."""

    is_sliding = False
    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.step = step

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        # Zeros, not garbage: a NaN behind the mask would still reach the softmax.
        self.keys = key_states.new_zeros(0, key_states.shape[1], 0, key_states.shape[3])
        self.values = value_states.new_zeros(0, value_states.shape[1], 0, value_states.shape[3])
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write one new token per row ([n, kv_heads, 1, head_dim]); return all that may be seen."""
        step = self.step
        count = step.rows.shape[0]
        self.keys[step.rows, :, step.positions] = key_states[:, :, 0]
        self.values[step.rows, :, step.positions] = value_states[:, :, 0]
        return self.keys[:count, :, : step.length], self.values[:count, :, : step.length]

    def resize(self, capacity: int, length: int) -> None:
        for name in ("keys", "values"):
            old = getattr(self, name)
            new = old.new_zeros(capacity, old.shape[1], length, old.shape[3])
            kept = min(capacity, old.shape[0]), min(length, old.shape[2])
            new[: kept[0], :, : kept[1]] = old[: kept[0], :, : kept[1]]
            setattr(self, name, new)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.step.length, 0

    def get_seq_length(self) -> int:
        return self.step.length - 1

    def get_max_length(self) -> int:
        return -1


class Rows(Cache):
    """A `Cache` of compact rows: rows 0..n-1 are running, the rest is free.

    Capacity and length double as needed and fall back when idle, so an idle replica holds next
    to nothing and nobody has to guess the traffic.
    """

    def __init__(self, layers: int) -> None:
        self.step = Step()
        self.capacity = 0
        self.length = 0
        self.rows = [RowLayer(self.step) for _ in range(layers)]
        super().__init__(layers=list(self.rows))

    def fit(self, rows: int, length: int) -> None:
        """Make room for `rows` rows of `length` tokens."""
        if rows > self.capacity or length > self.length:
            self.capacity = max(self.capacity, _power_of_two(rows))
            self.length = max(self.length, _power_of_two(max(64, length)))
            self._resize()

    def release(self) -> None:
        """Give the memory back; only when no row is running."""
        self.capacity = self.length = 0
        self._resize()

    def fill(self, first: int, prefilled: DynamicCache, lengths: list[int]) -> None:
        """Copy prompts ([m, kv_heads, padded length, head_dim] per layer) to rows from `first`."""
        longest = max(lengths)
        for layer, source in zip(self.rows, prefilled, strict=True):
            keys, values, _ = source
            if not layer.is_initialized:
                layer.lazy_initialization(keys, values)
                layer.resize(self.capacity, self.length)
            rows = slice(first, first + len(lengths))
            layer.keys[rows, :, :longest] = keys[:, :, :longest]
            layer.values[rows, :, :longest] = values[:, :, :longest]

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` tokens of row `source` over row `target`."""
        for layer in self.rows:
            layer.keys[target, :, :length] = layer.keys[source, :, :length]
            layer.values[target, :, :length] = layer.values[source, :, :length]

    def size_bytes(self) -> int:
        return sum(
            tensor.numel() * tensor.element_size()
            for layer in self.rows
            if layer.is_initialized
            for tensor in (layer.keys, layer.values)
        )

    def _resize(self) -> None:
        for layer in self.rows:
            if layer.is_initialized:
                layer.resize(self.capacity, self.length)


def _power_of_two(value: int) -> int:
    return 1 << (value - 1).bit_length()
