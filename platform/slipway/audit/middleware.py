"""Every change that comes in through the API is recorded, or it does not happen.

Two ways. Where a change is rows only (access, organisation, platform, money, deployments), change
and entry are one transaction. Elsewhere, where a view moves bytes or waits for others, the entry
`asked` is committed first and `done` or `refused` after, so that no lock is held meanwhile: a
change that nobody recorded cannot be, and one cut short shows as an `asked` without an end.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from slipway.audit import services
from slipway.core.http import request_id
from slipway.tenancy.permissions import needed
from slipway.tenancy.services import Level

_SAFE = {"GET", "HEAD", "OPTIONS"}
_ONE_TRANSACTION = {"access", "organisation", "platform", "money", "deployments"}
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
        if request.method in _SAFE or kind is None:
            return None
        asked = needed(kind, request.method or "")
        apart = getattr(kind, "audited_apart", False)
        if asked is None or (asked[1] <= Level.READ and not apart):
            return None
        change = _Change(request, view, kwargs)
        if asked[0] in _ONE_TRANSACTION and not apart:
            with transaction.atomic():
                response = change.carry_out()
                if response.status_code < 400:
                    change.record(response, "done")
                else:
                    transaction.set_rollback(True)
            if response.status_code >= 400:
                change.record(response, "refused")
            return response
        if not apart:
            change.record(None, "asked")
        response = change.carry_out()
        change.record(response, "done" if response.status_code < 400 else "refused")
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
        if not kind.startswith("application/json") or not length.isdigit():
            return None
        if not 0 < int(length) <= _LONGEST_BODY:
            return None
        try:
            return json.loads(self.request.body)
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
        actor = getattr(who, "user_name", None) or _named(self.asked)
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
