"""What may be set for a training run: one schema per model × method × scale, read by all sides.

The form, the command line, the SDK and the server show and check the same list. A value may be
`"auto"`; `resolve` replaces it by a number and says why. `estimate` is plain arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

METHODS = ("sft",)
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


def schema(method: str, scale: str, limits: Limits | None = None) -> tuple[HyperParameter, ...]:
    """The hyper-parameters of a method at a scale, bounded by the model; ValueError if unknown."""
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; there is {', '.join(METHODS)}")
    if scale not in SCALES:
        raise ValueError(f"unknown scale {scale!r}; there are {', '.join(SCALES)}")
    limits = limits or Limits()
    return _common(limits) + (_lora(limits) if scale == "lora" else ())


def check(
    method: str, scale: str, values: Mapping[str, Any], limits: Limits | None = None
) -> list[Fault]:
    """All faults of the given values, in the order given; missing keys are no fault."""
    known = {parameter.key: parameter for parameter in schema(method, scale, limits)}
    faults = []
    for key, value in values.items():
        if key not in known:
            fix = f"leave it out; known for {method} {scale}: {', '.join(sorted(known))}"
            faults.append(Fault(key=key, rule="unknown key", value=value, fix=fix))
        elif fault := _fault(known[key], value):
            faults.append(fault)
    return faults


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
            chosen[key], why[key] = rule(scale, chosen, facts, limits)
    return Resolved(values=chosen, why=why)


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

    LoRA's T is about r × L × 18 h for all linear layers: r × (inputs + outputs) of each. Against
    peaks measured on a CPU (3.9 M parameters, 4 to 32 rows of 512 tokens): -9 % to +19 %.
    """
    sequence = min(values["max_seq_len"], limits.positions or values["max_seq_len"])
    packed_rows = max(1, math.ceil(tokens / sequence)) if values["packing"] else rows
    steps = values["epochs"] * steps_per_epoch(values, rows=packed_rows, workers=workers)
    trainable = limits.parameters
    if scale == "lora":
        trainable = min(trainable, values["lora_rank"] * limits.layers * 18 * limits.hidden_size)
    at_once = values["batch_size"] * sequence
    kept = limits.layers + 34 if values["gradient_checkpointing"] else 34 * limits.layers
    parts = {
        "weights": limits.parameters * weight_bytes + (4 * trainable if scale == "lora" else 0),
        "gradients": 4 * trainable,
        "optimizer": 8 * trainable,
        "activations": 4 * limits.hidden_size * kept * at_once,
        "logits": 12 * at_once * min(limits.vocabulary_size, 8192),
        "process": 900_000_000,
    }
    return Estimate(
        steps=steps,
        tokens=tokens * values["epochs"],
        trainable_parameters=trainable,
        memory_bytes=sum(parts.values()),
        memory_parts=parts,
    )


