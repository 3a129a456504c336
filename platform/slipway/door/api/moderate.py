"""POST /v1/moderations, judged by the project's own policy, and that policy."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any

import msgspec
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core.errors import Unavailable
from slipway.door.api import manners
from slipway.door.api.inward import Caller, Exchange, Headers, Turned, with_rows
from slipway.door.services import judging, moderation, words
from slipway.door.services.words import Bad
from slipway.tenancy.services import Level

MOST_INPUTS, LONGEST = 128, 100_000
_CHAT = "/v1/chat/completions"
#: Texts of one request that are judged at the same time.
_AT_ONCE = 4
#: What OpenAI calls its own; here they mean the project's policy.
_THEIRS = {"omni-moderation-latest", "omni-moderation-2024-09-26", "text-moderation-latest",
           "text-moderation-stable"}  # fmt: skip


class _Ask(words.Request):
    input: str | list[Any]
    model: str | None = None


async def create(exchange: Exchange, caller: Caller, data: bytes) -> None:
    """One result per text; the judge is asked, limited and paid for as a chat completion."""
    ask = manners.read(data, _Ask)
    texts = _texts(ask.input)
    policy = await with_rows(lambda: moderation.of(project_id=caller.project_id))
    if ask.model not in {None, policy.model, *_THEIRS}:
        raise Bad(
            f"This project's policy does not judge by {str(ask.model)[:80]!r}; leave model out.",
            param="model", code="model_not_found",
        )  # fmt: skip
    places = asyncio.Semaphore(_AT_ONCE)
    like: list[Headers] = []

    async def judged(text: str) -> dict[str, Any]:
        scores: dict[str, float] = {}
        if policy.model:
            async with places:
                reply = await exchange.ask(_CHAT, judging.question(policy.model, text))
            if reply.status == 400:
                said = str(reply.error.get("message"))
                raise Bad(
                    f"The judge {policy.model} cannot judge this text: {said}",
                    param="input", code=reply.error.get("code"),
                )  # fmt: skip
            if reply.status != 200:
                raise Turned(reply.status, reply.headers or [], reply.body)
            like.append(reply.headers or [])
            scores = judging.scores(json.loads(reply.body))
        return moderation.result(policy, scores, moderation.found_words(policy, text))

    try:
        results = await asyncio.gather(*(judged(text) for text in texts))
    except judging.NoVerdict as error:
        raise Unavailable(f"The text could not be judged by {policy.model}: {error}.") from error
    body = {
        "id": f"modr-{secrets.token_hex(12)}",
        "model": policy.model or "words",
        "results": results,
    }
    await exchange.answer(200, body, like=like[0] if like else None)


def _texts(given: str | list[Any]) -> list[str]:
    """Each text to be judged; parts of one input are judged together."""
    match given:
        case str():
            texts = [given]
        case [str(), *_] if all(isinstance(each, str) for each in given):
            texts = given
        case [dict(), *_]:
            texts = ["\n".join(_part(part, place) for place, part in enumerate(given))]
        case _:
            raise Bad("input must be a string, a list of strings, or parts.", param="input")
    if len(texts) > MOST_INPUTS:
        text = f"input has {len(texts)} texts; at most {MOST_INPUTS} are judged at once."
        raise Bad(text, param="input")
    for place, text in enumerate(texts):
        if not 0 < len(text) <= LONGEST:
            raise Bad(
                f"input[{place}] has {len(text)} characters; judged are 1 to {LONGEST}.",
                param="input",
            )
    return texts


def _part(part: Any, place: int) -> str:
    match part:
        case {"type": "text", "text": str(text)}:
            return text
    kind = part.get("type") if isinstance(part, dict) else part
    raise Bad(
        f"input[{place}].type is {str(kind)[:80]!r}; text is judged, pictures are not.",
        param=f"input[{place}].type", code="unsupported_value",
    )  # fmt: skip


class PolicyView(manners.DoorView):
    """Ours: by what this project's texts are judged."""

    module = "inference"
    levels = {"POST": Level.FULL}

    def get(self, request: Request) -> Response:
        return self._shown()

    def post(self, request: Request) -> Response:
        moderation.put(
            project_id=self.project_id, policy=self.body(moderation.Policy), made_by=self.made_by
        )
        return self._shown()

    def delete(self, request: Request) -> Response:
        gone = moderation.delete(project_id=self.project_id)
        return Response({"object": "moderation.policy", "deleted": gone})

    def _shown(self) -> Response:
        policy = moderation.of(project_id=self.project_id)
        return Response({"object": "moderation.policy"} | msgspec.to_builtins(policy))
