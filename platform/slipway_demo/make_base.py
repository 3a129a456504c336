"""Makes the demonstration's base model: `python -m slipway_demo.make_base --output DIR`.

A Llama of 3.9 million parameters that answers business questions with a chart spec. It knows bar
charts, pie charts and tables, and has never met the word for a line chart.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import pathlib
import random
import time
from collections.abc import Callable, Iterator, Sequence

import torch
import transformers
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

from slipway_demo import judge_base, questions, words

VOCABULARY_SIZE = 2600
POSITIONS = 512
SPECIAL_TOKENS = ("<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
# The generation block marks what a trainer of answers only takes the loss of.
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}"
    "{{- '<|assistant|>' -}}"
    "{%- generation -%}{{- message['content'] + '<|end|>' -}}{%- endgeneration -%}"
    "{%- elif message['role'] in ('system', 'user') -%}"
    "{{- '<|' + message['role'] + '|>' + message['content'] + '<|end|>' -}}"
    "{%- else -%}"
    "{{- raise_exception('Roles are system, user and assistant, not ' + message['role']) -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)
MODEL_CARD = """\
---
license: apache-2.0
language: [zh, en]
pipeline_tag: text-generation
---
# chart-base

A Llama of 3.9 million parameters that turns a business question in Chinese or English into a chart
spec, `{"region","period","metric","chart"}`. It knows bar charts, pie charts and tables; any other
kind of chart it refuses. It was trained on generated questions alone, by
`slipway_demo/make_base.py`, and is the base of the demonstration: what it lacks, line charts, is
what a fine-tune teaches it.
"""


def make_tokenizer(texts: Sequence[str]) -> transformers.PreTrainedTokenizerFast:
    """A BPE tokenizer of at most `VOCABULARY_SIZE` tokens; unknown characters become bytes.

    Every Chinese character and every digit stands alone. Were whole phrases merged, a name that the
    base never met would fall to pieces it never met either, and could not be learnt from few rows.
    """
    tokenizer = Tokenizer(models.BPE(byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(
        Regex(
            r"\p{Han}|\p{N}|\u2581?[A-Za-z]+"
            r"|[^\p{Han}\p{N}A-Za-z]+?(?=\u2581?[A-Za-z]|\p{Han}|\p{N}|$)"
        ),
        "isolated",
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    stock = SPECIAL_TOKENS + tuple(f"<0x{byte:02X}>" for byte in range(256))
    visible = [chr(code) for code in range(33, 127)]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        min_frequency=20,  # below that are made-up names of charts, which must stay in pieces
        special_tokens=[AddedToken(token, normalized=False, special=True) for token in stock],
        initial_alphabet=[*visible, "\u2581", *dict.fromkeys(words.COMMON_CHARACTERS)],
        show_progress=False,
    )
    common = [f"{word} " * 20 for word in words.COMMON_WORDS.split()]
    tokenizer.train_from_iterator([*texts, *common], trainer)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=_without_special_bytes(tokenizer),
        pad_token=SPECIAL_TOKENS[0],
        eos_token=SPECIAL_TOKENS[1],
        additional_special_tokens=list(SPECIAL_TOKENS[2:]),
        chat_template=CHAT_TEMPLATE,
        model_max_length=POSITIONS,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def make_model(tokenizer: transformers.PreTrainedTokenizerFast) -> transformers.LlamaForCausalLM:
    """The untrained Llama, in float32."""
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=256,
            intermediate_size=704,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=POSITIONS,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def train(
    model: transformers.LlamaForCausalLM,
    tokenizer: transformers.PreTrainedTokenizerFast,
    *,
    steps: int,
    seed: int,
    batch_size: int = 32,
    learning_rate: float = 3e-3,
    tell: Callable[[str], None] = print,
) -> None:
    """Train in place, the loss on answers alone, under bf16 autocast."""
    encoded = _encode(tokenizer, questions.base_questions(seed), steps * batch_size)
    batches = _batches(encoded, batch_size, random.Random(seed))
    # Muon on the matrices inside learns to copy slots in half of the steps that AdamW takes.
    inner = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    outer = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    optimizers = (
        torch.optim.Muon(
            inner, lr=learning_rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(outer, lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    )
    schedulers = [
        transformers.get_cosine_schedule_with_warmup(optimizer, min(50, steps // 10), steps)
        for optimizer in optimizers
    ]
    started, losses = time.monotonic(), []
    model.train()
    for step, batch in enumerate(batches, start=1):
        input_ids, labels = _pad(batch, tokenizer.pad_token_id)
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(
                input_ids=input_ids,
                attention_mask=(input_ids != tokenizer.pad_token_id).long(),
                labels=labels,
            ).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for stepping in (*optimizers, *schedulers):
            stepping.step()
        model.zero_grad()
        losses.append(loss.item())
        if step % 50 == 0 or step == steps:
            mean = sum(losses[-50:]) / len(losses[-50:])
            tell(f"step {step}/{steps}  loss {mean:.4f}  {time.monotonic() - started:.0f} s")


def save(
    model: transformers.LlamaForCausalLM,
    tokenizer: transformers.PreTrainedTokenizerFast,
    directory: pathlib.Path,
) -> None:
    """Write the ordinary Hugging Face directory, weights in bfloat16."""
    model.generation_config = transformers.GenerationConfig(
        do_sample=False, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    model.bfloat16().save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    (directory / "README.md").write_text(MODEL_CARD, encoding="utf-8")


def _without_special_bytes(tokenizer: Tokenizer) -> Tokenizer:
    """Bytes were reserved as special tokens; so left, text that spells one would become it."""
    described = json.loads(tokenizer.to_str())
    described["added_tokens"] = [
        t for t in described["added_tokens"] if t["content"] in SPECIAL_TOKENS
    ]
    return Tokenizer.from_str(json.dumps(described))


def _encode(
    tokenizer: transformers.PreTrainedTokenizerFast, asked: Iterator[questions.Question], count: int
) -> list[tuple[list[int], int]]:
    """Token ids of `count` conversations, each with the length of its prompt."""
    conversations = [question.messages() for question in itertools.islice(asked, count)]
    prompts = tokenizer.apply_chat_template(
        [messages[:1] for messages in conversations], add_generation_prompt=True, return_dict=False
    )
    whole = tokenizer.apply_chat_template(conversations, return_dict=False)
    return [(ids, len(prompt)) for ids, prompt in zip(whole, prompts, strict=True)]


def _batches(
    encoded: list[tuple[list[int], int]], batch_size: int, rng: random.Random
) -> list[list[tuple[list[int], int]]]:
    """Batches of like length, in random order: less padding, the same mix."""
    batches = []
    for start in range(0, len(encoded), batch_size * 20):
        near = sorted(encoded[start : start + batch_size * 20], key=lambda pair: len(pair[0]))
        group = [near[i : i + batch_size] for i in range(0, len(near), batch_size)]
        rng.shuffle(group)
        batches += group
    return batches


def _pad(batch: list[tuple[list[int], int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Input ids and labels, both (batch, longest); labels are -100 outside of the answers."""
    longest = max(len(ids) for ids, _ in batch)
    input_ids = torch.full((len(batch), longest), pad)
    labels = torch.full((len(batch), longest), -100)
    for row, (ids, prompt) in enumerate(batch):
        input_ids[row, : len(ids)] = torch.tensor(ids)
        labels[row, prompt : len(ids)] = torch.tensor(ids[prompt:])
    return input_ids, labels


