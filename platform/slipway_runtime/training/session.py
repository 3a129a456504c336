"""What every method of training shares: the model it starts from, its options, its end."""

from __future__ import annotations

import dataclasses
import gc
import importlib.metadata
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import peft
import torch
import transformers

from slipway_contracts import hyperparameters
from slipway_runtime.hosts.context import Context
from slipway_runtime.run import BadInput, Diverged
from slipway_runtime.training import weights
from slipway_runtime.training.encoded import Encoded

_Row = TypeVar("_Row")
LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "tokenizers", "safetensors")


@dataclasses.dataclass(kw_only=True)
class Session:
    """One run of a method: what it was asked, and the model it starts from.

    Settings of the workload: `method`, `scale` ("lora" | "full"), `hyperparameters` (see the
    contract), `seed`, `threads` (CPU threads; default: the cores this process may use). Inputs:
    `base` and `dataset`, optionally `adapter` (upon the base, trained further) and `held_out`.
    On a CPU equal settings give equal bytes, resumed or not.
    """

    context: Context
    method: str
    scale: str
    seed: int
    threads: int
    on_gpu: bool
    base: weights.Base
    limits: hyperparameters.Limits
    #: Of the adapter that is trained further.
    adapter: Path | None
    started: float
    #: Final once `resolve` was called.
    values: dict[str, Any] = dataclasses.field(default_factory=dict)
    why: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def continues(self) -> bool:
        return self.adapter is not None and self.scale == "lora"

    def resolve(self, *, rows: int, longest_tokens: int) -> dict[str, Any]:
        """Every value of the schema, none "auto"; BadInput names what cannot be used."""
        given = _given(self.context)
        faults = hyperparameters.check(self.method, self.scale, given, self.limits)
        if faults:
            told = "; ".join(f"{f.key} = {f.value!r}: {f.rule}, allowed: {f.fix}" for f in faults)
            raise BadInput(f"hyper-parameters: {told}")
        facts = hyperparameters.Facts(
            rows=rows,
            longest_tokens=longest_tokens,
            workers=self.context.world_size,
            gpus=int(self.on_gpu),
        )
        resolved = hyperparameters.resolve(
            self.method, self.scale, given, facts=facts, limits=self.limits
        )
        self.values, self.why = resolved.values, resolved.why
        return self.values

    def model(self) -> Any:
        """What is trained: the adapter given or a new one upon the base, or all weights."""
        model: Any = self.base.model
        if self.adapter is None:
            if self.scale == "full":
                return model
            return weights.add_lora(
                model, self.values, base_name=self.context.workload.inputs["base"]
            )
        wrapped = weights.open_lora(model, self.adapter)
        if self.continues:
            return wrapped
        merged = wrapped.merge_and_unload()
        merged.requires_grad_()
        return merged

    def arguments(self, *, held_out: bool) -> dict[str, Any]:
        """Our words in those of any trainer."""
        values = self.values
        by_steps = values["save_strategy"] == "steps"
        return {
            "output_dir": str(self.context.scratch / "trainer"),
            "num_train_epochs": values["epochs"],
            "per_device_train_batch_size": values["batch_size"],
            "per_device_eval_batch_size": values["batch_size"],
            "gradient_accumulation_steps": values["gradient_accumulation_steps"],
            "activation_checkpointing": values["gradient_checkpointing"],
            "learning_rate": values["learning_rate"],
            "lr_scheduler_type": values["lr_scheduler_type"],
            "warmup_steps": values["warmup_ratio"],
            "weight_decay": values["weight_decay"],
            "max_grad_norm": values["max_grad_norm"],
            "bf16": values["precision"] == "bfloat16",
            "logging_steps": values["logging_steps"],
            # What is no number must be seen, not averaged away.
            "logging_nan_inf_filter": False,
            "eval_strategy": ("steps" if by_steps else "epoch") if held_out else "no",
            "eval_steps": values["save_steps"],
            "save_strategy": values["save_strategy"],
            "save_steps": values["save_steps"],
            "prediction_loss_only": True,
            "use_cpu": not self.on_gpu,
            "dataloader_pin_memory": self.on_gpu,
            "seed": self.seed,
            "data_seed": self.seed,
            "report_to": "none",
            "disable_tqdm": True,
            "ddp_find_unused_parameters": False,
        }

    def spread(self, rows: Sequence[_Row]) -> Sequence[_Row]:
        """Held-out rows as many as are looked at, evenly spread."""
        return rows[:: math.ceil(len(rows) / self.values["held_out_rows"])] if rows else rows

    def carry_out(self, loop: Any, *, told: str) -> None:
        """Train from the newest checkpoint if there is one; Diverged if nothing usable is left."""
        checkpoint = self.context.latest_checkpoint()
        begins = f"resuming at step {checkpoint.step}" if checkpoint else "training"
        self.context.stage(f"{begins}: {told}, {self.values['epochs']} epochs")
        # The trainer collects garbage before it starts: 0.4 s over what was imported, which is
        # none.
        gc.freeze()
        try:
            loop.train(resume_from_checkpoint=str(checkpoint.directory) if checkpoint else None)
        finally:
            gc.unfreeze()
        if not weights.are_finite(loop.model):
            raise Diverged(f"weights are no numbers after step {loop.state.global_step}")

    def finish(self, model: Any, *, metrics: dict[str, float], rows: dict[str, Any]) -> None:
        """Store what was learnt, and the report of how."""
        self.context.stage("storing the result")
        trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
        if not isinstance(model, peft.PeftModel):
            model.to(self.base.stored_dtype)
        artifact = self.context.scratch / "artifact"
        if self.context.rank == 0:
            weights.save(model, self.base.tokenizer, artifact)
        self.context.finish(
            artifact,
            metrics=metrics | {"seconds": time.monotonic() - self.started},
            details={
                "method": self.method,
                "scale": self.scale,
                "seed": self.seed,
                "threads": self.threads,
                "device": "cuda" if self.on_gpu else "cpu",
                "hyperparameters": self.values,
                "why": self.why,
                "rows": rows,
                "trainable_parameters": trainable,
                "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
            },
        )


