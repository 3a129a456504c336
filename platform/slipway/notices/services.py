"""Who is told what, what has happened since, and how it is sent."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import Q

from slipway.core import lifecycle, nudge, outward, seal
from slipway.core.changes import tracked_models
from slipway.core.errors import Conflict, Detail, Invalid, NotFound
from slipway.core.models import Event
from slipway.metering import services as metering
from slipway.notices.models import Delivery, Happening, Phase, Target
from slipway.quotas import services as quotas
from slipway.tenancy import services as tenancy
from slipway.tenancy.services import Level, directory

#: Waits between attempts; after the last one a delivery has failed.
WAITS = [timedelta(seconds=seconds) for seconds in (5, 60, 300, 1800, 7200, 21_600, 43_200)]
#: What is older is told to nobody any more.
LOOK_BACK = timedelta(days=1)
#: A key is announced to expire so long before.
EXPIRES_WITHIN = timedelta(days=7)
MOST_TARGETS = 50
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


# Targets


def targets_of(*, principal: tenancy.Principal) -> list[Target]:
    """Of this project, and those of the whole organisation for who may look at it."""
    rows = Target.objects.filter(organisation_id=principal.organisation_id, alert_id=None)
    here = Q(project_id=principal.project_id)
    if principal.allows("organisation", Level.READ):
        here |= Q(project_id=None)
    return list(rows.filter(here).order_by("created_at", "pk"))


def target(*, principal: tenancy.Principal, target_id: UUID) -> Target:
    for row in targets_of(principal=principal):
        if row.pk == target_id:
            return row
    raise NotFound("There is no such target of notices here.")


def create(
    *,
    principal: tenancy.Principal,
    kind: str,
    address: str,
    wants: Sequence[str] = (),
    everywhere: bool = False,
) -> tuple[Target, str]:
    """A new target and, for a webhook, what its signatures are checked with, shown this once.

    Mail goes to people of the organisation only: nobody else asked for it.
    """
    if everywhere:
        principal.check_reach("organisation", Level.FULL)
    known = Target.objects.filter(organisation_id=principal.organisation_id, alert_id=None)
    if known.count() >= MOST_TARGETS:
        raise Conflict(f"{MOST_TARGETS} targets are enough; remove one first.")
    row = Target(
        organisation_id=principal.organisation_id,
        project_id=None if everywhere else principal.project_id,
        kind=kind, address=address, wants=sorted(set(wants)), made_by=principal.user_name,
    )  # fmt: skip
    secret = ""
    if kind == Target.Kind.WEBHOOK:
        outward.place_of(address.partition("?")[0])
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        row.secret = seal.seal(secret, purpose=_purpose(row))
    else:
        _check_mail(principal, address)
    row.save()
    return row, secret


def remove(*, principal: tenancy.Principal, target_id: UUID) -> None:
    """Nothing is sent there any more; what waits is forgotten."""
    target(principal=principal, target_id=target_id).delete()


def try_out(*, principal: tenancy.Principal, target_id: UUID, now: datetime) -> Delivery:
    """Tell a target that this is a test, the same way as everything else."""
    row = target(principal=principal, target_id=target_id)
    return _queue(
        row,
        Happened(
            happening=Happening.TEST, source=f"test:{secrets.token_hex(8)}", at=now,
            organisation_id=row.organisation_id, project_id=row.project_id,
            line="a test of Slipway's notices", data={"asked_by": principal.user_name},
        ),
    )  # fmt: skip


def deliveries_of(*, principal: tenancy.Principal, target_id: UUID) -> Any:
    """Tellings of a target, as a query."""
    return Delivery.objects.filter(target=target(principal=principal, target_id=target_id))


def _check_mail(principal: tenancy.Principal, address: str) -> None:
    if not settings.EMAIL_HOST:
        raise Conflict(
            "This installation has no mail server; set SLIPWAY_SMTP_URL, or use a webhook."
        )
    people = directory.people_of(organisation_id=principal.organisation_id)
    if address.lower() not in {person.email.lower() for person in people if person.email}:
        raise Invalid(
            "Notices go to people of the organisation.",
            Detail(field="address", rule="the mail address of somebody here", value=address),
        )


def _purpose(row: Target) -> str:
    return f"notices:{row.pk}"


# What happened


def look(*, now: datetime) -> int:
    """Queue what has happened for whom it concerns, once each; returns how many were queued."""
    rows = list(Target.objects.filter(stopped="", alert_id=None).order_by("pk"))
    queued = _tell_spending(now) + _tell_concerned(now, rows)
    if not rows:
        return queued
    for each in _happened(now):
        for row in rows:
            if _asked_for(row, each) and each.at >= row.created_at:
                known = Delivery.objects.filter(target=row, source=each.source)
                if not known.exists():
                    _queue(row, each)
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
    for each in _quotas(now):
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
            _queue(row, each)
            queued += 1
    return queued


def _happened(now: datetime) -> Iterator[Happened]:
    yield from _budgets(now)
    yield from _jobs(now)
    yield from _quotas(now)
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


def _quotas(now: datetime) -> Iterator[Happened]:
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


def _queue(row: Target, each: Happened) -> Delivery:
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


# Sending


def send(delivery: Delivery, now: datetime) -> timedelta | None:
    """One attempt; how long to wait for the next, or None at rest."""
    trouble = _sent(delivery, now)
    attempts = delivery.attempts + 1
    Delivery.objects.filter(pk=delivery.pk).update(attempts=attempts)
    if not trouble:
        lifecycle.advance(delivery, Phase.SENT, now=now)
        return None
    gone = Target.objects.filter(pk=delivery.target_id).exclude(stopped="").exists()
    if gone or attempts > len(WAITS):
        lifecycle.advance(delivery, Phase.FAILED, now=now, reason=trouble[:500])
        return None
    lifecycle.annotate(delivery, reason=f"attempt {attempts}: {trouble}"[:500])
    return WAITS[attempts - 1]


def _sent(delivery: Delivery, now: datetime) -> str:
    """What went wrong; empty if it was taken."""
    row = delivery.target
    try:
        return (
            _mailed(row, delivery) if row.kind == Target.Kind.MAIL else _posted(row, delivery, now)
        )
    except (outward.NoAnswer, Invalid, seal.CannotOpen, OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


def _posted(row: Target, delivery: Delivery, now: datetime) -> str:
    """By the rules of Standard Webhooks: id, time and body are signed together."""
    secret = seal.unseal(row.secret, purpose=_purpose(row))
    body = json.dumps(delivery.body, ensure_ascii=False, separators=(",", ":")).encode()
    name, at = f"msg_{delivery.pk.hex}", str(int(now.timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = hmac.new(key, f"{name}.{at}.".encode() + body, hashlib.sha256).digest()
    headers = {
        "content-type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }
    answer = outward.ask("POST", row.address, headers=headers, body=body)
    if answer.status == 410:
        Target.objects.filter(pk=row.pk).update(stopped="it answered 410 Gone")
    return "" if 200 <= answer.status < 300 else f"it answered with status {answer.status}"


def _mailed(row: Target, delivery: Delivery) -> str:
    text = str(delivery.body["data"]["text"])
    # One line, whatever names hold: what follows a line break would be a header.
    subject = re.sub(r"\s+", " ", f"{delivery.body.get('prefix', 'Slipway:')} {text}")[:200]
    told = "\n".join(f"{name}: {value}" for name, value in delivery.body["data"].items())
    body = f"{told}\n\n{settings.PUBLIC_URL}\n"
    mail(to=row.address, subject=subject, body=body, name=str(delivery.pk))
    return ""


def mail(*, to: str, subject: str, body: str, name: str) -> None:
    """Hand one mail to the mail server; `name` is what it is known by, so that a copy shows as one.

    Raises OSError, as smtplib does, where it is not taken.
    """
    EmailMessage(
        subject=subject, body=body, to=[to],
        headers={"Auto-Submitted": "auto-generated", "Message-ID": f"<{name}@slipway>"},
    ).send()  # fmt: skip
