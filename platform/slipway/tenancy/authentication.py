"""How a credential becomes a principal."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import authentication, exceptions
from rest_framework.request import Request

from slipway.tenancy import services

#: Where a session keeps the project its person is in.
PROJECT = "project"


class KeyAuthentication(authentication.BaseAuthentication):
    """`Authorization: Bearer sk-slip-…`."""

    def authenticate(self, request: Request) -> tuple[services.Principal, None] | None:
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        principal = services.check_key(
            secret=secret.strip(),
            now=timezone.now(),
            address=request.META.get("REMOTE_ADDR", ""),
        )
        if principal is None:
            raise exceptions.AuthenticationFailed(
                "This API key is unknown, expired or revoked; make a new one under /api/v1/keys."
            )
        return principal, None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="slipway"'


class SessionAuthentication(authentication.SessionAuthentication):
    """A signed-in browser, in the project it switched to or that `x-slipway-project` names."""

    def authenticate(self, request: Request) -> tuple[services.Principal, None] | None:
        signed_in = super().authenticate(request)
        if signed_in is None:
            return None
        wanted = request.headers.get("x-slipway-project") or request.session.get(PROJECT)
        try:
            project_id = UUID(wanted) if wanted else None
        except ValueError as error:
            raise exceptions.AuthenticationFailed("x-slipway-project is not a UUID.") from error
        return services.principal_of(user=signed_in[0], project_id=project_id), None


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "slipway.tenancy.authentication.KeyAuthentication"
    name = "key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "sk-slip-…"}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "slipway.tenancy.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}
