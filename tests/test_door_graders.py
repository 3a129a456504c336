"""Graders by the `openai` package: scores, flags of what went wrong, judges paid like anyone."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from door_world import Door, error_of
from gateway_world import Exchange, answer_well, completion_of

from slipway.door.services import similarity
from slipway_contracts.grading import formula, templates
from slipway_contracts.grading.stemming import stem

ITEM = {"answer": "Paris", "rows": [{"n": 3}], "deep": {"er": "x"}}


def check(**more: Any) -> dict[str, Any]:
    return {"type": "string_check", "name": "c", "input": "{{sample.output_text}}",
            "reference": "{{item.answer}}", "operation": "eq"} | more  # fmt: skip


def alike(metric: str, **more: Any) -> dict[str, Any]:
    return {"type": "text_similarity", "name": "s", "input": "{{ sample.output_text }}",
            "reference": "{{item.answer}}", "evaluation_metric": metric} | more  # fmt: skip


def judge(**more: Any) -> dict[str, Any]:
    message = {"role": "user", "content": "Judge {{sample.output_text}} for {{item.answer}}"}
    return {"type": "score_model", "name": "j", "model": "m", "input": [message],
            "range": [0, 10]} | more  # fmt: skip


def label(**more: Any) -> dict[str, Any]:
    message = {"role": "user", "content": [{"type": "input_text", "text": "Is it good?"}]}
    return {"type": "label_model", "name": "l", "model": "m", "input": [message],
            "labels": ["good", "bad"], "passing_labels": ["good"]} | more  # fmt: skip


@pytest.fixture(scope="module")
def client(door: Door) -> openai.OpenAI:
    return door.client()


def run(client: openai.OpenAI, grader: dict[str, Any], sample: str, item: Any = None) -> Any:
    return client.fine_tuning.alpha.graders.run(
        grader=grader, model_sample=sample, item=ITEM if item is None else item  # type: ignore[arg-type]
    )  # fmt: skip


def say(door: Door, text: str) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.whole(completion_of("m", text, 9, 3))

    door.engine.script = script


@pytest.mark.parametrize(
    ("operation", "sample", "score"),
    [("eq", "Paris", 1), ("eq", "paris", 0), ("ne", "Rome", 1), ("ne", "Paris", 0),
     ("like", "in Paris.", 1), ("like", "in paris.", 0), ("ilike", "IN PARIS.", 1)],
)  # fmt: skip
def test_strings_are_checked(
    client: openai.OpenAI, operation: str, sample: str, score: float
) -> None:
    found = run(client, check(operation=operation), sample)
    assert found.reward == score
    assert found.metadata.name == "c"
    assert found.metadata.type == "string_check"
    assert not any(v for v in found.metadata.errors.to_dict().values())


@pytest.mark.parametrize("metric", sorted(similarity.MEASURES))
def test_likeness_is_one_for_the_same_and_less_for_another(
    client: openai.OpenAI, metric: str
) -> None:
    item = {"answer": "the quick brown fox jumps over the lazy dog"}
    same = run(client, alike(metric), item["answer"], item).reward
    near = run(client, alike(metric), "the quick brown fox jumps over one lazy dog", item).reward
    other = run(client, alike(metric), "一二三四五", item).reward
    # METEOR's penalty never vanishes: one piece of nine words costs 0.5 / 9³.
    assert same == pytest.approx(1, abs=1e-3)
    assert 0 <= other < near < 1


def test_the_measures_are_those_of_the_known_libraries() -> None:
    """What rouge_score 0.1.2 and nltk 3.10 give; importing them takes longer than all else here."""
    pair = ("the cat sat on the mat", "the cat is on the mat")
    known = {"rouge_1": 5 / 6, "rouge_2": 3 / 5, "rouge_3": 1 / 4, "rouge_4": 0.0, "rouge_5": 0.0,
             "rouge_l": 5 / 6, "gleu": 0.5}  # fmt: skip
    for metric, value in known.items():
        assert similarity.MEASURES[metric](*pair) == pytest.approx(value)
    assert similarity.MEASURES["gleu"]("a b", "a b c d e f") == pytest.approx(3 / 18)
    assert similarity.MEASURES["rouge_1"]("a b", "a b c d e f") == pytest.approx(0.5)


def test_meteor_is_what_its_authors_and_nltk_say() -> None:
    """Penalties as in the paper; nltk 3.10 without WordNet gives the same for 3000 random pairs."""
    known = {"the cat sat on the mat": 0.9977, "on the mat sat the cat": 0.5,
             "the cat was sat on the mat": 0.9654}  # fmt: skip
    for text, value in known.items():
        assert round(similarity.MEASURES["meteor"](text, "the cat sat on the mat"), 4) == value
    assert similarity.MEASURES["meteor"]("cats sit", "the cat sits") == pytest.approx(
        10 * 1 * (2 / 3) / (2 / 3 + 9) * (1 - 0.5 * (1 / 2) ** 3)
    )
    assert similarity.MEASURES["meteor"]("", "a") == 0
    stems = {"caresses": "caress", "ponies": "poni", "feed": "feed", "agreed": "agre",
             "motoring": "motor", "hopping": "hop", "filing": "file", "happy": "happi",
             "relational": "relat", "conditional": "condit", "vietnamization": "vietnam",
             "hopeful": "hope", "adoption": "adopt", "probate": "probat", "controll": "control",
             "is": "is", "sky": "sky", "大": "大"}  # fmt: skip
    assert {word: stem(word) for word in stems} == stems


def test_a_cosine_is_of_the_platform_s_own_embeddings(door: Door) -> None:
    # Others count the embeddings of acme.
    client = door.client("rival-owner")

    async def vectors(exchange: Exchange) -> None:
        found = {"Paris": [1.0, 0.0], "Lyon": [3.0, 4.0]}
        data = [{"object": "embedding", "index": n, "embedding": found[text]}
                for n, text in enumerate(exchange.asked["input"])]  # fmt: skip
        usage = {"prompt_tokens": 2, "total_tokens": 2}
        await exchange.whole({"object": "list", "data": data, "model": "m", "usage": usage})

    door.engine.script = vectors
    found = run(client, alike("cosine", x_model="m"), "Lyon")
    assert found.reward == pytest.approx(0.6)
    assert found.to_dict()["model_grader_token_usage_per_model"] == {"m": 2}
    assert run(client, alike("cosine", x_model="m"), " ").reward == 0
    # No encoder is deployed here, and none was named.
    door.engine.script = answer_well
    errors = run(client, alike("cosine"), "Lyon").metadata.errors
    assert "x_model" in errors.model_grader_server_error_details


def test_fuzzy_match_is_the_share_of_what_both_have() -> None:
    assert similarity.MEASURES["fuzzy_match"]("this is a test", "this is a test!") == pytest.approx(
        28 / 29
    )
    assert similarity.MEASURES["fuzzy_match"]("", "") == 1
    assert similarity.MEASURES["fuzzy_match"]("a", "") == 0
    assert similarity.MEASURES["fuzzy_match"]("ab" * 10_000, "ba" * 10_000) > 0.99


def test_a_judge_gives_a_score_in_its_range(door: Door, client: openai.OpenAI) -> None:
    for said, score in (("7", 7), ('{"result": 12}', 10), ("I say: 8.5", 8.5), ("-3", 0)):
        say(door, said)
        found = run(client, judge(), "Lyon")
        assert found.reward == score
    assert found.to_dict()["model_grader_token_usage_per_model"] == {"m": 12}
    asked = door.engine.exchanges[-1].asked
    assert asked["messages"][0]["content"].startswith("Judge Lyon for Paris")
    say(door, "no idea")
    found = run(client, judge(), "Lyon")
    assert found.reward == 0
    assert found.metadata.errors.model_grader_parse_error
    found = run(client, judge(model="nobody"), "Lyon")
    assert found.metadata.errors.model_grader_server_error
    assert "nobody" in str(found.metadata.errors.model_grader_server_error_details)


def test_a_judge_gives_a_label(door: Door, client: openai.OpenAI) -> None:
    for said, score in (("good", 1), ("Bad.", 0), ("I think it is good", 1)):
        say(door, said)
        assert run(client, label(), "x").reward == score
    say(door, "good or bad")
    assert run(client, label(), "x").metadata.errors.model_grader_parse_error
    door.engine.script = answer_well


def test_several_scores_by_a_formula(client: openai.OpenAI) -> None:
    grader = {"type": "multi", "name": "all", "graders": {"a": check(), "b": alike("fuzzy_match")},
              "calculate_output": "0.5 * a + 0.5 * min(b, 1)"}  # fmt: skip
    found = run(client, grader, "Paris!")
    assert found.reward == pytest.approx(0.5 * 10 / 11)
    assert found.to_dict()["sub_rewards"] == pytest.approx({"a": 0.0, "b": 10 / 11})
    assert client.fine_tuning.alpha.graders.validate(grader=grader).grader is not None  # type: ignore[arg-type]


PYTHON: Any = {
    "type": "python", "name": "py", "image_tag": "2025-05-08",
    "source": "def grade(sample, item):\n"
              "    return float(sample['output_json']['n'] == item['rows'][0]['n'])\n",
}  # fmt: skip


def test_a_grader_in_python_sees_sample_and_item(client: openai.OpenAI) -> None:
    assert run(client, PYTHON, '{"n": 3}').reward == 1
    assert run(client, PYTHON, '{"n": 4}').reward == 0
    assert client.fine_tuning.alpha.graders.validate(grader=PYTHON).grader is not None
    broken = run(client, PYTHON, "no json")
    assert broken.reward == 0
    assert broken.metadata.errors.python_grader_runtime_error is True
    assert "line 2, in grade" in broken.metadata.errors.python_grader_runtime_error_details
    both = {"type": "multi", "name": "all", "graders": {"a": PYTHON, "b": check(operation="ne")},
            "calculate_output": "a + b"}  # fmt: skip
    assert run(client, both, '{"n": 3}').reward == 2


def test_what_a_template_cannot_find_is_told(client: openai.OpenAI) -> None:
    for reference, flag in (
        ("{{item.nothing}}", "invalid_variable_error"),
        ("{{item.__class__}}", "invalid_variable_error"),
        ("{{ 7*7 }}", "invalid_variable_error"),
        ("{{sample.output_json.a}}", "sample_parse_error"),
    ):
        found = run(client, check(reference=reference), "no json")
        assert found.reward == 0
        assert found.metadata.errors.to_dict()[flag] is True
    good = check(input="{{sample.output_json.a}}", reference="{{item.rows[0].n}}")
    assert run(client, good, '{"a": 3}').reward == 1


@pytest.mark.parametrize(
    ("grader", "param"),
    [
        ({}, "grader"),
        ({"type": "python", "name": "p", "source": "x = 1"}, "grader.source"),
        ({"type": "python", "name": "p", "source": "def grade(:"}, "grader.source"),
        ({"type": "python", "name": "p", "source": "import numpy"}, "grader.source"),
        ({"type": "strange"}, "grader.type"),
        (check(operation="equals"), "grader.operation"),
        (check(input=7), "grader.input"),
        (check(more=1), "grader.more"),
        (alike("likeness"), "grader.evaluation_metric"),
        (judge(range=[1, 0]), "grader.range"),
        (judge(input=[]), "grader.input"),
        (label(passing_labels=["great"]), "grader.passing_labels"),
        ({"type": "multi", "name": "m", "graders": {}, "calculate_output": "1"}, "grader.graders"),
    ],
)
def test_a_grader_that_is_none_is_named(door: Door, grader: dict[str, Any], param: str) -> None:
    for verb, more in (("validate", {}), ("run", {"model_sample": "x"})):
        refused = door.call("POST", f"fine_tuning/alpha/graders/{verb}",
                            json={"grader": grader} | more)  # fmt: skip
        assert refused.status_code == 400, refused.text
        assert error_of(refused)["param"] in {param, None} or param == "grader"


@pytest.mark.parametrize(
    "text",
    ["", "a +", "a; b", "c", "a.real", "__import__('os')", "(lambda: 1)()", "[a]", "a if b else a",
     "a and b", "'x' * 9", "True", "min()", "min(a, key=b)", "1e999", "exec('1')", "a" * 1001,
     "(" * 500 + "a" + ")" * 500, "-" * 60 + "a", "9**9**9**9 + c"],
)  # fmt: skip
def test_a_formula_is_arithmetic_and_nothing_else(text: str) -> None:
    with pytest.raises(formula.BadFormula):
        formula.check(text, {"a", "b"})


@pytest.mark.parametrize("more", [".b", "[0]", "()"])
def test_a_formula_of_a_thousand_steps_is_refused_like_any(more: str) -> None:
    with pytest.raises(formula.BadFormula, match="is not arithmetic over scores"):
        formula.check("a" + more * (990 // len(more)), {"a"})


def test_formulas_have_values() -> None:
    values = {"a": 0.5, "b": 2.0}
    for text, value in (("a + b * 2", 4.5), ("max(a, b) ** 2", 4), ("-a", -0.5), ("b // 1.5", 1),
                        ("sqrt(b * 2)", 2), ("floor(2.7) + ceil(a)", 3)):  # fmt: skip
        assert formula.evaluate(text, values) == pytest.approx(value)
    for text in ("a / (b - 2)", "log(a - 0.5)", "9 ** 9 ** 9", "exp(1e9)", "(-a) ** 0.5"):
        with pytest.raises(formula.BadFormula):
            formula.evaluate(text, values)


def test_templates_look_up_and_run_nothing() -> None:
    facts = templates.facts_of({"a": {"b": ["x", {"c": 1}]}}, "out")
    assert templates.render("{{item.a.b[1].c}} {{ sample.output_text }} {x}", facts) == "1 out {x}"
    assert templates.render("{{item.a}}", facts) == '{"b": ["x", {"c": 1}]}'
