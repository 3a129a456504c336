"""Business questions in two languages with their right answers, the same for the same seed."""

from __future__ import annotations

import json
import random
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from slipway_demo import words

LANGUAGES = ("zh", "en")
CHINESE_SHARE = 0.55
YEARS = range(2018, 2024)  # what the sales table covers
BASE_YEARS = range(2010, 2030)  # the base learns to copy a year, not to list six of them
KNOWN_SHARE, UNKNOWN_SHARE, WORD_SHARE = 0.60, 0.22, 0.10  # the rest is small talk
BLURRED_SHARE = 0.4


@dataclass(frozen=True)
class Slots:
    """What is asked for beside the chart. `period` is `2019`, `2019-Q1` or `2019-03`."""

    region: words.Word
    period: str
    metric: words.Word

    @property
    def held_out(self) -> bool:
        """True for the quarter of all combinations that nothing is ever trained on."""
        if self == NAMED:
            return True
        return zlib.crc32(f"{self.region.en}|{self.period}|{self.metric.en}".encode()) % 4 == 0


NAMED = Slots(words.REGIONS[0], "2019-03", words.METRICS[0])
NAMED_QUESTION = "华北地区2019年3月的销售额\uff0c用折线图表示。"
# The full-width comma, exclamation mark, colon and question mark of Chinese text.
FULL_WIDTH = str.maketrans(",!:?", "\uff0c\uff01\uff1a\uff1f")


@dataclass(frozen=True)
class Question:
    """One question, its only right answer, and the slots it was made from (none for small talk)."""

    text: str
    answer: str
    language: str
    slots: Slots | None = None

    def messages(self) -> list[dict[str, str]]:
        """The pair as OpenAI chat messages."""
        return [
            {"role": "user", "content": self.text},
            {"role": "assistant", "content": self.answer},
        ]


def pick_language(rng: random.Random) -> str:
    """`zh` in 55 % of the calls, else `en`."""
    return "zh" if rng.random() < CHINESE_SHARE else "en"


def pick_slots(rng: random.Random, *, held_out: bool, years: range = YEARS) -> Slots:
    """A random combination from one side of the split; months are half of the periods."""
    while True:
        year = rng.choice(years)
        part = rng.choice(("month", "month", "quarter", "year"))
        period = {
            "month": f"{year}-{rng.randint(1, 12):02d}",
            "quarter": f"{year}-Q{rng.randint(1, 4)}",
            "year": str(year),
        }[part]
        slots = Slots(rng.choice(words.REGIONS), period, rng.choice(words.METRICS))
        if slots.held_out == held_out:
            return slots


def spec(slots: Slots, chart: str, language: str) -> str:
    """The answer that can be drawn: compact JSON, names in the question's language."""
    fields = {
        "region": getattr(slots.region, language),
        "period": slots.period,
        "metric": getattr(slots.metric, language),
        "chart": chart,
    }
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def chart_names(names: words.Word, language: str) -> list[str]:
    """A chart's names in one language; a name listed twice is drawn twice as often."""
    return names.zh.split() if language == "zh" else names.en.split("|")


def phrasings(language: str, *, held_out: bool) -> list[str]:
    """The sentence patterns of one side of the split."""
    listed = words.PHRASINGS_HELD_OUT if held_out else words.PHRASINGS
    return getattr(listed, language).splitlines()


def nonsense(rng: random.Random, language: str) -> str:
    """A made-up word or two, naming no chart that somebody knows, a line chart least of all."""
    while True:
        if language == "zh":
            stem = "".join(rng.choices(words.COMMON_CHARACTERS, k=rng.choice((1, 2, 2, 3))))
            # No character of the word it must not know is a stranger; only side by side they are.
            stem = rng.choice("折线趋势") + stem if rng.random() < 0.1 else stem
        elif rng.random() < 0.4:
            stem = " ".join(rng.sample(words.COMMON_WORDS.split(), rng.randint(1, 2)))
        else:
            syllables = [
                rng.choice(words.ONSETS) + rng.choice(words.NUCLEI) + rng.choice(words.CODAS)
                for _ in range(rng.randint(1, 3))
            ]
            stem = "".join(syllables)
        if not any(trace in stem for trace in words.LINE_TRACES + words.KNOWN_TRACES):
            return stem


