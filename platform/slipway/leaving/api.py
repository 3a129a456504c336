"""Everything of an organisation taken away, and its end, over HTTP."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.leaving.models import Takeout, TakeoutPhase
from slipway.leaving.services import departures, takeouts
from slipway.tenancy.services import Level
from slipway.tenancy.services import whole as tenancy


class TakeoutOut(serializers.ModelSerializer[Takeout]):
    phase = serializers.ChoiceField(TakeoutPhase.choices)
    rows = serializers.DictField(
        child=serializers.IntegerField(), help_text="Table to the number of its rows in there."
    )
    download_url = serializers.SerializerMethodField(
        help_text="Where to fetch it within the hour; empty while it is not ready."
    )

    class Meta:
        model = Takeout
        fields = [
            "id", "created_at", "made_by", "phase", "reason", "size_bytes", "sha256", "file_count",
            "rows", "expires_at", "download_url",
        ]  # fmt: skip

    def get_download_url(self, row: Takeout) -> str:
        return takeouts.address(row) if self.context.get("one") else ""


class TakeoutsView(GenericAPIView[Any]):
    """Archives of everything that is the organisation's, newest first."""

    levels: ClassVar = {"GET": Level.FULL, "POST": Level.FULL}
    proved: ClassVar = {"POST"}
    serializer_class = TakeoutOut
    queryset = Takeout.objects.none()

    @extend_schema(responses=TakeoutOut(many=True))
    def get(self, request: Request) -> Response:
        found = takeouts.rows(organisation_id=request.user.organisation_id)
        page = self.paginate_queryset(found)
        return self.get_paginated_response(TakeoutOut(page, many=True).data)

    @extend_schema(request=None, responses={202: TakeoutOut})
    def post(self, request: Request) -> Response:
        """Begin to pack; the archive that is being packed, where there is one."""
        made = takeouts.ask(organisation_id=request.user.organisation_id, by=request.user.user_name)
        return Response(TakeoutOut(made).data, status=202)


class TakeoutView(GenericAPIView[Any]):
    """One archive, and where to fetch it."""

    levels: ClassVar = {"GET": Level.FULL}
    serializer_class = TakeoutOut
    queryset = Takeout.objects.none()

    def get(self, request: Request, takeout_id: UUID) -> Response:
        found = takeouts.of(organisation_id=request.user.organisation_id, takeout_id=takeout_id)
        return Response(TakeoutOut(found, context={"one": True}).data)


class DepartureIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=63, help_text="The organisation's own, typed anew.")


class DepartureOut(serializers.Serializer[Any]):
    organisation = serializers.CharField()
    days = serializers.IntegerField(help_text="For how many days it could be taken back.")
    phase = serializers.CharField(default="", help_text="Empty where nobody asked for its end.")
    reason = serializers.CharField(default="")
    made_by = serializers.CharField(default="")
    due_at = serializers.DateTimeField(
        default=None, allow_null=True, help_text="Until then it can be taken back."
    )


class DepartureView(GenericAPIView[Any]):
    """The end of the organisation: whether it was asked for, and when it will be."""

    proved: ClassVar = {"POST"}
    levels: ClassVar = {"POST": Level.FULL}
    serializer_class = DepartureOut

    def shown(self, request: Request, status: int = 200) -> Response:
        organisation_id = request.user.organisation_id
        found = departures.standing(organisation_id=organisation_id)
        told = {name: getattr(found, name) for name in ("phase", "reason", "made_by", "due_at")
                if found is not None}  # fmt: skip
        name = tenancy.name_of(organisation_id=organisation_id)
        days = settings.ORGANISATION_BIN_DAYS
        return Response(
            DepartureOut({"organisation": name, "days": days, **told}).data, status=status
        )

    @extend_schema(operation_id="organisation_departure", responses=DepartureOut)
    def get(self, request: Request) -> Response:
        return self.shown(request)

    @extend_schema(request=DepartureIn, responses={202: DepartureOut})
    def post(self, request: Request) -> Response:
        """Ask for its end: keys die and work stops at once, all the rest when the days are over."""
        given = DepartureIn(data=request.data)
        given.is_valid(raise_exception=True)
        departures.ask(principal=request.user, now=timezone.now(), **given.validated_data)
        return self.shown(request, 202)

    @extend_schema(operation_id="organisation_departure_withdraw", responses=DepartureOut)
    def delete(self, request: Request) -> Response:
        """Take it back while it waits; new keys have to be made."""
        departures.withdraw(organisation_id=request.user.organisation_id, now=timezone.now())
        return self.shown(request)


urlpatterns = [
    path("organisation/departure", DepartureView.as_view()),
    path("organisation/takeouts", TakeoutsView.as_view()),
    path("organisation/takeouts/<uuid:takeout_id>", TakeoutView.as_view()),
]
