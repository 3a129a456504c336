"""The responses API by the `openai` package: text, calls, streams, chains, and what is kept."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from door_world import Door, error_of, until
from gateway_world import Exchange, answer_well, chunk_of, completion_of

from slipway.door.services import response_asks

CALL = {"id": "call_1", "type": "function",
        "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}  # fmt: skip
TOOL = {"type": "function", "name": "weather", "strict": True,
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}  # fmt: skip


@pytest.fixture(autouse=True)
def _well(door: Door) -> Iterator[None]:
    door.engine.script = answer_well
    yield
    door.engine.script = answer_well


@pytest.fixture(scope="module")
def client(door: Door) -> openai.OpenAI:
    return door.client(_strict_response_validation=True)


def asked(door: Door) -> dict[str, Any]:
    return door.engine.exchanges[-1].asked


async def calls(exchange: Exchange) -> None:
    """Answers by two calls of a tool, the first in two pieces."""
    second = CALL | {"id": "call_2"}
    if not exchange.asked.get("stream"):
        answer = completion_of("m", "", 7, 5)
        message = {"role": "assistant", "content": None, "tool_calls": [CALL, second]}
        answer["choices"][0] |= {"message": message, "finish_reason": "tool_calls"}
        await exchange.whole(answer)
        return
    await exchange.begin()
    function = CALL["function"]
    assert isinstance(function, dict)
    pieces: list[dict[str, Any]] = [
        {"index": 0, "id": "call_1", "type": "function", "function": function | {"arguments": ""}},
        {"index": 0, "function": {"arguments": '{"city":'}},
        {"index": 0, "function": {"arguments": ' "Oslo"}'}},
        {"index": 1} | second,
    ]
    for piece in pieces:
        choice = {"index": 0, "delta": {"tool_calls": [piece]}, "finish_reason": None}
        await exchange.event(chunk_of("m", [choice]))
    end = {"index": 0, "delta": {}, "finish_reason": "tool_calls"}
    await exchange.event(chunk_of("m", [end]))
    await exchange.usage(7, 5)
    await exchange.end()


# Whole answers


def test_a_string_is_answered_and_written_up_as_a_chat_completion(
    door: Door, client: openai.OpenAI
) -> None:
    response = client.responses.create(
        model="m", input="hello", instructions="Be brief.", max_output_tokens=9, temperature=0.5,
        metadata={"a": "b"}, safety_identifier="s",
    )  # fmt: skip
    assert response.output_text == "a b c d e"
    assert (response.status, response.id[:5], response.metadata) == (
        "completed",
        "resp_",
        {"a": "b"},
    )
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (7, 5)
    sent = asked(door)
    assert sent["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hello"},
    ]
    assert (sent["max_completion_tokens"], sent["temperature"]) == (9, 0.5)
    answer = door.call("POST", "responses", json={"model": "m", "input": "x"})
    request_id = answer.headers["x-request-id"]
    line = until("the record", lambda: request_id in spooled_or_taken(door))
    assert line
    assert answer.headers["openai-version"] == "2020-10-01"
    # The gateway's own answers and the door's name the same organisation, and that of the key.
    chat = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    whose = answer.headers["openai-organization"]
    for other in (
        door.call("POST", "chat/completions", json=chat),
        door.call("POST", "chat/completions", json=chat | {"stream": True}),
        door.call("GET", "files"),
    ):
        assert other.headers["openai-organization"] == whose
    neighbour = door.call("POST", "chat/completions", "rival-owner", json=chat)
    assert neighbour.headers["openai-organization"].startswith("org-")
    assert neighbour.headers["openai-organization"] != whose


def spooled_or_taken(door: Door) -> str:
    usage = door.http.get(
        door.url.removesuffix("/v1") + "/api/v1/usage/records?limit=50",
        headers={"authorization": f"Bearer {door.keys['acme-owner']}"},
    )
    return usage.text


def test_calls_of_tools_go_out_and_their_results_come_back(
    door: Door, client: openai.OpenAI
) -> None:
    door.engine.script = calls
    first = client.responses.create(
        model="m", input="weather?", tools=[TOOL],  # type: ignore[list-item]
        tool_choice={"type": "function", "name": "weather"},
    )  # fmt: skip
    sent = asked(door)
    assert sent["tools"][0]["function"]["name"] == "weather"
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    made = [item for item in first.output if item.type == "function_call"]
    assert [(item.call_id, item.name) for item in made] == [
        ("call_1", "weather"),
        ("call_2", "weather"),
    ]
    door.engine.script = answer_well
    results: Any = [
        {"type": "function_call_output", "call_id": item.call_id, "output": "rain"} for item in made
    ]
    client.responses.create(model="m", input=results, previous_response_id=first.id, tools=[TOOL])  # type: ignore[list-item]
    told = asked(door)["messages"]
    assert [message["role"] for message in told] == ["user", "assistant", "tool", "tool"]
    assert [call["id"] for call in told[1]["tool_calls"]] == ["call_1", "call_2"]
    assert told[2] == {"role": "tool", "tool_call_id": "call_1", "content": "rain"}


def test_what_was_said_can_be_fed_back_item_by_item(door: Door, client: openai.OpenAI) -> None:
    first = client.responses.create(model="m", input="one", store=False)
    history: Any = [
        {"role": "user", "content": "one"},
        *first.output,
        {"role": "user", "content": "two"},
    ]
    client.responses.create(model="m", input=history)
    assert asked(door)["messages"] == [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "a b c d e"},
        {"role": "user", "content": "two"},
    ]


def test_a_schema_and_logprobs_are_asked_for_as_chat_asks(
    door: Door, client: openai.OpenAI
) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
              "additionalProperties": False}  # fmt: skip

    async def script(exchange: Exchange) -> None:
        answer = completion_of("m", '{"a":"b"}', 7, 5)
        token = {"token": "x", "logprob": -0.5, "bytes": None}
        found = [token | {"top_logprobs": [token]}]
        answer["choices"][0]["logprobs"] = {"content": found, "refusal": None}
        await exchange.whole(answer)

    door.engine.script = script
    response = client.responses.create(
        model="m", input="x", include=["message.output_text.logprobs"], top_logprobs=2,
        text={"format": {"type": "json_schema", "name": "s", "schema": schema, "strict": True}},
    )  # fmt: skip
    sent = asked(door)
    assert sent["response_format"]["json_schema"] == {"name": "s", "schema": schema, "strict": True}
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 2)
    part = response.output[0].content[0]  # type: ignore[union-attr,index]
    assert part.logprobs[0].top_logprobs[0].logprob == -0.5  # type: ignore[union-attr,index]


def test_an_answer_cut_short_is_incomplete(door: Door, client: openai.OpenAI) -> None:
    async def script(exchange: Exchange) -> None:
        answer = completion_of("m", "a", 7, 1)
        answer["choices"][0]["finish_reason"] = "length"
        await exchange.whole(answer)

    door.engine.script = script
    response = client.responses.create(model="m", input="x", max_output_tokens=1)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"


# Streams


def test_a_stream_tells_every_step_in_order(client: openai.OpenAI) -> None:
    events = list(client.responses.create(model="m", input="x", stream=True))
    kinds = [event.type for event in events]
    assert kinds == [
        "response.created", "response.in_progress", "response.output_item.added",
        "response.content_part.added", *["response.output_text.delta"] * 5,
        "response.output_text.done", "response.content_part.done", "response.output_item.done",
        "response.completed",
    ]  # fmt: skip
    assert [event.sequence_number for event in events] == list(range(len(events)))
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == "abcde"
    assert last.response.usage is not None
    assert last.response.usage.output_tokens == 5
    kept = client.responses.retrieve(last.response.id)
    assert kept.output_text == "abcde"


def test_the_clients_own_stream_helper_understands_calls(door: Door) -> None:
    door.engine.script = calls
    with door.client().responses.stream(model="m", input="x", tools=[TOOL]) as stream:  # type: ignore[list-item]
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds.count("response.function_call_arguments.delta") == 3
    assert kinds.count("response.function_call_arguments.done") == 2
    made = [item for item in final.output if item.type == "function_call"]
    assert [item.arguments for item in made] == ['{"city": "Oslo"}'] * 2


def test_a_stream_that_breaks_off_ends_as_failed(door: Door, client: openai.OpenAI) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.token("a")
        error = {"message": "the engine fell over", "type": "server_error", "code": "boom"}
        await exchange.event({"error": error})
        await exchange.raw(b"0\r\n\r\n")

    door.engine.script = script
    events = list(client.responses.create(model="m", input="x", stream=True))
    last = events[-1]
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert "fell over" in last.response.error.message
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(last.response.id)


def test_a_client_that_hangs_up_frees_the_engine(door: Door) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        for _ in range(2000):
            await exchange.token("a")
            await asyncio.sleep(0.01)

    door.engine.script = script
    hung_up = len(door.engine.hung_up)
    body = json.dumps({"model": "m", "input": "x", "stream": True}).encode()
    head = (
        "POST /v1/responses HTTP/1.1\r\nhost: x\r\n"
        f"authorization: Bearer {door.keys['acme-owner']}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", door.port), timeout=10) as link:
        link.sendall(head.encode() + body)
        assert b"200" in link.recv(4096)
    until("the engine to be freed", lambda: len(door.engine.hung_up) > hung_up)


def test_before_the_first_byte_a_refusal_is_a_status(door: Door, client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as found:
        client.responses.create(model="nope", input="x", stream=True)
    assert found.value.code == "model_not_found"
    assert found.value.request_id

    async def script(exchange: Exchange) -> None:
        error = {"message": "too long", "type": "invalid_request_error", "param": "messages",
                 "code": "context_length_exceeded"}  # fmt: skip
        await exchange.whole({"error": error}, status=400)

    door.engine.script = script
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="m", input="x", stream=True)
    assert (refused.value.param, refused.value.code) == ("input", "context_length_exceeded")


# Chains, and what is kept


def test_responses_are_chained_without_the_instructions_of_those_before(
    door: Door, client: openai.OpenAI
) -> None:
    first = client.responses.create(model="m", input="one", instructions="First.")
    second = client.responses.create(model="m", input="two", previous_response_id=first.id)
    client.responses.create(
        model="m", input="three", previous_response_id=second.id, instructions="Third."
    )
    said = [(message["role"], message["content"]) for message in asked(door)["messages"]]
    assert said == [
        ("system", "Third."), ("user", "one"), ("assistant", "a b c d e"), ("user", "two"),
        ("assistant", "a b c d e"), ("user", "three"),
    ]  # fmt: skip


def test_truncation_auto_drops_the_oldest_until_it_fits(door: Door, client: openai.OpenAI) -> None:
    async def script(exchange: Exchange) -> None:
        if len(exchange.asked["messages"]) > 3:
            error = {"message": "too long", "type": "invalid_request_error", "param": "messages",
                     "code": "context_length_exceeded"}  # fmt: skip
            await exchange.whole({"error": error}, status=400)
        else:
            await answer_well(exchange)

    door.engine.script = script
    history: Any = [{"role": "user", "content": str(number)} for number in range(8)]
    fields: Any = {"model": "m", "input": history, "instructions": "Stay."}
    for stream in (False, True):
        made = client.responses.create(**fields, truncation="auto", stream=stream)
        if stream:
            list(made)
        assert [message["content"] for message in asked(door)["messages"]] == ["Stay.", "7"]
    with pytest.raises(openai.BadRequestError):
        client.responses.create(**fields)


def test_kept_responses_are_shown_listed_and_deleted(door: Door, client: openai.OpenAI) -> None:
    items: Any = [
        {"role": "user", "content": [{"type": "input_text", "text": str(n)}]} for n in range(3)
    ]
    made = client.responses.create(model="m", input=items)
    assert client.responses.retrieve(made.id).model_dump() == made.model_dump()
    newest_first = [
        item.content[0].text for item in client.responses.input_items.list(made.id, limit=2)
    ]  # type: ignore[union-attr]
    assert newest_first == ["2", "1", "0"]
    page = door.call("GET", f"responses/{made.id}/input_items?order=asc&limit=1").json()
    assert (page["has_more"], page["data"][0]["content"][0]["text"]) == (True, "0")
    with pytest.raises(openai.BadRequestError, match="background"):
        client.responses.cancel(made.id)
    for who in ("rival-owner",):
        other = door.client(who)
        for act in (
            other.responses.retrieve,
            other.responses.delete,
            other.responses.input_items.list,
        ):
            with pytest.raises(openai.NotFoundError):
                act(made.id)
        with pytest.raises(openai.BadRequestError) as found:
            other.responses.create(model="m", input="x", previous_response_id=made.id)
        assert found.value.code == "previous_response_not_found"
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    unkept = client.responses.create(model="m", input="x", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(unkept.id)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"background": True, "store": False}, "store"),
        ({"conversation": 7}, "conversation"),
        ({"conversation": "conv_1", "previous_response_id": "resp_1"}, "previous_response_id"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "file_search"}}, "tool_choice"),
        ({"input": []}, "input"),
        ({"input": [{"type": "reasoning"}]}, "input[0].type"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
         "input[0].content[0].type"),
        ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output"),
        ({"input": [{"type": "function_call", "name": "n"}]}, "input[0].call_id"),
        ({"input": 3}, "input"),
        ({"include": ["everything"]}, "include"),
        ({"text": {"format": {"type": "xml"}}}, "text.format"),
        ({"metadata": {"k": 1}}, "metadata"),
        ({"metadata": {str(n): "v" for n in range(17)}}, "metadata"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"truncation": "some"}, "truncation"),
        ({"inputs": "x"}, "inputs"),
        ({"previous_response_id": "resp_x"}, "previous_response_id"),
    ],
)  # fmt: skip
def test_what_is_not_served_is_refused_by_name(
    door: Door, fields: dict[str, Any], param: str
) -> None:
    before = len(door.engine.exchanges)
    answer = door.call("POST", "responses", json={"model": "m", "input": "x"} | fields)
    assert answer.status_code == 400
    assert error_of(answer)["param"] == param
    assert len(door.engine.exchanges) == before


def test_manners_hold_here_too(door: Door) -> None:
    assert error_of(door.call("GET", "responses"))["code"] == "method_not_allowed"
    assert door.call("GET", "responses").headers["allow"] == "POST"
    assert error_of(door.call("POST", "responses", content=b"{"))["message"].startswith("The body")
    large = door.call("POST", "responses", content=b" " * (8 * 1024 * 1024 + 1))
    assert (large.status_code, error_of(large)["code"]) == (413, "request_too_large")
    nobody = httpx.post(f"{door.url}/responses", json={"model": "m", "input": "x"})
    assert (nobody.status_code, error_of(nobody)["code"]) == (401, "invalid_api_key")
    assert error_of(door.call("GET", "responses/x/y/z"))["code"] == "unknown_url"
    assert door.call("POST", "responses/resp_x").status_code == 405


def test_parameters_are_called_by_their_names_here() -> None:
    names = {
        "messages": "input", "max_completion_tokens": "max_output_tokens", "model": "model",
        "response_format.json_schema.schema.properties": "text.format.schema.properties",
    }  # fmt: skip
    assert {name: response_asks.place_of(name) for name in names} == names


def test_what_can_no_longer_be_gone_on_from_is_refused(client: openai.OpenAI) -> None:
    first = client.responses.create(model="m", input="one")
    second = client.responses.create(model="m", input="two", previous_response_id=first.id)
    client.responses.delete(first.id)
    with pytest.raises(openai.BadRequestError, match=first.id) as refused:
        client.responses.create(model="m", input="three", previous_response_id=second.id)
    assert refused.value.code == "previous_response_not_found"


@pytest.mark.parametrize("garbage", ["[1]", '{"id": "x"}', '{"choices": [{"index": 0}]}', "7"])
def test_an_engine_s_garbage_is_told_as_such(door: Door, garbage: str) -> None:
    async def script(exchange: Exchange) -> None:
        if not exchange.asked.get("stream"):
            await exchange.whole(garbage.encode())
            return
        await exchange.begin()
        await exchange.token("a")
        # What comes with the first token can still be told by the status.
        await asyncio.sleep(0.3)
        await exchange.chunk(f"data: {garbage}\n\n".encode())
        await exchange.end()

    door.engine.script = script
    whole = door.call("POST", "responses", json={"model": "m", "input": "x"})
    assert whole.status_code == 502, whole.text
    assert error_of(whole)["type"] == "server_error"
    told = door.call("POST", "responses", json={"model": "m", "input": "x", "stream": True})
    assert told.text.rstrip().splitlines()[-2] == "event: response.failed", told.text


@pytest.mark.parametrize("more", [{}, {"background": True}])
def test_a_repetition_is_not_paid_for_again(door: Door, more: dict[str, Any]) -> None:
    def ask(text: str, **headers: str) -> httpx.Response:
        body = {"model": "m", "input": text} | more
        return door.call("POST", "responses", json=body, headers=headers)

    asked_before = len(door.engine.exchanges)
    keyed = {"idempotency-key": f"k{asked_before}"}
    names = {ask(f"one {more}", **keyed).json()["id"] for _ in range(2)}
    names |= {ask(f"two {more}", **{"x-stainless-retry-count": str(n)}).json()["id"]
              for n in range(2)}  # fmt: skip
    assert len(names) == 2
    until("the engine", lambda: len(door.engine.exchanges) == asked_before + 2)
    others = [ask("three", **keyed)]
    others += [door.call("POST", "responses", content=content, headers=keyed)
               for content in (b"{", b"[]", b'{"model": 5}')]  # fmt: skip
    for other in others:
        assert (other.status_code, error_of(other)["code"]) == (409, "conflict")
    # A refusal is no answer: the next try is a first one, and a plain repetition a new wish.
    assert ask("two again").json()["id"] != ask("two again").json()["id"]
    for _ in range(2):
        refused = door.call("POST", "responses", json={"model": "nobody", "input": "x"},
                            headers={"idempotency-key": f"r{asked_before}"})  # fmt: skip
        assert refused.status_code == 404
