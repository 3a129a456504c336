"""LoRA adapters: do they fit their base, and the base with one merged in.

A pair A (rank × in) and B (out × rank) changes a weight W (out × in) to W + scale · B·A, with
scale = alpha / rank, or alpha / √rank for rank-stabilised adapters.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slipway.core.errors import Detail
from slipway.registry.services import rules, weights

CONFIG = "adapter_config.json"
LARGEST_RANK = 1024
_PREFIX = "base_model.model."
_PART = re.compile(r"(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])(\.weight)?$")
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Pair:
    """What changes one weight of the base: the names of A and B in the adapter."""

    a: str
    b: str
    scale: float
    #: The base keeps this weight as (in × out), or it is an embedding: add the transpose.
    transposed: bool


@dataclass(frozen=True)
class Plan:
    """Base tensor to what is merged into it, or to the adapter's tensor that replaces it."""

    pairs: dict[str, Pair]
    replaced: dict[str, str]


def fit(config: dict[str, Any], adapter: Shapes, base: Shapes) -> dict[str, Any]:
    """Check rank and shapes against the base; return rank, alpha, targets or raise Refusal."""
    made = plan(config, adapter, base)
    pattern = _mapping(config, "rank_pattern")
    ranks = {_rank(config)} | {n for n in pattern.values() if type(n) is int}
    for pair in made.pairs.values():
        if adapter[pair.a][0] not in ranks:
            raise _refuse(
                f"`r` is {_rank(config)}, but {pair.a} has rank {adapter[pair.a][0]}",
                "Take the configuration and the weights from the same training.",
            )
    targets = {name.removesuffix(".weight").rpartition(".")[2] for name in made.pairs}
    return {
        "method": "lora",
        "rank": max(adapter[pair.a][0] for pair in made.pairs.values()),
        "alpha": float(config["lora_alpha"]),
        "targets": sorted(targets),
        "dora": bool(config.get("use_dora")),
        "modules": len(made.pairs),
    }


def plan(config: dict[str, Any], adapter: Shapes, base: Shapes) -> Plan:
    """Which base tensors change, and how; raises Refusal where the two do not belong together."""
    _check_kind(config)
    parts: dict[tuple[str, bool], dict[str, str]] = {}
    replaced = {}
    for name in adapter:
        if (found := _PART.fullmatch(name)) is not None:
            sides = parts.setdefault((found["module"], found["embedding"] is not None), {})
            sides[found["side"]] = name
        elif "lora_" not in name:
            target = _in_base(name.replace(".modules_to_save", ""), base)
            if target is None or base[target] != adapter[name]:
                raise _refuse(f"{name!r} does not stand in the base with this shape", OTHER_BASE)
            replaced[target] = name
    pairs = dict(
        _pair(config, module, sides, adapter, base, embedding=embedding)
        for (module, embedding), sides in parts.items()
    )
    if not pairs:
        raise _refuse("its weights hold no lora_A and lora_B", "Save the adapter again.")
    return Plan(pairs, replaced)


def _check_kind(config: dict[str, Any]) -> None:
    if config.get("peft_type") != "LORA":
        raise _refuse(
            f"`peft_type` is {str(config.get('peft_type'))[:50]!r}; only LORA is taken",
            "Merge other kinds into their base and import that.",
        )
    library = _mapping(config, "auto_mapping").get("parent_library") or "transformers"
    if str(library).partition(".")[0] != "transformers":
        raise _refuse(
            f"`auto_mapping` names the library {str(library)[:50]!r} to be imported",
            "Remove the key.",
        )


def _pair(
    config: dict[str, Any],
    module: str,
    sides: dict[str, str],
    adapter: Shapes,
    base: Shapes,
    *,
    embedding: bool,
) -> tuple[str, Pair]:
    """The base tensor that one module's A and B change, and how."""
    if sides.keys() != {"A", "B"}:
        raise _refuse(f"{module!r} has one of lora_A and lora_B only", "Save the adapter again.")
    target = _in_base(f"{module}.weight", base)
    if target is None:
        raise _refuse(f"{module!r} is not a module of the base", OTHER_BASE)
    transposed = embedding or bool(config.get("fan_in_fan_out"))
    pair = Pair(sides["A"], sides["B"], _scale(config, module, adapter[sides["A"]]), transposed)
    _check_shapes(module, pair, adapter, target, base)
    return target, pair


def _mapping(config: dict[str, Any], key: str) -> dict[str, Any]:
    value = config.get(key) or {}
    if not isinstance(value, dict):
        raise _refuse(f"`{key}` is not an object", "Mend it.")
    return value


OTHER_BASE = "Register the adapter upon the version it was trained from."


