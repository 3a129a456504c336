"""LangChain: its models of chats and of embeddings, as its users set them up."""

from __future__ import annotations

import asyncio
import math
from typing import Any, Literal

import langchain_openai
import openai
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from pydantic import BaseModel
from world import CHAT, ENCODER, HELLO, scenario

TEXT = HELLO[0]["content"]


@tool
def weather(city: Literal["Paris", "Rome"]) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


class Chart(BaseModel):
    """Whether to draw a chart, and which."""

    chart: bool
    kind: Literal["bar", "line"]


def _chat(**more: Any) -> Any:
    return langchain_openai.ChatOpenAI(
        **{"model": CHAT, "temperature": 0, "max_tokens": 64, "max_retries": 0} | more
    )


@scenario("a chat is answered, with its usage")
def _(w: Any) -> None:
    said = _chat().invoke(TEXT)
    assert said.content
    used = said.usage_metadata
    assert used["total_tokens"] == used["input_tokens"] + used["output_tokens"] > 0
    assert said.response_metadata["finish_reason"] == "stop"


@scenario("a chat is streamed and says the same, with its usage")
def _(w: Any) -> None:
    chunks = list(_chat(stream_usage=True).stream(TEXT))
    assert len(chunks) > 2
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert whole.content == _chat().invoke(TEXT).content
    assert whole.usage_metadata["output_tokens"] > 0


@scenario("a chain of a prompt and a model, several at once, also asynchronously")
def _(w: Any) -> None:
    chain = ChatPromptTemplate.from_messages([("system", "{tone}"), ("human", "{text}")]) | _chat()
    asks = [{"tone": "short", "text": TEXT}] * 3
    answers = [said.content for said in chain.batch(asks)]

    async def again() -> list[str]:
        whole = [said.content for said in await chain.abatch(asks)]
        return [*whole, "".join([chunk.content async for chunk in chain.astream(asks[0])])]

    assert asyncio.run(again()) == [*answers, answers[0]]


@scenario("a tool is called, run, and its result answered")
def _(w: Any) -> None:
    model = _chat().bind_tools(
        [weather], tool_choice="required", parallel_tool_calls=False, strict=True
    )
    said = model.invoke(TEXT)
    (call,) = said.tool_calls
    assert (call["name"], call["args"]["city"] in {"Paris", "Rome"}) == ("weather", True)
    result = weather.invoke(call)
    assert isinstance(result, ToolMessage)
    assert _chat().invoke([HumanMessage(TEXT), said, result]).content
    chunks = list(model.stream(TEXT))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert [each["args"] for each in whole.tool_calls] == [call["args"]]


@scenario("structured output, in each of its three ways")
def _(w: Any) -> None:
    for way in ("json_schema", "function_calling"):
        model = _chat().with_structured_output(Chart, method=way, strict=True)
        assert isinstance(model.invoke(TEXT), Chart)
    raw = _chat(max_tokens=128).with_structured_output(
        Chart, method="json_mode", include_raw=True
    ).invoke(f"JSON: {TEXT}")  # fmt: skip
    # Any JSON object is meant here; that it is a chart is the model's matter.
    assert raw["raw"].content.lstrip().startswith("{")


@scenario("log-probabilities, several choices, a seed")
def _(w: Any) -> None:
    said = _chat(logprobs=True, top_logprobs=2, max_tokens=4).invoke(TEXT)
    assert len(said.response_metadata["logprobs"]["content"]) == 4
    many = _chat(n=2, seed=1, temperature=1).generate([[HumanMessage(TEXT)]])
    assert len(many.generations[0]) == 2


@scenario("a chat by the responses API, whole and streamed")
def _(w: Any) -> None:
    model = _chat(use_responses_api=True)
    said = model.invoke(TEXT)
    assert said.text
    assert said.usage_metadata["output_tokens"] > 0
    assert "".join(chunk.text for chunk in model.stream(TEXT)) == said.text
    tools = model.bind_tools(
        [weather], tool_choice="required", parallel_tool_calls=False, strict=True
    )
    assert tools.invoke(TEXT).tool_calls[0]["name"] == "weather"
    assert isinstance(model.with_structured_output(Chart).invoke(TEXT), Chart)


@scenario("a text is gone on with")
def _(w: Any) -> None:
    model = langchain_openai.OpenAI(model=CHAT, temperature=0, max_tokens=6, max_retries=0)
    text = model.invoke("华北")
    assert text
    assert "".join(model.stream("华北")) == text


@scenario("embeddings of documents and of a question")
def _(w: Any) -> None:
    # Without this LangChain sends tokens of OpenAI's own vocabulary, which mean nothing here.
    model = langchain_openai.OpenAIEmbeddings(model=ENCODER, check_embedding_ctx_length=False)
    texts = ["sales of the region", "a bar chart"]
    found = model.embed_documents(texts)
    assert len(found) == 2
    one = model.embed_query(texts[0])
    assert all(math.isclose(a, b, abs_tol=1e-5) for a, b in zip(one, found[0], strict=True))
    assert len(asyncio.run(model.aembed_documents(texts))) == 2


@scenario("a refusal is the client's own error")
def _(w: Any) -> None:
    w.refused(openai.NotFoundError, lambda: _chat(model="no-such").invoke(TEXT), 404,
              code="model_not_found")  # fmt: skip
    w.refused(openai.BadRequestError, lambda: list(_chat(temperature=3).stream(TEXT)), 400,
              param="temperature")  # fmt: skip
    strange = _chat(api_key="sk-slip-nobody")
    w.refused(openai.AuthenticationError, lambda: strange.invoke(TEXT), 401, code="invalid_api_key")
