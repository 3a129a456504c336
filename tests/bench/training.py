"""What the platform costs a training step: our recipe against a bare TRL script, alternated.

    python tests/bench/training.py [--rounds 3] [--epochs 4] [--threads 1] [--model DIR]

Same base, rows, settings and seed; LoRA, loss on the answers alone, unpacked and packed. Every
measurement is a fork of one process that has imported the libraries, so nothing carries over.
Both sides see the same batches in the same order, so each step counts with its best time of all
rounds: what a busy neighbour adds to one round falls away. By the clock and by CPU time. Without
`--model` it is the demonstration's base, or random weights where that was not made yet.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT / "tests")]
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}

import datasets  # noqa: E402 - the paths come first
import peft  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from trl.trainer.sft_config import SFTConfig  # noqa: E402
from trl.trainer.sft_trainer import SFTTrainer  # noqa: E402

CHART_BASE = ROOT / "platform" / "slipway_demo" / "chart_base"
MAX_LENGTH = 256


@dataclass
class Told:
    """One run: seconds to the end of its first step, then of each further step; all tokens."""

    first: tuple[float, float]
    steps: list[tuple[float, float]]
    tokens: float


class Clock:
    """When each optimizer step ended, by the clock and in CPU seconds."""

    def __init__(self) -> None:
        self._ends = [(time.monotonic(), time.process_time())]

    def tick(self) -> None:
        self._ends.append((time.monotonic(), time.process_time()))

    def told(self, tokens: float) -> Told:
        between = [
            (b[0] - a[0], b[1] - a[1]) for a, b in zip(self._ends, self._ends[1:], strict=False)
        ]
        return Told(first=between[0], steps=between[1:], tokens=tokens)


def bare(directory: Path, model_dir: Path, rows: Path, values: dict[str, Any]) -> Told:
    """The script one writes after reading TRL's documentation."""
    clock = Clock()

    class Ticks(transformers.TrainerCallback):
        def on_log(self, args, state, control, logs=None, **kwargs):
            if "loss" in logs:
                clock.tick()

    tokenizer = transformers.AutoTokenizer.from_pretrained(model_dir)
    trainer = SFTTrainer(
        model=transformers.AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32),
        args=SFTConfig(
            output_dir=str(directory),
            num_train_epochs=values["epochs"],
            per_device_train_batch_size=values["batch_size"],
            learning_rate=values["learning_rate"],
            lr_scheduler_type="cosine",
            warmup_steps=0.05,
            max_length=MAX_LENGTH,
            packing=values["packing"],
            assistant_only_loss=True,
            activation_checkpointing=False,
            logging_steps=1,
            save_strategy=values["save_strategy"],
            bf16=False,
            use_cpu=True,
            dataloader_pin_memory=False,
            report_to="none",
            disable_tqdm=True,
            seed=1,
        ),
        train_dataset=datasets.Dataset.from_list(
            [json.loads(line) for line in rows.read_text("utf-8").splitlines()]
        ),
        processing_class=tokenizer,
        peft_config=peft.LoraConfig(
            task_type="CAUSAL_LM", r=16, lora_alpha=32, target_modules="all-linear"
        ),
        callbacks=[Ticks()],
    )
    trainer.train()
    return clock.told(trainer.state.log_history[-2]["num_tokens"])


