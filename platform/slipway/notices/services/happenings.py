"""What has happened that is worth telling, read from those it happened to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from slipway.core.changes import tracked_models
from slipway.core.models import Event
from slipway.metering import services as metering
from slipway.notices.models import Happening
from slipway.plans import services as plans
from slipway.quotas import services as quotas
from slipway.tenancy import services as tenancy

#: What is older is told to nobody any more.
LOOK_BACK = timedelta(days=1)
#: A key is announced to expire so long before.
EXPIRES_WITHIN = timedelta(days=7)
_ENDED = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, kw_only=True)
class Happened:
    """Something worth telling; `source` names it for good."""

    happening: str
    source: str
    at: datetime
    organisation_id: UUID
    project_id: UUID | None
    #: One line for the subject of a mail.
    line: str
    data: dict[str, Any] = field(default_factory=dict)
    #: What the subject of a mail begins with, if not with our name.
    prefix: str = ""


def happened(now: datetime) -> Iterator[Happened]:
    """All of the last day, and keys that expire soon."""
    yield from _budgets(now)
    yield from _jobs(now)
    yield from of_quotas(now)
    yield from _plans(now)
    for key in tenancy.expiring_keys(after=now, before=now + EXPIRES_WITHIN):
        yield Happened(
            happening=Happening.KEY, source=f"key:{key.id}", at=now,
            organisation_id=key.organisation_id, project_id=key.project_id,
            line=f"the key {key.name} expires on {key.expires_at:%Y-%m-%d}",
            data={"key": str(key.id), "name": key.name, "expires_at": key.expires_at.isoformat()},
        )  # fmt: skip


def _budgets(now: datetime) -> Iterator[Happened]:
    for alert in metering.alerts_since(since=now - LOOK_BACK):
        yield Happened(
            happening=Happening.BUDGET, source=f"alert:{alert.id}", at=alert.at,
            organisation_id=alert.organisation_id, project_id=alert.project_id,
            line=f"a budget is used to {alert.percent} %",
            data={"budget": str(alert.budget_id), "reach": alert.reach, "percent": alert.percent,
                  "limit": str(alert.limit), "spent": str(alert.spent)},
        )  # fmt: skip


def of_quotas(now: datetime) -> Iterator[Happened]:
    """Requests for more of a limit: asked, answered, over."""
    kinds = {"asked": Happening.QUOTA_ASKED, "lapsed": Happening.QUOTA_LAPSED}
    for turn in quotas.turns_since(since=now - LOOK_BACK):
        who = turn.asked_by if turn.state == "asked" else turn.answered_by
        line = {
            "asked": f"{turn.asked_by} asks for more of {turn.about}",
            "lapsed": f"more of {turn.about} was granted for a term that is over",
        }.get(turn.state, f"{who} {turn.state} more of {turn.about} to {turn.asked_by}")
        yield Happened(
            happening=kinds.get(turn.state, Happening.QUOTA_ANSWERED),
            source=f"quota:{turn.id}:{turn.state}", at=turn.at,
            organisation_id=turn.organisation_id, project_id=turn.project_id, line=line,
            data={"request": str(turn.id), "state": turn.state, "wanted": dict(turn.wanted),
                  "asked_by": turn.asked_by, "said": turn.text},
        )  # fmt: skip


def _plans(now: datetime) -> Iterator[Happened]:
    for row in plans.ended_since(since=now - LOOK_BACK):
        place = tenancy.project_fact(project_id=row.project_id)
        yield Happened(
            happening=Happening.PLAN_ENDED, source=f"subscription:{row.pk}", at=row.ended_at,
            organisation_id=place.organisation_id, project_id=row.project_id,
            line=f"the plan {row.plan.name} has ended: {row.reason}"[:200],
            data={"subscription": str(row.pk), "plan": row.plan.name, "units": row.units,
                  "reason": row.reason, "project": place.name},
        )  # fmt: skip


def _jobs(now: datetime) -> Iterator[Happened]:
    ends = Event.objects.filter(
        created_at__gt=now - LOOK_BACK, kind="move", target__in=_ENDED,
        subject__startswith="training.TrainingJob:",
    ).order_by("created_at", "pk")  # fmt: skip
    for label, model in tracked_models().items():
        if label != "training.TrainingJob":
            continue
        events = {event.subject.rpartition(":")[2]: event for event in ends}
        jobs = model._base_manager.filter(pk__in=events).order_by("pk")
        for key, project_id, name in jobs.values_list("pk", "project_id", "name"):
            event = events[str(key)]
            place = tenancy.project_fact(project_id=project_id)
            yield Happened(
                happening=Happening.JOB, source=f"event:{event.pk}", at=event.created_at,
                organisation_id=place.organisation_id, project_id=project_id,
                line=f"the job {name} ended: {event.target}",
                data={"job": str(key), "name": name, "phase": event.target,
                      "reason": event.reason, "project": place.name},
            )  # fmt: skip
