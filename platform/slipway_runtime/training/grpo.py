"""Reinforcement by rewards: answers are tried, and those better than their group become likelier.

Group relative policy optimisation [Shao et al. 2024]: the model answers each question several
times, a grader rewards each answer, and the difference to the group's mean says how to go on. KL
is towards the model as the run began.
"""

from __future__ import annotations

import json
from typing import Any

import datasets
from trl.trainer.grpo_config import GRPOConfig

from slipway_runtime import chats
from slipway_runtime.hosts.context import Context
from slipway_runtime.run import BadInput
from slipway_runtime.training import rewards, session, trainer, weights
from slipway_runtime.training.examples import Encoder


def run(context: Context) -> None:
    """Train as the workload's settings say (see `session.Session`) on questions.

    Settings besides: `grader`, in the form of the API.
    """
    this = session.begin(context, "grpo")
    reward = rewards.Rewards(context.workload.settings.get("grader"))
    encoder = Encoder(this.base.tokenizer, weights.stop_ids(this.base.model))
    asked = _questions(context, "dataset", encoder)
    lengths = [
        len(ids) for ids in this.base.tokenizer(list(asked["prompt"]), **_PLAIN)["input_ids"]
    ]
    values = this.resolve(rows=len(asked), longest_tokens=max(lengths))
    kept = _that_fit(this, asked, lengths)
    groups = values["batch_size"] * values["gradient_accumulation_steps"] * context.world_size
    if groups > len(kept):
        raise BadInput(
            f"{groups} questions a step (batch_size × gradient_accumulation_steps × workers) are "
            f"more than the {len(kept)} there are; lower batch_size"
        )
    held_out = None
    if context.workload.inputs.get("held_out"):
        judged = _questions(context, "held_out", encoder)
        held_out = judged.select(this.spread(range(len(judged))))
    model = this.model()
    if this.scale == "full" and this.adapter is not None:
        # The trainer reads its reference from where the model came from.
        model.config._name_or_path = str(context.scratch / "reference")
        model.save_pretrained(model.config._name_or_path)
    loop = trainer.RewardTrainer(
        context,
        epoch_tokens=0,
        patience=0,
        model=model,
        reward_funcs=reward,
        args=_arguments(this, held_out=held_out is not None),
        train_dataset=kept,
        eval_dataset=held_out,
        processing_class=this.base.tokenizer,
    )
    try:
        this.carry_out(
            loop, told=f"{len(kept)} questions, {values['num_generations']} answers to each"
        )
    finally:
        reward.close()
    rows = {"rows": len(asked), "examples": len(kept), "dropped_rows": len(asked) - len(kept)}
    this.finish(model, metrics=loop.summary(), rows=rows)


#: A template has written whatever stands before the first message.
_PLAIN = {"add_special_tokens": False, "verbose": False}


def _questions(context: Context, role: str, encoder: Encoder) -> datasets.Dataset:
    rows = chats.read_prompts(context.input_dir(role))
    return datasets.Dataset.from_dict(
        {
            "prompt": [encoder.asked(row.question) for row in rows],
            "item": [json.dumps(row.item, ensure_ascii=False) for row in rows],
            "line": [row.question.line for row in rows],
        }
    )


def _that_fit(
    this: session.Session, asked: datasets.Dataset, lengths: list[int]
) -> datasets.Dataset:
    """The questions that leave room for an answer; a warning names the others."""
    positions = this.limits.positions
    room = positions - this.values["max_new_tokens"] if positions else max(lengths)
    fit = [index for index, length in enumerate(lengths) if length <= room]
    if not fit:
        raise BadInput(
            f"no question leaves room for an answer of max_new_tokens = "
            f"{this.values['max_new_tokens']}; the model takes {positions} tokens"
        )
    if len(fit) < len(lengths):
        lines = [asked["line"][i] for i, length in enumerate(lengths) if length > room]
        first = ", ".join(map(str, lines[:20]))
        this.context.warn(
            f"{len(lines)} questions left out: with an answer they are longer than the "
            f"{positions} tokens that the model takes; first lines: {first}"
        )
    return asked.select(fit)


def _arguments(this: session.Session, *, held_out: bool) -> GRPOConfig:
    values: dict[str, Any] = this.values
    shared = this.arguments(held_out=held_out)
    return GRPOConfig(
        **shared
        | {
            "per_device_train_batch_size": values["batch_size"] * values["num_generations"],
            "per_device_eval_batch_size": values["batch_size"] * values["held_out_samples"],
        },
        num_generations=values["num_generations"],
        num_generations_eval=values["held_out_samples"],
        max_completion_length=values["max_new_tokens"],
        temperature=values["temperature"],
        beta=values["beta"],
    )
