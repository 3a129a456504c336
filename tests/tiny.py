"""Tiny models of the real classes with real tokenizers, and runs of the recipes on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from slipway_contracts import workload
from slipway_runtime import progress
from slipway_runtime.hosts.context import RunContext

#: One thread: results do not hang on the machine's cores, and small models are quicker so.
THREADS = 1

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MARKED = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}<|assistant|>{% generation %}"
    "{{ m['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}<|{{ m['role'] }}|>{{ m['content'] }}<|im_end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
#: No token ends the assistant's turn; the next speaker's name does.
GLM = (
    "[gMASK]<sop>{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
MISTRAL = (
    "<s>{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] }}[/INST]"
    "{% elif m['role'] == 'assistant' %} {{ m['content'] }}</s>{% endif %}{% endfor %}"
)
#: Only the last answer shows its (empty) reasoning: earlier turns are rewritten.
THINKING = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['role'] == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = (
    *("<|pad|>", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<s>", "</s>"),
    *("[INST]", "[/INST]", "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>"),
)

COLOURS = ("red", "green", "blue", "black", "white")
THINGS = ("sky", "grass", "snow", "night", "rose", "leaf", "sea", "coal")


def pairs() -> list[tuple[str, str]]:
    """Questions with a rule behind: what is asked decides the colour."""
    return [
        (f"{word} {thing} 是什么颜色?", f'{{"colour":"{COLOURS[(i * 3 + j) % 5]}"}}')
        for i, thing in enumerate(THINGS)
        for j, word in enumerate(("the", "a", "my", "your"))
    ]


def chat(question: str, answer: str, **more: Any) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
    } | more


def write_rows(path: Path, rows: Sequence[dict[str, Any]] | None = None) -> Path:
    rows = rows if rows is not None else [chat(q, a) for q, a in pairs()]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def tokenizer(
    template: str = CHATML, eos: str = "<|im_end|>"
) -> transformers.PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer trained on the rows, as GPT-2's, Qwen's and Bloom's are."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([text for pair in pairs() for text in pair], trainer)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<|pad|>", eos_token=eos, chat_template=template
    )


#: Name to configuration; all of hidden size 64 and 2 layers.
CONFIGURATIONS: dict[str, Any] = {
    "llama": (transformers.LlamaConfig, {}),
    "mistral": (transformers.MistralConfig, {"sliding_window": None}),
    "qwen2": (transformers.Qwen2Config, {}),
    "qwen3": (transformers.Qwen3Config, {"head_dim": 16}),
    "glm": (transformers.GlmConfig, {"head_dim": 16}),
    "glm4": (transformers.Glm4Config, {"head_dim": 16}),
    "bloom": (transformers.BloomConfig, {}),
}


def write_base(
    directory: Path,
    architecture: str = "llama",
    *,
    template: str = CHATML,
    dtype: torch.dtype = torch.float32,
) -> Path:
    """A random model of this architecture as an ordinary model directory."""
    ready = tokenizer(template)
    kind, more = CONFIGURATIONS[architecture]
    common = {
        "vocab_size": len(ready),
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "pad_token_id": ready.pad_token_id,
        "eos_token_id": ready.eos_token_id,
        "bos_token_id": None,
        # Wider than usual: what LoRA learns must reach the logits through frozen random layers.
        "initializer_range": 0.15,
    }
    if architecture == "bloom":
        common = {**common, "n_layer": 2, "n_head": 4}
    else:
        common |= {
            "intermediate_size": 128,
            "num_key_value_heads": 2,
            "max_position_embeddings": 256,
        }
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(kind(**common | more))
    model.to(dtype).save_pretrained(directory)
    ready.save_pretrained(directory)
    return directory


def train(
    root: Path,
    base: Path,
    rows: Path,
    *,
    method: str = "sft",
    scale: str = "lora",
    adapter: Path | None = None,
    grader: dict[str, Any] | None = None,
    held_out: Path | None = None,
    seed: int = 7,
    attempt: int = 1,
    context: type[RunContext] = RunContext,
    **values: Any,
) -> workload.Report:
    """Run a recipe below `root` and return its report; the same root is the same run."""
    from slipway_runtime import run

    inputs = {"base": f"file://{base}", "dataset": f"file://{rows}"}
    if adapter:
        inputs["adapter"] = f"file://{adapter}"
    if held_out:
        inputs["held_out"] = f"file://{held_out}"
    asked = workload.Workload(
        name=f"train-{root.name}-{attempt}",
        kind=workload.Kind.TRAIN,
        inputs=inputs,
        settings={
            "method": method,
            "scale": scale,
            "hyperparameters": {"epochs": 3, "batch_size": 8, "lora_rank": 4} | values
            if scale == "lora" and not adapter
            else {"epochs": 3, "batch_size": 8} | values,
            "seed": seed,
            "threads": THREADS,
            "grader": grader,
        },
        output_uri=f"file://{root}/out",
        attempt=attempt,
    )
    scratch = root / f"scratch-{attempt}"
    scratch.mkdir(parents=True)
    with progress.Writer(asked.output_uri, attempt) as writer:
        run.execute(context(asked, scratch=scratch, writer=writer))
    return workload.report_from_json((root / f"out/report-{attempt}.json").read_bytes())


def notes(root: Path) -> list[Any]:
    """Everything the run told, in order."""
    from slipway_contracts.progress import from_lines

    chunks = sorted((root / "out/progress").glob("*.jsonl"))
    return [note for chunk in chunks for note in from_lines(chunk.read_bytes())]
