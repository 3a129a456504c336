"""Without a licence in force nothing is changed any more; reading, jobs and serving go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from rest_framework.permissions import SAFE_METHODS

from slipway.core.http import error_body
from slipway.editions import services


class ReadOnly:
    """Middleware: refuses changes while the licence says read-only.

    Views that must work even then (signing in, installing a licence) say `works_read_only`, and
    refuse by themselves what of theirs must not.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        kind = getattr(view, "cls", None)
        if (
            request.method in SAFE_METHODS
            or kind is None
            or getattr(kind, "works_read_only", False)
        ):
            return None
        try:
            services.check_writable(now=timezone.now())
        except services.ReadOnly as refused:
            return JsonResponse(error_body(refused.code, refused.message), status=refused.status)
        return None
