"""Moderations by the `openai` package: a project's policy, its judge, and its word lists."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from door_world import Door, error_of
from gateway_world import Exchange, answer_well, completion_of

from slipway.door.services import judging, moderation
from slipway.door.services.moderation import CATEGORIES, Policy


@pytest.fixture(autouse=True)
def _nothing_set(door: Door) -> Iterator[None]:
    yield
    door.call("DELETE", "moderations/policy")
    door.engine.script = answer_well


@pytest.fixture(scope="module")
def client(door: Door) -> openai.OpenAI:
    return door.client(_strict_response_validation=True)


def policy(door: Door, **fields: Any) -> Any:
    return door.call("POST", "moderations/policy", json=fields)


def verdict(yes: dict[str, float], *, logprobs: bool = True) -> dict[str, Any]:
    """A judge's completion in which it gave `true` such probabilities, one token a character."""
    text, tokens = "", []

    def add(piece: str, top: list[dict[str, Any]]) -> None:
        nonlocal text
        text += piece
        tokens.append({"token": piece, "logprob": -0.1, "bytes": None, "top_logprobs": top})

    for number, name in enumerate(CATEGORIES):
        add("," if number else "{", [])
        add(f'"{name}"', [])
        p = yes.get(name, 0.01)
        top = [{"token": f": {word}", "logprob": math.log(mass * 0.5)}
               for word, mass in (("true", p), ("false", 1 - p))]  # fmt: skip
        top.append({"token": " maybe", "logprob": math.log(0.5)})
        said = ": true" if p > 0.5 else ": false"
        chosen = p if p > 0.5 else 1 - p
        add(said, top)
        tokens[-1]["logprob"] = math.log(chosen * 0.5)
    add("}", [])
    answer = completion_of("m", text, 300, 60)
    if logprobs:
        answer["choices"][0]["logprobs"] = {"content": tokens, "refusal": None}
    return answer


def judges(door: Door, answer: dict[str, Any]) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.whole(answer)

    door.engine.script = script


def test_without_a_policy_the_refusal_says_how_to_set_one(
    door: Door, client: openai.OpenAI
) -> None:
    with pytest.raises(openai.BadRequestError) as found:
        client.moderations.create(input="x")
    assert found.value.code == "moderation_not_configured"
    assert "POST /v1/moderations/policy" in found.value.message
    assert door.call("GET", "moderations/policy").status_code == 400


def test_the_scores_are_the_judges_own_probabilities(door: Door, client: openai.OpenAI) -> None:
    assert policy(door, model="m", threshold=0.6).status_code == 200
    judges(door, verdict({"hate": 0.9, "violence": 0.55}))
    answer = client.moderations.create(input="something", model="omni-moderation-latest")
    assert answer.model == "m"
    assert answer.id.startswith("modr-")
    result = answer.results[0]
    assert result.category_scores.hate == pytest.approx(0.9)
    assert result.category_scores.violence == pytest.approx(0.55)
    assert (result.flagged, result.categories.hate, result.categories.violence) == (
        True,
        True,
        False,
    )
    assert result.category_applied_input_types.self_harm == ["text"]
    asked = door.engine.exchanges[-1].asked
    assert asked["messages"][-1] == {"role": "user", "content": "something"}
    assert asked["response_format"]["json_schema"]["schema"]["required"] == list(CATEGORIES)


def test_each_text_is_judged_and_parts_are_judged_together(
    door: Door, client: openai.OpenAI
) -> None:
    policy(door, model="m")
    judges(door, verdict({}, logprobs=False))
    many = client.moderations.create(input=[f"text {n}" for n in range(6)])
    assert len(many.results) == 6
    assert not any(result.flagged for result in many.results)
    assert many.results[0].category_scores.hate == 0.0
    parts: Any = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert len(client.moderations.create(input=parts).results) == 1
    assert door.engine.exchanges[-1].asked["messages"][-1]["content"] == "a\nb"
    picture: Any = [{"type": "image_url", "image_url": {"url": "data:"}}]
    with pytest.raises(openai.BadRequestError, match="pictures are not"):
        client.moderations.create(input=picture)


def test_words_alone_ask_no_model_and_claim_no_more_than_they_see(
    door: Door, client: openai.OpenAI
) -> None:
    policy(door, words={"harassment": ["Blockhead", "笨蛋"], "illicit": ["pick a lock"]})
    before = len(door.engine.exchanges)
    texts = [
        "you BLOCKHEAD!",
        "blockheads",
        "你这个笨蛋吗",
        "ｂｌｏｃｋｈｅａｄ",
        "how to pick a lock",
    ]
    answer = client.moderations.create(input=texts)
    assert [result.flagged for result in answer.results] == [True, False, True, True, True]
    assert answer.model == "words"
    assert answer.results[0].category_scores.harassment == 1.0
    applied = answer.results[0].category_applied_input_types
    assert (applied.harassment, applied.violence) == (["text"], [])
    assert len(door.engine.exchanges) == before


