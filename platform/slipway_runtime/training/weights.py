"""Loads the base model for training and writes what was learnt, safetensors and JSON only."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft
import safetensors.torch
import torch
import transformers

from slipway_runtime.run import BadInput

ADAPTER = "default"

transformers.utils.logging.disable_progress_bar()


@dataclass(frozen=True)
class Base:
    """What a run starts from."""

    model: transformers.PreTrainedModel
    tokenizer: transformers.PreTrainedTokenizerBase
    #: The dtype the weights are stored in.
    stored_dtype: torch.dtype


def load_base(directory: Path, dtype: torch.dtype) -> Base:
    """The model in `dtype` and its tokenizer; BadInput says what is wrong.

    Only safetensors are read and no code of the model's is run.
    """
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(directory, trust_remote_code=False)
        config = transformers.AutoConfig.from_pretrained(directory, trust_remote_code=False)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            directory, dtype=dtype, use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"the base model cannot be loaded: {error}") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return Base(model, tokenizer, config.dtype or torch.float32)


def stop_ids(model: transformers.PreTrainedModel) -> list[int]:
    """The tokens at which generation ends, as the model's own configuration says."""
    ids = model.generation_config.eos_token_id if model.generation_config else None
    return [] if ids is None else [ids] if isinstance(ids, int) else list(ids)


def add_lora(
    model: transformers.PreTrainedModel, values: dict[str, Any], *, base_name: str
) -> peft.PeftModel:
    """Wrap the model; the adapter is float32 whatever the base. BadInput for unknown layers."""
    targets: str | Sequence[str] = values["lora_targets"]
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=values["lora_rank"],
        lora_alpha=values["lora_alpha"],
        lora_dropout=values.get("lora_dropout", 0.0),
        target_modules=targets if isinstance(targets, str) else list(targets),
    )
    try:
        with warnings.catch_warnings():
            # PEFT asks under a name that transformers is about to retire.
            warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`")
            wrapped = peft.get_peft_model(model, config, adapter_name=ADAPTER)
    except ValueError as error:
        linear = {
            name.rpartition(".")[2]
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.Linear)
        }
        raise BadInput(
            f"lora_targets {targets}: the model has no such layer; it has "
            f"{', '.join(sorted(linear))}"
        ) from error
    wrapped.peft_config[ADAPTER].base_model_name_or_path = base_name
    return wrapped


def open_lora(model: transformers.PreTrainedModel, directory: Path) -> peft.PeftModel:
    """Lay an adapter upon the model, to be trained further; BadInput if it does not fit."""
    try:
        with warnings.catch_warnings():
            # PEFT asks under a name that transformers is about to retire.
            warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`")
            return peft.PeftModel.from_pretrained(
                model, directory, adapter_name=ADAPTER, is_trainable=True
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput(f"the adapter cannot be laid upon the base model: {error}") from error


def save(
    model: transformers.PreTrainedModel | peft.PeftModel,
    tokenizer: transformers.PreTrainedTokenizerBase,
    directory: Path,
) -> None:
    """An adapter as PEFT reads it, or a whole model with its tokenizer."""
    directory.mkdir(parents=True, exist_ok=True)
    if not isinstance(model, peft.PeftModel):
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)
        return
    state = peft.get_peft_model_state_dict(model, save_embedding_layers=False)
    safetensors.torch.save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()},
        directory / "adapter_model.safetensors",
        metadata={"format": "pt"},
    )
    config: Any = copy.copy(model.peft_config[ADAPTER])
    config.inference_mode = True
    if isinstance(config.target_modules, set):
        # The order of a set differs from process to process; equal runs shall write equal files.
        config.target_modules = sorted(config.target_modules)
    config.save_pretrained(directory)


def are_finite(model: torch.nn.Module) -> bool:
    """Whether every trained number is one."""
    return all(bool(torch.isfinite(p).all()) for p in model.parameters() if p.requires_grad)
