"""One look at a project, over HTTP: work under way, what failed, what is served, what it cost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.datasets import services as datasets
from slipway.deployments import services as deployments
from slipway.evaluation import services as evaluation
from slipway.metering import services as metering
from slipway.registry import services as registry
from slipway.runs import http
from slipway.runs.record import ACTIVE, Phase
from slipway.tenancy.services import Level
from slipway.training import services as training

#: Of each kind so many are named; who wants all looks at their list.
MOST = 20
#: A failure older than this needs nobody any more.
RECENT = timedelta(days=7)
USAGE_DAYS = 30


class WorkOut(serializers.Serializer[Any]):
    what = serializers.ChoiceField(["job", "eval", "deployment"])
    id = serializers.UUIDField()
    name = serializers.CharField()
    phase = serializers.CharField()
    reason = serializers.CharField()
    position = serializers.IntegerField(help_text="1-based place in the queue; 0 when not queued")
    percent = serializers.FloatField(allow_null=True)


class StepsOut(serializers.Serializer[Any]):
    """Whether it was done once; false too where you may not look."""

    model = serializers.BooleanField()
    data = serializers.BooleanField()
    job = serializers.BooleanField()
    eval = serializers.BooleanField()
    deploy = serializers.BooleanField()
    call = serializers.BooleanField()


class UsedOut(serializers.Serializer[Any]):
    days = serializers.IntegerField()
    requests = serializers.IntegerField()
    failed = serializers.IntegerField()
    tokens = serializers.IntegerField()


class SpendOut(serializers.Serializer[Any]):
    """A budget over this project, in its present period."""

    id = serializers.UUIDField()
    reach = serializers.CharField()
    period = serializers.CharField()
    limit = serializers.DecimalField(max_digits=15, decimal_places=6)
    spent = serializers.DecimalField(max_digits=15, decimal_places=6)
    reserved = serializers.DecimalField(max_digits=15, decimal_places=6)
    currency = serializers.CharField()


class OverviewOut(serializers.Serializer[Any]):
    work = WorkOut(many=True, help_text="what runs, waits, or failed within a week")
    served = WorkOut(many=True, help_text="deployments that answer")
    steps = StepsOut()
    usage = UsedOut(allow_null=True, help_text="null where you may not look")
    budgets = SpendOut(many=True)


class OverviewView(GenericAPIView[Any]):
    """What the project does just now; of each module only what you may look at."""

    # Level 0: whoever is signed in sees of the modules that they may look at.
    levels: ClassVar = {"GET": 0}
    module = "access"
    pagination_class = None
    serializer_class = OverviewOut

    @extend_schema(responses=OverviewOut)
    def get(self, request: Request) -> Response:
        user, now = request.user, timezone.now()

        def may(module: str) -> bool:
            return bool(user.allows(module, Level.READ))

        here = {"project_id": user.project_id}
        jobs = training.jobs(**here) if may("training") else None
        runs = evaluation.runs(**here) if may("evaluation") else None
        served = deployments.states(**here) if may("deployments") else []
        used = _used(user.project_id, now) if may("usage") else None
        answering = [each for each in served if each.answers]
        work = [
            *_runs("job", jobs, now),
            *_runs("eval", runs, now),
            *(_deployment(each) for each in served if each.moves or each.phase == "failed"),
        ]
        steps = {
            "model": may("models") and registry.any_model(**here),
            "data": may("datasets") and datasets.any_dataset(**here),
            "job": jobs is not None and jobs.filter(phase=Phase.SUCCEEDED).exists(),
            "eval": runs is not None and runs.filter(phase=Phase.SUCCEEDED).exists(),
            "deploy": bool(answering),
            "call": used is not None and used["requests"] > used["failed"],
        }
        shown = {
            "work": work,
            "served": [_deployment(each) for each in answering[:MOST]],
            "steps": steps,
            "usage": used,
            "budgets": _budgets(user, now) if may("money") else [],
        }
        return Response(OverviewOut(shown).data)


def _runs(kind: str, rows: Any, now: datetime) -> Iterator[dict[str, Any]]:
    """Active runs, and those that failed lately; newest first."""
    if rows is None:
        return
    failed = rows.filter(phase=Phase.FAILED, finished_at__gt=now - RECENT)
    for row in (rows.filter(phase__in=ACTIVE) | failed).order_by("-created_at", "pk")[:MOST]:
        shown = http.shown(row, now=now)
        yield shown | {"what": kind, "percent": shown["progress"]["percent"]}


def _deployment(state: deployments.State) -> dict[str, Any]:
    return {
        "what": "deployment", "id": state.id, "name": state.name, "phase": state.phase,
        "reason": state.reason, "position": 0, "percent": None,
    }  # fmt: skip


def _used(project_id: Any, now: datetime) -> dict[str, int]:
    since = now - timedelta(days=USAGE_DAYS)
    records = metering.records_of(project_id=project_id, since=since, until=now)
    found = metering.totals(records=records, bucket="day", group_by=[])
    return {
        "days": USAGE_DAYS,
        "requests": sum(each.requests for each in found),
        "failed": sum(each.failed for each in found),
        "tokens": sum(each.prompt_tokens + each.completion_tokens for each in found),
    }


def _budgets(user: Any, now: datetime) -> list[dict[str, Any]]:
    rows = metering.budgets_over(
        organisation_id=user.organisation_id, project_id=user.project_id, key_id=None
    )
    found = [metering.standing(row, now) for row in rows.order_by("reach", "pk")[:MOST]]
    return [
        {
            "id": each.budget.pk, "reach": each.budget.reach, "period": each.budget.period,
            "limit": each.budget.limit, "spent": each.spent, "reserved": each.reserved,
            "currency": settings.CURRENCY,
        }
        for each in found
    ]  # fmt: skip


urlpatterns = [path("overview", OverviewView.as_view())]
