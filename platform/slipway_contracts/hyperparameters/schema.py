"""The list itself: which hyper-parameters a method has at a scale, and within which bounds."""

from __future__ import annotations

from slipway_contracts.hyperparameters import preference
from slipway_contracts.hyperparameters.words import (
    AUTO,
    LEARNING_RATE_CEILING,
    METHODS,
    SCALES,
    HyperParameter,
    Limits,
)


def schema(method: str, scale: str, limits: Limits | None = None) -> tuple[HyperParameter, ...]:
    """The hyper-parameters of a method at a scale, bounded by the model; ValueError if unknown."""
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; there is {', '.join(METHODS)}")
    if scale not in SCALES:
        raise ValueError(f"unknown scale {scale!r}; there are {', '.join(SCALES)}")
    limits = limits or Limits()
    lora = _lora(limits) + (() if limits.adapter_rank else _targets(limits))
    own = {"sft": _sft, "dpo": preference.parameters}[method]
    found = _common(limits) + own() + (lora if scale == "lora" else ())
    # The reference must answer as it is, so nothing is dropped at random where there is one.
    return found if method == "sft" else tuple(p for p in found if p.key != "lora_dropout")


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


def _sft() -> tuple[HyperParameter, ...]:
    return (
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
    )


def _lora(limits: Limits) -> tuple[HyperParameter, ...]:
    return (
        HyperParameter(
            key="lora_rank",
            type="int",
            # An adapter that is trained further keeps its shape.
            default=limits.adapter_rank or 16,
            minimum=limits.adapter_rank or 1,
            maximum=limits.adapter_rank or 512,
            name={"zh": "LoRA 秩", "en": "LoRA rank"},
            text={
                "zh": "低秩矩阵的秩，越大可学的越多。",
                "en": "Rank of the two matrices; more can learn more.",
            },
        ),
        HyperParameter(
            key="lora_alpha",
            type="int",
            default=limits.adapter_alpha or 32,
            minimum=limits.adapter_alpha or 1,
            maximum=limits.adapter_alpha or 2048,
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
    )


def _targets(limits: Limits) -> tuple[HyperParameter, ...]:
    return (
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