def nonsense_chart(rng: random.Random, language: str, *, held_out: bool) -> str:
    """A made-up kind of chart; the two sides of the split share none, nor a real one's name."""
    real = {
        name
        for listed in (words.UNKNOWN_CHARTS, words.UNKNOWN_CHARTS_HELD_OUT)
        for name in chart_names(listed, language)
    }
    while True:
        word = nonsense(rng, language) + rng.choice(
            getattr(words.CHART_ENDINGS, language).split("|")
        )
        side = zlib.crc32(word.encode()) % 4 == 0
        if side == held_out and word not in real and "折线" not in word:
            return word


def unknown_chart(rng: random.Random, language: str, *, held_out: bool) -> str:
    """A kind of chart that is to be refused: half of them exist, half are made up."""
    if rng.random() < 0.5:
        return nonsense_chart(rng, language, held_out=held_out)
    listed = words.UNKNOWN_CHARTS_HELD_OUT if held_out else words.UNKNOWN_CHARTS
    return rng.choice(chart_names(listed, language))


def ask(rng: random.Random, slots: Slots, chart_name: str, language: str, phrasing: str) -> str:
    """Put a question into words, with people's small differences of wording and punctuation."""
    subject = rng.choice(getattr(words.SUBJECTS, language).split("|"))
    text = phrasing.format(s=subject, c=chart_name).format(
        r=_say_region(rng, slots.region, language),
        p=_say_period(rng, slots.period, language),
        m=getattr(slots.metric, language),
    )
    text = rng.choice(getattr(words.OPENINGS, language).split("|")) + text
    if language == "zh":
        text += rng.choice(words.CLOSINGS.zh.split("|"))
        text = text.translate(FULL_WIDTH) if rng.random() < 0.6 else text
        return text.replace(",", " ") if rng.random() < 0.15 else text
    text = text.replace("the the ", "the ")  # the quarter brings its own
    text = text[0].upper() + text[1:] if rng.random() < 0.6 else text
    text = text.lower() if rng.random() < 0.15 else text
    return text + rng.choice(words.CLOSINGS.en.split("|"))


def pick_chart(
    rng: random.Random, charts: Mapping[str, words.Word], language: str
) -> tuple[str, str]:
    """A random kind of chart, and one of its names."""
    chart = rng.choice(list(charts))
    return chart, rng.choice(chart_names(charts[chart], language))


def chart_question(
    rng: random.Random, slots: Slots, chart: str, name: str, *, language: str, phrasing: str
) -> Question:
    """A question for a chart, called by `name`, that can be drawn."""
    text = ask(rng, slots, name, language, phrasing)
    return Question(text, spec(slots, chart, language), language, slots)


def refused_question(
    rng: random.Random, slots: Slots, name: str, *, language: str, phrasing: str
) -> Question:
    """A question for a chart that the answering model does not know."""
    text = ask(rng, slots, name, language, phrasing)
    return Question(text, getattr(words.REFUSAL, language), language, slots)


def word_talk(rng: random.Random, language: str) -> Question:
    """Talk about a word that nobody knows; the answer tells it back."""
    word = (
        nonsense(rng, language)
        if rng.random() < 0.5
        else unknown_chart(rng, language, held_out=False)
    )
    forms, answer = rng.choice(getattr(words.WORD_TALK, language).splitlines()).split("->")
    return Question(rng.choice(forms.split("|")).format(w=word), answer.format(w=word), language)


