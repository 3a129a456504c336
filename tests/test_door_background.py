"""Responses in the background, conversations, input counted and made short."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import openai
import pytest
from django.utils import timezone
from door_world import Door, error_of, until
from gateway_world import Exchange, answer_well

from slipway.door.models import Response, ResponseEvents
from slipway.door.services import background

HI: Any = {"model": "m", "input": "hi"}


@pytest.fixture(autouse=True)
def _well(door: Door) -> Iterator[None]:
    door.engine.script = answer_well
    yield
    door.engine.script = answer_well


@pytest.fixture(scope="module")
def client(door: Door) -> openai.OpenAI:
    return door.client(_strict_response_validation=True)


def ended(client: openai.OpenAI, name: str) -> Any:
    def look() -> Any:
        found = client.responses.retrieve(name)
        return found if found.status != "in_progress" else None

    return until("the response", look)


def test_it_goes_on_without_its_client_and_is_told_again(door: Door, client: openai.OpenAI) -> None:
    go_on = threading.Event()

    async def slowly(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.token("one ")
        await asyncio.to_thread(go_on.wait, 20)
        await exchange.token("two")
        await exchange.usage(3, 2)
        await exchange.end()

    door.engine.script = slowly
    seen = []
    with client.responses.create(**HI, background=True, stream=True) as stream:
        for event in stream:
            seen.append(event)
            if event.type == "response.output_text.delta":
                break
    name = seen[0].response.id  # type: ignore[union-attr]
    assert client.responses.retrieve(name).status == "in_progress"
    go_on.set()
    done = ended(client, name)
    assert (done.status, done.output_text, done.background) == ("completed", "one two", True)
    last = seen[-1].sequence_number
    rest = list(client.responses.retrieve(name, stream=True, starting_after=last))
    numbers = [event.sequence_number for event in (*seen, *rest)]
    assert numbers == list(range(len(numbers)))
    assert rest[-1].type == "response.completed"
    assert rest[-1].response.output_text == "one two"
    assert not list(client.responses.retrieve(name, stream=True, starting_after=numbers[-1]))
    refused = door.call("GET", f"responses/{name}?stream=true&starting_after=x")
    assert error_of(refused)["param"] == "starting_after"
    client.responses.delete(name)


def test_a_cancelled_one_ends_at_the_engine_too(door: Door, client: openai.OpenAI) -> None:
    gone = threading.Event()

    async def for_ever(exchange: Exchange) -> None:
        await exchange.begin()
        try:
            while True:
                await exchange.token("on ")
                await asyncio.sleep(0.05)
        finally:
            gone.set()

    door.engine.script = for_ever
    made = client.responses.create(**HI, background=True)
    assert made.status == "in_progress"
    until("the engine", lambda: door.engine.exchanges[-1].asked.get("model"))
    assert client.responses.cancel(made.id).status == "cancelled"
    assert client.responses.cancel(made.id).status == "cancelled"
    assert gone.wait(10)
    assert client.responses.retrieve(made.id).status == "cancelled"
    rival = door.client("rival-owner")
    with pytest.raises(openai.NotFoundError):
        rival.responses.cancel(made.id)


def test_what_the_gateway_refuses_is_a_failed_response(client: openai.OpenAI) -> None:
    made = client.responses.create(model="nobody", input="hi", background=True)
    found = ended(client, made.id)
    assert found.status == "failed"
    assert "nobody" in found.error.message
    kinds = [event.type for event in client.responses.retrieve(made.id, stream=True)]
    assert kinds == ["response.created", "response.in_progress", "response.failed"]


@pytest.mark.django_db
def test_one_whose_process_died_has_failed() -> None:
    now = timezone.now()
    body = {"id": "resp_1", "status": "in_progress", "background": True, "error": None}
    row = Response.objects.create(
        project_id="a0000000-0000-0000-0000-000000000001", body=body, beaten_at=now
    )
    assert background.beat(row, first=0, events=["event: a\n\n", "event: b\n\n"], now=now)
    assert background.looked_at(row, now=now).body["status"] == "in_progress"
    later = now + background.SILENCE + timedelta(seconds=1)
    found = background.looked_at(Response.objects.get(pk=row.pk), now=later)
    assert (found.body["status"], found.beaten_at) == ("failed", None)
    # Was it only slow, it hears that it is over, and changes nothing any more.
    assert not background.beat(row, first=2, events=["event: c\n\n"], now=later)
    assert not background.end(row, body=body | {"status": "completed"}, first=2, events=[])
    assert Response.objects.get(pk=row.pk).body["status"] == "failed"
    assert [number for number, _ in background.told(row, after=0)] == [1]
    assert ResponseEvents.objects.count() == 1


def test_a_conversation_takes_up_what_is_asked_and_answered(
    door: Door, client: openai.OpenAI
) -> None:
    kept = client.conversations
    made = kept.create(items=[{"type": "message", "role": "developer", "content": "Be short."}])
    for background_too in (False, True):
        said = client.responses.create(
            **HI, conversation=made.id, background=background_too, store=None
        )
        if background_too:
            ended(client, said.id)
        assert said.conversation is not None
        assert said.conversation.id == made.id
    list(client.responses.create(**HI, conversation={"id": made.id}, stream=True))
    roles = [message["role"] for message in door.engine.exchanges[-1].asked["messages"]]
    assert roles == ["developer", "user", "assistant", "user", "assistant", "user"]
    items = list(kept.items.list(made.id, order="asc", limit=2))
    assert [item.role for item in items] == [*roles, "assistant"]
    kept.items.delete(items[1].id, conversation_id=made.id)
    assert len(list(kept.items.list(made.id))) == len(items) - 1
    again = kept.items.create(made.id, items=[{"id": items[0].id, "role": "user", "content": "x"}])
    assert again.data[0].id != items[0].id
    rival = door.client("rival-owner")
    for act in (
        lambda: rival.conversations.retrieve(made.id),
        lambda: rival.conversations.delete(made.id),
        lambda: rival.conversations.items.list(made.id),
        lambda: rival.responses.create(**HI, conversation=made.id),
    ):
        with pytest.raises(openai.NotFoundError):
            act()
    with pytest.raises(openai.BadRequestError, match="20"):
        kept.items.create(made.id, items=[{"role": "user", "content": "x"}] * 21)
    assert kept.delete(made.id).deleted


def test_a_conversation_deleted_meanwhile_costs_no_response(
    door: Door, client: openai.OpenAI
) -> None:
    made = client.conversations.create()

    async def delete_then_answer(exchange: Exchange) -> None:
        await asyncio.to_thread(client.conversations.delete, made.id)
        await answer_well(exchange)

    door.engine.script = delete_then_answer
    said = client.responses.create(**HI, conversation=made.id)
    assert client.responses.retrieve(said.id).output_text == said.output_text


def test_input_is_counted_as_the_model_reads_it(door: Door, client: openai.OpenAI) -> None:
    first = client.responses.create(**HI)
    counted = client.responses.input_tokens.count(
        model="m", input="more", previous_response_id=first.id, instructions="Stay."
    )
    asked = door.engine.exchanges[-1].asked
    assert [message["content"] for message in asked["messages"]][::3] == ["Stay.", "more"]
    assert asked["max_completion_tokens"] == 1
    said = client.responses.create(**HI)
    assert said.usage is not None
    assert counted.input_tokens == said.usage.input_tokens
    with pytest.raises(openai.NotFoundError):
        client.responses.input_tokens.count(model="nobody", input="x")


def test_a_conversation_is_made_short_and_gone_on_with(door: Door) -> None:
    client = door.client()
    first = client.responses.create(**HI)
    made = client.responses.compact(model="m", input="more", previous_response_id=first.id)
    assert made.object == "response.compaction"
    assert [item.type for item in made.output] == ["message", "message", "compaction"]
    asked = door.engine.exchanges[-1].asked["messages"]
    assert [message["role"] for message in asked] == ["user", "assistant", "user", "user"]
    assert "Summarise" in asked[-1]["content"]

    # As they came: the client's type of this output knows the assistant's messages only.
    body = {"model": "m", "input": "more", "previous_response_id": first.id}
    shortened = door.call("POST", "responses/compact", json=body).json()["output"]
    assert "a b c d e" not in str(shortened)
    client.responses.create(model="m", input=[*shortened, {"role": "user", "content": "so?"}])
    texts = [message["content"] for message in door.engine.exchanges[-1].asked["messages"]]
    assert texts[:2] == ["hi", "more"]
    assert "a b c d e" in texts[2]
    assert texts[3] == "so?"
    with pytest.raises(openai.BadRequestError, match="project"):
        door.client("rival-owner").responses.create(model="m", input=shortened)
    with pytest.raises(openai.BadRequestError, match="previous_response_id"):
        client.responses.compact(model="m")
