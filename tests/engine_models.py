"""Tiny random models of several architectures, with the real classes and a byte-level tokenizer."""

from __future__ import annotations

import copy
import functools
import pathlib
from typing import Any

import torch
import transformers

TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
CONTEXT = 256


@functools.cache
def tokenizer() -> Any:
    """Bytes and a few merges: every Chinese character takes three tokens or more."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|bos|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(["sales of the region as a bar chart"] * 4, trainer)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token="<|bos|>",
        eos_token="<|end|>",
        chat_template=TEMPLATE,
    )


def model(  # noqa: C901 - a list of architectures
    kind: str = "llama", *, seed: int = 0
) -> Any:
    """A model of about 50,000 parameters whose answers depend on every token it has seen."""
    common = {
        "vocab_size": 320,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        "pad_token_id": 1,
        "eos_token_id": 1,
        "bos_token_id": 0,
    }
    t = transformers
    torch.manual_seed(seed)
    match kind:
        case "llama":
            made = t.LlamaForCausalLM(t.LlamaConfig(**common))
        case "qwen2-sliding":
            window = {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}
            made = t.Qwen2ForCausalLM(t.Qwen2Config(**common, **window))
        case "qwen3":
            made = t.Qwen3ForCausalLM(t.Qwen3Config(**common, head_dim=8))
        case "glm":
            made = t.GlmForCausalLM(t.GlmConfig(**common, head_dim=8))
        case "mistral-sliding":
            made = t.MistralForCausalLM(t.MistralConfig(**common, sliding_window=8))
        case "gemma2-eager":
            config = t.Gemma2Config(**common, head_dim=8, sliding_window=8)
            config._attn_implementation = "eager"
            made = t.Gemma2ForCausalLM(config)
        case "bloom":
            small = {"vocab_size": 320, "hidden_size": 32, "n_layer": 3, "n_head": 4}
            made = t.BloomForCausalLM(t.BloomConfig(**small, eos_token_id=1, pad_token_id=1))
        case "qwen3-next":
            linear = {
                "linear_num_value_heads": 2,
                "linear_num_key_heads": 2,
                "linear_key_head_dim": 8,
                "linear_value_head_dim": 8,
            }
            experts = {
                "num_experts": 4,
                "num_experts_per_tok": 2,
                "moe_intermediate_size": 16,
                "shared_expert_intermediate_size": 16,
            }
            config = common | {"num_hidden_layers": 4, "head_dim": 8} | linear | experts
            made = t.Qwen3NextForCausalLM(t.Qwen3NextConfig(**config))
        case "mamba":
            config = {"vocab_size": 320, "hidden_size": 32, "num_hidden_layers": 2}
            made = t.MambaForCausalLM(t.MambaConfig(**config, state_size=4))
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4)  # the usual start is so flat that a wrong mask would not show
    return made.eval()


def save(folder: pathlib.Path, kind: str = "llama") -> pathlib.Path:
    model(kind).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@torch.inference_mode()
def greedy(reference: Any, prompt: list[int], tokens: int) -> list[int]:
    """What the library's own `generate` answers, exactly `tokens` tokens."""
    output = reference.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        max_new_tokens=tokens,
        eos_token_id=None,
        do_sample=False,
    )
    return output[0, len(prompt) :].tolist()


_TOLD = (
    "{% if tools %}<|system|>{% for t in tools %}{{ t.function.name }} {% endfor %}<|end|>"
    "{% endif %}"
)
#: Chat templates that know tools, in the three manners that models have.
TOOL_TEMPLATES = {
    "tagged": _TOLD
    + """{% for m in messages %}<|{{ 'user' if m.role == 'tool' else m.role }}|>{{ m.content }}
{%- for c in m.tool_calls or [] %}{{ '\\n' if not loop.first }}<tool_call>
{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}
</tool_call>{% endfor %}<|end|>{% endfor %}"""
    + "{% if add_generation_prompt %}<|assistant|>{% endif %}",
    "bare": _TOLD
    + "{% for m in messages %}<|{{ m.role }}|>"
    + "{% if m.tool_calls %}{% if m.tool_calls | length > 1 %}"
    "{{ raise_exception('one call a turn') }}{% endif %}"
    """{"name": "{{ m.tool_calls[0].function.name }}", "parameters": """
    "{{ m.tool_calls[0].function.arguments | tojson }}}{% else %}{{ m.content }}{% endif %}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
    "listed": _TOLD
    + "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% if m.tool_calls %}<|calls|>["
    """{% for c in m.tool_calls %}{"name": "{{ c.function.name }}", "arguments": """
    "{{ c.function.arguments | tojson }}}{{ ', ' if not loop.last }}{% endfor %}]{% endif %}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
}


def tokenizer_with(template: str) -> Any:
    """A copy of the tokenizer with a chat template of its own and a special token for calls."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=copy.deepcopy(tokenizer().backend_tokenizer),
        bos_token="<|bos|>",
        eos_token="<|end|>",
        additional_special_tokens=["<|calls|>"],
        chat_template=template,
    )


def encoder(folder: pathlib.Path, *, pooling: str = "mean_tokens", **config: Any) -> pathlib.Path:
    """A sentence encoder as sentence-transformers saves it, with random weights, of 24 dimensions.

    Its tokenizer file cuts and pads, as published ones do: an engine must not.
    """
    import json

    torch.manual_seed(3)
    settings = transformers.BertConfig(
        vocab_size=320, hidden_size=24, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=64, **config,
    )  # fmt: skip
    transformers.BertModel(settings).save_pretrained(folder)
    words = copy.deepcopy(tokenizer())
    words.backend_tokenizer.enable_truncation(8)
    words.backend_tokenizer.enable_padding(length=8)
    words.backend_tokenizer.save(str(folder / "tokenizer.json"))
    steps = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    modules = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (path, kind) in enumerate(steps)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    pool = {"word_embedding_dimension": 24, f"pooling_mode_{pooling}": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pool))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 40}')
    return folder