def _common(limits: Limits) -> tuple[HyperParameter, ...]:
    return (
        HyperParameter(
            key="epochs",
            type="int",
            default=AUTO,
            auto=True,
            minimum=1,
            maximum=100,
            name={"zh": "训练轮数", "en": "Epochs"},
            text={"zh": "全部数据训练几遍。", "en": "Passes over all rows."},
        ),
        HyperParameter(
            key="batch_size",
            type="int",
            default=AUTO,
            auto=True,
            minimum=1,
            maximum=512,
            name={"zh": "批大小", "en": "Batch size"},
            text={
                "zh": "每个进程一次前向的行数；打包时为打包后的行数。",
                "en": "Rows that one worker takes at a time; with packing, packed rows.",
            },
        ),
        HyperParameter(
            key="gradient_accumulation_steps",
            type="int",
            default=1,
            minimum=1,
            maximum=256,
            name={"zh": "梯度累积步数", "en": "Gradient accumulation"},
            text={
                "zh": "累积多少批后更新一次参数：显存不变，有效批更大。",
                "en": "Batches per optimizer step: a larger effective batch in the same memory.",
            },
        ),
        HyperParameter(
            key="learning_rate",
            type="float",
            default=AUTO,
            auto=True,
            minimum=1e-7,
            maximum=LEARNING_RATE_CEILING,
            name={"zh": "学习率", "en": "Learning rate"},
            text={
                "zh": "每步更新的幅度；过高会发散，过低学不会。",
                "en": "How far each step goes; too high diverges, too low learns nothing.",
            },
        ),
        HyperParameter(
            key="max_seq_len",
            type="int",
            default=AUTO,
            auto=True,
            minimum=32,
            maximum=limits.positions or 131_072,
            name={"zh": "最大序列长度", "en": "Maximum sequence length"},
            text={
                "zh": "一行最多多少词元；超出部分从末尾截断并在报告中列出。",
                "en": "Tokens of a row at most; the rest is cut off at the end and reported.",
            },
        ),
        HyperParameter(
            key="packing",
            type="bool",
            default=False,
            name={"zh": "打包", "en": "Packing"},
            text={
                "zh": "把短行拼到最大长度，互不可见，省去填充。",
                "en": "Fill sequences with short rows, unseen by each other: no padding.",
            },
        ),
        HyperParameter(
            key="lr_scheduler_type",
            type="choice",
            default="cosine",
            choices=("cosine", "linear", "constant", "constant_with_warmup"),
            name={"zh": "学习率调度", "en": "Learning rate schedule"},
            text={
                "zh": "学习率如何随步数变化。",
                "en": "How the learning rate changes over the steps.",
            },
        ),
        HyperParameter(
            key="warmup_ratio",
            type="float",
            default=0.05,
            minimum=0,
            maximum=0.5,
            name={"zh": "预热比例", "en": "Warm-up ratio"},
            text={
                "zh": "学习率从零升到设定值所用步数的比例。",
                "en": "Share of the steps in which the learning rate rises from zero.",
            },
        ),
        HyperParameter(
            key="weight_decay",
            type="float",
            default=0.0,
            minimum=0,
            maximum=1,
            name={"zh": "权重衰减", "en": "Weight decay"},
            text={"zh": "AdamW 的正则化系数。", "en": "AdamW's regularisation."},
        ),
        HyperParameter(
            key="max_grad_norm",
            type="float",
            default=1.0,
            minimum=0,
            maximum=100,
            name={"zh": "梯度裁剪", "en": "Gradient clipping"},
            text={
                "zh": "梯度范数上限；0 为不裁剪。",
                "en": "Upper bound of the gradient's norm; 0 for none.",
            },
        ),
        HyperParameter(
            key="precision",
            type="choice",
            default=AUTO,
            auto=True,
            choices=("float32", "bfloat16"),
            name={"zh": "计算精度", "en": "Precision"},
            text={
                "zh": "矩阵运算的精度；参数更新始终为 float32。",
                "en": "Precision of matrix products; updates are always in float32.",
            },
        ),
        HyperParameter(
            key="gradient_checkpointing",
            type="bool",
            default=AUTO,
            auto=True,
            name={"zh": "梯度检查点", "en": "Gradient checkpointing"},
            text={
                "zh": "反向时重算激活：省内存，慢约三分之一。",
                "en": "Compute activations again going back: less memory, a third slower.",
            },
        ),
        HyperParameter(
            key="logging_steps",
            type="int",
            default=AUTO,
            auto=True,
            minimum=1,
            maximum=10_000,
            name={"zh": "日志间隔", "en": "Logging steps"},
            text={"zh": "每多少步记录一次指标。", "en": "Steps between two points of the curves."},
        ),
        HyperParameter(
            key="save_strategy",
            type="choice",
            default="epoch",
            choices=("epoch", "steps", "no"),
            name={"zh": "检查点策略", "en": "Checkpoints"},
            text={
                "zh": "何时保存检查点并评估留出集：每轮、每若干步，或不保存（留出集仍每轮评估）。",
                "en": "When to checkpoint and judge held-out rows: each epoch, each save_steps, "
                "or never (held-out rows are still judged each epoch).",
            },
        ),
        HyperParameter(
            key="save_steps",
            type="int",
            default=100,
            minimum=1,
            maximum=100_000,
            name={"zh": "检查点间隔", "en": "Steps per checkpoint"},
            text={
                "zh": "save_strategy 为 steps 时有效。",
                "en": "Used when save_strategy is steps.",
            },
        ),
        HyperParameter(
            key="held_out_rows",
            type="int",
            default=AUTO,
            auto=True,
            minimum=1,
            maximum=100_000,
            name={"zh": "留出集行数", "en": "Held-out rows"},
            text={
                "zh": "训练中每次最多用多少行（均匀抽取）计算留出集损失。",
                "en": "Rows, evenly spread, that each look at the held-out loss takes at most.",
            },
        ),
        HyperParameter(
            key="early_stopping_patience",
            type="int",
            default=0,
            minimum=0,
            maximum=100,
            name={"zh": "早停耐心", "en": "Early stopping patience"},
            text={
                "zh": "留出集损失连续多少次没有改善就停止；0 为不早停。",
                "en": "Stop after so many looks at the held-out loss without a gain; 0 for never.",
            },
        ),
    )