def _check_shapes(module: str, pair: Pair, adapter: Shapes, target: str, base: Shapes) -> None:
    a, b = adapter[pair.a], adapter[pair.b]
    if len(a) != 2 or len(b) != 2 or a[0] != b[1] or not 1 <= a[0] <= LARGEST_RANK:
        raise _refuse(
            f"{module}: lora_A {list(a)} and lora_B {list(b)} do not share a rank from 1 to "
            f"{LARGEST_RANK}",
            "Save the adapter again.",
        )
    makes = (a[1], b[0]) if pair.transposed else (b[0], a[1])
    if base[target] != makes:
        raise _refuse(f"{module} changes a weight of shape {list(makes)}, the base's {target} has "
                      f"{list(base[target])}", OTHER_BASE)  # fmt: skip


def _in_base(name: str, base: Shapes) -> str | None:
    """The base's own name for a tensor; files of some architectures lack the outermost part."""
    name = name.removeprefix(_PREFIX)
    shorter = name.partition(".")[2]
    longer = (f"{outer}.{name}" for outer in ("model", "transformer"))
    return next((n for n in (name, shorter, *longer) if n in base), None)


def _rank(config: dict[str, Any]) -> int:
    rank = config.get("r")
    if type(rank) is not int or not 1 <= rank <= LARGEST_RANK:
        raise _refuse(f"`r` is {str(rank)[:50]}; it must be 1 to {LARGEST_RANK}", "Mend it.")
    return rank


def _scale(config: dict[str, Any], module: str, a: tuple[int, ...]) -> float:
    alpha = _by_module(_mapping(config, "alpha_pattern"), module, config.get("lora_alpha"))
    if not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise _refuse(f"`lora_alpha` is {str(alpha)[:50]}, not a number", "Mend it.")
    rank = a[0] if a and a[0] > 0 else 1
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _by_module(patterns: dict[str, Any], module: str, default: Any) -> Any:
    """The value that PEFT would take: keys are the ends of module names."""
    name = module.removeprefix(_PREFIX)
    for key, value in patterns.items():
        plain = str(key).removeprefix("^").removesuffix("$").replace("\\.", ".")
        # A stranger's regular expression is not run; names as PEFT writes them need none.
        if not re.fullmatch(r"[\w.]+", plain):
            raise _refuse(f"the pattern {str(key)[:100]!r} is not a plain name", "Name modules.")
        if name == plain or (not str(key).startswith("^") and name.endswith(f".{plain}")):
            return value
    return default


def mergeable(config: dict[str, Any]) -> str:
    """Why the adapter cannot be merged into its base; empty if it can."""
    if config.get("use_dora"):
        return "DoRA adapters scale the merged weight; take the adapter as it is"
    if config.get("layer_replication"):
        return "the adapter repeats layers of its base; take the adapter as it is"
    return ""


def merged(
    weight: bytes, tensor: weights.Tensor, a: npt.NDArray[Any], b: npt.NDArray[Any], pair: Pair
) -> bytes:
    """The bytes of W + scale · B·A in W's own type; reckoned in float32, rounded once."""
    delta = (b @ a) * np.float32(pair.scale)
    whole = to_float32(weight, tensor) + (delta.T if pair.transposed else delta)
    return from_float32(whole, tensor.dtype)


def to_float32(data: bytes, tensor: weights.Tensor) -> npt.NDArray[np.float32]:
    """A tensor's bytes as float32 (float64 loses precision); ValueError for other types."""
    if tensor.dtype == "BF16":
        # bfloat16 is the upper half of a float32.
        wide = np.frombuffer(data, "<u2").astype(np.uint32) << 16
        return wide.view(np.float32).reshape(tensor.shape)
    kind = {"F32": "<f4", "F16": "<f2", "F64": "<f8"}.get(tensor.dtype)
    if kind is None:
        raise ValueError(f"weights of type {tensor.dtype} cannot be merged")
    return np.frombuffer(data, kind).astype(np.float32).reshape(tensor.shape)


def from_float32(values: npt.NDArray[np.float32], dtype: str) -> bytes:
    """Little-endian bytes in the given type, rounded to nearest, ties to even."""
    values = np.ascontiguousarray(values, dtype=np.float32)
    if dtype == "BF16":
        bits = values.view(np.uint32)
        rounded = (bits + (0x7FFF + ((bits >> 16) & 1))) >> 16
        return np.where(np.isnan(values), 0x7FC0, rounded).astype("<u2").tobytes()
    with np.errstate(over="ignore"):
        return values.astype({"F32": "<f4", "F16": "<f2", "F64": "<f8"}[dtype]).tobytes()


def _refuse(rule: str, fix: str) -> rules.Refusal:
    return rules.Refusal([Detail(field=CONFIG, rule=rule, fix=fix)])