def ours(directory: Path, model_dir: Path, rows: Path, values: dict[str, Any]) -> Told:
    """The platform's recipe in its real context: notes, checkpoints and result are stored."""
    from slipway_contracts import workload
    from slipway_runtime import progress
    from slipway_runtime.hosts.context import RunContext
    from slipway_runtime.training import sft

    clock = Clock()

    class Context(RunContext):
        def metrics(self, **told: Any) -> None:
            super().metrics(**told)
            if "loss" in told["values"]:
                clock.tick()

    asked = workload.Workload(
        name="train-bench-1",
        kind=workload.Kind.TRAIN,
        inputs={"base": f"file://{model_dir}", "dataset": f"file://{rows}"},
        settings={
            "method": "sft",
            "scale": "lora",
            "hyperparameters": values | {"max_seq_len": MAX_LENGTH, "logging_steps": 1},
            "seed": 1,
            "threads": torch.get_num_threads(),
        },
        output_uri=f"file://{directory}/out",
    )
    scratch = directory / "scratch"
    scratch.mkdir()
    with progress.Writer(asked.output_uri, 1) as writer:
        sft.run(Context(asked, scratch=scratch, writer=writer))
    report = workload.report_from_json((directory / "out/report-1.json").read_bytes())
    return clock.told(report.metrics["tokens"])


def forked(threads: int, measure: Callable[[Path], Told]) -> Told:
    """Run in a child of its own, quietly; SystemExit with what it said if it fails."""
    with tempfile.TemporaryDirectory() as directory:
        result, said = Path(directory, "result.json"), Path(directory, "said.txt")
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                quiet = os.open(said, os.O_WRONLY | os.O_CREAT)
                os.dup2(quiet, 1)
                os.dup2(quiet, 2)
                torch.set_num_threads(threads)
                result.write_text(json.dumps(asdict(measure(Path(directory)))))
                code = 0
            except BaseException:
                traceback.print_exc()
            sys.stderr.flush()
            os._exit(code)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0:
            raise SystemExit(said.read_text())
        return Told(**json.loads(result.read_text()))


def best(told: list[Told], which: int) -> tuple[float, float, float]:
    """Seconds to the first step, a step, and tokens a second, from the best of all rounds."""
    steps = [min(one[which] for one in same) for same in zip(*(t.steps for t in told), strict=True)]
    step = sum(steps) / len(steps)
    tokens_per_step = told[0].tokens / (len(steps) + 1)
    return min(t.first[which] for t in told), step, tokens_per_step / step


def show(name: str, found: dict[str, list[Told]]) -> None:
    print(f"\n{name}\n{'':24}{'bare TRL':>12}{'slipway':>12}{'ratio':>9}")
    for which, unit in enumerate(("", "CPU ")):
        sides = [best(found[side], which) for side in ("bare", "ours")]
        labels = (f"first step, {unit}s", f"step, {unit}ms", f"tokens / {unit}s")
        for label, scale, bare_value, our_value in zip(labels, (1, 1000, 1), *sides, strict=True):
            ratio = our_value / bare_value
            print(f"{label:24}{bare_value * scale:12.2f}{our_value * scale:12.2f}{ratio:9.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", type=Path)
    chosen = parser.parse_args()
    # A parent that has computed with several threads cannot be forked safely.
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as directory:
        from slipway_demo import rows as demo_rows

        model = chosen.model or CHART_BASE
        if not (model / "model.safetensors").exists():
            import tiny

            model = tiny.write_base(Path(directory, "base"), template=tiny.MARKED)
        rows = demo_rows.write_rows(Path(directory, "rows"), 7).train
        print(f"{model.name}, 100 rows, {chosen.epochs} epochs, {chosen.threads} threads")
        common = {"epochs": chosen.epochs, "learning_rate": 1e-3, "save_strategy": "no"}
        for name, values in {
            "Batches of 10 rows": common | {"batch_size": 10, "packing": False},
            "Packed, 2 x 256 tokens": common | {"batch_size": 2, "packing": True},
            "Batches of 10, checkpoint each epoch": common
            | {"batch_size": 10, "packing": False, "save_strategy": "epoch"},
        }.items():
            found: dict[str, list[Told]] = {"bare": [], "ours": []}
            for number in range(chosen.rounds):
                order = (("bare", bare), ("ours", ours))
                for side, run in order if number % 2 == 0 else reversed(order):
                    measure = partial(run, model_dir=model, rows=rows, values=values)
                    found[side].append(forked(chosen.threads, measure))
            show(name, found)


if __name__ == "__main__":
    main()