def _lora(limits: Limits) -> tuple[HyperParameter, ...]:
    return (
        HyperParameter(
            key="lora_rank",
            type="int",
            default=16,
            minimum=1,
            maximum=512,
            name={"zh": "LoRA 秩", "en": "LoRA rank"},
            text={
                "zh": "低秩矩阵的秩，越大可学的越多。",
                "en": "Rank of the two matrices; more can learn more.",
            },
        ),
        HyperParameter(
            key="lora_alpha",
            type="int",
            default=32,
            minimum=1,
            maximum=2048,
            name={"zh": "LoRA α", "en": "LoRA alpha"},
            text={"zh": "缩放为 α / 秩。", "en": "The update is scaled by alpha / rank."},
        ),
        HyperParameter(
            key="lora_dropout",
            type="float",
            default=0.0,
            minimum=0,
            maximum=0.9,
            name={"zh": "LoRA 丢弃率", "en": "LoRA dropout"},
            text={"zh": "训练时随机丢弃的比例。", "en": "Share dropped at random while training."},
        ),
        HyperParameter(
            key="lora_targets",
            type="string",
            default="all-linear",
            choices=limits.target_modules,
            name={"zh": "LoRA 目标层", "en": "LoRA targets"},
            text={
                "zh": "all-linear 为除输出层外的全部线性层，或层名列表。",
                "en": "all-linear (every linear layer but the output), or a list of layer names.",
            },
        ),
    )


def _fault(parameter: HyperParameter, value: Any) -> Fault | None:
    """The first rule that the value breaks."""
    if parameter.auto and value == AUTO:
        return None
    or_auto = ' or "auto"' if parameter.auto else ""

    def refuse(rule: str, fix: str) -> Fault:
        return Fault(key=parameter.key, rule=rule, value=value, fix=fix + or_auto)

    if parameter.key == "lora_targets":
        return _target_fault(parameter, value, refuse)
    if parameter.type == "choice":
        if value in parameter.choices:
            return None
        return refuse("not a choice", "one of " + ", ".join(map(str, parameter.choices)))
    if parameter.type == "bool":
        return None if isinstance(value, bool) else refuse("not a boolean", "true or false")
    # A bool is an int to Python; to a user it is not.
    accepted = int if parameter.type == "int" else (int, float)
    if isinstance(value, bool) or not isinstance(value, accepted):
        kind = "a whole number" if parameter.type == "int" else "a number"
        return refuse(f"not {kind}", f"{kind} such as {_example(parameter)}")
    low, high = parameter.minimum, parameter.maximum
    if not math.isfinite(value) or (low is not None and value < low):
        return refuse("out of range", f"from {low:g} to {high:g}")
    if high is not None and value > high:
        return refuse("out of range", f"from {low:g} to {high:g}")
    return None


def _target_fault(parameter: HyperParameter, value: Any, refuse: Any) -> Fault | None:
    if value == "all-linear":
        return None
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        return refuse("not a list of layers", '"all-linear" or a list of layer names')
    for name in value:
        if not isinstance(name, str) or (parameter.choices and name not in parameter.choices):
            listed = ", ".join(map(str, parameter.choices)) or "layer names"
            return refuse(f"no such layer: {name!r}", f'"all-linear" or some of {listed}')
    return None


def _example(parameter: HyperParameter) -> Any:
    return parameter.minimum if parameter.default == AUTO else parameter.default


