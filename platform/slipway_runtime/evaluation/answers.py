"""A candidate's answers, by the engine that serves: what is judged is what users would get."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway_runtime import chats
from slipway_runtime.run import BadInput
from slipway_runtime.serving import loading, lora, scheduler


@dataclass(frozen=True)
class Answer:
    """The text, or why there is none."""

    text: str | None
    error: str = ""


def generate(
    base: Path,
    adapter: Path | None,
    prompts: Sequence[chats.Row],
    *,
    max_tokens: int,
    threads: int,
    done: Callable[[int], None],
) -> list[Answer]:
    """The most likely answer to each prompt; `done` hears how many are answered."""
    try:
        served = loading.load(base, adapter, {"threads": threads})
    except (OSError, ValueError, lora.AdapterError) as error:
        raise BadInput(f"the model cannot be loaded: {error}") from error
    work = served.engine.scheduler
    answers: list[Answer | None] = [None] * len(prompts)
    places: dict[int, int] = {}
    texts: dict[int, list[str]] = {}
    for place, prompt in enumerate(prompts):
        try:
            encoded: Any = served.tokenizer.apply_chat_template(
                prompt.messages, tools=prompt.tools, add_generation_prompt=True, return_dict=True
            )
            ids = list(encoded["input_ids"])
        except Exception as error:  # noqa: BLE001 - whatever a template raises: this row's fault
            answers[place] = Answer(None, f"the chat template refuses the prompt: {error}")
            continue
        room = work.limits.max_context - len(ids)
        if room < 1:
            limit = work.limits.max_context
            answers[place] = Answer(None, f"the prompt has {len(ids)} tokens, the model {limit}")
            continue
        row = work.add(scheduler.Request(prompt=ids, max_tokens=max_tokens))
        places[id(row)], texts[id(row)] = place, []
    answered = len(prompts) - len(places)
    while not work.idle:
        for row, delta in work.step():
            texts[id(row)].append(delta.text)
            if delta.final:
                text = "".join(texts[id(row)])
                answers[places[id(row)]] = (
                    Answer(None, str(delta.error)) if delta.error else Answer(text)
                )
                answered += 1
                done(answered)
    # The next candidate's weights take the place of these.
    del served, work
    gc.collect()
    return [answer or Answer(None, "the engine gave no answer") for answer in answers]
