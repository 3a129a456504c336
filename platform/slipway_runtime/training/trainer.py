"""TRL's trainers without what a platform does not need, telling their progress to the context."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.sft_trainer import SFTTrainer

from slipway_runtime.hosts.context import Context
from slipway_runtime.run import Diverged
from slipway_runtime.training import weights
from slipway_runtime.training.examples import Example

datasets.disable_progress_bars()

#: The trainer's words and ours; the rest is not told.
NAMES = {
    "loss": "loss",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "mean_token_accuracy": "token_accuracy",
    "num_tokens": "tokens",
    "eval_loss": "held_out_loss",
    "eval_mean_token_accuracy": "held_out_token_accuracy",
    "rewards/chosen": "reward_chosen",
    "rewards/rejected": "reward_rejected",
    "rewards/margins": "reward_margin",
    "rewards/accuracies": "reward_accuracy",
    "eval_rewards/margins": "held_out_reward_margin",
    "eval_rewards/accuracies": "held_out_reward_accuracy",
}

#: Of these the last value is part of the run's summary.
SUMMARISED = (
    "rewards/margins",
    "rewards/accuracies",
    "eval_rewards/margins",
    "eval_rewards/accuracies",
)


def in_memory(examples: Sequence[Example]) -> datasets.Dataset:
    """The examples as the trainer wants them, with no file behind."""
    return datasets.Dataset.from_dict(
        {
            "input_ids": [example.input_ids for example in examples],
            "labels": [example.labels for example in examples],
        }
    )


class Telling(transformers.Trainer):
    """Laid before a trainer of TRL's: checkpoints and metrics go to the context.

    `epoch_tokens` is the number of tokens of one pass; `patience` how many looks at the held-out
    loss without a gain end the training (0: never). Raises Diverged at the first loss that is no
    finite number.
    """

    def __init__(
        self, context: Context, *, epoch_tokens: int, patience: int, **options: Any
    ) -> None:
        self._context = context
        self._epoch_tokens = epoch_tokens
        self._patience = patience
        #: Of this life of the run, without judging and storing.
        self._trained_tokens = self._trained_seconds = 0.0
        self._tokens_seen = self._seen_at = 0.0
        super().__init__(**options)
        # Progress goes to the context; nobody reads what is printed.
        self.remove_callback(transformers.PrinterCallback)

    @property
    def tokens(self) -> int:
        """Tokens trained on so far, padding not counted, earlier lives of the run included."""
        return int(self._total_train_tokens)

    @property
    def tokens_per_second(self) -> float:
        """Speed of this life of the run while it trained."""
        return self._trained_tokens / max(self._trained_seconds, 1e-9)

    def training_step(self, *arguments: Any, **options: Any) -> torch.Tensor:
        loss: torch.Tensor = super().training_step(*arguments, **options)
        if not torch.isfinite(loss):
            raise Diverged(
                f"the loss at step {self.state.global_step + 1} is {loss.item()} "
                f"with learning_rate {self.args.learning_rate:g}"
            )
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        super().log(logs, start_time)
        values = {NAMES[key]: float(value) for key, value in logs.items() if key in NAMES}
        now = time.monotonic()
        if "loss" in values:
            tokens = values["tokens"]
            trained, seconds = tokens - self._tokens_seen, now - self._seen_at
            values["tokens_per_second"] = trained / seconds
            self._tokens_seen = tokens
            self._trained_tokens += trained
            self._trained_seconds += seconds
        # Judging held-out rows and storing checkpoints is not training time.
        self._seen_at = now
        if values:
            self._context.metrics(
                step=self.state.global_step,
                total_steps=self.state.max_steps,
                epoch=float(self.state.epoch or 0.0),
                values=values,
            )

    def _init_training_state(self, *arguments: Any, **options: Any) -> tuple[int, int]:
        where: tuple[int, int] = super()._init_training_state(*arguments, **options)
        # The count of tokens is not part of a checkpoint; exact at the end of an epoch.
        self._total_train_tokens = int((self.state.epoch or 0) * self._epoch_tokens)
        self._tokens_seen, self._seen_at = float(self._total_train_tokens), time.monotonic()
        return where

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        losses = [loss for _, loss in held_out_losses(self.state)]
        if self._patience and len(losses) - 1 - losses.index(min(losses)) >= self._patience:
            self.control.should_training_stop = True
        return False

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        directory = Path(
            str(self.args.output_dir), f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        )
        values = {
            NAMES[key]: float(value)
            for entry in self.state.log_history
            if entry["step"] == self.state.global_step
            for key, value in entry.items()
            if key in NAMES
        }
        self._context.save_checkpoint(directory, step=self.state.global_step, values=values)
        shutil.rmtree(directory)
        self._seen_at = time.monotonic()

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        if self.args.should_save and output_dir:
            model: Any = self.model
            tokenizer: Any = self.processing_class
            weights.save(model, tokenizer, Path(output_dir))

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        if self.args.world_size > 1:
            # Only rank 0 stores checkpoints, and a resumed run needs the state of every rank.
            name = f"rng_state_{self.args.process_index}.pth"
            mine = (name, Path(output_dir, name).read_bytes())
            states: list[Any] = [None] * self.args.world_size
            torch.distributed.all_gather_object(states, mine)
            for name, state in states:
                Path(output_dir, name).write_bytes(state)

    def summary(self) -> dict[str, float]:
        """The run in a few numbers; `train_loss` is the mean of the last epoch."""
        state = self.state
        losses = [(e["epoch"], e["loss"]) for e in state.log_history if "loss" in e]
        last = [loss for epoch, loss in losses if epoch > losses[-1][0] - 1]
        found = {
            "train_loss": sum(last) / len(last),
            "steps": float(state.global_step),
            "tokens": float(self.tokens),
            "tokens_per_second": self.tokens_per_second,
        }
        for entry in state.log_history:
            found |= {NAMES[key]: float(entry[key]) for key in SUMMARISED if key in entry}
        if held_out := held_out_losses(state):
            best_step, best = min(held_out, key=lambda pair: pair[1])
            found |= {
                "held_out_loss": held_out[-1][1],
                "best_held_out_loss": best,
                "best_step": float(best_step),
            }
        return found

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Nobody reads the count, and it walks over all parameters at each step."""
        return 0

    def create_model_card(self, *arguments: Any, **options: Any) -> None:
        """The platform describes its models itself."""

    def _send_telemetry(self) -> None:
        """Nothing leaves the machine."""


class ChatTrainer(Telling, SFTTrainer):
    """Takes encoded chats."""


class PairTrainer(Telling, DPOTrainer):
    """Takes encoded pairs."""

    def _prepare_dataset(self, dataset: Any, *_arguments: Any) -> Any:
        return dataset


def held_out_losses(state: transformers.TrainerState) -> list[tuple[int, float]]:
    """Step and held-out loss of every look so far, earlier lives of the run included."""
    return [(int(e["step"]), e["eval_loss"]) for e in state.log_history if "eval_loss" in e]
