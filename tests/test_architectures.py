"""Every architecture we name trains here: LoRA and full, stored, loaded again, and it generates."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny
import torch
import transformers

from slipway_contracts.progress import NoteKind
from slipway_runtime.training import weights

CLASSES = {
    "llama": transformers.LlamaForCausalLM,
    "mistral": transformers.MistralForCausalLM,
    "qwen2": transformers.Qwen2ForCausalLM,
    "qwen3": transformers.Qwen3ForCausalLM,
    "glm": transformers.GlmForCausalLM,
    "glm4": transformers.Glm4ForCausalLM,
    "bloom": transformers.BloomForCausalLM,
}
TEMPLATES = {"mistral": tiny.MISTRAL, "glm": tiny.GLM, "glm4": tiny.GLM}

# PEFT asks under a name that transformers is about to retire.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


@pytest.mark.parametrize("scale", ["lora", "full"])
@pytest.mark.parametrize("architecture", sorted(CLASSES))
def test_it_learns_is_stored_and_answers(tmp_path, architecture, scale):
    template = TEMPLATES.get(architecture, tiny.CHATML)
    base = tiny.write_base(tmp_path / "base", architecture, template=template)
    rows = tiny.write_rows(tmp_path / "rows.jsonl")
    rate = {"lora": 2e-2, "full": 5e-3}[scale]
    report = tiny.train(
        tmp_path / "run", base, rows, scale=scale, learning_rate=rate, epochs=5, save_strategy="no"
    )
    told = [n for n in tiny.notes(tmp_path / "run") if n.kind is NoteKind.METRICS]
    losses = [n.values["loss"] for n in told if "loss" in n.values]
    assert losses[-1] < 0.75 * losses[0]

    artifact = Path(report.artifact_uri.removeprefix("file://"))
    if scale == "lora":
        import peft

        before = weights.load_base(base, torch.float32)
        model = peft.PeftModel.from_pretrained(before.model, artifact).merge_and_unload()
        tokenizer = before.tokenizer
    else:
        after = weights.load_base(artifact, torch.float32)
        model, tokenizer = after.model, after.tokenizer
    assert type(model) is CLASSES[architecture]
    question, _ = tiny.pairs()[0]
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    made = model.eval().generate(
        input_ids=asked["input_ids"],
        attention_mask=asked["attention_mask"],
        do_sample=False,
        max_new_tokens=12,
    )
    answer = tokenizer.decode(made[0, asked["input_ids"].shape[1] :], skip_special_tokens=True)
    # All answers begin alike: that much is learnt in 20 steps.
    assert answer.strip().startswith('{"colour"')
