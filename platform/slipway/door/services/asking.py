"""Asks a model through the gateway on behalf of a key: allowed, limited and billed as the key's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from django.conf import settings

from slipway.core.errors import Forbidden
from slipway.tenancy import services as tenancy

_LENT = timedelta(minutes=30)
#: From the gateway's own limit on a request.
_SECONDS = 620.0
#: Keys of a request that whoever asks for a sample may set.
_SAMPLING = {"temperature", "top_p", "seed", "max_completion_tokens", "max_tokens",
             "response_format", "tools", "reasoning_effort", "stop"}  # fmt: skip


class NoAnswer(Exception):
    """The model gave none; the text says why. `waiting`: it may give one later."""

    def __init__(self, message: str, *, waiting: bool = False) -> None:
        super().__init__(message)
        self.waiting = waiting


@dataclass(frozen=True, kw_only=True)
class Answer:
    text: str
    finish_reason: str
    model: str
    prompt_tokens: int
    completion_tokens: int


class Door:
    """The gateway's own public door; close it when done. Safe to use from several threads."""

    def __init__(self, *, key_id: UUID, now: datetime, at_once: int = 8) -> None:
        secret = tenancy.lend(key_id=key_id, until=now + _LENT, now=now)
        if secret is None:
            raise Forbidden("The API key that asked for this was revoked or has expired.")
        self.http = httpx.Client(
            base_url=settings.GATEWAY_URL,
            headers={"authorization": f"Bearer {secret}", "content-type": "application/json"},
            timeout=httpx.Timeout(_SECONDS, connect=5),
            limits=httpx.Limits(max_connections=at_once),
            trust_env=False,
            # Making the context reads the certificates of the world; plain HTTP needs none.
            verify=settings.GATEWAY_URL.startswith("https"),
        )

    def close(self) -> None:
        self.http.close()

    def encoder(self) -> str:
        """The one sentence encoder that the key may ask; NoAnswer if there is none, or a choice."""
        models = self._ask("GET", "/v1/models", None)["data"]
        found = sorted(m["id"] for m in models if "embedding" in m.get("capabilities", ()))
        if len(found) != 1:
            choice = ", ".join(found) or "none is deployed"
            raise NoAnswer(f"name the sentence encoder of a cosine in x_model; there is: {choice}")
        return str(found[0])

    def embed(self, model: str, texts: list[str]) -> tuple[list[list[float]], int]:
        """A vector for each text, and the tokens it took; or NoAnswer."""
        body = {"model": model, "input": texts, "encoding_format": "float"}
        said = self._ask("POST", "/v1/embeddings", body)
        vectors = [each["embedding"] for each in said["data"]]
        return vectors, int(said["usage"]["total_tokens"])

    def chat(self, model: str, messages: list[dict[str, Any]], sampling: dict[str, Any]) -> Answer:
        """One answer, or NoAnswer."""
        body = {"model": model, "messages": messages}
        body |= {k: v for k, v in sampling.items() if k in _SAMPLING and v is not None}
        said = self._ask("POST", "/v1/chat/completions", body)
        choice, usage = said["choices"][0], said.get("usage") or {}
        return Answer(
            text=choice["message"].get("content") or "",
            finish_reason=choice.get("finish_reason") or "stop",
            model=said.get("model", model),
            prompt_tokens=int(usage.get("prompt_tokens", 0)),
            completion_tokens=int(usage.get("completion_tokens", 0)),
        )

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        try:
            got = self.http.request(method, path, json=body)
            said = got.json()
        except (httpx.HTTPError, ValueError) as error:
            raise NoAnswer(f"the gateway does not answer: {error}", waiting=True) from error
        if got.status_code != 200:
            message = str(said.get("error", {}).get("message", got.status_code))[:500]
            raise NoAnswer(message, waiting=got.status_code in {408, 429, 503})
        return dict(said)
