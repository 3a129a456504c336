"""The web process: /v1 goes to the gateway, everything else to Django."""

from __future__ import annotations

import json
import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "slipway.settings")

from django.core.asgi import get_asgi_application

django_app = get_asgi_application()

from django.conf import settings  # noqa: E402 - settings are set up now

from slipway.backends.objects import folder_urls  # noqa: E402
from slipway.gateway.asgi import Gateway  # noqa: E402
from slipway.worker.app import app as _celery  # noqa: E402,F401 - nudges go out through it

STORAGE = "/storage/"
gateway = Gateway()


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await gateway.lifespan(receive, send)
    elif scope["type"] == "http" and (scope["path"] + "/").startswith("/v1/"):
        await gateway(scope, receive, send)
    elif scope["type"] == "http" and (fault := body_fault(scope)):
        await _refuse(send, *fault)
    else:
        await django_app(scope, receive, send)


def body_fault(scope: dict[str, Any]) -> tuple[int, str] | None:
    """Django stores a whole body before it asks who sent it; so size and right come first."""
    headers = dict(scope["headers"])
    given = headers.get(b"content-length", b"0")
    length = int(given) if given.isdigit() and len(given) < 16 else None
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
    code = {403: "forbidden", 411: "length_required", 413: "too_large"}[status]
    error = {"code": code, "message": message, "details": [], "request_id": ""}
    head = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": json.dumps({"error": error}).encode()})
