"""LoRA adapters beside the base weights, chosen per row, several in one batch.

A layer that any adapter touches becomes a `LoraLinear` in place. What the next forward pass
should add is a plan, made from the adapter name of each row and kept while the batch stays as
it is: nothing (base only), one adapter for all rows (after a while by a merged copy of the
weights, which costs no time at all), or a mixture (in `slots.py` where each row has one token).
"""

from __future__ import annotations

import contextlib
import json
import math
import pathlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from slipway_runtime.serving import slots

#: One layer of an adapter: A of shape [in, rank], B of shape [rank, out] with the scale in it.
Factors = tuple[torch.Tensor, torch.Tensor]

#: Steps in a row with one adapter alone after which merging its weights is worth the while.
_STEPS_BEFORE_MERGE = 16


class AdapterError(Exception):
    """An adapter that cannot be read or does not fit the base model."""


class LoraLinear(nn.Linear):
    """A linear layer that adds what the current plan says."""

    adapters: Adapters
    path: str

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 (nn.Linear's name)
        plan = self.adapters.plan
        if plan is None:
            return nn.functional.linear(input, self.weight, self.bias)
        return plan.linear(self, input)


@dataclass
class _Single:
    """All rows use one adapter."""

    factors: dict[str, Factors]
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    steps: int = 0

    def linear(self, layer: LoraLinear, x: torch.Tensor) -> torch.Tensor:
        if self.weights:
            weight = self.weights.get(layer.path, layer.weight)
            return nn.functional.linear(x, weight, layer.bias)
        out = nn.functional.linear(x, layer.weight, layer.bias)
        if layer.path in self.factors:
            a, b = self.factors[layer.path]
            out += x @ a @ b
        return out

    def merge(self, layers: dict[str, LoraLinear]) -> None:
        self.weights = {
            path: layers[path].weight + (a @ b).T for path, (a, b) in self.factors.items()
        }


class _Mixed:
    """Rows use different adapters, or some of them none: one product after the other."""

    def __init__(self, rows: Sequence[str | None], adapters: dict[str, dict[str, Factors]]) -> None:
        names = sorted({name for name in rows if name is not None})
        self._factors = [adapters[name] for name in names]
        self._members = [
            torch.tensor([i for i, row in enumerate(rows) if row == name]) for name in names
        ]

    def linear(self, layer: LoraLinear, x: torch.Tensor) -> torch.Tensor:
        out = nn.functional.linear(x, layer.weight, layer.bias)
        for rows, factors in zip(self._members, self._factors, strict=True):
            if layer.path in factors:
                a, b = factors[layer.path]
                out[rows] += x[rows] @ a @ b
        return out


class Adapters:
    """The adapters attached to one model, by name; used from the engine's thread alone."""

    def __init__(
        self,
        model: nn.Module,
        merged_limit_bytes: int = 256 << 20,
        slots_limit_bytes: int = 512 << 20,
    ) -> None:
        self.plan: _Single | _Mixed | slots.Slots | slots.Listening | None = None
        self._model = model
        self._merged_limit_bytes = merged_limit_bytes
        self._slots_limit_bytes = slots_limit_bytes
        self._layers: dict[str, LoraLinear] = {}
        self._factors: dict[str, dict[str, Factors]] = {}
        self._plans: dict[tuple[str | None, ...], _Single | _Mixed] = {}
        self._slots: slots.Slots | None = None
        #: Paths of layers that are fed the same tensor; learned anew when a layer is added.
        self._groups: list[list[str]] = []

    def names(self) -> list[str]:
        return sorted(self._factors)

    def attach(self, name: str, factors: dict[str, Factors]) -> None:
        """Make `read` factors usable by rows under this name; replaces what had the name."""
        for path in factors:
            layer: Any = self._model.get_submodule(path)
            if not isinstance(layer, LoraLinear):
                layer.__class__ = LoraLinear
                layer.adapters, layer.path = self, path
                self._layers[path] = layer
                self._groups = []
        self._factors[name] = factors
        self._forget_plans()

    def detach(self, name: str) -> None:
        self._factors.pop(name, None)
        self._forget_plans()

    def _forget_plans(self) -> None:
        self._plans.clear()
        self._slots = None

    @contextlib.contextmanager
    def applied(self, rows: Sequence[str | None], *, decode: bool = False) -> Iterator[None]:
        """Within, forward passes add for each batch row the adapter of that name.

        `decode` says that every row has one token in the pass.
        """
        if not self._factors or not any(rows):
            yield
            return
        self.plan = (self._slots_for(rows) if decode else None) or self._plan(rows)
        try:
            yield
        finally:
            if isinstance(self.plan, slots.Slots):
                self.plan.rest()
            self.plan = None

    def _slots_for(self, rows: Sequence[str | None]) -> slots.Slots | None:
        """Slots for a mixture; None where one adapter is alone, or they would be too large."""
        if len(set(rows)) == 1:
            return None
        if self._slots is None:
            self._groups = self._groups or slots.listen(self._model, self)
            self._slots = slots.Slots(self._layers, self._factors, self._groups)
        return self._slots if self._slots.fit(rows, self._slots_limit_bytes) else None

    def _plan(self, rows: Sequence[str | None]) -> _Single | _Mixed:
        alone = rows[0] if len(set(rows)) == 1 else None
        key = (alone,) if alone else tuple(rows)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= 4:
                self._plans.clear()
            plan = _Single(self._factors[alone]) if alone else _Mixed(rows, self._factors)
            self._plans[key] = plan
        if isinstance(plan, _Single) and not plan.weights:
            plan.steps += 1
            if plan.steps > _STEPS_BEFORE_MERGE and self._merge_fits(plan):
                plan.merge(self._layers)
        return plan

    def _merge_fits(self, plan: _Single) -> bool:
        weights = [self._layers[path].weight for path in plan.factors]
        return sum(w.numel() * w.element_size() for w in weights) <= self._merged_limit_bytes


def read(model: nn.Module, directory: pathlib.Path) -> dict[str, Factors]:
    """Read a PEFT LoRA directory into factors by layer path, in the model's dtype.

    Raises AdapterError naming what is missing, does not fit or is not plain LoRA.
    """
    import safetensors.torch

    config = _config(directory)
    plain = {
        "peft_type": "LORA",
        "use_dora": False,
        "bias": "none",
        "fan_in_fan_out": False,
        "modules_to_save": None,
        "lora_bias": False,
    }
    for key, value in plain.items():
        if (config.get(key, value) or None) != (value or None):
            raise AdapterError(
                f"{directory}/adapter_config.json: {key} is {config[key]!r}; beside other "
                f"adapters only plain LoRA ({key} {value!r}) can be served. Deploy merged weights."
            )
    tensors = safetensors.torch.load_file(directory / "adapter_model.safetensors")
    suffix = ".lora_A.weight"
    paths = {key: key.removeprefix("base_model.model.").removesuffix(suffix) for key in tensors}
    factors: dict[str, Factors] = {}
    for key, path in paths.items():
        if key.endswith(".lora_B.weight"):
            continue
        partner = key.removesuffix(suffix) + ".lora_B.weight"
        if not key.endswith(suffix) or partner not in tensors:
            raise AdapterError(f"{directory}: tensor {key!r} is no LoRA pair of a linear layer")
        try:
            layer: Any = model.get_submodule(path)
        except AttributeError:
            raise AdapterError(f"{directory}: the base model has no layer {path!r}") from None
        a, b = tensors[key].float(), tensors[partner].float()
        expected = getattr(layer, "in_features", None), getattr(layer, "out_features", None)
        if expected != (a.shape[1], b.shape[0]):
            raise AdapterError(
                f"{directory}: {path} is {a.shape[1]} -> {b.shape[0]} in the adapter and "
                f"{expected[0]} -> {expected[1]} in the base model: made for another base"
            )
        dtype = layer.weight.dtype
        scale = _scale(config, path, rank=a.shape[0])
        factors[path] = a.T.contiguous().to(dtype), (b.T * scale).contiguous().to(dtype)
    if not factors:
        raise AdapterError(f"{directory}: adapter_model.safetensors holds no LoRA weights")
    return factors


@torch.no_grad()
def merge(model: nn.Module, directory: pathlib.Path) -> nn.Module:
    """Add one adapter to the model's own weights for good; return the model to use from now on."""
    try:
        factors = read(model, directory)
    except AdapterError:
        if not (directory / "adapter_config.json").is_file():
            raise
        # DoRA, bias terms, saved modules …: its own library knows how; it is slow to import.
        import peft

        try:
            return peft.PeftModel.from_pretrained(model, directory).merge_and_unload()
        except Exception as error:
            raise AdapterError(f"{directory}: cannot be merged into the base: {error}") from error
    for path, (a, b) in factors.items():
        layer: Any = model.get_submodule(path)
        weight = layer.weight
        weight.copy_(weight.float() + (a.float() @ b.float()).T)
    return model


def _config(directory: pathlib.Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((directory / "adapter_config.json").read_text())
        return found
    except FileNotFoundError:
        raise AdapterError(
            f"{directory}: no adapter_config.json; an adapter is the directory PEFT saves"
        ) from None


def _scale(config: dict[str, Any], path: str, *, rank: int) -> float:
    alpha = config.get("lora_alpha", rank)
    for pattern, value in (config.get("alpha_pattern") or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", path):
            alpha = value
            break
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
