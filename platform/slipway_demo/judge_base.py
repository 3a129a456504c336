"""Asks the base, or what was made of it, and judges its answers."""

from __future__ import annotations

import pathlib
import random
from collections.abc import Sequence
from typing import Any

import torch
import transformers

from slipway_demo import questions, words


def load(
    directory: pathlib.Path,
) -> tuple[Any, Any]:
    """A saved base, its weights widened to float32, which a CPU is quicker with."""
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    return model, transformers.AutoTokenizer.from_pretrained(directory)


@torch.inference_mode()
def answers(
    model: Any,  # the library types neither eval() nor generate()
    tokenizer: transformers.PreTrainedTokenizerFast,
    texts: Sequence[str],
    batch_size: int = 100,
) -> list[str]:
    """The model's most likely answer to each question."""
    model.eval()
    told: list[str] = []
    for start in range(0, len(texts), batch_size):
        chats = [[{"role": "user", "content": text}] for text in texts[start : start + batch_size]]
        inputs: Any = tokenizer.apply_chat_template(
            chats, add_generation_prompt=True, padding=True, return_dict=True, return_tensors="pt"
        )
        output = model.generate(**inputs, do_sample=False, max_new_tokens=64)
        told += tokenizer.batch_decode(
            output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )
    return told


def exact_match(
    model: Any,  # the library types neither eval() nor generate()
    tokenizer: transformers.PreTrainedTokenizerFast,
    asked: Sequence[questions.Question],
) -> float:
    """The share of questions answered with exactly the right text."""
    told = answers(model, tokenizer, [question.text for question in asked])
    return sum(a == question.answer for a, question in zip(told, asked, strict=True)) / len(asked)


def held_out_groups(seed: int, count: int = 200) -> dict[str, list[questions.Question]]:
    """What the base is judged by: combinations, phrasings and charts it was not trained on."""
    rng = random.Random(f"base-held-out-{seed}")
    groups: dict[str, list[questions.Question]] = {}
    for group in ("known", "known_phrasing", "line_refused", "unknown_refused"):
        groups[group] = []
        for _ in range(count):
            language = questions.pick_language(rng)
            slots = questions.pick_slots(rng, held_out=True)
            phrasing = rng.choice(questions.phrasings(language, held_out=group == "known_phrasing"))
            if group.startswith("known"):
                chart, name = questions.pick_chart(rng, words.KNOWN_CHARTS, language)
                question = questions.chart_question(
                    rng, slots, chart, name, language=language, phrasing=phrasing
                )
            else:
                name = (
                    rng.choice(questions.chart_names(words.LINE_CHARTS["line"], language))
                    if group == "line_refused"
                    else questions.unknown_chart(rng, language, held_out=True)
                )
                question = questions.refused_question(
                    rng, slots, name, language=language, phrasing=phrasing
                )
            groups[group].append(question)
    return groups
