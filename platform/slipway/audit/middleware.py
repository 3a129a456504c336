"""Every change that comes in through the API is recorded, or it does not happen.

Change and entry are one transaction. A view that moves bytes or waits for others says so (`waits`):
then the entry `asked` is committed first, without a lock held meanwhile, and the rows that come
last share a transaction with the entry `done` (`slipway/core/together.py`). One cut short shows as
an `asked` without an end.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from rest_framework.permissions import SAFE_METHODS

from slipway.audit import services
from slipway.core import together
from slipway.core.logs import request_id
from slipway.core.parsing import too_deep, unstorable
from slipway.tenancy.permissions import needed
from slipway.tenancy.services import Level

#: Bodies above this are not read for the log.
_LONGEST_BODY = 64 * 1024


class Recorder:
    """Middleware; the innermost one, so that it sees what views answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        kind = getattr(view, "cls", None)
        looks = request.method in SAFE_METHODS and not getattr(kind, "audited_get", False)
        if looks or kind is None:
            return None
        asked = needed(kind, request.method or "")
        # People sign in, and change what is their own, whatever they may do in a project.
        own = getattr(kind, "audited", False)
        if asked is None or (asked[1] <= Level.READ and not own):
            return None
        change = _Change(request, view, kwargs)
        waits = getattr(kind, "waits", False)
        # What somebody does with their own credentials moves nothing before it is let through.
        if waits and not own:
            change.record(None, "asked")
        with together.last_part() as part:
            if not waits:
                part.begin()
            response = change.carry_out()
            # A browser that is not let in is led back to the page it came from.
            refused = response.status_code >= 400 or getattr(response, "refused", False)
            undone = refused and not part.stands
            if undone:
                part.undo()
            else:
                change.record(response, "refused" if refused else "done")
        if undone:
            change.record(response, "refused")
        return response


class _Change:
    """One request that wants to change something, and what is known of it."""

    def __init__(self, request: HttpRequest, view: Any, kwargs: dict[str, Any]) -> None:
        self.request, self.view, self.kwargs = request, view, kwargs
        self.before: Any = None
        self.who: Any = None
        self.asked = self._body()

    def _body(self) -> Any:
        kind = self.request.headers.get("content-type", "")
        length = self.request.headers.get("content-length") or "0"
        if (
            not kind.startswith(("application/json", "application/scim+json"))
            or not length.isdigit()
        ):
            return None
        if not 0 < int(length) <= _LONGEST_BODY:
            return None
        try:
            if too_deep(self.request.body):
                return None
            found = json.loads(self.request.body)
            return None if unstorable(found) else found
        except (ValueError, RecursionError):
            return None

    def carry_out(self) -> HttpResponse:
        """What the view answers; a moment before, what a GET of the same address answers."""
        # What is made has no before; its neighbours are none of the log's business.
        if self.kwargs and self.request.method != "POST" and hasattr(self.view.cls, "get"):
            look = copy.copy(self.request)
            look.method = "GET"
            seen = self.view(look, **self.kwargs)
            if seen.status_code == 200:
                self.before = getattr(seen, "data", None)
            self.who = self.who or _principal(seen)
        response: HttpResponse = self.view(self.request, **self.kwargs)
        self.who = _principal(response) or self.who
        return response

    def record(self, response: HttpResponse | None, outcome: str) -> None:
        request, who = self.request, self.who
        after = getattr(response, "data", None) if response is not None else None
        match = request.resolver_match
        # What is a person's own is asked for by the person, not by a principal of a project.
        actor = getattr(who, "user_name", None) or getattr(who, "username", None)
        actor = actor or _named(self.asked)
        made = str(after["id"]) if isinstance(after, dict) and "id" in after else ""
        subject = " ".join([*(str(value) for value in self.kwargs.values()), made]).strip()
        services.record(
            at=timezone.now(),
            actor=actor,
            action=f"{request.method} {match.route if match else request.path}",
            subject=subject,
            organisation_id=getattr(who, "organisation_id", None),
            project_id=getattr(who, "project_id", None),
            key_id=getattr(who, "key_id", None),
            outcome=outcome,
            status=response.status_code if response is not None else 0,
            asked=self.asked,
            before=self.before,
            after=after,
            request_id=request_id.get(),
            origin=request.META.get("REMOTE_ADDR", ""),
        )


def _principal(response: Any) -> Any:
    context = getattr(response, "renderer_context", None)
    return getattr(context.get("request"), "user", None) if context else None


def _named(asked: Any) -> str:
    """Who signs in says so in the body."""
    name = asked.get("user") if isinstance(asked, dict) else None
    return f"{name} (not signed in)"[:160] if isinstance(name, str) else "nobody signed in"
