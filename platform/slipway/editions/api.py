"""Which edition this is, how it stands with its licence, and installing one."""

from __future__ import annotations

from typing import Any, ClassVar

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.editions import services
from slipway.editions.rules import hardware
from slipway.editions.rules.policy import EDITIONS

STATES = [(state, state) for state in ("valid", "trial", "grace", "read_only", "not_needed")]


class EditionOut(serializers.Serializer[Any]):
    edition = serializers.ChoiceField(list(EDITIONS))
    state = serializers.ChoiceField(STATES)
    reason = serializers.CharField()
    until = serializers.DateTimeField(allow_null=True)


class TermsOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    customer = serializers.CharField()
    form = serializers.CharField()
    seats = serializers.IntegerField(help_text="0: without limit, as with the numbers below.")
    gpus = serializers.IntegerField()
    nodes = serializers.IntegerField()
    features = serializers.ListField(child=serializers.CharField())
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()


class LicenceOut(EditionOut):
    clock_set_back = serializers.BooleanField()
    terms = TermsOut(allow_null=True)
    hardware = serializers.DictField(
        child=serializers.CharField(), help_text="This machine's parts, hashed, for the vendor."
    )


class LicenceIn(serializers.Serializer[Any]):
    file = serializers.CharField(
        max_length=65_536, trim_whitespace=False, help_text="The licence file, as it is."
    )


class EditionView(GenericAPIView[Any]):
    """Edition and state of the licence, for everybody who is signed in."""

    serializer_class = EditionOut
    # Level 0: no right is needed but to be somebody.
    levels: ClassVar = {"GET": 0}

    def get(self, request: Request) -> Response:
        return Response(EditionOut(services.standing(now=timezone.now())).data)


class LicenceView(GenericAPIView[Any]):
    """The licence in use; PUT installs another."""

    serializer_class = LicenceOut
    levels: ClassVar = {"PUT": 3}
    proved: ClassVar = {"PUT"}
    works_read_only = True

    @extend_schema(responses=LicenceOut)
    def get(self, request: Request) -> Response:
        return self._answer(services.standing(now=timezone.now()))

    @extend_schema(request=LicenceIn, responses=LicenceOut)
    def put(self, request: Request) -> Response:
        given = LicenceIn(data=request.data)
        given.is_valid(raise_exception=True)
        return self._answer(services.install(file=given.validated_data["file"], now=timezone.now()))

    def _answer(self, seen: services.Standing) -> Response:
        seen_and_machine = {
            "edition": seen.edition,
            "state": seen.state,
            "reason": seen.reason,
            "until": seen.until,
            "clock_set_back": seen.clock_set_back,
            "terms": seen.terms,
            "hardware": hardware.parts(),
        }
        return Response(LicenceOut(seen_and_machine).data)


urlpatterns = [
    path("edition", EditionView.as_view()),
    path("licence", LicenceView.as_view()),
]
