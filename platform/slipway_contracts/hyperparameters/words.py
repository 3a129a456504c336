"""The words hyper-parameters are spoken of in: kinds, facts they hang on, faults, results."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from slipway_contracts.formats import RowKind

#: Method to the kinds of rows (`formats.RowKind`) that it learns from.
LEARNS_FROM = {
    "sft": (RowKind.CHAT,),
    "dpo": (RowKind.PAIR,),
}
METHODS = tuple(LEARNS_FROM)
SCALES = ("lora", "full")
AUTO = "auto"

#: Language ("zh", "en") to text.
Text = dict[str, str]
Type = Literal["int", "float", "bool", "string", "choice"]
LEARNING_RATE_CEILING = 0.1

#: Sizes at which a recipe changes its manner: below, a model learns from few rows only if pushed.
SMALL_PARAMETERS = 100_000_000
LARGE_PARAMETERS = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the model sets bounds to; zero or empty where it is not known."""

    parameters: int = 0
    #: Longest sequence the model can attend to, in tokens.
    positions: int = 0
    hidden_size: int = 0
    layers: int = 0
    vocabulary_size: int = 0
    #: Names of the linear layers that LoRA may change, e.g. `q_proj`.
    target_modules: tuple[str, ...] = ()
    #: Rank and alpha of the adapter that is trained further; 0 where a new one is made.
    adapter_rank: int = 0
    adapter_alpha: int = 0


@dataclass(frozen=True, kw_only=True)
class HyperParameter:
    """One thing to set: a number from `minimum` to `maximum`, or one of `choices`."""

    key: str
    type: Type
    default: Any
    name: Text
    text: Text
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Any, ...] = ()
    #: Whether `"auto"` may be given.
    auto: bool = False


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Why a value is refused, and what would be accepted."""

    key: str
    rule: str
    value: Any
    fix: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What `resolve` decides by. Lengths are tokens of the model's own tokenizer."""

    rows: int
    longest_tokens: int = 0
    #: Processes that train together; the batch size is that of one process.
    workers: int = 1
    #: GPUs of each worker; 0 trains on the CPU.
    gpus: int = 0


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """Every value of the schema, and the reason for each that was `"auto"`."""

    values: dict[str, Any]
    why: dict[str, Text] = field(default_factory=dict)
