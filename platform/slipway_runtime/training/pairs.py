"""Turns pairs of answers into token ids: the question once, and both answers to its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import datasets

from slipway_runtime import chats
from slipway_runtime.training.examples import IGNORED, Encoder, encode


@dataclass(frozen=True)
class Pair:
    """Token ids of a question, of the answer preferred, and of the other."""

    line: int
    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]

    @property
    def length(self) -> int:
        return len(self.prompt_ids) + max(len(self.chosen_ids), len(self.rejected_ids))

    @property
    def tokens(self) -> int:
        return 2 * len(self.prompt_ids) + self.trained_tokens

    @property
    def trained_tokens(self) -> int:
        return len(self.chosen_ids) + len(self.rejected_ids)

    @property
    def teaches(self) -> bool:
        return bool(self.prompt_ids) and self.chosen_ids != self.rejected_ids

    def cut(self, length: int) -> Self:
        left = max(0, length - len(self.prompt_ids))
        return type(self)(
            self.line,
            self.prompt_ids[:length],
            self.chosen_ids[:left],
            self.rejected_ids[:left],
        )


def encode_pairs(rows: Sequence[chats.PairRow], encoder: Encoder) -> list[Pair]:
    """Both answers of each row as the chat template writes them, up to the token that ends them."""
    both = [row.with_answer(answer) for row in rows for answer in (row.chosen, row.rejected)]
    whole = encode(both, encoder)
    return [
        _pair(row.line, *(_parted(example.input_ids, example.labels) for example in two))
        for row, two in zip(rows, zip(whole[::2], whole[1::2], strict=True), strict=True)
    ]


def _parted(ids: list[int], labels: list[int]) -> tuple[int, list[int]]:
    """Where the answer begins, and everything to its end."""
    inside = [index for index, label in enumerate(labels) if label != IGNORED]
    return (inside[0], ids[: inside[-1] + 1]) if inside else (len(ids), ids)


def _pair(line: int, chosen: tuple[int, list[int]], rejected: tuple[int, list[int]]) -> Pair:
    begin = min(chosen[0], rejected[0])
    # Where a question's last token joins the answer's first, the answers begin one earlier.
    while chosen[1][:begin] != rejected[1][:begin]:
        begin -= 1
    return Pair(line, chosen[1][:begin], chosen[1][begin:], rejected[1][begin:])


def in_memory(pairs: Sequence[Pair]) -> datasets.Dataset:
    """The pairs as the trainer wants them, with no file behind."""
    return datasets.Dataset.from_dict(
        {
            "prompt_ids": [pair.prompt_ids for pair in pairs],
            "chosen_ids": [pair.chosen_ids for pair in pairs],
            "rejected_ids": [pair.rejected_ids for pair in pairs],
        }
    )
