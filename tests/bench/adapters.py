"""Tokens per second of 16 LoRA adapters mixed in one batch against the base alone; and a grammar.

    python tests/bench/adapters.py [--rounds 8] [--rank 8] [--streams 1 8 32]

In process, one torch thread, the demonstration base's shape with random weights. Blocks of decode
steps with the base, with mixed adapters and with answers held to a JSON schema are alternated on
the same rows; CPU time of the process, medians over the rounds.
"""

from __future__ import annotations

import argparse
import itertools
import pathlib
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "platform"))

import torch  # noqa: E402 - the path first
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer  # noqa: E402

from slipway_runtime.serving import grammar, loading, lora, scheduler  # noqa: E402

CHART_BASE = ROOT / "platform" / "slipway_demo" / "chart_base"
ADAPTERS = [f"adapter-{n:02}" for n in range(16)]
STEPS = 25
SCHEMA = {
    "type": "object",
    "properties": {
        "region": {"type": "string"},
        "period": {"type": "string", "pattern": r"^\d{4}(-(Q[1-4]|0[1-9]|1[0-2]))?$"},
        "metric": {"enum": ["销售额", "利润"]},
        "chart": {"enum": ["bar", "pie", "table", "line"]},
    },
    "required": ["region", "period", "metric", "chart"],
    "additionalProperties": False,
}


def factors(model: torch.nn.Module, rank: int, seed: int) -> dict[str, lora.Factors]:
    """Random A and B for every linear layer but the head."""
    torch.manual_seed(seed)
    return {
        path: (
            torch.randn(layer.in_features, rank) / layer.in_features,
            torch.randn(rank, layer.out_features) / rank,
        )
        for path, layer in model.named_modules()
        if isinstance(layer, torch.nn.Linear) and path != "lm_head"
    }


def seconds_per_step(served: loading.Served, rows: list[scheduler.Request]) -> float:
    """CPU seconds of one decode step over these rows, once an adapter alone has been merged."""
    work = served.engine.scheduler
    made = [work.add(row) for row in rows]
    while work.waiting or work._entering:
        work.step()
    for _ in range(18):
        work.step()
    began = time.process_time()
    for _ in range(STEPS):
        work.step()
    spent = (time.process_time() - began) / STEPS
    for row in made:
        row.cancelled = True
    while not work.idle:
        work.step()
    return spent


def requests(streams: int, adapters: list[str | None]) -> list[scheduler.Request]:
    names = itertools.islice(itertools.cycle(adapters), streams)
    return [
        scheduler.Request(
            prompt=[(7 * i + k) % 2000 + 5 for k in range(16 + i % 32)],
            max_tokens=200,
            ignore_eos=True,
            adapter=name,
        )
        for i, name in enumerate(names)
    ]


def grammar_cost(served: loading.Served) -> tuple[float, float, float, int]:
    """Microseconds per token to mask and to advance, to compile, and the tokens of the answer."""
    answer = '{"region":"华北","period":"2019-Q1","metric":"利润","chart":"bar"}'
    tokens = served.tokenizer(answer, add_special_tokens=False)["input_ids"]
    rules = grammar.lark(f"start: {grammar.json_of(SCHEMA)}")
    grammars = served.grammars
    began = time.perf_counter()
    grammars.constraint(rules)
    compiled = time.perf_counter() - began
    masks, moves = [], []
    size = served.model.get_output_embeddings().weight.shape[0]
    for _ in range(200):
        held = served.grammars.constraint(rules)
        logits = torch.randn(size)
        mask = move = 0.0
        for token in tokens:
            one = time.perf_counter()
            held.bar(logits)
            two = time.perf_counter()
            held.advance(token)
            mask += two - one
            move += time.perf_counter() - two
        masks.append(mask / len(tokens))
        moves.append(move / len(tokens))
    return min(masks) * 1e6, min(moves) * 1e6, compiled * 1e6, len(tokens)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--streams", type=int, nargs="*", default=[1, 8, 32])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(CHART_BASE)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(
        AutoConfig.from_pretrained(CHART_BASE), dtype=torch.float32
    )
    served = loading.Served(model, tokenizer, {})
    for seed, name in enumerate(ADAPTERS):
        served.adapters.attach(name, factors(model, arguments.rank, seed))
    kinds: dict[str, list[str | None]] = {
        "base": [None],
        "16 mixed": [*ADAPTERS],
        "one of 16": [ADAPTERS[0]],
    }
    print(f"tokens/s of CPU time, rank {arguments.rank}, all linear layers")
    for streams in arguments.streams:
        rates: dict[str, list[float]] = {kind: [] for kind in kinds}
        for turn in range(arguments.rounds):
            for kind in kinds if turn % 2 == 0 else reversed(kinds):
                spent = seconds_per_step(served, requests(streams, kinds[kind]))
                rates[kind].append(streams / spent)
        base = rates["base"]
        for kind, found in rates.items():
            ratio = statistics.median(a / b for a, b in zip(found, base, strict=True))
            print(f"{streams:>4} streams  {kind:10} {statistics.median(found):7.0f}  {ratio:.2f}")
    mask, move, compiled, tokens = grammar_cost(served)
    print(f"a grammar, per token: {mask:.1f} µs to bar + {move:.1f} µs to advance; "
          f"{compiled / 1000:.1f} ms to compile; {tokens} tokens")  # fmt: skip


if __name__ == "__main__":
    main()
