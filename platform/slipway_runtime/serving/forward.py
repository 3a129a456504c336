"""A causal language model as a batch of rows that grow one token at a time.

The model itself is the unmodified `transformers` class. What differs between architectures is
only how a ragged batch is told to it, a layout:

- `Masked4D`: a boolean mask [n, 1, 1, L] per attention type, which the library passes through as
  it is. Fast, and right for every rotary or learned position embedding.
- `Masked2D`: a mask [n, L]; for models that derive positions from it (Bloom's alibi).
- `Apart`: one row after the other, each with the library's own cache. Slow, right for all.

`layout_for` takes the first one whose logits equal the plain model's in a short trial, and
refuses a model that none of them fits.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicCache

from slipway_runtime.serving import kv, lora

log = logging.getLogger(__name__)


@dataclass
class Prefill:
    """Prompts on their way into the batch; `done` counts the tokens already computed."""

    prompts: list[list[int]]
    adapters: list[str | None]
    cache: DynamicCache
    done: int = 0

    @property
    def length(self) -> int:
        return max(map(len, self.prompts))


class Layout:
    """What all layouts share: prompts are computed in chunks with the library's own cache."""

    #: Most prompts that one prefill may hold (padded on the right to the longest).
    prefill_rows = 1 << 30

    def __init__(self, model: PreTrainedModel, adapters: lora.Adapters) -> None:
        self.model = model
        self.adapters = adapters
        #: Tokens in each running row.
        self.lengths: list[int] = []
        accepted = inspect.signature(model.forward).parameters
        self._takes_positions = "position_ids" in accepted
        self._takes_keep = "logits_to_keep" in accepted

    def begin(self, prompts: list[list[int]], adapters: list[str | None]) -> Prefill:
        return Prefill(prompts, adapters, self._new_cache())

    def advance(self, prefill: Prefill, tokens: int) -> torch.Tensor | None:
        """Compute the next `tokens` positions; at the end return the logits [m, vocabulary]."""
        start, stop = prefill.done, min(prefill.length, prefill.done + tokens)
        padded = [p[start:stop] + [0] * (stop - max(start, len(p))) for p in prefill.prompts]
        last = [len(p) - 1 - start for p in prefill.prompts]
        wanted = sorted({max(0, index) for index in last})
        extra: dict[str, object] = {}
        if self._takes_positions:
            extra["position_ids"] = torch.arange(start, stop)[None].expand(len(padded), -1)
        if self._takes_keep:
            extra["logits_to_keep"] = torch.tensor(wanted if stop == prefill.length else [0])
        # No mask: padding stands on the right, where a causal model's real tokens never look.
        with self.adapters.applied(prefill.adapters):
            logits = self.model(
                input_ids=torch.tensor(padded),
                past_key_values=prefill.cache,
                use_cache=True,
                **extra,
            ).logits
        prefill.done = stop
        if stop < prefill.length:
            return None
        columns = [wanted.index(index) for index in last] if self._takes_keep else last
        return logits[torch.arange(len(padded)), torch.tensor(columns)].float()

    def join(self, prefill: Prefill) -> None:
        """Append the prompts of a finished prefill as running rows."""
        raise NotImplementedError

    def decode(self, tokens: Sequence[int], adapters: Sequence[str | None]) -> torch.Tensor:
        """Extend every running row by its token; return the logits [n, vocabulary]."""
        raise NotImplementedError

    def remove(self, row: int) -> None:
        """Drop a row; the last row takes its place."""
        raise NotImplementedError

    def size_bytes(self) -> int:
        """Bytes held for keys and values now."""
        raise NotImplementedError

    def _new_cache(self) -> DynamicCache:
        return DynamicCache()


class _Compact(Layout):
    """Rows side by side in one `kv.Rows`; subclasses say how the mask is written."""

    def __init__(self, model: PreTrainedModel, adapters: lora.Adapters) -> None:
        super().__init__(model, adapters)
        self.rows = kv.Rows(_text_config(model).num_hidden_layers)
        self._columns = torch.arange(0)

    def join(self, prefill: Prefill) -> None:
        lengths = [len(p) for p in prefill.prompts]
        first = len(self.lengths)
        self.rows.fit(first + len(lengths), max([*lengths, *self.lengths]) + 1)
        self.rows.fill(first, prefill.cache, lengths)
        self.lengths += lengths

    def decode(self, tokens: Sequence[int], adapters: Sequence[str | None]) -> torch.Tensor:
        count, length = len(tokens), max(self.lengths) + 1
        self.rows.fit(count, length)
        if self._columns.shape[0] < max(count, length):
            self._columns = torch.arange(max(self.rows.length, self.rows.capacity))
        positions = torch.tensor(self.lengths)
        step = self.rows.step
        step.rows, step.positions, step.length = self._columns[:count], positions, length
        extra = {"position_ids": positions[:, None]} if self._takes_positions else {}
        with self.adapters.applied(adapters, decode=True):
            logits = self.model(
                input_ids=torch.tensor(tokens)[:, None],
                attention_mask=self._mask(positions, length),
                past_key_values=self.rows,
                use_cache=True,
                **extra,
            ).logits
        self.lengths = [n + 1 for n in self.lengths]
        return logits[:, -1].float()

    def remove(self, row: int) -> None:
        last = len(self.lengths) - 1
        if row != last:
            self.rows.move(last, row, self.lengths[last])
            self.lengths[row] = self.lengths[last]
        self.lengths.pop()
        if not self.lengths:
            self.rows.release()

    def size_bytes(self) -> int:
        return self.rows.size_bytes()

    def _mask(self, positions: torch.Tensor, length: int) -> object:
        raise NotImplementedError


