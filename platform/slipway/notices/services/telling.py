"""What happened is queued for each whom it concerns, once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.conf import settings

from slipway.core import nudge
from slipway.metering import services as metering
from slipway.notices.models import Delivery, Happening, Phase, Target
from slipway.notices.services import happenings
from slipway.notices.services.happenings import Happened
from slipway.quotas import services as quotas


def look(*, now: datetime) -> int:
    """Queue what has happened for whom it concerns, once each; returns how many were queued."""
    rows = list(Target.objects.filter(stopped="", alert_id=None).order_by("pk"))
    queued = _tell_spending(now) + _tell_concerned(now, rows)
    if not rows:
        return queued
    for each in happenings.happened(now):
        for row in rows:
            if _asked_for(row, each) and each.at >= row.created_at:
                known = Delivery.objects.filter(target=row, source=each.source)
                if not known.exists():
                    queue(row, each)
                    queued += 1
    return queued


def _asked_for(row: Target, each: Happened) -> bool:
    mine = row.organisation_id == each.organisation_id
    here = row.project_id is None or row.project_id == each.project_id
    return mine and here and (not row.wants or each.happening in row.wants)


def _tell_spending(now: datetime) -> int:
    """Queue the mails of spend alerts, to each recipient once a month and amount."""
    queued = 0
    for reached in metering.spend_reached(now=now):
        where = "a project" if reached.project_id else "the organisation"
        each = Happened(
            happening=Happening.BUDGET,
            source=f"spend:{reached.alert_id}:{reached.amount}:{reached.month:%Y-%m}", at=now,
            organisation_id=reached.organisation_id, project_id=reached.project_id,
            line=f"{where} has spent {reached.amount} {settings.CURRENCY} this month",
            prefix=reached.subject_prefix,
            data={"alert": str(reached.alert_id), "threshold": str(reached.amount),
                  "spent": str(reached.spent), "project": str(reached.project_id or "")},
        )  # fmt: skip
        queued += _tell_unasked(each, reached.recipients, of=reached.alert_id, by="a spend alert")
    return queued


def _tell_concerned(now: datetime, rows: Sequence[Target]) -> int:
    """Queue mails about requests for more: to who can answer, and to who asked, the answer."""
    if not settings.EMAIL_HOST:
        return 0
    queued = 0
    for each in happenings.of_quotas(now):
        told = {row.address.lower() for row in rows if _asked_for(row, each)}
        request_id = UUID(each.data["request"])
        who = quotas.concerned(request_id=request_id, state=each.data["state"])
        anew = [address for address in who if address.lower() not in told]
        queued += _tell_unasked(each, anew, of=request_id, by="a request for more")
    return queued


def _tell_unasked(each: Happened, addresses: Sequence[str], *, of: UUID, by: str) -> int:
    """Queue one mail to each address that did not get it yet; how many."""
    queued = 0
    for address in addresses:
        row, _ = Target.objects.get_or_create(
            alert_id=of, address=address,
            defaults={
                "kind": Target.Kind.MAIL, "organisation_id": each.organisation_id,
                "project_id": each.project_id, "made_by": by,
            },
        )  # fmt: skip
        if not Delivery.objects.filter(target=row, source=each.source).exists():
            queue(row, each)
            queued += 1
    return queued


def queue(row: Target, each: Happened) -> Delivery:
    """One telling of one target, made once however often it is asked for."""
    made, _ = Delivery.objects.get_or_create(
        target=row,
        source=each.source,
        defaults={
            "phase": Phase.QUEUED,
            "happening": each.happening,
            "body": {
                "type": str(each.happening),
                "timestamp": each.at.isoformat(),
                "data": each.data | {"text": each.line},
                **({"prefix": each.prefix} if each.prefix else {}),
            },
        },
    )
    nudge.soon(Delivery)
    return made
