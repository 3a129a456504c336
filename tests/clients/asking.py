"""Chat completions, completions, embeddings and moderations."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any, Literal

import openai
from pydantic import BaseModel
from world import CHAT, ENCODER, HELLO, scenario, until

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Paris", "Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


class Chart(BaseModel):
    chart: bool
    kind: Literal["bar", "line"]


def _chat(w: Any, **more: Any) -> Any:
    given = {"model": CHAT, "messages": HELLO, "max_tokens": 64, "temperature": 0} | more
    return w.openai.chat.completions.create(**given)


@scenario("a chat is answered, with its usage and the headers of the answer")
def _(w: Any) -> None:
    raw = w.openai.chat.completions.with_raw_response.create(
        model=CHAT, messages=HELLO, max_completion_tokens=64, temperature=0
    )
    said = raw.parse()
    assert raw.headers["x-request-id"].startswith("req_")
    assert float(raw.headers["openai-processing-ms"]) >= 0
    assert raw.headers["openai-version"] == "2020-10-01"
    (choice,) = said.choices
    assert choice.message.content
    assert choice.finish_reason == "stop"
    assert said.usage.total_tokens == said.usage.prompt_tokens + said.usage.completion_tokens > 0
    assert said._request_id == raw.headers["x-request-id"]


@scenario("a chat is streamed, its usage last, and says the same")
def _(w: Any) -> None:
    chunks = list(_chat(w, stream=True, stream_options={"include_usage": True}))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == _chat(w).choices[0].message.content
    assert len({c.id for c in chunks}) == 1
    assert [bool(c.usage) for c in chunks] == [False] * (len(chunks) - 1) + [True]
    assert not chunks[-1].choices


@scenario("the client's own helper of streams")
def _(w: Any) -> None:
    with w.openai.chat.completions.stream(model=CHAT, messages=HELLO, max_tokens=64) as events:
        kinds = [event.type for event in events]
        final = events.get_final_completion()
    assert "content.delta" in kinds
    assert kinds[-1] == "content.done" or "content.done" in kinds
    assert final.choices[0].message.content


@scenario("an asynchronous client, several at once")
def _(w: Any) -> None:
    async def all_of_them() -> list[Any]:
        async with w.asynchronous() as client:
            asks = [
                client.chat.completions.create(
                    model=CHAT, messages=HELLO, max_tokens=8, temperature=0
                )
                for _ in range(4)
            ]
            return await asyncio.gather(*asks)

    answers = asyncio.run(all_of_them())
    assert len({each.choices[0].message.content for each in answers}) == 1
    assert len({each.id for each in answers}) == 4


@scenario("a tool is called with arguments that keep to its schema, and its result answered")
def _(w: Any) -> None:
    said = _chat(w, tools=[WEATHER], tool_choice="required").choices[0]
    assert said.finish_reason == "tool_calls"
    call = said.message.tool_calls[0]
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments)["city"] in {"Paris", "Rome"}
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    after = _chat(w, messages=[*HELLO, said.message, result], tools=[WEATHER], tool_choice="none")
    assert after.choices[0].message.content
    named = {"type": "function", "function": {"name": "weather"}}
    assert _chat(w, tools=[WEATHER], tool_choice=named).choices[0].message.tool_calls


@scenario("tools are called one at a time or side by side, also in a stream")
def _(w: Any) -> None:
    one = _chat(w, tools=[WEATHER], tool_choice="required", parallel_tool_calls=False)
    assert len(one.choices[0].message.tool_calls) == 1
    many = _chat(w, tools=[WEATHER], tool_choice="required", parallel_tool_calls=True)
    calls = many.choices[0].message.tool_calls or []
    assert len({call.id for call in calls}) == len(calls)
    chunks = list(_chat(w, tools=[WEATHER], tool_choice="required", parallel_tool_calls=False,
                        stream=True))  # fmt: skip
    deltas = [d for c in chunks for d in c.choices[0].delta.tool_calls or ()]
    assert {delta.index for delta in deltas} == {0}
    assert json.loads("".join(d.function.arguments or "" for d in deltas if d.function))["city"]
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


@scenario("an answer keeps to a JSON schema, parsed by the client")
def _(w: Any) -> None:
    said = w.openai.chat.completions.parse(
        model=CHAT, messages=HELLO, response_format=Chart, max_tokens=64, temperature=0
    )
    assert isinstance(said.choices[0].message.parsed, Chart)
    wrong = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"not": {}}}}
    w.refused(openai.BadRequestError, lambda: _chat(w, response_format=wrong), 400,
              code="unsupported_schema")  # fmt: skip


@scenario("an answer is a JSON object")
def _(w: Any) -> None:
    # An untrained model may go on for ever; what it began is JSON all the same.
    said = _chat(w, response_format={"type": "json_object"}, max_tokens=128).choices[0]
    assert said.message.content.lstrip().startswith("{")
    if said.finish_reason == "stop":
        json.loads(said.message.content)


@scenario("log-probabilities of each token and of others")
def _(w: Any) -> None:
    said = _chat(w, logprobs=True, top_logprobs=3, max_tokens=4).choices[0]
    tokens = said.logprobs.content
    assert len(tokens) == 4
    for token in tokens:
        assert len(token.top_logprobs) == 3
        assert token.logprob <= 0
        assert math.isclose(token.logprob, max(t.logprob for t in token.top_logprobs))


@scenario("several choices, a seed, words to stop at")
def _(w: Any) -> None:
    first, second = (
        [c.message.content for c in _chat(w, n=3, seed=5, temperature=1.5, max_tokens=8).choices]
        for _ in range(2)
    )
    assert len(first) == 3
    assert first == second
    whole = _chat(w).choices[0].message.content
    cut = _chat(w, stop=[whole[2]]).choices[0]
    assert cut.message.content == whole[: whole.index(whole[2])]
    assert cut.finish_reason == "stop"


@scenario("a token is forbidden by its bias")
def _(w: Any) -> None:
    tokens = _chat(w, max_tokens=1, logprobs=True, top_logprobs=2).choices[0].logprobs.content
    usual = tokens[0].token
    biased = {}
    # Which number the token has is the model's matter: a bias on all its neighbours shows it.
    for number in range(0, 2000, 50):
        biased = {str(n): -100 for n in range(number, number + 50)}
        said = _chat(w, max_tokens=1, logit_bias=biased).choices[0].message.content
        if said != usual:
            return
    raise AssertionError(f"no bias up to {max(biased)} kept {usual!r} away")


@scenario("a stored chat is listed, changed, read back and deleted")
def _(w: Any) -> None:
    kept = w.openai.chat.completions
    said = _chat(w, store=True, metadata={"mark": w.mark}, max_tokens=4)

    def there() -> Any:
        return list(kept.list(metadata={"mark": w.mark}, model=CHAT))

    (found,) = until("the stored chat", there)
    assert found.id == said.id
    assert kept.retrieve(said.id).choices[0].message.content == said.choices[0].message.content
    # The type of a message asked with is that of one answered: `role` would be the assistant's.
    asked = w.lenient.chat.completions.messages.list(said.id)
    assert [each.content for each in asked] == [HELLO[0]["content"]]
    assert kept.update(said.id, metadata={"mark": w.mark, "more": "1"}).id == said.id
    assert kept.delete(said.id).deleted
    w.refused(openai.NotFoundError, lambda: kept.retrieve(said.id), 404)


@scenario("a text is gone on with, whole and streamed")
def _(w: Any) -> None:
    given = {"model": CHAT, "prompt": "华北", "max_tokens": 6, "temperature": 0}
    said = w.openai.completions.create(**given)
    assert said.object == "text_completion"
    assert said.usage.completion_tokens <= 6
    # In a stream `finish_reason` is null until the last chunk, which the type does not know.
    streamed = w.lenient.completions.create(**given, stream=True)
    assert "".join(c.choices[0].text for c in streamed if c.choices) == said.choices[0].text


@scenario("embeddings, as base64 and as numbers")
def _(w: Any) -> None:
    texts = ["sales of the region", "a bar chart"]
    # The client asks for base64 by itself, and decodes it after its types were compared.
    packed = w.lenient.embeddings.create(model=ENCODER, input=texts)
    plain = w.openai.embeddings.create(model=ENCODER, input=texts, encoding_format="float")
    for one, other in zip(packed.data, plain.data, strict=True):
        assert len(one.embedding) == len(other.embedding) > 0
        assert all(math.isclose(a, b, abs_tol=1e-5)
                   for a, b in zip(one.embedding, other.embedding, strict=True))  # fmt: skip
    assert packed.usage.prompt_tokens == plain.usage.total_tokens > 0
    w.refused(openai.BadRequestError,
              lambda: w.openai.embeddings.create(model=CHAT, input="a"), 400)  # fmt: skip


@scenario("texts are moderated by the project's policy")
def _(w: Any) -> None:
    w.openai.post(
        "/moderations/policy", body={"words": {"harassment": ["blockhead"]}}, cast_to=object
    )
    found = w.openai.moderations.create(input=["you blockhead", "good morning"])
    assert [each.flagged for each in found.results] == [True, False]
    assert found.results[0].categories.harassment
    assert found.results[0].category_scores.harassment == 1
