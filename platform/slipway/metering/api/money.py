"""Price books, budgets, alerts and credit, over HTTP."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core.editing import Guarded
from slipway.core.errors import Forbidden, NotFound
from slipway.core.http import Named
from slipway.metering.models import PRICED, Alert, Budget, Credit, PriceBook
from slipway.metering.services import budgets, credit, prices
from slipway.tenancy import services as tenancy
from slipway.tenancy.services import Level

_MONEY: dict[str, Any] = {"max_digits": 15, "decimal_places": 6}


class PriceIn(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(PRICED)
    model = serializers.CharField(max_length=256, required=False, default="", allow_blank=True)
    amount = serializers.DecimalField(min_value=0, **_MONEY)
    per = serializers.IntegerField(
        min_value=1, max_value=10**12, help_text="Units that the amount is for."
    )


class BookIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=63)
    valid_from = serializers.DateTimeField(required=False)
    organisation_id = serializers.UUIDField(
        required=False, allow_null=True, default=None, help_text="Whose own book; null for all."
    )
    prices = PriceIn(many=True, allow_empty=False, max_length=10_000)


class BookOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    organisation_id = serializers.UUIDField(allow_null=True)
    valid_from = serializers.DateTimeField()
    created_at = serializers.DateTimeField()
    currency = serializers.SerializerMethodField()
    prices = PriceIn(many=True)

    def get_currency(self, _: PriceBook) -> str:
        return str(settings.CURRENCY)


class BooksView(GenericAPIView[Any]):
    """Prices that hold here, newest book first; a book is never changed, a newer one follows it."""

    module = "money"
    serializer_class = BookOut
    pagination_class = Named
    queryset = PriceBook.objects.none()

    @extend_schema(responses=BookOut(many=True))
    def get(self, request: Request) -> Response:
        rows = PriceBook.objects.filter(organisation_id=None) | PriceBook.objects.filter(
            organisation_id=request.user.organisation_id
        )
        page = self.paginate_queryset(rows.prefetch_related("prices"))
        return self.get_paginated_response(BookOut(page, many=True).data)

    @extend_schema(request=BookIn, responses={201: BookOut})
    def post(self, request: Request) -> Response:
        # Prices are the house's, not the customer's.
        request.user.check_reach("platform", Level.OPERATE)
        given = BookIn(data=request.data)
        given.is_valid(raise_exception=True)
        asked, now = given.validated_data, timezone.now()
        book = prices.open_book(
            name=asked["name"],
            organisation_id=asked["organisation_id"],
            valid_from=asked.get("valid_from", now),
            prices=asked["prices"],
            now=now,
        )
        return Response(BookOut(book).data, status=201)


class LimitIn(serializers.Serializer[Any]):
    limit = serializers.DecimalField(min_value=0, **_MONEY)
    hard = serializers.BooleanField(default=True, help_text="Refuse work, or only alert.")
    alert_at = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=1000),
        max_length=20,
        default=list,
        help_text="Percentages of the limit.",
    )


class BudgetIn(LimitIn):
    reach = serializers.ChoiceField(Budget.Reach.choices)
    target_id = serializers.UUIDField(
        required=False, help_text="Project or key; this project or organisation if left out."
    )
    period = serializers.ChoiceField(Budget.Period.choices, default=Budget.Period.MONTH)


class BudgetOut(serializers.Serializer[Any]):
    id = serializers.UUIDField(source="budget.id")
    reach = serializers.CharField(source="budget.reach")
    target_id = serializers.UUIDField(source="budget.target_id")
    period = serializers.CharField(source="budget.period")
    limit = serializers.DecimalField(source="budget.limit", **_MONEY)
    hard = serializers.BooleanField(source="budget.hard")
    alert_at = serializers.ListField(source="budget.alert_at", child=serializers.IntegerField())
    since = serializers.DateTimeField(allow_null=True)
    spent = serializers.DecimalField(**_MONEY)
    reserved = serializers.DecimalField(**_MONEY)
    left = serializers.DecimalField(**_MONEY)
    currency = serializers.SerializerMethodField()

    def get_currency(self, _: Any) -> str:
        return str(settings.CURRENCY)


def _visible(user: tenancy.Principal) -> Any:
    """Budgets over this project, or over anything here for who looks after the organisation."""
    rows = Budget.objects.filter(organisation_id=user.organisation_id)
    if user.allows("organisation", Level.READ):
        return rows
    reach = Budget.Reach
    keys = tenancy.key_facts(project_id=user.project_id)
    return (
        rows.filter(reach=reach.ORGANISATION)
        | rows.filter(reach=reach.PROJECT, target_id=user.project_id)
        | rows.filter(reach=reach.KEY, target_id__in=keys)
    )


def _may_set(user: tenancy.Principal, reach: str, target_id: UUID) -> None:
    """A project's owners set limits for it and its keys; the organisation's for all of it."""
    if reach == Budget.Reach.ORGANISATION:
        if target_id != user.organisation_id:
            raise NotFound("There is no such organisation.")
        user.check_reach("organisation", Level.FULL)
        return
    if user.allows("organisation", Level.FULL):
        own = tenancy.projects_of_organisation(organisation_id=user.organisation_id)
        mine = {project.id for project in own}
    else:
        mine = {user.project_id}
    if reach == Budget.Reach.PROJECT and target_id not in mine:
        raise NotFound("There is no such project.")
    if reach == Budget.Reach.KEY and not any(
        target_id in tenancy.key_facts(project_id=project) for project in mine
    ):
        raise NotFound("There is no such key.")
    if not user.allows("money", Level.FULL):
        raise Forbidden("Setting budgets needs money: full.")


class BudgetsView(GenericAPIView[Any]):
    """Budgets over this project, with what is spent, set aside and left."""

    module = "money"
    levels: ClassVar = {"POST": Level.FULL}
    serializer_class = BudgetOut
    queryset = Budget.objects.none()

    @extend_schema(responses=BudgetOut(many=True))
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(_visible(request.user))
        now = timezone.now()
        found = [budgets.standing(row, now) for row in page or []]
        return self.get_paginated_response(BudgetOut(found, many=True).data)

    @extend_schema(request=BudgetIn, responses={201: BudgetOut})
    def post(self, request: Request) -> Response:
        given = BudgetIn(data=request.data)
        given.is_valid(raise_exception=True)
        asked = given.validated_data
        here = {"project": request.user.project_id, "organisation": request.user.organisation_id}
        target = asked.get("target_id") or here.get(asked["reach"])
        if target is None:
            raise NotFound("Say which key: target_id.")
        _may_set(request.user, asked["reach"], target)
        row = budgets.set_budget(
            organisation_id=request.user.organisation_id, **(asked | {"target_id": target})
        )
        found = budgets.standing(row, timezone.now())
        return Response(BudgetOut(found).data, status=201)


class BudgetView(Guarded):
    guarded = ("limit", "hard", "alert_at")
    module = "money"
    levels: ClassVar = {"PUT": Level.FULL}
    serializer_class = BudgetOut

    def _row(self, budget_id: UUID) -> Budget:
        row: Budget | None = _visible(self.request.user).filter(pk=budget_id).first()
        if row is None:
            raise NotFound("There is no such budget.")
        return row

    def get(self, request: Request, budget_id: UUID) -> Response:
        return Response(BudgetOut(budgets.standing(self._row(budget_id), timezone.now())).data)

    @extend_schema(request=LimitIn, responses=BudgetOut)
    def put(self, request: Request, budget_id: UUID) -> Response:
        row = self._row(budget_id)
        _may_set(request.user, row.reach, row.target_id)
        given = LimitIn(data=request.data)
        given.is_valid(raise_exception=True)
        for name, value in given.validated_data.items():
            setattr(row, name, value)
        row.save(update_fields=list(given.validated_data))
        return Response(BudgetOut(budgets.standing(row, timezone.now())).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, budget_id: UUID) -> Response:
        row = self._row(budget_id)
        _may_set(request.user, row.reach, row.target_id)
        row.delete()
        return Response(status=204)


class AlertOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    budget_id = serializers.UUIDField()
    percent = serializers.IntegerField()
    spent = serializers.DecimalField(**_MONEY)
    created_at = serializers.DateTimeField()


class AlertsView(GenericAPIView[Any]):
    """Budgets that have reached one of their percentages, newest first."""

    module = "money"
    serializer_class = AlertOut
    queryset = Alert.objects.none()

    @extend_schema(responses=AlertOut(many=True))
    def get(self, request: Request) -> Response:
        rows = Alert.objects.filter(budget__in=_visible(request.user).values("pk"))
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(AlertOut(page, many=True).data)


class CreditIn(serializers.Serializer[Any]):
    organisation_id = serializers.UUIDField()
    amount = serializers.DecimalField(**_MONEY)
    note = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)


class CreditOut(serializers.Serializer[Any]):
    prepaid = serializers.BooleanField(help_text="Whether spending stops when it is used up.")
    balance = serializers.DecimalField(**_MONEY)
    currency = serializers.CharField()


class CreditView(GenericAPIView[Any]):
    """What this organisation paid in advance and has left."""

    module = "money"
    serializer_class = CreditOut

    def _answer(self, organisation_id: UUID, status: int = 200) -> Response:
        balance = budgets.balance(organisation_id=organisation_id)
        prepaid = Credit.objects.filter(organisation_id=organisation_id).exists()
        shown = {"prepaid": prepaid, "balance": balance, "currency": settings.CURRENCY}
        return Response(CreditOut(shown).data, status=status)

    def get(self, request: Request) -> Response:
        return self._answer(request.user.organisation_id)

    @extend_schema(request=CreditIn, responses={201: CreditOut})
    def post(self, request: Request) -> Response:
        """Book a payment (or, below zero, a refund); for administrators of the platform."""
        request.user.check_reach("platform", Level.FULL)
        given = CreditIn(data=request.data)
        given.is_valid(raise_exception=True)
        credit.pay_in(made_by=request.user.user_name, **given.validated_data)
        return self._answer(given.validated_data["organisation_id"], status=201)
