"""What a run will need, by plain arithmetic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slipway_contracts.hyperparameters.words import Limits


def steps_per_epoch(values: Mapping[str, Any], *, rows: int, workers: int = 1) -> int:
    """Optimizer steps of one pass over `rows` (after packing: packed) rows."""
    batches = math.ceil(math.ceil(rows / workers) / values["batch_size"])
    return max(1, math.ceil(batches / values["gradient_accumulation_steps"]))


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a run will need. Memory is of one worker, in bytes, by part."""

    steps: int
    #: Tokens that pass through the model in all epochs, padding not counted.
    tokens: int
    trainable_parameters: int
    memory_bytes: int
    memory_parts: dict[str, int]


def estimate(
    method: str,
    scale: str,
    values: Mapping[str, Any],
    *,
    rows: int,
    tokens: int,
    limits: Limits,
    workers: int = 1,
    weight_bytes: int = 4,
) -> Estimate:
    """Steps, tokens and memory from resolved values; `tokens` is the sum over the rows.

    With P parameters, T of them trainable, b rows of s tokens, hidden size h, L layers, V words:

    - weights = P × weight_bytes, and under LoRA 4 T beside them
    - gradients = 4 T; optimizer (AdamW's two moments) = 8 T
    - activations = 4 × 34 h × L × b s: what the backward pass needs of a block in float32
      [Korthikanti et al. 2022, less the attention matrix, which fused attention does not keep];
      with gradient checkpointing 4 × h × (L + 34) × b s: a block's input each, and one block
    - logits = 12 × b s × min(V, 8192): a chunk of the output layer, forward and back
    - process = 0.9 GB, the libraries

    Of pairs two rows are at work at once, and a full update keeps the weights it began with
    beside them, as the reference.

    LoRA's T is about r × L × 18 h for all linear layers: r × (inputs + outputs) of each. Against
    peaks measured on a CPU (3.9 M parameters, 4 to 32 rows of 512 tokens): -9 % to +19 %.
    """
    sequence = min(values["max_seq_len"], limits.positions or values["max_seq_len"])
    packed_rows = max(1, math.ceil(tokens / sequence)) if values.get("packing") else rows
    steps = values["epochs"] * steps_per_epoch(values, rows=packed_rows, workers=workers)
    trainable = limits.parameters
    if scale == "lora":
        trainable = min(trainable, values["lora_rank"] * limits.layers * 18 * limits.hidden_size)
    pairs = method == "dpo"
    at_once = values["batch_size"] * sequence * (2 if pairs else 1)
    kept = limits.layers + 34 if values["gradient_checkpointing"] else 34 * limits.layers
    parts = {
        "weights": limits.parameters * weight_bytes + (4 * trainable if scale == "lora" else 0),
        "gradients": 4 * trainable,
        "optimizer": 8 * trainable,
        "activations": 4 * limits.hidden_size * kept * at_once,
        "logits": 12 * at_once * min(limits.vocabulary_size, 8192),
        "process": 900_000_000,
    }
    if pairs:
        parts["reference"] = 4 * trainable if scale == "lora" else limits.parameters * weight_bytes
    return Estimate(
        steps=steps,
        tokens=tokens * values["epochs"],
        trainable_parameters=trainable,
        memory_bytes=sum(parts.values()),
        memory_parts=parts,
    )
