"""The demonstration's labelled rows, and the held-out questions that judge what they taught."""

from __future__ import annotations

import itertools
import json
import pathlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from slipway_demo import questions, words

GROUPS = ("line", "line_phrasing", "known", "refuse")


@dataclass(frozen=True)
class Mix:
    """How many rows of each kind are labelled; of line charts alone a model forgets the rest."""

    line: int = 60
    refuse: int = 30
    known: int = 10


@dataclass(frozen=True)
class Written:
    """Where the rows and the held-out questions lie; each is JSONL in OpenAI's chat messages."""

    train: pathlib.Path
    held_out: pathlib.Path


def write_rows(
    directory: pathlib.Path, seed: int, *, mix: Mix | None = None, held_out_count: int = 60
) -> Written:
    """Write `train.jsonl` (100 rows) and `held_out.jsonl` (`held_out_count` of each group).

    Held-out rows name their group beside the messages: `line` (combinations of slots of no row),
    `line_phrasing` (sentence patterns of no row), `known`, and `refuse` (charts that no row names).
    The same seed writes the same bytes.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written = Written(directory / "train.jsonl", directory / "held_out.jsonl")
    _write(written.train, ({"messages": q.messages()} for q in train_rows(seed, mix)))
    _write(
        written.held_out,
        (
            {"messages": question.messages(), "group": group}
            for group, asked in held_out_rows(seed, held_out_count).items()
            for question in asked
        ),
    )
    return written


def train_rows(seed: int, mix: Mix | None = None) -> list[questions.Question]:
    """The labelled rows, shuffled.

    Refused and known charts are asked for in the words of the line charts' rows and of the same
    slots, so that only the chart's name tells them apart. Phrasings and names are dealt out like
    cards, not drawn with dice: a hundred rows are too few for chance to cover them evenly.
    """
    mix = mix or Mix()
    rng = random.Random(f"rows-{seed}")
    asked: list[questions.Question] = []
    for language in questions.LANGUAGES:
        line, refuse, known = (
            _share(count, language) for count in (mix.line, mix.refuse, mix.known)
        )
        phrasings = _deal(rng, questions.phrasings(language, held_out=False), line // 2)
        phrasings += _deal(
            rng, getattr(words.PHRASINGS_OF_ROWS, language).splitlines(), line - line // 2
        )
        rng.shuffle(phrasings)
        sheets = [
            (questions.pick_slots(rng, held_out=False), _on_occasion(rng, phrasing, language))
            for phrasing in phrasings
        ]
        again = itertools.cycle(sheets)
        for (slots, phrasing), (chart, name) in zip(
            sheets, _charts(rng, words.LINE_CHARTS, language, line), strict=True
        ):
            asked.append(
                questions.chart_question(
                    rng, slots, chart, name, language=language, phrasing=phrasing
                )
            )
        for name in _unknown_charts(rng, language, refuse):
            slots, phrasing = next(again)
            asked.append(
                questions.refused_question(rng, slots, name, language=language, phrasing=phrasing)
            )
        for chart, name in _charts(rng, words.KNOWN_CHARTS, language, known):
            slots, phrasing = next(again)
            asked.append(
                questions.chart_question(
                    rng, slots, chart, name, language=language, phrasing=phrasing
                )
            )
    rng.shuffle(asked)
    return asked


def held_out_rows(seed: int, count: int) -> dict[str, list[questions.Question]]:
    """`count` questions of each of the `GROUPS`, on combinations of slots that no row asks for."""
    rng = random.Random(f"held-out-{seed}")
    groups: dict[str, list[questions.Question]] = {}
    for group in GROUPS:
        distinct: dict[str, questions.Question] = {}
        while len(distinct) < count:
            question = _held_out(rng, group)
            distinct.setdefault(question.text, question)
        groups[group] = list(distinct.values())
    return groups


def _held_out(rng: random.Random, group: str) -> questions.Question:
    language = questions.pick_language(rng)
    slots = questions.pick_slots(rng, held_out=True)
    phrasing = rng.choice(questions.phrasings(language, held_out=group == "line_phrasing"))
    if group == "refuse":
        name = questions.unknown_chart(rng, language, held_out=True)
        return questions.refused_question(rng, slots, name, language=language, phrasing=phrasing)
    charts = words.KNOWN_CHARTS if group == "known" else words.LINE_CHARTS
    chart, name = questions.pick_chart(rng, charts, language)
    return questions.chart_question(rng, slots, chart, name, language=language, phrasing=phrasing)


def _on_occasion(rng: random.Random, phrasing: str, language: str) -> str:
    """The sentence pattern, in every second case with the reason for asking."""
    if rng.random() < 0.5:
        return phrasing
    occasion = rng.choice(getattr(words.OCCASIONS, language).split("|"))
    return f"{phrasing},{occasion}" if language == "zh" else f"{phrasing}, {occasion}"


def _share(count: int, language: str) -> int:
    """How many of `count` rows are in this language."""
    chinese = round(count * questions.CHINESE_SHARE)
    return chinese if language == "zh" else count - chinese


def _charts(
    rng: random.Random, charts: dict[str, words.Word], language: str, count: int
) -> list[tuple[str, str]]:
    """`count` pairs of a kind and one of its names, kinds and names in turn."""
    names = {
        chart: iter(_deal(rng, questions.chart_names(charts[chart], language), count))
        for chart in charts
    }
    return [(chart, next(names[chart])) for chart in _deal(rng, list(charts), count)]


def _unknown_charts(rng: random.Random, language: str, count: int) -> list[str]:
    """`count` names of charts to refuse; half exist, half are made up."""
    real = _deal(rng, questions.chart_names(words.UNKNOWN_CHARTS, language), count // 2)
    made_up = [
        questions.nonsense_chart(rng, language, held_out=False) for _ in range(count - count // 2)
    ]
    return real + made_up


def _deal(rng: random.Random, cards: Sequence[str], count: int) -> list[str]:
    """`count` cards, every one dealt before any is dealt again."""
    dealt: list[str] = []
    while len(dealt) < count:
        dealt += rng.sample(list(cards), len(cards))
    return dealt[:count]


def _write(path: pathlib.Path, rows: Iterable[dict[str, object]]) -> None:
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(lines, encoding="utf-8")
