"""Supervised fine-tuning, by LoRA or of all weights, on chats: loss on the assistant's turns."""

from __future__ import annotations

import dataclasses
import gc
import importlib.metadata
import inspect
import math
import os
import time
from typing import Any

import datasets
import torch
import transformers
from trl.data_utils import pack_dataset
from trl.trainer.sft_config import SFTConfig

from slipway_contracts import hyperparameters
from slipway_runtime import chats
from slipway_runtime.hosts.context import Context
from slipway_runtime.run import BadInput, Diverged
from slipway_runtime.training import examples, trainer, weights

LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "tokenizers", "safetensors")


def run(context: Context) -> None:
    """Train as the workload's settings say, from the newest checkpoint if there is one.

    Settings: `scale` ("lora" | "full"), `hyperparameters` (see the contract), `seed`, `threads`
    (CPU threads; default: the cores this process may use). Inputs: `base` and `dataset`,
    optionally `held_out`. On a CPU equal settings give equal bytes, resumed or not.
    """
    started = time.monotonic()
    settings = context.workload.settings
    scale, seed = settings["scale"], int(settings.get("seed", 0))
    threads = int(settings.get("threads") or len(os.sched_getaffinity(0)))
    torch.set_num_threads(threads)
    transformers.set_seed(seed)

    context.stage("loading the base model")
    given = dict(settings.get("hyperparameters") or {})
    on_gpu = _on_gpu(context)
    # Under LoRA the base only takes part in products; full weights are updated in float32.
    half = on_gpu and scale == "lora" and given.get("precision") != "float32"
    base = weights.load_base(context.input_dir("base"), torch.bfloat16 if half else torch.float32)
    context.stage("reading the rows")
    data = _data(context, given, base)
    model: Any = base.model
    if scale == "lora":
        model = weights.add_lora(model, data.values, base_name=context.workload.inputs["base"])
    loop = trainer.Trainer(
        context,
        epoch_tokens=data.encoded.tokens,
        patience=data.values["early_stopping_patience"] if data.held_out else 0,
        model=model,
        args=_arguments(context, data, seed=seed),
        train_dataset=data.train,
        eval_dataset=data.held_out,
        processing_class=base.tokenizer,
    )
    checkpoint = context.latest_checkpoint()
    told = f"resuming at step {checkpoint.step}" if checkpoint else "training"
    context.stage(f"{told}: {len(data.encoded.examples)} examples, {data.values['epochs']} epochs")
    # The trainer collects garbage before it starts: 0.4 s over what was imported, which is none.
    gc.freeze()
    try:
        loop.train(resume_from_checkpoint=str(checkpoint.directory) if checkpoint else None)
    finally:
        gc.unfreeze()
    if not weights.are_finite(model):
        raise Diverged(f"weights are no numbers after step {loop.state.global_step}")

    context.stage("storing the result")
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if scale == "full":
        model.to(base.stored_dtype)
    artifact = context.scratch / "artifact"
    if context.rank == 0:
        weights.save(model, base.tokenizer, artifact)
    seconds = time.monotonic() - started
    context.finish(
        artifact,
        metrics=_metrics(loop, seconds=seconds),
        details={
            "method": "sft",
            "scale": scale,
            "seed": seed,
            "threads": threads,
            "device": "cuda" if on_gpu else "cpu",
            "hyperparameters": data.values,
            "why": data.why,
            "rows": data.encoded.report(),
            "trainable_parameters": trainable,
            "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        },
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Data:
    """The final hyper-parameters and the rows as they are trained on."""

    values: dict[str, Any]
    why: dict[str, Any]
    encoded: examples.Encoded
    train: datasets.Dataset
    held_out: datasets.Dataset | None


def _on_gpu(context: Context) -> bool:
    return context.workload.gpus > 0 and torch.cuda.is_available()


def limits_of(model: transformers.PreTrainedModel) -> hyperparameters.Limits:
    """What the model bounds, read from its configuration and layers."""
    config = model.config.get_text_config()
    return hyperparameters.Limits(
        parameters=model.num_parameters(),
        positions=getattr(config, "max_position_embeddings", None) or 0,
        hidden_size=config.hidden_size,
        layers=config.num_hidden_layers,
        vocabulary_size=config.vocab_size,
    )


def _data(context: Context, given: dict[str, Any], base: weights.Base) -> _Data:
    """Check and resolve the hyper-parameters; encode the rows at the length they say."""
    method, scale = "sft", context.workload.settings["scale"]
    limits = limits_of(base.model)
    if faults := hyperparameters.check(method, scale, given, limits):
        told = "; ".join(f"{f.key} = {f.value!r}: {f.rule}, allowed: {f.fix}" for f in faults)
        raise BadInput(f"hyper-parameters: {told}")
    encoder = examples.Encoder(base.tokenizer, weights.stop_ids(base.model))
    whole = examples.encode(chats.read(context.input_dir("dataset")), encoder)
    facts = hyperparameters.Facts(
        rows=len(whole),
        longest_tokens=max(len(example.input_ids) for example in whole),
        workers=context.world_size,
        gpus=int(_on_gpu(context)),
    )
    resolved = hyperparameters.resolve(method, scale, given, facts=facts, limits=limits)
    values = resolved.values
    encoded = examples.cut(whole, values["max_seq_len"])
    _tell_losses(context, encoded, values["max_seq_len"])
    held_out = None
    if context.workload.inputs.get("held_out"):
        rows = chats.read(context.input_dir("held_out"))
        judged = examples.cut(examples.encode(rows, encoder), values["max_seq_len"]).examples
        every = math.ceil(len(judged) / values["held_out_rows"])
        held_out = trainer.in_memory(judged[::every]) if judged else None
    return _Data(
        values=values,
        why=resolved.why,
        encoded=encoded,
        train=_train_rows(context, base.model, encoded, values),
        held_out=held_out,
    )


def _tell_losses(context: Context, encoded: examples.Encoded, length: int) -> None:
    """Warn of what was cut off; BadInput if nothing is left to learn from."""
    if not encoded.examples:
        raise BadInput(
            f"none of the {encoded.rows} rows has anything to learn: no assistant turn of weight 1 "
            f"within max_seq_len = {length} tokens"
        )
    if encoded.lines:
        context.warn(
            f"{encoded.truncated_rows} rows cut to {length} tokens ({encoded.truncated_tokens} "
            f"tokens lost), {encoded.dropped_rows} left out since nothing to learn remains; "
            f"first lines: {', '.join(map(str, encoded.lines))}"
        )


def _train_rows(
    context: Context,
    model: transformers.PreTrainedModel,
    encoded: examples.Encoded,
    values: dict[str, Any],
) -> datasets.Dataset:
    """The rows to train on; with packing, several in one, kept apart by their position ids."""
    rows = trainer.in_memory(encoded.examples)
    if not values["packing"]:
        return rows
    if "position_ids" not in inspect.signature(model.forward).parameters:
        kind = model.config.model_type
        raise BadInput(f"packing = true: {kind} models know no position_ids; set it to false")
    packed = pack_dataset(rows, values["max_seq_len"], "bfd")
    context.log(f"{len(rows)} examples packed into {len(packed)}")
    return packed


def _arguments(context: Context, data: _Data, *, seed: int) -> SFTConfig:
    """Our words in the trainer's."""
    values = data.values
    by_steps = values["save_strategy"] == "steps"
    on_gpu = _on_gpu(context)
    return SFTConfig(
        output_dir=str(context.scratch / "trainer"),
        num_train_epochs=values["epochs"],
        per_device_train_batch_size=values["batch_size"],
        per_device_eval_batch_size=values["batch_size"],
        gradient_accumulation_steps=values["gradient_accumulation_steps"],
        activation_checkpointing=values["gradient_checkpointing"],
        learning_rate=values["learning_rate"],
        lr_scheduler_type=values["lr_scheduler_type"],
        warmup_steps=values["warmup_ratio"],
        weight_decay=values["weight_decay"],
        max_grad_norm=values["max_grad_norm"],
        bf16=values["precision"] == "bfloat16",
        max_length=values["max_seq_len"],
        packing=values["packing"],
        eval_packing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        logging_steps=values["logging_steps"],
        # What is no number must be seen, not averaged away.
        logging_nan_inf_filter=False,
        eval_strategy=("steps" if by_steps else "epoch") if data.held_out else "no",
        eval_steps=values["save_steps"],
        save_strategy=values["save_strategy"],
        save_steps=values["save_steps"],
        prediction_loss_only=True,
        use_cpu=not on_gpu,
        dataloader_pin_memory=on_gpu,
        seed=seed,
        data_seed=seed,
        report_to="none",
        disable_tqdm=True,
        ddp_find_unused_parameters=False,
    )


def _metrics(loop: trainer.Trainer, *, seconds: float) -> dict[str, float]:
    """The run in a few numbers; `train_loss` is the mean of the last epoch."""
    state = loop.state
    losses = [(e["epoch"], e["loss"]) for e in state.log_history if "loss" in e]
    last = [loss for epoch, loss in losses if epoch > losses[-1][0] - 1]
    found = {
        "train_loss": sum(last) / len(last),
        "steps": float(state.global_step),
        "tokens": float(loop.tokens),
        "tokens_per_second": loop.tokens_per_second,
        "seconds": seconds,
    }
    if held_out := trainer.held_out_losses(state):
        best_step, best = min(held_out, key=lambda pair: pair[1])
        found |= {
            "held_out_loss": held_out[-1][1],
            "best_held_out_loss": best,
            "best_step": float(best_step),
        }
    return found
