"""Replaces every `"auto"` by a number, with the reason in two languages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slipway_contracts.hyperparameters.estimating import steps_per_epoch
from slipway_contracts.hyperparameters.schema import schema
from slipway_contracts.hyperparameters.words import (
    AUTO,
    LARGE_PARAMETERS,
    SMALL_PARAMETERS,
    Facts,
    Limits,
    Resolved,
    Text,
)


def resolve(
    method: str,
    scale: str,
    values: Mapping[str, Any],
    *,
    facts: Facts,
    limits: Limits | None = None,
) -> Resolved:
    """Defaults filled in and every `"auto"` replaced. The values must have passed `check`."""
    limits = limits or Limits()
    chosen = {p.key: p.default for p in schema(method, scale, limits)} | dict(values)
    why: dict[str, Text] = {}
    # In this order, since later rules look at earlier values.
    for key, rule in _AUTO.items():
        if chosen.get(key) == AUTO:
            chosen[key], why[key] = rule(_Case(method, scale, facts, limits), chosen)
    return Resolved(values=chosen, why=why)


@dataclass(frozen=True)
class _Case:
    """What a rule decides by, beside the values chosen so far."""

    method: str
    scale: str
    facts: Facts
    limits: Limits


def _epochs(case: _Case, values: dict[str, Any]) -> tuple[int, Text]:
    facts, limits = case.facts, case.limits
    small = limits.parameters < SMALL_PARAMETERS
    steps, most = _EPOCHS[case.method][not small]
    per_epoch = math.ceil(facts.rows / (values["batch_size"] * facts.workers))
    epochs = max(1, min(most, math.ceil(steps / max(1, per_epoch))))
    size = _size(limits)
    return epochs, {
        "zh": f"{facts.rows} 行、每批 {values['batch_size']} 行，{size['zh']}："
        f"约 {steps} 步，最多 {most} 轮",
        "en": f"{facts.rows} rows in batches of {values['batch_size']}, {size['en']}: "
        f"about {steps} steps, {most} epochs at most",
    }


def _batch_size(case: _Case, _values: dict[str, Any]) -> tuple[int, Text]:
    facts, limits = case.facts, case.limits
    most = 16 if limits.parameters < LARGE_PARAMETERS else 8
    size = max(1, min(most, facts.rows // (10 * facts.workers)))
    return size, {
        "zh": f"{facts.rows} 行、{facts.workers} 个进程：每轮至少 10 步，每批最多 {most} 行",
        "en": f"{facts.rows} rows over {facts.workers} workers: "
        f"at least 10 steps an epoch, at most {most} rows a batch",
    }


def _learning_rate(case: _Case, _values: dict[str, Any]) -> tuple[float, Text]:
    limits, scale = case.limits, case.scale
    by_size = _RATES[case.method, scale]
    bound = (SMALL_PARAMETERS, LARGE_PARAMETERS)
    rate = by_size[sum(limits.parameters >= b for b in bound)]
    size = _size(limits)
    return rate, {
        "zh": f"{size['zh']}，{'LoRA' if scale == 'lora' else '全参'}：常用 {rate:g}",
        "en": f"{size['en']}, {'LoRA' if scale == 'lora' else 'full update'}: {rate:g} is usual",
    }


def _max_seq_len(case: _Case, _values: dict[str, Any]) -> tuple[int, Text]:
    facts, limits = case.facts, case.limits
    longest = math.ceil((facts.longest_tokens or 2048) / 64) * 64
    length = max(32, min(longest, limits.positions or 4096, 4096))
    return length, {
        "zh": f"最长一行 {facts.longest_tokens} 词元，"
        f"模型最多 {limits.positions or '未知'}，上限 4096",
        "en": f"the longest row has {facts.longest_tokens} tokens, "
        f"the model takes {limits.positions or 'unknown'}, at most 4096",
    }


def _logging_steps(case: _Case, values: dict[str, Any]) -> tuple[int, Text]:
    facts = case.facts
    steps = values["epochs"] * steps_per_epoch(values, rows=facts.rows, workers=facts.workers)
    every = max(1, steps // 500)
    return every, {
        "zh": f"约 {steps} 步：曲线不超过约 500 点",
        "en": f"about {steps} steps: a curve of some 500 points at most",
    }


def _held_out_rows(case: _Case, _values: dict[str, Any]) -> tuple[int, Text]:
    facts = case.facts
    rows = max(32, min(1000, facts.rows // 2))
    return rows, {
        "zh": f"训练集 {facts.rows} 行的一半（32–1000）：评估约占训练时间的六分之一",
        "en": f"half of the {facts.rows} training rows (32 to 1000): "
        "judging takes about a sixth of the time",
    }


def _precision(case: _Case, _values: dict[str, Any]) -> tuple[str, Text]:
    facts = case.facts
    if facts.gpus:
        return "bfloat16", {"zh": "在 GPU 上训练", "en": "trains on GPUs"}
    return "float32", {"zh": "在 CPU 上训练", "en": "trains on the CPU"}


def _gradient_checkpointing(case: _Case, _values: dict[str, Any]) -> tuple[bool, Text]:
    limits = case.limits
    size = _size(limits)
    large = limits.parameters >= LARGE_PARAMETERS
    return large, {
        "zh": f"{size['zh']}：{'激活占内存多' if large else '内存足够'}",
        "en": f"{size['en']}: {'activations take much memory' if large else 'memory suffices'}",
    }


def _beta(_case: _Case, _values: dict[str, Any]) -> tuple[float, Text]:
    return 0.1, {"zh": "常用 0.1", "en": "0.1 is usual"}


#: Method to the steps aimed at and the most epochs, for small models and others.
_EPOCHS = {"sft": ((150, 15), (100, 5)), "dpo": ((100, 10), (100, 3))}
#: Method and scale to the rate of small, medium and large models.
_RATES = {
    ("sft", "lora"): (2e-3, 5e-4, 2e-4),
    ("sft", "full"): (3e-4, 5e-5, 1e-5),
    ("dpo", "lora"): (5e-4, 5e-5, 1e-5),
    ("dpo", "full"): (5e-5, 5e-6, 1e-6),
}
_AUTO = {
    "beta": _beta,
    "gradient_checkpointing": _gradient_checkpointing,
    "max_seq_len": _max_seq_len,
    "batch_size": _batch_size,
    "epochs": _epochs,
    "learning_rate": _learning_rate,
    "logging_steps": _logging_steps,
    "precision": _precision,
    "held_out_rows": _held_out_rows,
}


def _size(limits: Limits) -> Text:
    if not limits.parameters:
        return {"zh": "模型大小未知", "en": "a model of unknown size"}
    number = limits.parameters / 1e6
    shown = f"{number / 1000:.1f}B" if number >= 1000 else f"{number:.1f}M"
    return {"zh": f"{shown} 参数的模型", "en": f"a model of {shown} parameters"}
