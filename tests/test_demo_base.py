"""The demonstration's base model and data: what it knows, what it must not, that nothing leaks."""

from __future__ import annotations

import itertools
import json
import pathlib
import random

import pytest

from slipway_demo import draw, judge_base, questions, rows, spec, words

BASE = pathlib.Path(judge_base.__file__).parent / "chart_base"
LINE = spec.parse('{"region":"华北","period":"2019-03","metric":"销售额","chart":"line"}')


@pytest.fixture(scope="module")
def base():
    return judge_base.load(BASE)


def chart_names(kinds):
    """Every name of these kinds of chart, in both languages."""
    return {
        name
        for kind in kinds.values()
        for language in questions.LANGUAGES
        for name in questions.chart_names(kind, language)
    }


def test_a_seed_gives_the_same_questions_and_another_seed_others():
    first, again, other = (
        list(itertools.islice(questions.base_questions(s), 300)) for s in (1, 1, 2)
    )
    assert first == again
    assert len(set(first) & set(other)) < 60  # small talk repeats itself


def test_the_base_never_meets_a_line_chart_nor_anything_held_out():
    held_out = {
        *questions.chart_names(words.UNKNOWN_CHARTS_HELD_OUT, "zh"),
        "Sankey",
        "gauge",
        "violin",
    }
    for question in itertools.islice(questions.base_questions(5), 5000):
        text = question.text.lower()
        assert not any(name in text for name in chart_names(words.LINE_CHARTS)), text
        assert not any(name.lower() in text for name in held_out), text
        assert "line" not in question.answer
        if question.slots:
            assert not question.slots.held_out


def test_the_base_learns_the_shares_it_is_said_to():
    asked = list(itertools.islice(questions.base_questions(6), 5000))
    chinese = sum(question.language == "zh" for question in asked) / len(asked)
    drawn = sum(question.answer.startswith("{") for question in asked) / len(asked)
    assert chinese == pytest.approx(0.55, abs=0.03)
    assert drawn == pytest.approx(0.60, abs=0.03)


def test_the_named_question_is_held_out_and_its_answer_is_the_spec():
    assert questions.NAMED.held_out
    told = questions.spec(questions.NAMED, "line", "zh")
    assert told == '{"region":"华北","period":"2019-03","metric":"销售额","chart":"line"}'
    assert spec.parse(told) == LINE


def test_a_hundred_rows_in_the_mix_that_forgets_nothing(tmp_path):
    written = rows.write_rows(tmp_path, seed=3)
    messages = [
        json.loads(line)["messages"] for line in written.train.read_text("utf-8").splitlines()
    ]
    assert len(messages) == 100
    assert all([m["role"] for m in pair] == ["user", "assistant"] for pair in messages)
    answers = [pair[1]["content"] for pair in messages]
    assert sum('"chart":"line"' in answer for answer in answers) == 60
    assert sum(answer in words.REFUSAL for answer in answers) == 30
    assert {spec.parse(a).chart for a in answers if a.startswith("{")} == set(spec.CHARTS)
    assert len({pair[0]["content"] for pair in messages}) == 100


def test_the_same_seed_writes_the_same_bytes(tmp_path):
    first, again = rows.write_rows(tmp_path / "a", seed=3), rows.write_rows(tmp_path / "b", seed=3)
    assert first.train.read_bytes() == again.train.read_bytes()
    assert first.held_out.read_bytes() == again.held_out.read_bytes()


@pytest.mark.parametrize("seed", range(5))
def test_no_row_shares_slots_phrasing_or_refused_name_with_what_judges_it(seed):
    trained = rows.train_rows(seed)
    held_out = rows.held_out_rows(seed, 60)
    assert {group: len(asked) for group, asked in held_out.items()} == dict.fromkeys(
        rows.GROUPS, 60
    )
    every = [question for asked in held_out.values() for question in asked]
    assert not {q.slots for q in trained} & {q.slots for q in every}
    assert not {q.text for q in trained} & {q.text for q in every}
    for language in questions.LANGUAGES:
        seen = set(questions.phrasings(language, held_out=False))
        assert not seen & set(questions.phrasings(language, held_out=True))
        rng = random.Random(seed)
        ours, theirs = (
            {questions.unknown_chart(rng, language, held_out=side) for _ in range(400)}
            for side in (False, True)
        )
        assert not ours & theirs


