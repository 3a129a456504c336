"""Direct preference optimisation: the answer preferred becomes likelier than the other.

[Rafailov et al. 2023]. The reference is the model as the run began: the base, or the adapter
that is trained further.
"""

from __future__ import annotations

import copy
from typing import Any

from trl.trainer.dpo_config import DPOConfig

from slipway_runtime import chats
from slipway_runtime.hosts.context import Context
from slipway_runtime.training import encoded, pairs, session, trainer, weights
from slipway_runtime.training.examples import Encoder


def run(context: Context) -> None:
    """Train as the workload's settings say (see `session.Session`) on rows of pairs."""
    this = session.begin(context, "dpo")
    encoder = Encoder(this.base.tokenizer, weights.stop_ids(this.base.model))
    whole = pairs.encode_pairs(chats.read_pairs(context.input_dir("dataset")), encoder)
    values = this.resolve(rows=len(whole), longest_tokens=max(pair.length for pair in whole))
    rows = encoded.cut(whole, values["max_seq_len"])
    session.tell_losses(context, rows, values["max_seq_len"], lacking="two answers that differ")
    held_out = None
    if context.workload.inputs.get("held_out"):
        judged = pairs.encode_pairs(chats.read_pairs(context.input_dir("held_out")), encoder)
        kept = this.spread(encoded.cut(judged, values["max_seq_len"]).examples)
        held_out = pairs.in_memory(kept) if kept else None
    model = this.model()
    loop = trainer.PairTrainer(
        context,
        epoch_tokens=rows.tokens,
        patience=values["early_stopping_patience"] if held_out else 0,
        model=model,
        ref_model=copy.deepcopy(model) if this.scale == "full" else None,
        args=_arguments(this, held_out=held_out is not None),
        train_dataset=pairs.in_memory(rows.examples),
        eval_dataset=held_out,
        processing_class=this.base.tokenizer,
    )
    if this.scale == "lora" and not this.continues:
        # A new adapter changes nothing yet: the base itself is the reference, at less work.
        model.delete_adapter("ref")
    this.carry_out(loop, told=f"{len(rows.examples)} pairs")
    this.finish(model, metrics=loop.summary(), rows=rows.report())


def _arguments(this: session.Session, *, held_out: bool) -> DPOConfig:
    values: dict[str, Any] = this.values
    alpha = values["rpo_alpha"]
    return DPOConfig(
        **this.arguments(held_out=held_out),
        max_length=values["max_seq_len"],
        beta=values["beta"],
        loss_type=[values["loss_type"], "sft"] if alpha else [values["loss_type"]],
        loss_weights=[1.0, alpha] if alpha else None,
    )
