"""LlamaIndex: its models of chats and of embeddings, and a question answered from an index."""

from __future__ import annotations

import asyncio
import math
import os
from typing import Any, Literal

import openai
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel
from world import CHAT, ENCODER, HELLO, scenario

TEXT = HELLO[0]["content"]
PLACE = {"api_base": os.environ["OPENAI_BASE_URL"], "api_key": os.environ["OPENAI_API_KEY"]}


class Chart(BaseModel):
    """Whether to draw a chart, and which."""

    chart: bool
    kind: Literal["bar", "line"]


def _chat(**more: Any) -> Any:
    given = {
        "model": CHAT, "is_chat_model": True, "is_function_calling_model": True,
        "context_window": 1024, "max_tokens": 64, "temperature": 0.0, "max_retries": 0,
        "strict": True, **PLACE,
    }  # fmt: skip
    return OpenAILike(**given | more)


def _encoder() -> Any:
    return OpenAILikeEmbedding(model_name=ENCODER, max_retries=0, **PLACE)


class City(BaseModel):
    """What to tell the weather of."""

    city: Literal["Paris", "Rome"]


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


@scenario("a chat is answered and streamed, saying the same")
def _(w: Any) -> None:
    messages = [ChatMessage(role="user", content=TEXT)]
    said = _chat().chat(messages).message.content
    assert said
    chunks = list(_chat().stream_chat(messages))
    assert "".join(chunk.delta or "" for chunk in chunks) == said

    async def streamed() -> str:
        return "".join([c.delta or "" async for c in await _chat().astream_chat(messages)])

    assert asyncio.run(streamed()) == said


@scenario("a text is gone on with, whole and streamed")
def _(w: Any) -> None:
    model = _chat(is_chat_model=False, max_tokens=6)
    text = model.complete("华北").text
    assert text
    assert "".join(chunk.delta or "" for chunk in model.stream_complete("华北")) == text


@scenario("a tool is called, and its result answered")
def _(w: Any) -> None:
    tool = FunctionTool.from_defaults(weather, fn_schema=City)
    said = _chat().chat_with_tools([tool], user_msg=TEXT, tool_required=True)
    call = _chat().get_tool_calls_from_response(said)[0]
    assert (call.tool_name, call.tool_kwargs["city"] in {"Paris", "Rome"}) == ("weather", True)
    result = ChatMessage(
        role="tool", content=str(tool(**call.tool_kwargs)),
        additional_kwargs={"tool_call_id": call.tool_id},
    )  # fmt: skip
    messages = [ChatMessage(role="user", content=TEXT), said.message, result]
    assert _chat().chat(messages).message.content


@scenario("structured output")
def _(w: Any) -> None:
    for forced in (True, False):
        model = _chat(should_use_structured_outputs=forced).as_structured_llm(Chart)
        assert isinstance(model.complete(TEXT).raw, Chart)


@scenario("embeddings of texts and of a question")
def _(w: Any) -> None:
    texts = ["sales of the region", "a bar chart"]
    found = _encoder().get_text_embedding_batch(texts)
    assert len(found) == 2
    one = _encoder().get_text_embedding(texts[0])
    assert all(math.isclose(a, b, abs_tol=1e-5) for a, b in zip(one, found[0], strict=True))
    assert len(asyncio.run(_encoder().aget_query_embedding("which?"))) == len(one)


@scenario("a question is answered from an index of documents")
def _(w: Any) -> None:
    index = VectorStoreIndex.from_documents(
        [Document(text="华北地区:柱状图"), Document(text="华南地区:折线图")], embed_model=_encoder()
    )
    question = "柱状图?"
    how = {"llm": _chat(), "similarity_top_k": 1}
    found = index.as_query_engine(**how).query(question)
    assert found.response
    assert len(found.source_nodes) == 1
    streamed = index.as_query_engine(llm=_chat(), streaming=True, similarity_top_k=1).query(
        question
    )
    assert "".join(streamed.response_gen) == found.response


@scenario("a refusal is the client's own error")
def _(w: Any) -> None:
    w.refused(openai.NotFoundError, lambda: _chat(model="no-such").complete(TEXT), 404,
              code="model_not_found")  # fmt: skip
    w.refused(openai.AuthenticationError,
              lambda: OpenAILike(model=CHAT, is_chat_model=True, max_retries=0,
                                 api_base=PLACE["api_base"], api_key="sk-slip-no").complete(TEXT),
              401, code="invalid_api_key")  # fmt: skip
