"""Everything of an organisation to take away, over HTTP."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.leaving.models import Takeout
from slipway.leaving.services import takeouts
from slipway.tenancy.services import Level


class TakeoutOut(serializers.ModelSerializer[Takeout]):
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


urlpatterns = [
    path("organisation/takeouts", TakeoutsView.as_view()),
    path("organisation/takeouts/<uuid:takeout_id>", TakeoutView.as_view()),
]