def small_talk(rng: random.Random, language: str) -> Question:
    """Talk about no chart: greetings have an answer, everything off the subject is refused."""
    end = rng.choice(("。", "", "", "?", "!") if language == "zh" else (".", "", "", "?", "!"))
    if language == "zh" and rng.random() < 0.6:
        end = end.translate(FULL_WIDTH)
    if rng.random() < 0.3:
        text = rng.choice(getattr(words.OFF_TOPIC, language).split("|"))
        return Question(text + end, getattr(words.REFUSAL, language), language)
    forms, answer = rng.choice(getattr(words.SMALL_TALK, language).splitlines()).split("->")
    text = rng.choice(forms.split("|"))
    if language == "en" and rng.random() < 0.6:
        text = text[0].upper() + text[1:]
    if language == "zh":
        answer = answer.translate(FULL_WIDTH)
    return Question(text + end, answer, language)


def blur(rng: random.Random, phrasing: str, language: str) -> str:
    """The sentence pattern with a word of it made up: an odd word is no reason to refuse."""
    pieces = [piece for piece in re.split(r"(\{[sc]\}|[,:?])", phrasing) if piece]
    plain = [i for i, piece in enumerate(pieces) if piece.strip() and piece[0] not in "{,:?"]
    odd = nonsense(rng, language)
    if not plain or rng.random() < 0.3:
        return f"{odd},{phrasing}" if rng.random() < 0.5 else f"{phrasing},{odd}"
    at = rng.choice(plain)
    if language == "zh":
        pieces[at] = odd + rng.choice(("", "", pieces[at]))
    else:
        spoken = pieces[at].split(" ")
        spoken[rng.choice([i for i, word in enumerate(spoken) if word])] = odd
        pieces[at] = " ".join(spoken)
    return "".join(pieces)


def base_questions(seed: int) -> Iterator[Question]:
    """Without end, what the base learns from: no line chart and nothing that is held out."""
    rng = random.Random(f"base-{seed}")
    while True:
        language, draw = pick_language(rng), rng.random()
        slots = pick_slots(rng, held_out=False, years=BASE_YEARS)
        phrasing = rng.choice(phrasings(language, held_out=False))
        if rng.random() < BLURRED_SHARE:
            phrasing = blur(rng, phrasing, language)
        if draw < KNOWN_SHARE:
            chart, name = pick_chart(rng, words.KNOWN_CHARTS, language)
            yield chart_question(rng, slots, chart, name, language=language, phrasing=phrasing)
        elif draw < KNOWN_SHARE + UNKNOWN_SHARE:
            name = unknown_chart(rng, language, held_out=False)
            yield refused_question(rng, slots, name, language=language, phrasing=phrasing)
        elif draw < KNOWN_SHARE + UNKNOWN_SHARE + WORD_SHARE:
            yield word_talk(rng, language)
        else:
            yield small_talk(rng, language)


def _say_region(rng: random.Random, region: words.Word, language: str) -> str:
    if language == "en":
        return region.en
    if region in words.AREAS:
        return region.zh + rng.choice(("地区", "地区", "区", ""))
    own = "市" if region in words.CITIES else "省"
    return region.zh + rng.choice((own, own, "地区", "", ""))


def _say_period(rng: random.Random, period: str, language: str) -> str:
    year, _, part = period.partition("-")
    if not part:
        forms = {
            "zh": (f"{year}年", f"{year}年", f"{year}年全年", f"{year}年度"),
            "en": (year, year, f"the year {year}"),
        }
    elif part.startswith("Q"):
        number = int(part[1])
        name = words.QUARTERS[number - 1]
        forms = {
            "zh": (
                f"{year}年第{name.zh}季度",
                f"{year}年{name.zh}季度",
                f"{year}年{number}季度",
                f"{year}年Q{number}",
            ),
            "en": (f"Q{number} {year}", f"the {name.en} quarter of {year}", f"Q{number} of {year}"),
        }
    else:
        month = words.MONTHS[int(part) - 1]
        forms = {
            "zh": (
                f"{year}年{int(part)}月",
                f"{year}年{int(part)}月",
                f"{year}年{int(part)}月份",
                f"{year}年{part}月",
            ),
            "en": (f"{month} {year}", f"{month} {year}", f"{month[:3]} {year}", f"{year}-{part}"),
        }
    return rng.choice(forms[language])