def test_a_judge_that_gives_no_verdict_is_an_error_and_no_verdict(door: Door) -> None:
    policy(door, model="m")
    judges(door, completion_of("m", "I would rather not.", 5, 5))
    answer = door.call("POST", "moderations", json={"input": "x"})
    assert answer.status_code == 503
    assert "no verdict" in error_of(answer)["message"]


def test_a_text_that_the_judge_cannot_take_is_said_so(door: Door) -> None:
    policy(door, model="m")

    async def script(exchange: Exchange) -> None:
        error = {"message": "maximum context length is 512", "type": "invalid_request_error",
                 "param": "messages", "code": "context_length_exceeded"}  # fmt: skip
        await exchange.whole({"error": error}, status=400)

    door.engine.script = script
    error = error_of(door.call("POST", "moderations", json={"input": "x"}))
    assert (error["param"], error["code"]) == ("input", "context_length_exceeded")
    assert error["message"].startswith("The judge m cannot judge this text: maximum")


def test_a_judge_that_is_not_there_is_named(door: Door) -> None:
    policy(door, model="gone")
    answer = door.call("POST", "moderations", json={"input": ["x", "y"]})
    assert (answer.status_code, error_of(answer)["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "model"),
        ({"words": {"rudeness": ["x"]}}, "words"),
        ({"model": "m", "threshold": 0}, "threshold"),
        ({"model": "m", "words": {"hate": [""]}}, "words[...][0]"),
        ({"model": "m", "words": {"hate": ["x"] * 2001}}, "words"),
        ({"modle": "m"}, "modle"),
    ],
)
def test_a_policy_that_would_not_judge_is_refused(
    door: Door, fields: dict[str, Any], param: str
) -> None:
    answer = policy(door, **fields)
    assert answer.status_code == 400
    assert error_of(answer)["param"] == param


@pytest.mark.parametrize("given", ["", [], [""], 3, [3], ["x"] * 129, "x" * 100_001])
def test_what_cannot_be_judged_is_refused(door: Door, given: Any) -> None:
    policy(door, words={"hate": ["x"]})
    answer = door.call("POST", "moderations", json={"input": given})
    assert answer.status_code == 400
    assert error_of(answer)["param"].startswith("input")


def test_a_policy_is_its_projects_own_and_its_owners_to_set(door: Door) -> None:
    policy(door, words={"hate": ["x"]})
    shown = door.call("GET", "moderations/policy").json()
    assert shown == {"object": "moderation.policy", "model": "", "threshold": 0.5,
                     "words": {"hate": ["x"]}}  # fmt: skip
    rival = door.call("POST", "moderations", "rival-owner", json={"input": "x"})
    assert error_of(rival)["code"] == "moderation_not_configured"
    reader = door.call("POST", "moderations/policy", "acme-reader", json={"model": "m"})
    assert reader.status_code == 403
    unknown = door.call("POST", "moderations", json={"input": "x", "model": "gpt-9"})
    assert error_of(unknown)["param"] == "model"


def test_a_value_cut_into_tokens_of_any_kind_is_read() -> None:
    name = next(iter(CATEGORIES))
    whole = json.dumps(dict.fromkeys(CATEGORIES, False))
    for cut in range(1, 9):
        pieces = [whole[start : start + cut] for start in range(0, len(whole), cut)]
        place = whole.index("false")
        tokens = []
        for number, piece in enumerate(pieces):
            start = number * cut
            inside = start <= place < start + len(piece)
            other = piece[: place - start] + "t" if inside else "?"
            top = [{"token": piece, "logprob": math.log(0.6)},
                   {"token": other, "logprob": math.log(0.2)}]  # fmt: skip
            tokens.append({"token": piece, "logprob": math.log(0.6), "top_logprobs": top})
        choice = {"message": {"content": whole}, "logprobs": {"content": tokens}}
        assert judging.scores({"choices": [choice]})[name] == pytest.approx(0.25), cut


def test_words_are_found_as_words() -> None:
    listed = Policy(words={"hate": ["ass", "c++", "ß"]})
    found = {text: bool(moderation.found_words(listed, text))
             for text in ("class", "an ass.", "c++ code", "STRASSE", "ß")}  # fmt: skip
    assert found == {"class": False, "an ass.": True, "c++ code": True, "STRASSE": False, "ß": True}