def _given(context: Context) -> dict[str, Any]:
    return dict(context.workload.settings.get("hyperparameters") or {})


def begin(context: Context, method: str) -> Session:
    """Seed everything and load the base; the rows are read next."""
    started = time.monotonic()
    settings = context.workload.settings
    scale, seed = settings["scale"], int(settings.get("seed", 0))
    threads = int(settings.get("threads") or len(os.sched_getaffinity(0)))
    torch.set_num_threads(threads)
    transformers.set_seed(seed)
    context.stage("loading the base model")
    on_gpu = context.workload.gpus > 0 and torch.cuda.is_available()
    # Under LoRA the base only takes part in products; full weights are updated in float32.
    half = on_gpu and scale == "lora" and _given(context).get("precision") != "float32"
    base = weights.load_base(context.input_dir("base"), torch.bfloat16 if half else torch.float32)
    adapter = context.input_dir("adapter") if context.workload.inputs.get("adapter") else None
    session = Session(
        context=context,
        method=method,
        scale=scale,
        seed=seed,
        threads=threads,
        on_gpu=on_gpu,
        base=base,
        limits=limits_of(base.model, adapter if scale == "lora" else None),
        adapter=adapter,
        started=started,
    )
    context.stage("reading the rows")
    return session


def limits_of(
    model: transformers.PreTrainedModel, adapter: Path | None = None
) -> hyperparameters.Limits:
    """What the model bounds, read from its configuration and layers, and the adapter's shape."""
    config = model.config.get_text_config()
    shape: Any = peft.PeftConfig.from_pretrained(adapter) if adapter else None
    return hyperparameters.Limits(
        parameters=model.num_parameters(),
        positions=getattr(config, "max_position_embeddings", None) or 0,
        hidden_size=config.hidden_size,
        layers=config.num_hidden_layers,
        vocabulary_size=config.vocab_size,
        adapter_rank=max([shape.r, *(shape.rank_pattern or {}).values()]) if shape else 0,
        adapter_alpha=int(shape.lora_alpha) if shape else 0,
    )


def tell_losses(context: Context, encoded: Encoded[Any], length: int, *, lacking: str) -> None:
    """Warn of what was cut off; BadInput if nothing is left to learn from."""
    if not encoded.examples:
        raise BadInput(
            f"none of the {encoded.rows} rows has anything to learn: {lacking} "
            f"within max_seq_len = {length} tokens"
        )
    if encoded.lines:
        context.warn(
            f"{encoded.truncated_rows} rows cut to {length} tokens ({encoded.truncated_tokens} "
            f"tokens lost), {encoded.dropped_rows} left out since nothing to learn remains; "
            f"first lines: {', '.join(map(str, encoded.lines))}"
        )
