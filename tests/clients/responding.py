"""Responses and conversations."""

from __future__ import annotations

import itertools
from typing import Any

import openai
from asking import Chart
from world import CHAT, HELLO, pages, scenario, until

TOOL: Any = {
    "type": "function", "name": "weather", "strict": True,
    "parameters": {"type": "object", "properties": {"city": {"enum": ["Paris"]}},
                   "required": ["city"], "additionalProperties": False},
}  # fmt: skip


def _ask(w: Any, **more: Any) -> Any:
    given = {"model": CHAT, "input": HELLO[0]["content"], "max_output_tokens": 64,
             "temperature": 0} | more  # fmt: skip
    return w.openai.responses.create(**given)


@scenario("a response is made, read back, its input listed, and deleted")
def _(w: Any) -> None:
    said = _ask(w, instructions="short", metadata={"mark": w.mark})
    assert said.status == "completed"
    assert said.output_text
    assert said.usage.total_tokens == said.usage.input_tokens + said.usage.output_tokens
    assert w.openai.responses.retrieve(said.id).output_text == said.output_text
    (item,) = pages(w.openai.responses.input_items.list(said.id))
    assert item.content[0].text == HELLO[0]["content"]
    w.openai.responses.delete(said.id)
    w.refused(openai.NotFoundError, lambda: w.openai.responses.retrieve(said.id), 404)


@scenario("a response is streamed event by event")
def _(w: Any) -> None:
    events = list(_ask(w, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [events[0].type, events[-1].type] == ["response.created", "response.completed"]
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert text == events[-1].response.output_text


@scenario("a response goes on from another")
def _(w: Any) -> None:
    first = _ask(w, max_output_tokens=4)
    second = _ask(w, previous_response_id=first.id, max_output_tokens=4)
    assert second.previous_response_id == first.id
    assert second.usage.input_tokens > first.usage.input_tokens
    w.refused(openai.BadRequestError, lambda: _ask(w, previous_response_id="resp_" + "0" * 32),
              400, param="previous_response_id")  # fmt: skip


@scenario("a response calls a tool, and is parsed into a type")
def _(w: Any) -> None:
    (call,) = _ask(w, tools=[TOOL], tool_choice="required", parallel_tool_calls=False).output
    assert (call.type, call.name, call.arguments.replace(" ", "")) == (
        "function_call", "weather", '{"city":"Paris"}',
    )  # fmt: skip
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    asked = [*HELLO, {"type": "function_call", "call_id": call.call_id, "name": "weather",
                      "arguments": call.arguments}, result]  # fmt: skip
    assert _ask(w, input=asked).status in {"completed", "incomplete"}
    parsed = w.openai.responses.parse(
        model=CHAT, input=HELLO, text_format=Chart, max_output_tokens=64, temperature=0
    )
    assert isinstance(parsed.output_parsed, Chart)


@scenario("a response is made in the background, watched, and another is cancelled")
def _(w: Any) -> None:
    begun = _ask(w, background=True)
    assert begun.status in {"queued", "in_progress"}

    def ended() -> Any:
        found = w.openai.responses.retrieve(begun.id)
        return found if found.status not in {"queued", "in_progress"} else None

    done = until("the response", ended)
    assert done.status == "completed"
    assert done.output_text == _ask(w).output_text
    assert w.openai.responses.cancel(_ask(w, background=True).id).status in {
        "cancelled", "completed",
    }  # fmt: skip


@scenario("the stream of a response in the background is taken up again where it broke off")
def _(w: Any) -> None:
    # Closed by its name: a stream only forgotten is closed by the garbage collector, at times
    # inside of the next request, which then waits for its own lock for ever (httpcore).
    with _ask(w, background=True, stream=True) as begun:
        seen = list(itertools.islice(begun, 3))
    name = next(event.response.id for event in seen if event.type == "response.created")
    rest = list(w.openai.responses.retrieve(name, stream=True, starting_after=2))
    numbers = [event.sequence_number for event in (*seen, *rest)]
    assert numbers == list(range(len(numbers)))
    assert rest[-1].type == "response.completed"
    whole = list(w.openai.responses.retrieve(name, stream=True))
    assert [event.type for event in whole] == [event.type for event in (*seen, *rest)]


@scenario("a conversation is made, goes on by itself, is changed and deleted")
def _(w: Any) -> None:
    kept = w.openai.conversations
    made = kept.create(
        metadata={"mark": w.mark}, items=[{"type": "message", "role": "user", "content": "a"}]
    )
    assert kept.retrieve(made.id).metadata == {"mark": w.mark}
    said = _ask(w, conversation=made.id, max_output_tokens=4)
    assert said.conversation.id == made.id
    items = pages(kept.items.list(made.id, order="asc", limit=1))
    assert [(item.type, item.role) for item in items] == [
        ("message", "user"), ("message", "user"), ("message", "assistant"),
    ]  # fmt: skip
    more = kept.items.create(made.id, items=[{"role": "user", "content": "b"}])
    assert len(more.data) == 1
    assert kept.items.retrieve(more.data[0].id, conversation_id=made.id).content[0].text == "b"
    assert kept.items.delete(more.data[0].id, conversation_id=made.id).id == made.id
    again = _ask(w, conversation={"id": made.id}, max_output_tokens=4)
    assert again.usage.input_tokens > said.usage.input_tokens
    assert kept.update(made.id, metadata={"mark": "x"}).metadata == {"mark": "x"}
    assert kept.delete(made.id).deleted
    w.refused(openai.NotFoundError, lambda: kept.retrieve(made.id), 404)


@scenario("tokens are counted before they are asked", needs="responses.input_tokens")
def _(w: Any) -> None:
    given = {"model": CHAT, "input": HELLO[0]["content"], "instructions": "short"}
    counted = w.openai.responses.input_tokens.count(**given)
    assert counted.input_tokens == _ask(w, instructions="short").usage.input_tokens


@scenario("a conversation is made short and gone on with", needs="responses.compact")
def _(w: Any) -> None:
    # The type of its output knows the assistant's messages only, where the users' are told.
    made = w.lenient.responses.compact(model=CHAT, input=HELLO)
    assert [item.type for item in made.output] == ["message", "compaction"]
    history = [item.to_dict() for item in made.output]
    assert _ask(w, input=[*history, *HELLO]).output_text