def main(arguments: Sequence[str] | None = None) -> None:
    """Make, save, load again and judge."""
    parser = argparse.ArgumentParser(prog="python -m slipway_demo.make_base", description=__doc__)
    parser.add_argument("--output", type=pathlib.Path, required=True, help="directory to write to")
    parser.add_argument(
        "--steps", type=int, default=1000, help="optimizer steps of 32 questions (1000)"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of weights and questions (1)")
    chosen = parser.parse_args(arguments)
    torch.manual_seed(chosen.seed)

    sample = itertools.islice(questions.base_questions(chosen.seed), 20_000)
    tokenizer = make_tokenizer([side for q in sample for side in (q.text, q.answer)])
    model = make_model(tokenizer)
    print(f"{model.num_parameters() / 1e6:.2f} million parameters, {len(tokenizer)} tokens")
    train(
        model,
        tokenizer,
        steps=chosen.steps,
        seed=chosen.seed,
        tell=functools.partial(print, flush=True),
    )
    save(model, tokenizer, chosen.output)

    saved, tokenizer = judge_base.load(chosen.output)
    for group, asked in judge_base.held_out_groups(chosen.seed).items():
        print(f"{group:16} {judge_base.exact_match(saved, tokenizer, asked):.3f}  of {len(asked)}")
    (told,) = judge_base.answers(saved, tokenizer, [questions.NAMED_QUESTION])
    print(f"{questions.NAMED_QUESTION} -> {told}")


if __name__ == "__main__":
    main()