class Masked4D(_Compact):
    """The mask is complete: [n, 1, 1, L] per attention type, True where a row may look."""

    def __init__(self, model: PreTrainedModel, adapters: lora.Adapters) -> None:
        super().__init__(model, adapters)
        config = _text_config(model)
        self._window: int = getattr(config, "sliding_window", None) or 0
        kinds = set(getattr(config, "layer_types", None) or ())
        if not kinds:
            kinds = {"sliding_attention" if self._window else "full_attention"}
        if not kinds <= {"full_attention", "sliding_attention"}:
            raise ValueError(f"attention types {sorted(kinds)} need their own cache")
        self._kinds = kinds
        self._additive = config._attn_implementation == "eager"

    def _mask(self, positions: torch.Tensor, length: int) -> object:
        columns, here = self._columns[:length], positions[:, None]
        seen = columns <= here
        masks = {}
        if "full_attention" in self._kinds:
            masks["full_attention"] = self._shaped(seen)
        if "sliding_attention" in self._kinds:
            masks["sliding_attention"] = self._shaped(seen & (columns > here - self._window))
        return masks if len(masks) > 1 else next(iter(masks.values()))

    def _shaped(self, seen: torch.Tensor) -> torch.Tensor:
        seen = seen[:, None, None]
        if not self._additive:
            return seen
        dtype = self.model.dtype
        return torch.zeros(seen.shape, dtype=dtype).masked_fill_(~seen, torch.finfo(dtype).min)


class Masked2D(_Compact):
    """The mask is [n, L], 1 where a row has a token; the model makes the rest of it."""

    def __init__(self, model: PreTrainedModel, adapters: lora.Adapters) -> None:
        super().__init__(model, adapters)
        if getattr(_text_config(model), "sliding_window", None):
            raise ValueError("a sliding window counts from the row's end, not from the column")

    def _mask(self, positions: torch.Tensor, length: int) -> torch.Tensor:
        return (self._columns[:length] <= positions[:, None]).long()


class Apart(Layout):
    """One row after the other, each with a cache of the library's own choice."""

    prefill_rows = 1

    def __init__(self, model: PreTrainedModel, adapters: lora.Adapters) -> None:
        super().__init__(model, adapters)
        self._caches: list[DynamicCache] = []

    def _new_cache(self) -> DynamicCache:
        return DynamicCache(config=self.model.config)

    def join(self, prefill: Prefill) -> None:
        self._caches.append(prefill.cache)
        self.lengths.append(prefill.length)

    def decode(self, tokens: Sequence[int], adapters: Sequence[str | None]) -> torch.Tensor:
        logits = []
        for token, adapter, cache in zip(tokens, adapters, self._caches, strict=True):
            with self.adapters.applied([adapter]):
                logits.append(
                    self.model(
                        input_ids=torch.tensor([[token]]), past_key_values=cache, use_cache=True
                    ).logits[:, -1]
                )
        self.lengths = [n + 1 for n in self.lengths]
        return torch.cat(logits).float()

    def remove(self, row: int) -> None:
        self._caches[row] = self._caches[-1]
        self._caches.pop()
        self.lengths[row] = self.lengths[-1]
        self.lengths.pop()

    def size_bytes(self) -> int:
        return sum(
            tensor.numel() * tensor.element_size()
            for cache in self._caches
            for layer in cache.layers
            for tensor in (getattr(layer, "keys", None), getattr(layer, "values", None))
            if tensor is not None
        )


class UnsupportedModel(Exception):
    """No layout reproduces the plain model's answers; serving it would give wrong ones."""


@torch.inference_mode()
def layout_for(model: PreTrainedModel, adapters: lora.Adapters) -> Layout:
    """The fastest layout whose logits equal the plain model's for rows of unequal length."""
    vocabulary = _text_config(model).vocab_size
    prompts = [[(7 * i + k) % vocabulary for i in range(1, n + 1)] for k, n in ((1, 7), (5, 3))]
    steps = [[token % vocabulary for token in step] for step in ((11, 2), (3, 17))]
    wanted = [
        model(input_ids=torch.tensor([prompt + [step[k] for step in steps]]), use_cache=False)
        .logits[0, -1]
        .float()
        for k, prompt in enumerate(prompts)
    ]
    tolerance = 1e-4 if model.dtype == torch.float32 else 5e-2
    refusals = []
    for kind in (Masked4D, Masked2D, Apart):
        try:
            logits = _trial(kind(model, adapters), prompts, steps)
        except Exception as error:  # noqa: BLE001 - any refusal means only: not this layout
            refusals.append(f"{kind.__name__}: {type(error).__name__}: {error}")
            continue
        off = max(
            float((got - want).abs().max() / want.std())
            for got, want in zip(logits, wanted, strict=True)
        )
        if off <= tolerance:
            log.info("%s is served by %s", type(model).__name__, kind.__name__)
            return kind(model, adapters)
        refusals.append(f"{kind.__name__}: logits are off by {off:.1e} of their spread")
    raise UnsupportedModel(
        f"{type(model).__name__} cannot be served by this engine ({'; '.join(refusals)})"
    )


def _trial(layout: Layout, prompts: list[list[int]], steps: list[list[int]]) -> torch.Tensor:
    together = layout.prefill_rows >= len(prompts)
    for group in [prompts] if together else [[prompt] for prompt in prompts]:
        prefill = layout.begin(group, [None] * len(group))
        layout.advance(prefill, prefill.length)
        layout.join(prefill)
    for step in steps:
        logits = layout.decode(step, [None, None])
    return logits


def _text_config(model: PreTrainedModel) -> Any:
    return model.config.get_text_config(decoder=True)
