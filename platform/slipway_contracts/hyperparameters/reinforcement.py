"""What may be set when a model learns from the rewards of its own answers (GRPO)."""

from __future__ import annotations

from slipway_contracts.hyperparameters.words import AUTO, HyperParameter


def parameters() -> tuple[HyperParameter, ...]:
    return (
        HyperParameter(
            key="num_generations",
            type="int",
            default=8,
            minimum=2,
            maximum=64,
            name={"zh": "每题回答数", "en": "Answers per question"},
            text={
                "zh": "每个问题采样多少个回答，组内相互比较；batch_size 是问题数。",
                "en": "Answers sampled to each question and compared with each other; batch_size "
                "counts questions.",
            },
        ),
        HyperParameter(
            key="max_new_tokens",
            type="int",
            default=AUTO,
            auto=True,
            minimum=1,
            maximum=32_768,
            name={"zh": "最长回答", "en": "Longest answer"},
            text={
                "zh": "一个回答最多多少词元；与最长问题一起不得超过模型长度。",
                "en": "Tokens of an answer at most; with its question it must fit the model.",
            },
        ),
        HyperParameter(
            key="temperature",
            type="float",
            default=1.0,
            minimum=0.05,
            maximum=2,
            name={"zh": "采样温度", "en": "Temperature"},
            text={
                "zh": "越高回答越多样；组内全相同则学不到东西。",
                "en": "Higher tries more; where all answers to a question are alike, nothing is "
                "learnt.",
            },
        ),
        HyperParameter(
            key="beta",
            type="float",
            default=AUTO,
            auto=True,
            minimum=0,
            maximum=2,
            name={"zh": "KL 系数 β", "en": "KL weight (beta)"},
            text={
                "zh": "对偏离起始模型的惩罚；0 为不惩罚，也不计算 KL。",
                "en": "Penalty for leaving the model it began with; with 0 there is none, and no "
                "KL is told.",
            },
        ),
        HyperParameter(
            key="held_out_samples",
            type="int",
            default=1,
            minimum=1,
            maximum=16,
            name={"zh": "留出集采样数", "en": "Held-out answers per question"},
            text={
                "zh": "评估时每个留出问题采样多少个回答。",
                "en": "Answers sampled to each held-out question when its reward is looked at.",
            },
        ),
    )
