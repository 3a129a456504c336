"""The web process: the hot routes of /v1 go to the gateway, everything else to Django."""

from __future__ import annotations

import json
import os
import secrets
from typing import Any
from uuid import UUID

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "slipway.settings")

from django.core.asgi import get_asgi_application

_django = get_asgi_application()

from django.conf import settings  # noqa: E402 - settings are set up now

from slipway.backends.objects import folder_urls  # noqa: E402
from slipway.core.postgres import base as postgres  # noqa: E402
from slipway.core.turns import Turns  # noqa: E402
from slipway.door.api import bodies  # noqa: E402
from slipway.door.api.inward import Caller, Turned  # noqa: E402
from slipway.door.api.live import PATHS, Live  # noqa: E402
from slipway.gateway import errors, metrics  # noqa: E402
from slipway.gateway.asgi import Gateway, address_of  # noqa: E402
from slipway.gateway.errors import Refusal  # noqa: E402
from slipway.gateway.server import HotProtocol  # noqa: E402
from slipway.worker.app import app as _celery  # noqa: E402,F401 - nudges go out through it

STORAGE = "/storage/"
#: What of /v1 is kept, not computed: these paths and what is below them.
KEPT = (
    "/v1/files", "/v1/uploads", "/v1/fine_tuning", "/v1/batches", "/v1/evals", "/v1/responses",
    "/v1/conversations", "/v1/moderations", "/v1/organization", "/v1/projects",
    "/v1/openapi.json",
)  # fmt: skip
gateway = Gateway()
django_app = Turns(_django)


class Protocol(HotProtocol):
    """What speaks HTTP here: `uvicorn --http slipway.asgi:Protocol`."""

    core = gateway


async def caller(authorization: bytes | None, address: str) -> Caller:
    """Who a key is, as the gateway knows it."""
    key = await gateway.authorize(authorization, address)
    if isinstance(key, Refusal):
        raise Turned(key.status, key.headers(), key.body())
    return Caller(project_id=UUID(key.project_id))


#: What is answered by asking the gateway for a completion.
live = Live(gateway, caller)


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        postgres.shelf.most = postgres.KEPT
        await gateway.lifespan(receive, send)
    elif scope["type"] == "http" and (refusal := encoded(scope)) is not None:
        await _refuse_door(send, refusal)
    elif scope["type"] == "http" and scope["path"] in PATHS:
        await live(scope, receive, send)
    elif scope["type"] == "http" and is_kept(scope["method"], scope["path"]):
        await door(scope, receive, send)
    elif scope["type"] == "http" and (scope["path"] + "/").startswith("/v1/"):
        await gateway(scope, receive, send)
    elif scope["type"] == "http" and scope["path"] == "/metrics":
        await show_metrics(scope, send)
    elif scope["type"] == "http" and (fault := body_fault(scope)):
        await _refuse(send, *fault)
    else:
        await django_app(scope, receive, send)


def encoded(scope: dict[str, Any]) -> Refusal | None:
    """A refusal, if this is a request to /v1 whose body is compressed."""
    here = (scope["path"] + "/").startswith("/v1/")
    return errors.encoded(dict(scope["headers"])) if here else None


async def show_metrics(scope: dict[str, Any], send: Any) -> None:
    """What the gateway of this process counted, for who may read it; for others it is not there."""
    headers = dict(scope["headers"])
    if scope["method"] != "GET" or not metrics.may_read(
        headers, address_of(scope), settings.METRICS_TOKEN
    ):
        await _refuse(send, 404, "There is nothing at /metrics.")
        return
    body, kind = metrics.page(gateway, headers.get(b"accept", b"").decode("latin-1"))
    head = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})


def is_kept(method: str, path: str) -> bool:
    """Whether a path of /v1 is Django's; a model is looked at in the gateway and deleted here."""
    if method == "DELETE" and path.startswith("/v1/models/"):
        return True
    if path == "/v1/chat/completions":
        return method in {"GET", "HEAD"}
    if path.startswith("/v1/chat/completions/"):
        return True
    return path.startswith(KEPT) and any(path == p or path.startswith(p + "/") for p in KEPT)


async def door(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Nobody may make us hold a body without a key, nor one without end."""
    headers = dict(scope["headers"])
    length = _told_length(headers) or 0
    most = bodies.most_bytes(scope["method"], scope["path"])
    if length or b"transfer-encoding" in headers:
        key = await gateway.authorize(headers.get(b"authorization"), address_of(scope))
        if isinstance(key, Refusal):
            await _refuse_door(send, key)
            return
    if length > most:
        await _refuse_door(send, _too_large(most))
        return
    left = most

    async def counted() -> dict[str, Any]:
        nonlocal left
        message: dict[str, Any] = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise _TooMuch
        return message

    try:
        await django_app(scope, counted, send)
    except _TooMuch:
        await _refuse_door(send, _too_large(most))


def _told_length(headers: dict[bytes, bytes]) -> int | None:
    """Bytes of the body as the client says; 0 if it says nothing, None if it is no number."""
    told = headers.get(b"content-length", b"0")
    return int(told) if told.isdigit() and len(told) < 16 else None


def _too_large(most: int) -> Refusal:
    text = f"The body is larger than {most} bytes; larger files are sent by POST /v1/uploads."
    return Refusal(413, text, code="request_too_large")


class _TooMuch(Exception):
    """A body without a length turned out to be too long."""


async def _refuse_door(send: Any, refusal: Refusal) -> None:
    request_id = f"req_{secrets.token_hex(12)}".encode()
    head = [
        *refusal.headers(), (b"x-request-id", request_id), (b"connection", b"close"),
        (b"openai-version", b"2020-10-01"), (b"openai-processing-ms", b"0"),
    ]  # fmt: skip
    await send({"type": "http.response.start", "status": refusal.status, "headers": head})
    await send({"type": "http.response.body", "body": refusal.body()})


def body_fault(scope: dict[str, Any]) -> tuple[int, str] | None:
    """Django stores a whole body before it asks who sent it; so size and right come first."""
    headers = dict(scope["headers"])
    length = _told_length(headers)
    if b"transfer-encoding" in headers:
        length = None
    path = scope["path"]
    if path.startswith(STORAGE):
        key = path.removeprefix(STORAGE)
        return folder_urls.body_fault(scope["method"], key, scope["query_string"], length)
    most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if length is None:
        return 411, "Send the length of the body in content-length."
    if length > most:
        return 413, f"A body has at most {most} bytes; files travel by signed address."
    return None


async def _refuse(send: Any, status: int, message: str) -> None:
    code = {403: "forbidden", 404: "not_found", 411: "length_required", 413: "too_large"}[status]
    error = {"code": code, "message": message, "details": [], "request_id": ""}
    head = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": json.dumps({"error": error}).encode()})
