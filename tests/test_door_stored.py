"""Stored chat completions by the `openai` package: kept after the answer, exactly once."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import openai
import pytest
from django.db import DataError
from django.utils import timezone
from door_world import Door, error_of, until
from gateway_world import Exchange, answer_well, chunk_of, completion_of, usage_of

from slipway.door.models import CompletionSpool, StoredCompletion
from slipway.door.services import chunks, completions
from slipway.gateway.spool import Spool
from slipway.traffic import services as traffic
from slipway_contracts.kept import CompletionLine

pytestmark = pytest.mark.django_db
PROJECT = "a0000000-0000-0000-0000-000000000001"


def line(number: int, **more: Any) -> CompletionLine:
    asked = {
        "model": "m",
        "messages": [{"role": "user", "content": f"row {number}"}],
        "store": True,
    }
    answer = completion_of("m", "fine", 3, 1) | {"id": f"chatcmpl-{number}"}
    return CompletionLine(
        request_id=f"req_{number}", at=1_750_000_000 + number, project_id=PROJECT,
        request=json.dumps(asked | more), answer=json.dumps(answer),
    )  # fmt: skip


def events(*choices: dict[str, Any]) -> str:
    said = "".join(f"data: {json.dumps(chunk_of('m', [choice]))}\n\n" for choice in choices)
    return f": alive\n\n{said}data: [DONE]\n\n"


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path)
    made.start()
    yield made
    made.stop()


def take_in(folder: Path) -> list[str]:
    completions.take_in(now=timezone.now(), directory=folder)
    return list(StoredCompletion.objects.order_by("created_at").values_list("name", flat=True))


def test_completions_are_taken_in_as_they_come_and_once(tmp_path: Path, spool: Spool) -> None:
    spool.write(line(1, metadata={"a": "b"}))
    assert take_in(tmp_path) == ["chatcmpl-1"]
    spool.write(line(1))
    spool.write(line(2, metadata={"a": 5}))
    assert take_in(tmp_path) == take_in(tmp_path) == ["chatcmpl-1", "chatcmpl-2"]
    first, second = StoredCompletion.objects.order_by("created_at")
    assert (first.metadata, second.metadata) == ({"a": "b"}, None)
    spool.stop()
    take_in(tmp_path)
    assert not list(tmp_path.glob("*.jsonl"))
    assert not CompletionSpool.objects.exists()


def test_lines_that_are_no_completion_do_not_stop_the_others(tmp_path: Path, spool: Spool) -> None:
    for number, answer in enumerate(('{"id": 1}', "data: {\n\n", "[DONE]", "[]")):
        bad = line(number)
        bad.answer = answer
        spool.write(bad)
    silent = line(7)
    silent.answer = "data: [DONE]\n\n"
    spool.write(silent)
    spool.write(line(9))
    assert take_in(tmp_path) == ["chatcmpl-9"]
    assert len(next(tmp_path.glob("*.rejected")).read_text().splitlines()) == 4


def test_what_an_engine_may_say_stops_nobody_else_s(tmp_path: Path, spool: Spool) -> None:
    deep = "[" * 980 + "]" * 980
    answers = (
        "data: [1]\n\n", 'data: {"choices": 3, "model": "m"}\n\n', "data: 7\n\n", "7",
        f'{{"id": "x", "model": "m", "choices": [], "deep": {deep}}}',
    )  # fmt: skip
    for number, answer in enumerate(answers):
        bad = line(number)
        bad.answer = answer
        spool.write(bad)
    strange = line(7)
    strange.answer = json.dumps(completion_of("m\ud800", "a\x00b", 3, 1) | {"id": "chatcmpl-7"})
    strange.request = strange.request.replace('"row 7"', '"a\\u0000\\ud800b"')
    spool.write(strange)
    spool.write(line(9))
    found = take_in(tmp_path)
    assert found[-2:] == ["chatcmpl-7", "chatcmpl-9"]
    kept = StoredCompletion.objects.get(name="chatcmpl-7")
    assert kept.model == "m?"
    assert kept.messages[0]["content"] == "a?b"
    assert kept.body["choices"][0]["message"]["content"] == "ab"


def test_a_row_that_cannot_be_written_stops_no_other(
    tmp_path: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = traffic.log_prompts

    def refuse(said: Any) -> None:
        said = list(said)
        if any(each.request_id == "req_2" for each in said):
            raise DataError("unsupported Unicode escape sequence")
        kept(said)

    monkeypatch.setattr(traffic, "log_prompts", refuse)
    for number in (1, 2, 3):
        spool.write(line(number))
    assert take_in(tmp_path) == ["chatcmpl-1", "chatcmpl-3"]
    assert len(next(tmp_path.glob("*.rejected")).read_text().splitlines()) == 1


def test_a_stream_is_put_together_as_the_answer_it_was() -> None:
    def call(index: int, **function: str) -> dict[str, Any]:
        start = {"id": f"call_{index}", "type": "function"} if "name" in function else {}
        return {"tool_calls": [{"index": index, **start, "function": function}]}

    token = {"token": "a", "logprob": -1.0, "bytes": None, "top_logprobs": []}
    said: list[dict[str, Any]] = [
        {"role": "assistant", "content": ""}, {"content": "a"}, {"content": "b"},
        call(0, name="f", arguments=""), call(0, arguments="{}"), call(1, name="g", arguments="[]"),
    ]  # fmt: skip
    told = [{"index": 1, "delta": delta, "finish_reason": None} for delta in said]
    told[1]["logprobs"] = {"content": [token]}
    told += [{"index": 0, "delta": {"content": "x"}, "finish_reason": "length"},
             {"index": 1, "delta": {}, "finish_reason": "tool_calls"}]  # fmt: skip
    made = chunks.completion_of(events(*told))
    assert made is not None
    zero, one = made["choices"]
    assert (zero["message"]["content"], zero["finish_reason"]) == ("x", "length")
    assert (one["message"]["content"], one["finish_reason"]) == ("ab", "tool_calls")
    assert one["logprobs"]["content"] == [token]
    calls = [(call["id"], call["function"]) for call in one["message"]["tool_calls"]]
    assert calls == [("call_0", {"name": "f", "arguments": "{}"}),
                     ("call_1", {"name": "g", "arguments": "[]"})]  # fmt: skip
    assert made["object"] == "chat.completion"


def test_stored_completions_are_data_for_evals(tmp_path: Path, spool: Spool) -> None:
    for number in range(6):
        kind = "even" if number % 2 == 0 else "odd"
        spool.write(line(number, metadata={"kind": kind}))
    take_in(tmp_path)
    row = StoredCompletion.objects.get(name="chatcmpl-2")

    def names(**wanted: Any) -> list[str]:
        return [each["id"] for each in completions.stored(project_id=row.project_id, **wanted)]

    assert names(metadata={"kind": "odd"}, limit=2) == ["chatcmpl-1", "chatcmpl-3"]
    assert names(created_after=row.created_at, model="m")[0] == "chatcmpl-2"
    assert names(created_before=row.created_at) == ["chatcmpl-0", "chatcmpl-1"]
    assert names(model="other") == []
    found = next(completions.stored(project_id=row.project_id))
    assert found["messages"] == [{"role": "user", "content": "row 0"}]


def test_after_thirty_days_they_are_gone(tmp_path: Path, spool: Spool) -> None:
    spool.write(line(1))
    take_in(tmp_path)
    made = StoredCompletion.objects.get().created_at
    completions.forget(made + timedelta(days=29))
    assert StoredCompletion.objects.exists()
    completions.forget(made + timedelta(days=31))
    assert not StoredCompletion.objects.exists()


# By the client


@pytest.fixture(scope="module")
def client(door: Door) -> openai.OpenAI:
    return door.client(_strict_response_validation=True)


def answered(client: openai.OpenAI, **more: Any) -> str:
    """The id of a completion that asks to be stored, once it can be looked at."""
    messages: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    made: Any = client.chat.completions.create(model="m", messages=messages, store=True, **more)
    if not more.get("stream"):
        return str(made.id)
    return next(iter([chunk.id for chunk in made]))


async def numbered(exchange: Exchange) -> None:
    """As answer_well, each with an id of its own."""
    name = f"chatcmpl-{uuid.uuid4().hex}"
    if not exchange.asked.get("stream"):
        await exchange.whole(completion_of("m", "a b", 7, 2) | {"id": name})
        return
    await exchange.begin()
    for text in "ab":
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
        await exchange.event(chunk_of("m", [choice]) | {"id": name})
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    await exchange.event(chunk_of("m", [end]) | {"id": name})
    used = chunk_of("m", []) | {"id": name, "usage": usage_of(7, 2)}
    await exchange.event(used)
    await exchange.end()


@pytest.fixture
def stored(door: Door) -> Iterator[Door]:
    door.engine.script = numbered
    yield door
    door.engine.script = answer_well


@pytest.mark.parametrize("stream", [False, True])
def test_what_was_asked_to_be_stored_is_there_a_moment_later(
    stored: Door, client: openai.OpenAI, stream: bool
) -> None:
    name = answered(client, metadata={"run": "1"}, temperature=0.5, stream=stream)
    completion = until("the completion", lambda: find(client, name))
    assert completion.choices[0].message.content == ("ab" if stream else "a b")
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.total_tokens == 9
    assert (completion.metadata, completion.temperature) == ({"run": "1"}, 0.5)
    page = stored.call("GET", f"chat/completions/{name}/messages?limit=1").json()
    assert (page["data"][0]["id"], page["has_more"]) == (f"{name}-0", True)
    lenient = stored.client().chat.completions.messages.list(name, limit=1)
    assert [message.content for message in lenient] == ["Be brief.", "hi"]


def find(client: openai.OpenAI, name: str) -> Any:
    try:
        return client.chat.completions.retrieve(name)
    except openai.NotFoundError:
        return None


def test_they_are_listed_changed_and_deleted_by_their_own_project(
    stored: Door, client: openai.OpenAI
) -> None:
    tag = uuid.uuid4().hex
    names = [answered(client, metadata={"tag": tag, "n": str(n)}) for n in range(3)]
    until("all of them", lambda: all(find(client, name) for name in names))
    listed = client.chat.completions.list(metadata={"tag": tag}, limit=2)
    assert [each.id for each in listed] == names
    falling = client.chat.completions.list(metadata={"tag": tag}, order="desc", model="m")
    assert [each.id for each in falling] == names[::-1]
    assert not client.chat.completions.list(metadata={"tag": tag}, model="other").data
    changed = client.chat.completions.update(names[0], metadata={"tag": "new"})
    assert changed.metadata == {"tag": "new"}  # type: ignore[attr-defined]
    assert len(client.chat.completions.list(metadata={"tag": tag}).data) == 2
    rival = stored.client("rival-owner").chat.completions
    assert not rival.list().data
    acts = (rival.retrieve, rival.delete, rival.messages.list,
            lambda name: rival.update(name, metadata={}))  # fmt: skip
    for act in acts:
        with pytest.raises(openai.NotFoundError):
            act(names[1])
    assert client.chat.completions.delete(names[1]).deleted
    assert find(client, names[1]) is None
    bad = stored.call("POST", f"chat/completions/{names[0]}", json={"metadata": {"a": 1}})
    assert error_of(bad)["param"] == "metadata"
    assert error_of(stored.call("GET", "chat/completions?after=nope"))["param"] == "after"


def test_what_did_not_ask_is_not_stored(stored: Door, client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "hi"}]
    plain = client.chat.completions.create(model="m", messages=messages)
    other = client.chat.completions.create(model="m", messages=messages, store=False)
    last = answered(client)
    until("the one that asked", lambda: find(client, last))
    assert find(client, plain.id) is None
    assert find(client, other.id) is None
