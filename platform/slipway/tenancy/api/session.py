"""Sign in and out, who am I, and why may I (not) do something."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth import logout
from django.middleware.csrf import get_token
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import permissions, serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core import together
from slipway.core.errors import Forbidden, NotFound, NotSignedIn
from slipway.core.http import Whole
from slipway.tenancy import services
from slipway.tenancy.api.signon import begin_session
from slipway.tenancy.authentication import PROJECT, SessionAuthentication
from slipway.tenancy.models import Role, User
from slipway.tenancy.services import LEVELS, Level, entry, explain, factors, own, principals, signin
from slipway.tenancy.services.grants import MODULES
from slipway.tenancy.services.signon import password


class SignInIn(serializers.Serializer[Any]):
    user = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=1024, trim_whitespace=False)
    passcode = serializers.CharField(
        max_length=64, required=False, default="", allow_blank=True,
        help_text="Of an authenticator app, or a recovery code; for who has a second factor.",
    )  # fmt: skip


class SwitchIn(serializers.Serializer[Any]):
    project = serializers.UUIDField(help_text="The project to work in from now on.")


class ProjectOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    organisation = serializers.CharField()
    archived_at = serializers.DateTimeField(allow_null=True)


class MeOut(serializers.Serializer[Any]):
    user = serializers.CharField()
    role = serializers.ChoiceField(Role.choices)
    levels = serializers.DictField(
        child=serializers.ChoiceField(list(LEVELS)), help_text="Module to level."
    )
    project = ProjectOut()
    projects = ProjectOut(many=True)


def _me(principal: services.Principal) -> dict[str, Any]:
    return MeOut(
        {
            "user": principal.user_name,
            "role": principal.role,
            "levels": {m: Level(v).name.lower() for m, v in principal.levels.items()},
            "project": services.project_fact(project_id=principal.project_id),
            "projects": services.projects_of(principal=principal),
        }
    ).data


class SessionView(GenericAPIView[Any]):
    """The session of a browser: POST signs in, GET tells who is, PUT switches, DELETE signs out.

    GET also sets the CSRF cookie; its value goes into `x-csrftoken` with every change.
    """

    permission_classes: ClassVar = [permissions.AllowAny]
    serializer_class = SignInIn
    audited = True
    #: For directories; and wrong passwords are noted, which a refusal must not undo.
    waits = True
    works_read_only = True

    def get_authenticators(self) -> list[Any]:
        # Who signs in has no session yet, or one of somebody else that must not stand in the way.
        posting = self.request is not None and self.request.method == "POST"
        return [] if posting else [SessionAuthentication()]

    @extend_schema(responses=MeOut)
    def get(self, request: Request) -> Response:
        get_token(request._request)
        return Response(_me(_signed_in(request)))

    @extend_schema(request=SignInIn, responses=MeOut)
    def post(self, request: Request) -> Response:
        given = SignInIn(data=request.data)
        given.is_valid(raise_exception=True)
        asked, now = given.validated_data, timezone.now()
        address = request.META.get("REMOTE_ADDR", "")
        user, to = password.person(
            name=asked["user"], password=asked["password"], address=address, now=now
        )
        second = factors.check_second(
            user=user, passcode=asked["passcode"], address=address, now=now
        )
        signin.forgive(user_name=asked["user"])
        shown = entry.Shown(proved_at=now, signed_on_to=to, second_factor=second)
        # Before the session begins: somebody who belongs nowhere is not let in.
        try:
            principal = principals.principal_of_session(user=user, project_id=None, seen=shown)
        except entry.NeedsSecondFactor:
            # In, but into no project: this session is for setting one up.
            together.stand()
            begin_session(request, user, shown)
            raise
        together.begin()
        begin_session(request, user, shown)
        return Response(_me(principal))

    @extend_schema(request=SwitchIn, responses=MeOut)
    def put(self, request: Request) -> Response:
        current = _signed_in(request)
        given = SwitchIn(data=request.data)
        given.is_valid(raise_exception=True)
        user = User.objects.get(pk=current.user_id)
        try:
            principal = principals.principal_of_session(
                user=user, project_id=given.validated_data["project"], seen=current.shown
            )
        except Forbidden as error:
            raise NotFound("There is no such project among yours.") from error
        request._request.session[PROJECT] = str(principal.project_id)
        return Response(_me(principal))

    @extend_schema(responses={204: None})
    def delete(self, request: Request) -> Response:
        together.begin()
        own.end_here(session_id=request._request.session.get(own.SESSION))
        logout(request._request)
        return Response(status=204)


def _signed_in(request: Request) -> services.Principal:
    if request.user is None:
        raise NotSignedIn("No session here; sign in with POST /api/v1/session.")
    return request.user


class MeView(GenericAPIView[Any]):
    """Who this credential is, where, and what it may do there."""

    serializer_class = MeOut
    levels: ClassVar = {"GET": Level.NONE}

    def get(self, request: Request) -> Response:
        return Response(_me(request.user))


class ExplainIn(serializers.Serializer[Any]):
    module = serializers.ChoiceField(list(MODULES))
    level = serializers.ChoiceField([name for name in LEVELS if name != "none"])
    user = serializers.CharField(max_length=150, required=False, default="")
    key = serializers.UUIDField(required=False, allow_null=True, default=None)


class ExplainOut(serializers.Serializer[Any]):
    who = serializers.CharField()
    module = serializers.CharField()
    needs = serializers.CharField()
    has = serializers.CharField()
    allowed = serializers.BooleanField()
    because = serializers.ListField(child=serializers.CharField())
    fix = serializers.CharField()


class ExplainView(GenericAPIView[Any]):
    """Why somebody can, or cannot, do something here; about oneself anybody may ask."""

    serializer_class = ExplainOut
    levels: ClassVar = {"GET": Level.NONE}

    @extend_schema(parameters=[ExplainIn], responses=ExplainOut)
    def get(self, request: Request) -> Response:
        given = ExplainIn(data=request.query_params)
        given.is_valid(raise_exception=True)
        asked = given.validated_data
        me: services.Principal = request.user
        key = asked["key"]
        if not asked["user"] and key is None:
            key = me.key_id
        others = asked["user"] not in {"", me.user_name} or key != me.key_id
        if others and not me.allows("access", Level.READ):
            raise Forbidden("To ask about others you need access: read.")
        return Response(
            ExplainOut(
                explain.explain(
                    principal=me,
                    module=asked["module"],
                    level=asked["level"],
                    user_name=asked["user"],
                    key_id=key,
                )
            ).data
        )


class ModuleOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    about = serializers.CharField()
    presets = serializers.DictField(child=serializers.CharField(), help_text="Role to level.")


class ModulesView(GenericAPIView[Any]):
    """Modules that rights are given for, and what each ready-made role allows in them."""

    serializer_class = ModuleOut
    pagination_class = Whole
    levels: ClassVar = {"GET": Level.NONE}

    @extend_schema(responses=ModuleOut(many=True))
    def get(self, request: Request) -> Response:
        ready = [role for role in Role.values if role != Role.CUSTOM]
        page = self.paginate_queryset(
            {
                "name": name,
                "about": about,
                "presets": {
                    role: services.levels_of_role(role)[name].name.lower() for role in ready
                },
            }
            for name, about in MODULES.items()
        )
        return self.get_paginated_response(ModuleOut(page, many=True).data)