def _epochs(_scale: str, values: dict[str, Any], facts: Facts, limits: Limits) -> tuple[int, Text]:
    small = limits.parameters < SMALL_PARAMETERS
    steps, most = (150, 15) if small else (100, 5)
    per_epoch = math.ceil(facts.rows / (values["batch_size"] * facts.workers))
    epochs = max(1, min(most, math.ceil(steps / max(1, per_epoch))))
    size = _size(limits)
    return epochs, {
        "zh": f"{facts.rows} 行、每批 {values['batch_size']} 行，{size['zh']}："
        f"约 {steps} 步，最多 {most} 轮",
        "en": f"{facts.rows} rows in batches of {values['batch_size']}, {size['en']}: "
        f"about {steps} steps, {most} epochs at most",
    }


def _batch_size(
    _scale: str, _values: dict[str, Any], facts: Facts, limits: Limits
) -> tuple[int, Text]:
    most = 16 if limits.parameters < LARGE_PARAMETERS else 8
    size = max(1, min(most, facts.rows // (10 * facts.workers)))
    return size, {
        "zh": f"{facts.rows} 行、{facts.workers} 个进程：每轮至少 10 步，每批最多 {most} 行",
        "en": f"{facts.rows} rows over {facts.workers} workers: "
        f"at least 10 steps an epoch, at most {most} rows a batch",
    }


def _learning_rate(
    scale: str, _values: dict[str, Any], _facts: Facts, limits: Limits
) -> tuple[float, Text]:
    by_size = {"lora": (2e-3, 5e-4, 2e-4), "full": (3e-4, 5e-5, 1e-5)}[scale]
    bound = (SMALL_PARAMETERS, LARGE_PARAMETERS)
    rate = by_size[sum(limits.parameters >= b for b in bound)]
    size = _size(limits)
    return rate, {
        "zh": f"{size['zh']}，{'LoRA' if scale == 'lora' else '全参'}：常用 {rate:g}",
        "en": f"{size['en']}, {'LoRA' if scale == 'lora' else 'full update'}: {rate:g} is usual",
    }


def _max_seq_len(
    _scale: str, _values: dict[str, Any], facts: Facts, limits: Limits
) -> tuple[int, Text]:
    longest = math.ceil((facts.longest_tokens or 2048) / 64) * 64
    length = max(32, min(longest, limits.positions or 4096, 4096))
    return length, {
        "zh": f"最长一行 {facts.longest_tokens} 词元，"
        f"模型最多 {limits.positions or '未知'}，上限 4096",
        "en": f"the longest row has {facts.longest_tokens} tokens, "
        f"the model takes {limits.positions or 'unknown'}, at most 4096",
    }


def _logging_steps(
    _scale: str, values: dict[str, Any], facts: Facts, _limits: Limits
) -> tuple[int, Text]:
    steps = values["epochs"] * steps_per_epoch(values, rows=facts.rows, workers=facts.workers)
    every = max(1, steps // 500)
    return every, {
        "zh": f"约 {steps} 步：曲线不超过约 500 点",
        "en": f"about {steps} steps: a curve of some 500 points at most",
    }


def _held_out_rows(
    _scale: str, _values: dict[str, Any], facts: Facts, _limits: Limits
) -> tuple[int, Text]:
    rows = max(32, min(1000, facts.rows // 2))
    return rows, {
        "zh": f"训练集 {facts.rows} 行的一半（32–1000）：评估约占训练时间的六分之一",
        "en": f"half of the {facts.rows} training rows (32 to 1000): "
        "judging takes about a sixth of the time",
    }


def _precision(
    _scale: str, _values: dict[str, Any], facts: Facts, _limits: Limits
) -> tuple[str, Text]:
    if facts.gpus:
        return "bfloat16", {"zh": "在 GPU 上训练", "en": "trains on GPUs"}
    return "float32", {"zh": "在 CPU 上训练", "en": "trains on the CPU"}


def _gradient_checkpointing(
    _scale: str, _values: dict[str, Any], _facts: Facts, limits: Limits
) -> tuple[bool, Text]:
    size = _size(limits)
    large = limits.parameters >= LARGE_PARAMETERS
    return large, {
        "zh": f"{size['zh']}：{'激活占内存多' if large else '内存足够'}",
        "en": f"{size['en']}: {'activations take much memory' if large else 'memory suffices'}",
    }


_AUTO = {
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