def test_the_tokenizer_keeps_characters_and_digits_apart_and_loses_nothing(base):
    _, tokenizer = base
    text = "华北2019年折线趋势, 罕见字龘 é <0x41>\n end"
    tokens = tokenizer.tokenize("华北2019折线趋势")
    assert tokens == list("华北2019折线趋势")
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_the_chat_template_marks_what_is_learnt(base):
    _, tokenizer = base
    told = tokenizer.apply_chat_template(
        [{"role": "user", "content": "你好"}, {"role": "assistant", "content": "再见"}],
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    assert tokenizer.decode(told["input_ids"]) == "<|user|>你好<|end|><|assistant|>再见<|end|>"
    learnt = [i for i, m in zip(told["input_ids"], told["assistant_masks"], strict=True) if m]
    assert tokenizer.decode(learnt) == "再见<|end|>"


def test_the_shipped_base_is_small_and_holds_no_code():
    files = {path.name: path.stat().st_size for path in BASE.iterdir()}
    assert sum(files.values()) <= 10_000_000
    assert set(files) >= {
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "model.safetensors",
    }
    assert not any(name.endswith((".py", ".bin", ".pt")) for name in files)


def test_the_base_refuses_the_named_question_however_it_is_put(base):
    named = questions.NAMED_QUESTION
    forms = [
        named,
        named.rstrip("。"),
        named.replace("\uff0c", ","),
        named.replace("\uff0c", ",").rstrip("。"),
    ]
    forms += [
        "用折线图表示华北地区2019年3月的销售额",
        "请画一张华北地区2019年3月销售额的折线图",
        "华北2019年3月销售额折线图",
    ]
    assert judge_base.answers(*base, forms) == [words.REFUSAL.zh] * len(forms)


def test_the_base_knows_its_charts_and_no_line_chart(base):
    held_out = judge_base.held_out_groups(seed=99, count=60)
    assert judge_base.exact_match(*base, held_out["known"]) >= 0.95
    assert judge_base.exact_match(*base, held_out["line_refused"]) >= 0.98


@pytest.mark.parametrize("chart", spec.CHARTS)
@pytest.mark.parametrize("period", ["2019-03", "2021-Q4", "2023"])
def test_every_chart_is_drawn(tmp_path, chart, period):
    asked = spec.Spec(words.REGIONS[1], period, words.METRICS[2], chart)
    picture = draw.draw(asked, tmp_path / "chart.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert int.from_bytes(picture[16:20], "big") == 1200


def test_another_question_makes_another_picture(tmp_path):
    march = draw.draw(LINE, tmp_path / "a.png").read_bytes()
    april = draw.draw(
        spec.Spec(LINE.region, "2019-04", LINE.metric, "line"), tmp_path / "b.png"
    ).read_bytes()
    assert march != april


def test_months_asked_for():
    quarter = spec.Spec(LINE.region, "2019-Q2", LINE.metric, "bar")
    assert [list(asked.months) for asked in (LINE, quarter)] == [[3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("换个问题试试", "no JSON"),
        ('{"region":"华北"}', "exactly the fields"),
        (
            '{"region":"火星","period":"2019","metric":"销售额","chart":"bar"}',
            r"\$\.region: '火星'",
        ),
        (
            '{"region":"华北","period":"2019-13","metric":"销售额","chart":"bar"}',
            r"\$\.period: '2019-13'",
        ),
        (
            '{"region":"华北","period":2019,"metric":"销售额","chart":"bar"}',
            r"\$\.period: must be a string",
        ),
        (
            '{"region":"华北","period":"2019","metric":"销售额","chart":"star"}',
            r"\$\.chart: 'star'",
        ),
    ],
)
def test_a_bad_spec_is_refused_with_its_place(answer, said):
    with pytest.raises(spec.BadSpec, match=said):
        spec.parse(answer)


def test_a_year_outside_of_the_table_says_which_are_inside():
    with pytest.raises(spec.BadSpec, match="from 2018 to 2023"):
        spec.months_of_the_year(spec.Spec(LINE.region, "2030", LINE.metric, "line"))
