"""The stream of changes, as server-sent events."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any, ClassVar

from django.http import StreamingHttpResponse
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.serializers import Serializer

from slipway.core.errors import Unavailable
from slipway.live.hub import Hub, Listener
from slipway.live.look import begin
from slipway.tenancy.services import Level

HEARTBEAT_SECONDS = 15.0
#: A stream ends after this long, and whoever listens asks again: so rights that were lost, count.
LIFE_SECONDS = 120.0
MOST_LISTENERS = 2_000
hub = Hub(begin)


class EventStream(BaseRenderer):
    """Lets `accept: text/event-stream` through; refusals are JSON all the same."""

    media_type = "text/event-stream"
    format = "stream"

    def render(self, data: Any, media_type: Any = None, context: Any = None) -> bytes:
        return JSONRenderer().render(data)


class ChangesView(GenericAPIView[Any]):
    """What changes in this project, as it happens: kinds and ids, which are fetched elsewhere.

    Each event's data is `{"changes": [{"kind", "id"}], "all": bool}`; with `all`, anything may
    have changed. Comments keep the line open; after two minutes the stream ends: ask again.
    """

    # Level 0: whoever is signed in hears of the modules that they may look at.
    levels: ClassVar = {"GET": 0}
    module = "access"
    pagination_class = None
    serializer_class = Serializer
    renderer_classes: ClassVar = [JSONRenderer, EventStream]

    @extend_schema(responses={(200, "text/event-stream"): str})
    def get(self, request: Request) -> StreamingHttpResponse:
        if len(hub) >= MOST_LISTENERS:
            raise Unavailable("Too many listen to changes already; ask for what you need instead.")
        listener = Listener(
            project_id=request.user.project_id,
            organisation_id=request.user.organisation_id,
            modules=frozenset(m for m, v in request.user.levels.items() if v >= Level.READ),
        )
        answer = StreamingHttpResponse(stream(listener), content_type="text/event-stream")
        answer["cache-control"] = "no-store"
        # A proxy that gathers the answer before passing it on would make news old.
        answer["x-accel-buffering"] = "no"
        return answer


async def stream(listener: Listener) -> AsyncIterator[bytes]:
    ends = time.monotonic() + LIFE_SECONDS
    yield _event([], everything=False)
    news = hub.listen(listener, idle_seconds=HEARTBEAT_SECONDS)
    try:
        async for something in news:
            if something:
                taken, lost = listener.take()
                yield _event(taken, everything=lost)
            else:
                yield b": still here\n\n"
            if time.monotonic() > ends:
                return
    finally:
        await news.aclose()  # type: ignore[attr-defined]


def _event(taken: list[tuple[str, str]], *, everything: bool) -> bytes:
    body = {"changes": [{"kind": kind, "id": key} for kind, key in taken], "all": everything}
    return f"data: {json.dumps(body)}\n\n".encode()


urlpatterns = [path("changes", ChangesView.as_view())]
