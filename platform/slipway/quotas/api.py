"""Limits that will bite, and requests for more of them, over HTTP."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request as HttpRequest
from rest_framework.response import Response

from slipway.core.http import Whole
from slipway.quotas import services
from slipway.quotas.models import Request, State
from slipway.quotas.services import HOUSE
from slipway.tenancy.services import Level

#: `house`: more of it is taken as a plan.
BOUND_KINDS = [*Request.Kind.choices, (HOUSE, HOUSE)]
_SCOPE = "Of what: `reach`, and `period` of a budget or `model` of a rate."


class BoundOut(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(BOUND_KINDS)
    limit_id = serializers.UUIDField()
    about = serializers.CharField(help_text="The limit in words.")
    scope = serializers.DictField(child=serializers.CharField(allow_blank=True), help_text=_SCOPE)
    fields = serializers.DictField(help_text="What can be asked for more of.")
    used = serializers.FloatField(allow_null=True, help_text="Share that is spent or set aside.")
    left = serializers.DecimalField(max_digits=15, decimal_places=6, allow_null=True)
    currency = serializers.SerializerMethodField()
    bites_at = serializers.DateTimeField(
        allow_null=True, help_text="When it is used up at the pace of the last day."
    )

    def get_currency(self, _: Any) -> str:
        return str(settings.CURRENCY)


class QuotasView(GenericAPIView[Any]):
    """Limits over this project and the asking key; the one that bites first in front."""

    module = "usage"
    pagination_class = Whole
    serializer_class = BoundOut

    @extend_schema(responses=BoundOut(many=True))
    def get(self, request: HttpRequest) -> Response:
        found = services.bounds(principal=request.user, now=timezone.now())
        page = self.paginate_queryset(found)
        return self.get_paginated_response([BoundOut(vars(bound)).data for bound in page or []])


class QuotaRequestIn(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(Request.Kind.choices)
    limit_id = serializers.UUIDField()
    wanted = serializers.DictField(
        allow_empty=False, help_text='As in `fields` of the limit: `{"limit": "500"}`.'
    )
    why = serializers.CharField(max_length=1000)
    until = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="For good if left out."
    )


class GrantIn(serializers.Serializer[Any]):
    given = serializers.DictField(
        required=False, allow_null=True, default=None, help_text="All that was asked if left out."
    )
    until = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="As asked if left out."
    )
    answer = serializers.CharField(max_length=1000, required=False, allow_blank=True, default="")


class RefuseIn(serializers.Serializer[Any]):
    answer = serializers.CharField(max_length=1000)


class QuotaRequestOut(serializers.ModelSerializer[Request]):
    may_answer = serializers.SerializerMethodField(help_text="Whether you can answer it.")
    currency = serializers.SerializerMethodField()
    scope = serializers.DictField(child=serializers.CharField(allow_blank=True), help_text=_SCOPE)
    wanted = serializers.DictField()
    granted = serializers.DictField()
    before = serializers.DictField(help_text="What the limit is again when the term is over.")

    class Meta:
        model = Request
        fields = [
            "id", "created_at", "project_id", "kind", "limit_id", "about", "scope", "wanted",
            "why", "asked_by", "until", "state", "answered_by", "answered_at", "answer", "granted",
            "before", "currency", "lapsed_at", "may_answer",
        ]  # fmt: skip

    def get_currency(self, _: Request) -> str:
        return str(settings.CURRENCY)

    def get_may_answer(self, row: Request) -> bool:
        return services.may_answer(self.context["principal"], row)


class _Requests(GenericAPIView[Any]):
    """Anybody who may look asks; who may answer is told by the limit, not by the route."""

    module = "usage"
    serializer_class = QuotaRequestOut
    queryset = Request.objects.none()
    audited = True

    def shown(self, row: Request, status: int = 200) -> Response:
        out = QuotaRequestOut(row, context={"principal": self.request.user})
        return Response(out.data, status=status)


class RequestsView(_Requests):
    """Requests for more, newest first; the whole organisation's for who looks after it."""

    levels: ClassVar = {"POST": Level.READ}

    @extend_schema(
        parameters=[OpenApiParameter("state", str, enum=State.values)],
        responses=QuotaRequestOut(many=True),
    )
    def get(self, request: HttpRequest) -> Response:
        state = request.query_params.get("state", "")
        rows = services.requests_of(principal=request.user, state=state)
        page = self.paginate_queryset(rows)
        out = QuotaRequestOut(page, many=True, context={"principal": request.user})
        return self.get_paginated_response(out.data)

    @extend_schema(request=QuotaRequestIn, responses={201: QuotaRequestOut})
    def post(self, request: HttpRequest) -> Response:
        given = QuotaRequestIn(data=request.data)
        given.is_valid(raise_exception=True)
        row = services.ask(principal=request.user, now=timezone.now(), **given.validated_data)
        return self.shown(row, status=201)


class RequestView(_Requests):
    levels: ClassVar = {"DELETE": Level.READ}

    @extend_schema(responses=QuotaRequestOut)
    def get(self, request: HttpRequest, request_id: UUID) -> Response:
        return self.shown(services.request_of(principal=request.user, request_id=request_id))

    @extend_schema(responses=QuotaRequestOut)
    def delete(self, request: HttpRequest, request_id: UUID) -> Response:
        """Take one's own request back; it stays in the list as withdrawn."""
        now = timezone.now()
        return self.shown(services.withdraw(principal=request.user, request_id=request_id, now=now))


class GrantView(_Requests):
    """Raise the limit for the term; for who could set the limit by themselves."""

    levels: ClassVar = {"POST": Level.READ}

    @extend_schema(request=GrantIn, responses=QuotaRequestOut)
    def post(self, request: HttpRequest, request_id: UUID) -> Response:
        given = GrantIn(data=request.data)
        given.is_valid(raise_exception=True)
        now = timezone.now()
        return self.shown(
            services.grant(
                principal=request.user, request_id=request_id, now=now, **given.validated_data
            )
        )


class RefuseView(_Requests):
    """Leave the limit as it is, and say why."""

    levels: ClassVar = {"POST": Level.READ}

    @extend_schema(request=RefuseIn, responses=QuotaRequestOut)
    def post(self, request: HttpRequest, request_id: UUID) -> Response:
        given = RefuseIn(data=request.data)
        given.is_valid(raise_exception=True)
        answer, now = given.validated_data["answer"], timezone.now()
        return self.shown(
            services.refuse(principal=request.user, request_id=request_id, now=now, answer=answer)
        )


urlpatterns = [
    path("quotas", QuotasView.as_view()),
    path("quota-requests", RequestsView.as_view()),
    path("quota-requests/<uuid:request_id>", RequestView.as_view()),
    path("quota-requests/<uuid:request_id>/grant", GrantView.as_view()),
    path("quota-requests/<uuid:request_id>/refuse", RefuseView.as_view()),
]
