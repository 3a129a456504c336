"""The web process: /v1 goes to the gateway, everything else to Django."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "slipway.settings")

from django.core.asgi import get_asgi_application

django_app = get_asgi_application()

from slipway.gateway.asgi import Gateway  # noqa: E402
from slipway.worker.app import app as _celery  # noqa: E402,F401 - nudges go out through it

gateway = Gateway()


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await gateway.lifespan(receive, send)
    elif scope["type"] == "http" and (scope["path"] + "/").startswith("/v1/"):
        await gateway(scope, receive, send)
    else:
        await django_app(scope, receive, send)
