"""Choosing the next token of each row: greedy or drawn, with penalties and log-probabilities."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch


class Constraint(Protocol):
    """Something that knows which tokens may come next (a grammar, a schema); one per row."""

    @property
    def finished(self) -> bool:
        """Nothing may follow: the answer ends here."""

    def bar(self, logits: torch.Tensor) -> None:
        """Set the logits [vocabulary] of tokens that may not come next to minus infinity."""

    def advance(self, token: int) -> None:
        """Learn which token was chosen."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How one answer is drawn. `temperature` 0 is greedy; `top_k` 0 and `top_p` 1 mean no cut."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    #: Token id to the amount added to its logit.
    logit_bias: dict[int, float] = field(default_factory=dict)
    #: How many alternatives to report per token; None for no log-probabilities at all.
    top_logprobs: int | None = None
    constraint: Constraint | None = None


@dataclass(frozen=True)
class Choice:
    """A chosen token; log-probabilities (natural, before temperature) only where asked for."""

    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


class Sampler:
    """One row's sampling state."""

    def __init__(self, sampling: Sampling) -> None:
        self.sampling = sampling
        self._random = random.Random(sampling.seed)
        self._counts: dict[int, int] = {}
        s = sampling
        self._penalised = bool(s.presence_penalty or s.frequency_penalty)
        #: Takes the logits as they come.
        self.plain = not (self._penalised or s.logit_bias or s.constraint is not None)
        if s.logit_bias:
            self._biased = torch.tensor(list(s.logit_bias)), torch.tensor([*s.logit_bias.values()])

    def shape(self, logits: torch.Tensor) -> None:
        """Apply bias, penalties and constraint to one row's logits [vocabulary], in place."""
        if self.sampling.logit_bias:
            logits[self._biased[0]] += self._biased[1]
        if self._penalised and self._counts:
            s = self.sampling
            tokens = torch.tensor(list(self._counts))
            counts = torch.tensor(list(self._counts.values()), dtype=logits.dtype)
            logits[tokens] -= s.presence_penalty + s.frequency_penalty * counts
        if self.sampling.constraint is not None:
            self.sampling.constraint.bar(logits)

    def uniform(self) -> float:
        """The next number in [0, 1) of this row's own sequence."""
        return self._random.random()

    @property
    def finished(self) -> bool:
        """The constraint lets nothing follow."""
        return self.sampling.constraint is not None and self.sampling.constraint.finished

    def took(self, token: int) -> None:
        if self._penalised:
            self._counts[token] = self._counts.get(token, 0) + 1
        if self.sampling.constraint is not None:
            self.sampling.constraint.advance(token)


def choose(logits: torch.Tensor, samplers: Sequence[Sampler]) -> list[Choice | Exception]:
    """The next token of each row of `logits` [n, vocabulary].

    A row that cannot be sampled (no finite logit, a constraint that fails) yields its exception
    and does not disturb the others. A row's draw depends on its own seed, never on its neighbours.
    """
    failed: dict[int, Exception] = {}
    shaped = logits
    if not all(sampler.plain for sampler in samplers):
        shaped = logits.clone()
        for i, sampler in enumerate(samplers):
            if sampler.plain:
                continue
            try:
                sampler.shape(shaped[i])
            except Exception as error:  # noqa: BLE001 - it is this row's alone
                failed[i] = error
                shaped[i] = logits[i]
    best, tokens_tensor = shaped.max(dim=-1)
    tokens: list[int] = tokens_tensor.tolist()
    for i in torch.nonzero(~torch.isfinite(best)).flatten().tolist():
        failed.setdefault(i, ArithmeticError("the model gave no finite score for any token"))
    drawn = [i for i, s in enumerate(samplers) if s.sampling.temperature > 0 and i not in failed]
    if drawn:
        for i, token in zip(drawn, _draw(shaped[drawn], [samplers[i] for i in drawn]), strict=True):
            tokens[i] = token
    return [
        failed.get(i) or _take(logits[i], tokens[i], sampler) for i, sampler in enumerate(samplers)
    ]


def _take(logits: torch.Tensor, token: int, sampler: Sampler) -> Choice | Exception:
    try:
        sampler.took(token)
        return _choice(logits, token, sampler.sampling.top_logprobs)
    except Exception as error:  # noqa: BLE001 - it is this row's alone
        return error


def _draw(logits: torch.Tensor, samplers: Sequence[Sampler]) -> list[int]:
    """Draw by inverting each row's cumulative distribution at its own uniform number."""
    temperatures = torch.tensor([[s.sampling.temperature] for s in samplers])
    probabilities = torch.softmax(logits / temperatures, dim=-1)
    uniforms = torch.tensor([[s.uniform()] for s in samplers], dtype=torch.float64)
    if all(s.sampling.top_p >= 1 and not s.sampling.top_k for s in samplers):
        return _invert(probabilities, uniforms).flatten().tolist()
    size = logits.shape[-1]
    top_p = torch.tensor([[s.sampling.top_p] for s in samplers])
    top_k = torch.tensor([[s.sampling.top_k or size] for s in samplers])
    # The head of the distribution nearly always holds the nucleus; sort all only if it does not.
    for kept in (min(size, 512), size):
        ordered, ids = torch.topk(probabilities, kept, dim=-1)
        before = ordered.cumsum(-1) - ordered
        if kept == size or bool(((before[:, -1:] >= top_p) | (top_k <= kept)).all()):
            break
    cut = (before >= top_p) | (torch.arange(kept) >= top_k)
    cut[:, 0] = False  # the most likely token stays, however narrow the cut
    ordered[cut] = 0
    return ids.gather(-1, _invert(ordered, uniforms)).flatten().tolist()


def _invert(weights: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """Index [n, 1] at which each row's cumulated weights pass `uniform` times their sum."""
    cumulated = weights.double().cumsum(-1)
    index = torch.searchsorted(cumulated, uniforms * cumulated[:, -1:], right=True)
    return index.clamp_(max=weights.shape[-1] - 1)


def _choice(logits: torch.Tensor, token: int, alternatives: int | None) -> Choice:
    if alternatives is None:
        return Choice(token)
    logprobs = torch.log_softmax(logits, dim=-1)
    values, ids = torch.topk(logprobs, min(alternatives, logits.shape[-1]))
    top = tuple(zip(ids.tolist(), values.tolist(), strict=True))
    return Choice(token, float(logprobs[token]), top)
