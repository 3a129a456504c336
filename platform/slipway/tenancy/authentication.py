"""How a credential becomes a principal."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import authentication, exceptions
from rest_framework.request import Request

from slipway.core import tenants
from slipway.tenancy import services
from slipway.tenancy.services import entry, own, principals
from slipway.tenancy.services.scim import tokens

#: Where a session keeps the project its person is in.
PROJECT = "project"


def _within(principal: services.Principal) -> services.Principal:
    """From here on the database itself keeps the request to the principal's organisation.

    Who administers the platform looks after all of them.
    """
    if not principal.allows("platform", services.Level.READ):
        tenants.enter(principal.organisation_id)
    return principal


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
            enter=True,
        )
        if principal is None:
            raise exceptions.AuthenticationFailed(
                "This API key is unknown, expired or revoked; make a new one under /api/v1/keys."
            )
        entered = tenants.inside(principal.organisation_id)
        return principal if entered else _within(principal), None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="slipway"'


class SessionAuthentication(authentication.SessionAuthentication):
    """A signed-in browser, in the project it switched to or that `x-slipway-project` names."""

    def authenticate(self, request: Request) -> tuple[services.Principal, None] | None:
        signed_in = super().authenticate(request)
        if signed_in is None:
            return None
        own.look(session_id=request.session.get(own.SESSION), user=signed_in[0], now=timezone.now())
        wanted = request.headers.get("x-slipway-project") or request.session.get(PROJECT)
        try:
            project_id = UUID(wanted) if wanted else None
        except ValueError as error:
            raise exceptions.AuthenticationFailed("x-slipway-project is not a UUID.") from error
        seen = entry.shown(request.session.get(entry.SHOWN))
        principal = principals.principal_of_session(
            user=signed_in[0], project_id=project_id, seen=seen
        )
        return _within(principal), None


class PersonAuthentication(authentication.SessionAuthentication):
    """A signed-in person, wherever they may or may not enter."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        signed_in = super().authenticate(request)
        if signed_in is not None:
            own.look(
                session_id=request.session.get(own.SESSION), user=signed_in[0], now=timezone.now()
            )
        return signed_in

    def authenticate_header(self, request: Request) -> str:
        return "Session"


class PersonScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "slipway.tenancy.authentication.PersonAuthentication"
    name = "person"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}


class ScimAuthentication(authentication.BaseAuthentication):
    """`Authorization: Bearer scim-slip-…`, and nothing else."""

    def authenticate(self, request: Request) -> tuple[services.Principal, None]:
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        found = tokens.check(secret=secret.strip(), now=timezone.now())
        if scheme.lower() != "bearer" or found is None:
            raise exceptions.AuthenticationFailed("This SCIM token is unknown or expired.")
        return _within(found), None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="slipway"'


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
