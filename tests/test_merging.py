"""Real architectures come in, and what we merge without torch is what PEFT merges with it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from django.utils import timezone

from slipway import backends
from slipway.core import reconcile as loop
from slipway.registry import reconcile, services
from slipway.registry.models import Export, ModelVersion
from slipway.registry.services import exports

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("world"),
    # Other people's libraries warn of each other while they are imported.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

SHAPE = {
    "vocab_size": 320,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 128,
}
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "LlamaForCausalLM": ("LlamaConfig", SHAPE),
    "MistralForCausalLM": ("MistralConfig", SHAPE),
    "Qwen2ForCausalLM": ("Qwen2Config", SHAPE),
    "Qwen3ForCausalLM": ("Qwen3Config", SHAPE | {"head_dim": 8}),
    "GlmForCausalLM": ("GlmConfig", SHAPE | {"head_dim": 8, "pad_token_id": 0}),
    "BloomForCausalLM": (
        "BloomConfig", {"vocab_size": 320, "hidden_size": 32, "n_layer": 2, "n_head": 4},
    ),
    "GPT2LMHeadModel": (
        "GPT2Config", {"vocab_size": 320, "n_embd": 32, "n_layer": 2, "n_head": 4},
    ),
}  # fmt: skip


def _make(folder: Path, architecture: str, dtype: str) -> None:
    """A tiny base, an adapter upon it, and the two merged by PEFT."""
    import peft
    import tokenizers
    import torch
    import transformers

    config, shape = ARCHITECTURES[architecture]
    torch.manual_seed(0)
    made = transformers.AutoModelForCausalLM.from_config(getattr(transformers, config)(**shape))
    made.to(getattr(torch, dtype)).save_pretrained(folder / "base")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer.from_str(tiny_models.tokenizer_json()),
        eos_token="<|end|>",
    )
    tokenizer.chat_template = tiny_models.TEMPLATE
    tokenizer.save_pretrained(folder / "base")
    base = transformers.AutoModelForCausalLM.from_pretrained(folder / "base", dtype=dtype)
    wanted = peft.LoraConfig(
        r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM",
        fan_in_fan_out=architecture.startswith("GPT2"),
    )  # fmt: skip
    tuned = peft.get_peft_model(base, wanted)
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    tuned.save_pretrained(folder / "adapter")
    tuned.merge_and_unload().save_pretrained(folder / "merged")


def _take(owner: Any, path: Path, name: str, base: str = "") -> ModelVersion:
    services.import_directory(project_id=owner.project_id, name=name, path=str(path), base=base)
    loop.run_due(ModelVersion, reconcile.step_version, now=timezone.now())
    version = ModelVersion.objects.get(model__name=name)
    assert version.phase == "ready", version.reason
    return version


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_merged_weights_are_those_of_peft(
    owner: Any, tmp_path: Path, architecture: str, dtype: str
) -> None:
    import torch
    from safetensors.torch import load, load_file

    _make(tmp_path, architecture, dtype)
    base = _take(owner, tmp_path / "base", "base")
    assert (base.architecture, base.layers, base.hidden_size) == (architecture, 2, 32)
    adapter = _take(owner, tmp_path / "adapter", "tuned", base="base")
    export = exports.ask(project_id=owner.project_id, version_id=adapter.pk, form="merged")
    loop.run_due(Export, reconcile.step_export, now=timezone.now())
    export.refresh_from_db()
    assert export.phase == "ready", export.reason
    with tarfile.open(fileobj=io.BytesIO(backends.objects().read(export.key))) as tar:
        ours = load(tar.extractfile("model.safetensors").read())  # type: ignore[union-attr]
    theirs = load_file(tmp_path / "merged" / "model.safetensors")
    before = load_file(tmp_path / "base" / "model.safetensors")
    assert ours.keys() == theirs.keys()
    changed = 0
    for name, weight in theirs.items():
        assert ours[name].dtype == weight.dtype
        # PEFT adds in the weight's own type, we in float32 and round once.
        tolerance = 1e-6 if dtype == "float32" else 2**-7
        torch.testing.assert_close(ours[name], weight, rtol=tolerance, atol=tolerance)
        changed += not torch.equal(ours[name], before[name])
    assert changed == adapter.adapter["modules"] > 0
