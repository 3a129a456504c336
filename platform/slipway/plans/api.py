"""Plans, and what this project has of them, over HTTP."""

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

from slipway.core.editing import Guarded
from slipway.core.http import Named
from slipway.editions import services as editions
from slipway.plans import rules, services
from slipway.plans.models import Phase, Plan, Subscription, Term
from slipway.tenancy.services import Level

_MONEY: dict[str, Any] = {"max_digits": 15, "decimal_places": 6}
_MOST = 1_000_000_000


class PlanOfferIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=63)
    about = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")
    fee = serializers.DecimalField(min_value=0, help_text="Of one unit for one term.", **_MONEY)
    term = serializers.ChoiceField(Term.choices)
    model = serializers.CharField(
        max_length=256, required=False, allow_blank=True, default="",
        help_text="The name that it is for; empty for all names together.",
    )  # fmt: skip
    requests_per_minute = serializers.IntegerField(
        min_value=0, max_value=_MOST, default=0, help_text="Added by one unit."
    )
    tokens_per_minute = serializers.IntegerField(
        min_value=0, max_value=_MOST, default=0, help_text="Added by one unit."
    )
    replicas = serializers.IntegerField(
        min_value=0, max_value=10_000, default=0,
        help_text="Replicas of deployments of that name whose time the fee pays.",
    )  # fmt: skip
    most_units = serializers.IntegerField(min_value=1, max_value=10_000, default=1)
    everybody = serializers.BooleanField(
        default=False, help_text="Every project has one unit: so much the house lets anybody ask."
    )


class PlanOfferOut(serializers.ModelSerializer[Plan]):
    currency = serializers.SerializerMethodField()

    class Meta:
        model = Plan
        fields = ["id", "created_at", *PlanOfferIn().fields, "offered", "currency"]

    def get_currency(self, _: Plan) -> str:
        return str(settings.CURRENCY)


class PlansView(GenericAPIView[Any]):
    """Plans on offer, newest first; a plan never changes, another one follows it."""

    module = "money"
    serializer_class = PlanOfferOut
    pagination_class = Named
    queryset = Plan.objects.none()

    @extend_schema(responses=PlanOfferOut(many=True))
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(services.offered())
        return self.get_paginated_response(PlanOfferOut(page, many=True).data)

    @extend_schema(request=PlanOfferIn, responses={201: PlanOfferOut})
    def post(self, request: Request) -> Response:
        # As prices, plans are the house's, not the customer's.
        request.user.check_reach("platform", Level.OPERATE)
        given = PlanOfferIn(data=request.data)
        given.is_valid(raise_exception=True)
        row = services.offer(now=timezone.now(), **given.validated_data)
        return Response(PlanOfferOut(row).data, status=201)


class PlanView(GenericAPIView[Any]):
    module = "platform"
    levels: ClassVar = {"DELETE": Level.OPERATE}
    serializer_class = PlanOfferOut
    queryset = Plan.objects.none()

    @extend_schema(responses=PlanOfferOut)
    def delete(self, request: Request, plan_id: UUID) -> Response:
        """Offer it no more; who has it keeps it to the end of the term that is paid."""
        return Response(PlanOfferOut(services.withdraw(plan_id=plan_id)).data)


class SubscribeIn(serializers.Serializer[Any]):
    plan_id = serializers.UUIDField()
    units = serializers.IntegerField(min_value=1, max_value=10_000, default=1)


class SubscriptionIn(serializers.Serializer[Any]):
    units = serializers.IntegerField(
        min_value=1, max_value=10_000, required=False,
        help_text="More: at once, for what is left of the term. Fewer: from the next term on.",
    )  # fmt: skip
    renews = serializers.BooleanField(required=False)


class SubscriptionOut(serializers.ModelSerializer[Subscription]):
    plan = PlanOfferOut()
    phase = serializers.ChoiceField(Phase.choices)
    next_fee = serializers.SerializerMethodField(
        help_text="What the next term will cost; null if there is none."
    )

    class Meta:
        model = Subscription
        fields = [
            "id", "created_at", "plan", "units", "next_units", "renews", "phase", "reason",
            "term_ends_at", "next_fee", "made_by", "ended_at",
        ]  # fmt: skip

    def get_next_fee(self, row: Subscription) -> str | None:
        if row.phase != Phase.ACTIVE or not row.renews or not row.plan.offered:
            return None
        return f"{rules.fee_of(row.plan.fee, row.next_units or row.units):f}"


class SubscriptionsView(GenericAPIView[Any]):
    """What this project has of plans, newest first, and what it had."""

    module = "money"
    levels: ClassVar = {"POST": Level.FULL}
    serializer_class = SubscriptionOut
    queryset = Subscription.objects.none()

    @extend_schema(responses=SubscriptionOut(many=True))
    def get(self, request: Request) -> Response:
        rows = services.subscriptions_of(project_id=request.user.project_id)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(SubscriptionOut(page, many=True).data)

    @extend_schema(request=SubscribeIn, responses={201: SubscriptionOut})
    def post(self, request: Request) -> Response:
        """Take units of a plan; the first term is paid at once."""
        given = SubscribeIn(data=request.data)
        given.is_valid(raise_exception=True)
        row = services.subscribe(principal=request.user, now=timezone.now(), **given.validated_data)
        return Response(SubscriptionOut(row).data, status=201)


class SubscriptionView(Guarded):
    guarded = ("units", "next_units", "renews")
    # Terms go on being charged without a licence, so who wants no more may say so.
    works_read_only = True
    module = "money"
    levels: ClassVar = {"PATCH": Level.FULL}
    serializer_class = SubscriptionOut

    def get(self, request: Request, subscription_id: UUID) -> Response:
        row = services.subscription_of(
            project_id=request.user.project_id, subscription_id=subscription_id
        )
        return Response(SubscriptionOut(row).data)

    @extend_schema(request=SubscriptionIn, responses=SubscriptionOut)
    def patch(self, request: Request, subscription_id: UUID) -> Response:
        """More or fewer units, renewed or not; nothing that is paid is taken away."""
        given, now = SubscriptionIn(data=request.data), timezone.now()
        given.is_valid(raise_exception=True)
        if given.validated_data != {"renews": False}:
            editions.check_writable(now=now)
        row = services.change(
            principal=request.user, subscription_id=subscription_id, now=now,
            **given.validated_data,
        )  # fmt: skip
        return Response(SubscriptionOut(row).data)


urlpatterns = [
    path("plans", PlansView.as_view()),
    path("plans/<uuid:plan_id>", PlanView.as_view()),
    path("subscriptions", SubscriptionsView.as_view()),
    path("subscriptions/<uuid:subscription_id>", SubscriptionView.as_view()),
]
