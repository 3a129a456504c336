"""Tokens per second that an encoder embeds: alone, and with texts of many requests batched.

    python tests/bench/embeddings.py [--rounds 3] [--seconds 2] [--model DIR]

In process, one torch thread, tokens per second of CPU time (neighbours hardly disturb that) and by
the clock, median of alternated rounds. Texts of 8 to 64 tokens. `alone` is one text a forward pass;
`batched` is 64 requests of one text each, waiting at once; `as sent` pads the same 64 texts to one
pass in the order they came, which is what a plain loop over transformers does. Without `--model`
the weights are random, in the shape of MiniLM-L6 (22.7 M parameters).
"""

from __future__ import annotations

import argparse
import asyncio
import pathlib
import random
import statistics
import time
from collections.abc import Callable

import torch
from tokenizers import Tokenizer, models
from transformers import BertConfig, BertModel

from slipway_contracts import encoders
from slipway_runtime.serving import encoder

TEXTS = 64


def minilm_shaped() -> encoder.Encoder:
    config = BertConfig(
        vocab_size=30522, hidden_size=384, intermediate_size=1536, num_hidden_layers=6,
        num_attention_heads=12,
    )  # fmt: skip
    rules = encoders.Encoder(pooling=encoders.MEAN, normalise=True, most_tokens=256)
    return encoder.Encoder(BertModel(config), Tokenizer(models.BPE()), rules)


async def batched(work: encoder.Encoder, rows: list[list[int]], seconds: float) -> int:
    """Tokens embedded in so many seconds by waves of requests."""
    batches = encoder.Batches(work)
    batches.start()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        await asyncio.gather(*(batches.submit([row]).done for row in rows))
    await batches.stop(1)
    return batches.counts["prompt_tokens"]


def repeated(step: Callable[[], object], tokens: int, seconds: float) -> int:
    end, done = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        step()
        done += tokens
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--model", type=pathlib.Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.model is None:
        work = minilm_shaped()
    else:
        rules = encoder.rules_of(given.model)
        assert rules is not None, "no sentence encoder"
        work = encoder.load(given.model, rules, {})
    dice = random.Random(1)
    rows = [[dice.randrange(1000, 30000) for _ in range(dice.randint(8, 64))] for _ in range(TEXTS)]
    total, turn = sum(map(len, rows)), iter(rows * 100_000)

    def alone(seconds: float) -> int:
        end, done = time.perf_counter() + seconds, 0
        while time.perf_counter() < end:
            row = next(turn)
            work.vectors([row])
            done += len(row)
        return done

    kinds: dict[str, Callable[[float], int]] = {
        "alone": alone,
        "as sent": lambda seconds: repeated(lambda: work.vectors(rows), total, seconds),
        "batched": lambda seconds: asyncio.run(batched(work, rows, seconds)),
    }
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
    for number in range(-1, given.rounds):
        for name, run in kinds.items():
            cpu, clock = time.process_time(), time.perf_counter()
            done = run(given.seconds if number >= 0 else 0.3)
            if number >= 0:  # the first round only warms up
                spent = time.process_time() - cpu, time.perf_counter() - clock
                rates[name].append((done / spent[0], done / spent[1]))
    for name, found in rates.items():
        by_cpu, by_clock = (statistics.median(rate) for rate in zip(*found, strict=True))
        texts = by_cpu / (total / TEXTS)
        print(f"{name:8} {by_cpu:8.0f} t/s of CPU  {texts:6.0f} texts/s  {by_clock:8.0f} t/s clock")


if __name__ == "__main__":
    main()
