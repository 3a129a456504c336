"""Answers held to a shape: JSON, a schema, calls of tools; from models that know nothing of it."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import engine_models
import openai
import pytest
import torch
from engine_world import Running

from slipway_runtime.serving import calls, grammar, tools

ASK = [{"role": "user", "content": "华北地区的销售额?"}]
SPEC = {
    "type": "object",
    "properties": {
        "region": {"enum": ["华北", "华东"]},
        "period": {"type": "string", "pattern": r"^\d{4}(-(Q[1-4]|0[1-9]|1[0-2]))?$"},
        "chart": {"enum": ["bar", "pie", "table"]},
    },
    "required": ["region", "period", "chart"],
    "additionalProperties": False,
}


def tool(name: str, *, strict: bool = False, **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    schema["additionalProperties"] = False
    function = {"name": name, "description": "It.", "parameters": schema, "strict": strict}
    return {"type": "function", "function": function}


LOOK_UP = tool("look_up", city={"enum": ["北京", "Paris"]})
DRAW = tool("draw", chart={"enum": ["bar", "pie"]}, wide={"type": "boolean"})


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    tokenizer = engine_models.tokenizer_with(engine_models.TOOL_TEMPLATES["tagged"])
    with Running(tmp_path_factory.mktemp("engine"), tokenizer=tokenizer) as one:
        yield one


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[openai.OpenAI]:
    with running.openai() as one:
        yield one


def asked(**fields: Any) -> dict[str, Any]:
    drawn = {"temperature": 1.5, "seed": 3, "max_tokens": 180}
    return {"model": "tiny", "messages": ASK} | drawn | fields


def held_to(schema: dict[str, Any]) -> dict[str, Any]:
    named = {"name": "spec", "schema": schema, "strict": True}
    return {"type": "json_schema", "json_schema": named}


@pytest.mark.parametrize("seed", range(6))
def test_whatever_a_model_draws_its_answer_fits_the_schema(
    client: openai.OpenAI, seed: int
) -> None:
    fields = asked(response_format=held_to(SPEC), seed=seed)
    answer = client.chat.completions.create(**fields)
    assert answer.choices[0].finish_reason == "stop"
    content = answer.choices[0].message.content
    spec = json.loads(content)
    assert list(spec) == ["region", "period", "chart"]
    assert spec["region"] in {"华北", "华东"}
    assert spec["chart"] in {"bar", "pie", "table"}
    assert re.fullmatch(r"\d{4}(-(Q[1-4]|0[1-9]|1[0-2]))?", spec["period"])
    streamed = client.chat.completions.create(**fields, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed) == content


def test_rows_of_one_batch_are_held_each_to_its_own(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(**asked(response_format=held_to(SPEC), n=4))
    texts = [choice.message.content for choice in answer.choices]
    assert len(set(texts)) > 1
    assert all(set(json.loads(text)) == set(SPEC["properties"]) for text in texts)


def test_json_object_is_one_json_object(client: openai.OpenAI) -> None:
    fields = asked(response_format={"type": "json_object"}, temperature=1)
    for seed in range(3):
        choice = client.chat.completions.create(**fields | {"seed": seed}).choices[0]
        if choice.finish_reason == "stop":
            assert isinstance(json.loads(choice.message.content), dict)
        else:
            assert choice.message.content.startswith("{")


def test_pydantic_models_are_parsed_by_the_client(client: openai.OpenAI) -> None:
    from typing import Literal

    import pydantic

    class Step(pydantic.BaseModel):
        kind: Literal["add", "take"]
        amount: Literal[1, 2, 3]

    class Plan(pydantic.BaseModel):
        first: Step
        done: bool

    answer = client.chat.completions.parse(**asked(response_format=Plan))
    plan = answer.choices[0].message.parsed
    assert plan is not None
    assert plan.first.kind in {"add", "take"}


@pytest.mark.parametrize(
    ("schema", "place", "word"),
    [
        ({"properties": {"a": {"items": {"not": {}}}}}, ".properties.a.items", "not"),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"uniqueItems": True}}}, ".$defs.x", "uniqueItems"),
        ({"anyOf": [{"type": "null"}, {"pattern": "(?=a)b"}]}, ".anyOf[1]", "look-around"),
        ({"type": "thing"}, "", "thing"),
        ({"type": "string", "format": "colour"}, "", "colour"),
        ({"items": 5}, ".items", ""),
        ({"properties": {"a": {"minimum": -(10**30)}}}, ".properties.a", "64 bits"),
        ({"enum": [10**30]}, "", "64 bits"),
    ],
)  # fmt: skip
def test_a_schema_that_cannot_be_kept_is_refused_with_its_place(
    client: openai.OpenAI, schema: dict[str, Any], place: str, word: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**asked(response_format=held_to(schema)))
    assert refused.value.param == "response_format.json_schema.schema" + place
    assert refused.value.code == "unsupported_schema"
    assert word in refused.value.message


def test_a_schema_that_nothing_fits_is_the_callers_fault(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**asked(response_format=held_to({"$ref": "#"})))
    assert refused.value.code == "unsupported_schema"
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(300):
        deep = {"type": "array", "items": deep}
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(**asked(response_format=held_to(deep)))


# --- tools --------------------------------------------------------------------------------------


def check_calls(made: Any) -> None:
    assert made
    assert len({call.id for call in made}) == len(made)
    for call in made:
        given = json.loads(call.function.arguments)
        if call.function.name == "look_up":
            assert given["city"] in {"北京", "Paris"}
        else:
            assert call.function.name == "draw"
            assert given["chart"] in {"bar", "pie"}
            assert given["wide"] in {True, False}


@pytest.mark.parametrize("seed", range(4))
def test_required_means_calls_and_nothing_else(client: openai.OpenAI, seed: int) -> None:
    fields = asked(tools=[LOOK_UP, DRAW], tool_choice="required", seed=seed)
    choice = client.chat.completions.create(**fields).choices[0]
    if choice.finish_reason != "length":
        assert choice.finish_reason == "tool_calls"
        check_calls(choice.message.tool_calls)
    assert choice.message.content is None


def test_a_stream_of_calls_adds_up_to_the_whole_answer(client: openai.OpenAI) -> None:
    fields = asked(
        tools=[LOOK_UP, DRAW], tool_choice="required", parallel_tool_calls=False, temperature=1
    )
    whole = client.chat.completions.create(**fields).choices[0]
    assert whole.finish_reason == "tool_calls"
    assert len(whole.message.tool_calls) == 1
    name, arguments, ids, reason = "", "", set(), None
    for chunk in client.chat.completions.create(**fields, stream=True):
        reason = chunk.choices[0].finish_reason or reason
        assert not chunk.choices[0].delta.content
        for call in chunk.choices[0].delta.tool_calls or []:
            assert call.index == 0
            ids |= {call.id} - {None}
            name += call.function.name or ""
            arguments += call.function.arguments
    assert len(ids) == 1
    assert (name, reason) == (whole.message.tool_calls[0].function.name, "tool_calls")
    assert arguments == whole.message.tool_calls[0].function.arguments


def test_a_named_function_is_the_one_that_is_called(client: openai.OpenAI) -> None:
    chosen = {"type": "function", "function": {"name": "draw"}}
    fields = asked(tools=[LOOK_UP, DRAW], tool_choice=chosen, temperature=1)
    choice = client.chat.completions.create(**fields).choices[0]
    assert [call.function.name for call in choice.message.tool_calls] == ["draw"]
    check_calls(choice.message.tool_calls)
    assert choice.finish_reason == "stop"


def test_left_to_itself_a_model_may_answer_in_prose(client: openai.OpenAI) -> None:
    fields = asked(tools=[LOOK_UP], max_tokens=20)
    for choice in ("auto", "none"):
        answer = client.chat.completions.create(**fields, tool_choice=choice).choices[0]
        assert answer.message.content
        assert answer.message.tool_calls is None


def test_a_result_goes_back_to_the_model(client: openai.OpenAI, running: Running) -> None:
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "look_up", "arguments": '{"city": "Paris"}'},
    }
    messages = [
        *ASK,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
    ]
    answer = client.chat.completions.create(
        **asked(messages=messages, tools=[LOOK_UP], max_tokens=4)
    )
    shown = running.served.tokenizer.apply_chat_template(
        [*ASK, {"role": "assistant", "content": "", "tool_calls": [
            {"function": {"name": "look_up", "arguments": {"city": "Paris"}}}]},
         {"role": "tool", "content": "42"}],
        tools=[LOOK_UP], add_generation_prompt=True,
    )["input_ids"]  # fmt: skip
    assert answer.usage.prompt_tokens == len(shown)


@pytest.mark.parametrize(
    ("fields", "param", "word"),
    [
        ({"tool_choice": "required"}, "tool_choice", "only allowed"),
        ({"tools": [LOOK_UP], "tool_choice": "often"}, "tool_choice", "none, auto, required"),
        (
            {"tools": [LOOK_UP], "tool_choice": {"type": "function", "function": {"name": "x"}}},
            "tool_choice",
            "look_up",
        ),
        ({"tools": [LOOK_UP, LOOK_UP]}, "tools[1].function.name", "already"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "function"),
        ({"tools": [tool("a b")]}, "tools[0].function.name", "64 letters"),
        (
            {"tools": [tool("f", strict=True, x={"not": {}})]},
            "tools[0].function.parameters.properties.x",
            "not",
        ),
    ],
)
def test_tools_that_make_no_sense_are_refused(
    client: openai.OpenAI, fields: dict[str, Any], param: str, word: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**asked(**fields))
    assert refused.value.param == param
    assert word in refused.value.message


# --- how models write calls ----------------------------------------------------------------------


def written(style: tools.Style, *made: tuple[str, str]) -> str:
    bodies = [name + style.between + arguments for name, arguments in made]
    return style.opening + style.joint.join(bodies) + style.closing


@pytest.mark.parametrize("kind", [*engine_models.TOOL_TEMPLATES, "none"])
def test_a_models_own_way_is_learned_from_its_template(kind: str) -> None:
    template = engine_models.TOOL_TEMPLATES.get(kind, engine_models.TEMPLATE)
    tokenizer = engine_models.tokenizer_with(template)
    style = tools.learn(tokenizer, ["<|end|>"])
    assert style.native == (kind != "none")
    names = ("one", "two")[: 2 if style.joint else 1]
    made = [
        {"id": "abcdefghi", "type": "function", "function": {"name": n, "arguments": {"a": "b"}}}
        for n in names
    ]
    if style.native:
        talk = [*ASK, {"role": "assistant", "content": "", "tool_calls": made}]
        text = tokenizer.apply_chat_template(talk, tokenize=False)
        pairs = [(call["function"]["name"], '{"a": "b"}') for call in made]
        assert text.endswith(written(style, *pairs) + "<|end|>")
    assert bool(style.joint) == (kind != "bare")


def follow(held: grammar.Constraint, tokens: list[int]) -> None:
    for token in tokens:
        held.advance(token)


@pytest.mark.parametrize("kind", [*engine_models.TOOL_TEMPLATES, "none"])
@pytest.mark.parametrize("forced", [True, False])
def test_calls_are_allowed_by_the_grammar_and_found_in_any_pieces(kind: str, forced: bool) -> None:
    template = engine_models.TOOL_TEMPLATES.get(kind, engine_models.TEMPLATE)
    tokenizer = engine_models.tokenizer_with(template)
    style = tools.learn(tokenizer, ["<|end|>"])
    offered = [tools.Tool(name=t["function"]["name"], schema=t["function"]["parameters"])
               for t in (LOOK_UP, DRAW)]  # fmt: skip
    rules = tools.rules(style, offered, tokenizer, several=True, answer=None if forced else "TEXT")
    grammars = grammar.Grammars(
        tokenizer, vocabulary=len(tokenizer), end_tokens=frozenset([tokenizer.eos_token_id])
    )
    made = [("look_up", '{"city": "北京"}'), ("draw", '{"chart": "pie", "wide": true}')]
    made = made[: 2 if style.joint else 1]
    prose = "" if forced else "Let me see. "
    text = prose + written(style, *made)
    held = grammars.constraint(rules)
    for token in tokenizer(text, add_special_tokens=False)["input_ids"]:
        logits = torch.zeros(len(tokenizer))
        held.bar(logits)
        assert logits[token] == 0, (tokenizer.decode([token]), text)
        held.advance(token)
    wrong = prose + written(style, ("look_up", '{"city": "Rome"}'))
    with pytest.raises(ValueError, match="left its grammar"):
        follow(grammars.constraint(rules), tokenizer(wrong, add_special_tokens=False)["input_ids"])
    for size in (1, 3, 1000):
        reader = calls.Calls(style, forced=forced)
        pieces = [
            piece for at in range(0, len(text), size) for piece in reader.add(text[at : at + size])
        ]
        pieces += reader.flush()
        assert "".join(piece.prose for piece in pieces) == prose
        found = [[p.name, ""] for p in pieces if p.name]
        for piece in pieces:
            if piece.index >= 0:
                found[piece.index][1] += piece.arguments
        assert [tuple(pair) for pair in found] == made


def test_a_model_whose_template_knows_no_tools_is_told_in_words(tmp_path: pathlib.Path) -> None:
    model = engine_models.model()
    model.config.max_position_embeddings = 1024  # what it is told takes many of these small tokens
    with Running(tmp_path, model=model) as one, one.openai() as client:
        choice = client.chat.completions.create(
            **asked(tools=[LOOK_UP], tool_choice="required", parallel_tool_calls=False)
        ).choices[0]
    check_calls(choice.message.tool_calls)


def test_special_tokens_of_a_call_are_seen_and_not_shown(tmp_path: pathlib.Path) -> None:
    tokenizer = engine_models.tokenizer_with(engine_models.TOOL_TEMPLATES["listed"])
    with Running(tmp_path, tokenizer=tokenizer) as one, one.openai() as client:
        fields = asked(tools=[DRAW], tool_choice="required", parallel_tool_calls=False)
        choice = client.chat.completions.create(**fields).choices[0]
    check_calls(choice.message.tool_calls)
    assert choice.message.content is None


def test_log_probabilities_spell_halves_of_characters(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        **asked(logprobs=True, top_logprobs=1, response_format=held_to({"const": "华"}))
    )
    spelled = answer.choices[0].logprobs.content
    assert bytes(b for token in spelled for b in token.bytes).decode().strip() == '"华"'
