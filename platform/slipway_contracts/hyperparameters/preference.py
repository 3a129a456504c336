"""What may be set when a model learns from pairs of answers (DPO)."""

from __future__ import annotations

from slipway_contracts.hyperparameters.words import AUTO, HyperParameter


def parameters() -> tuple[HyperParameter, ...]:
    return (
        HyperParameter(
            key="beta",
            type="float",
            default=AUTO,
            auto=True,
            minimum=0,
            maximum=2,
            name={"zh": "β", "en": "Beta"},
            text={
                "zh": "对偏离参考模型的惩罚；越大越接近原模型。",
                "en": "Penalty for leaving the reference model; higher stays closer to it.",
            },
        ),
        HyperParameter(
            key="loss_type",
            type="choice",
            default="sigmoid",
            choices=("sigmoid", "hinge", "ipo"),
            name={"zh": "损失", "en": "Loss"},
            text={
                "zh": "sigmoid 为 DPO 原式；hinge 为 SLiC；ipo 不追求无限大的差距。",
                "en": "sigmoid is DPO's own; hinge is SLiC's; ipo aims at a bounded margin.",
            },
        ),
        HyperParameter(
            key="rpo_alpha",
            type="float",
            default=0.0,
            minimum=0,
            maximum=10,
            name={"zh": "SFT 损失权重", "en": "Weight of the answer's own loss"},
            text={
                "zh": "另加偏好回答的监督损失 × 此权重，防止其概率下降；0 为不加。",
                "en": "Adds the preferred answer's supervised loss times this, which keeps its "
                "likelihood from falling; 0 for none.",
            },
        ),
    )
