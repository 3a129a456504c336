"""Supervised fine-tuning, by LoRA or of all weights, on chats: loss on the assistant's turns."""

from __future__ import annotations

import inspect
from typing import Any

import datasets
import transformers
from trl.data_utils import pack_dataset
from trl.trainer.sft_config import SFTConfig

from slipway_runtime import chats
from slipway_runtime.hosts.context import Context
from slipway_runtime.run import BadInput
from slipway_runtime.training import encoded, examples, session, trainer, weights


def run(context: Context) -> None:
    """Train as the workload's settings say (see `session.Session`) on rows of chats."""
    this = session.begin(context, "sft")
    encoder = examples.Encoder(this.base.tokenizer, weights.stop_ids(this.base.model))
    whole = examples.encode(chats.read(context.input_dir("dataset")), encoder)
    values = this.resolve(rows=len(whole), longest_tokens=max(e.length for e in whole))
    rows = encoded.cut(whole, values["max_seq_len"])
    session.tell_losses(
        context, rows, values["max_seq_len"], lacking="no assistant turn of weight 1"
    )
    held_out = None
    if context.workload.inputs.get("held_out"):
        judged = examples.encode(chats.read(context.input_dir("held_out")), encoder)
        kept = this.spread(encoded.cut(judged, values["max_seq_len"]).examples)
        held_out = trainer.in_memory(kept) if kept else None
    train_rows = _train_rows(context, this.base.model, rows, values)
    model = this.model()
    loop = trainer.ChatTrainer(
        context,
        epoch_tokens=rows.tokens,
        patience=values["early_stopping_patience"] if held_out else 0,
        model=model,
        args=SFTConfig(
            **this.arguments(held_out=held_out is not None),
            max_length=values["max_seq_len"],
            packing=values["packing"],
            eval_packing=False,
            dataset_kwargs={"skip_prepare_dataset": True},
        ),
        train_dataset=train_rows,
        eval_dataset=held_out,
        processing_class=this.base.tokenizer,
    )
    this.carry_out(loop, told=f"{len(rows.examples)} examples")
    this.finish(model, metrics=loop.summary(), rows=rows.report())


def _train_rows(
    context: Context,
    model: transformers.PreTrainedModel,
    rows: encoded.Encoded[examples.Example],
    values: dict[str, Any],
) -> datasets.Dataset:
    """The rows to train on; with packing, several in one, kept apart by their position ids."""
    ready = trainer.in_memory(rows.examples)
    if not values["packing"]:
        return ready
    if "position_ids" not in inspect.signature(model.forward).parameters:
        kind = model.config.model_type
        raise BadInput(f"packing = true: {kind} models know no position_ids; set it to false")
    packed = pack_dataset(ready, values["max_seq_len"], "bfd")
    context.log(f"{len(ready)} examples packed into {len(packed)}")
    return packed
