"""Spend alerts: people are mailed once a month that so much was spent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet

from slipway.core.errors import Conflict, Detail, Invalid
from slipway.metering.models import Budget, SpendAlert
from slipway.metering.services.budgets import period_start
from slipway.metering.services.spend import spent
from slipway.tenancy.services import directory

MOST_ALERTS = 50


def spend_alerts_of(*, organisation_id: UUID, project_id: UUID | None) -> QuerySet[SpendAlert]:
    """Those on the whole organisation, or on one project of it, oldest first."""
    rows = SpendAlert.objects.filter(organisation_id=organisation_id, project_id=project_id)
    return rows.order_by("created_at", "pk")


def add_spend_alert(
    *,
    organisation_id: UUID,
    project_id: UUID | None,
    amount: Decimal,
    recipients: Sequence[str],
    subject_prefix: str,
) -> SpendAlert:
    """A new alert; mail goes to people of the organisation only: nobody else asked for it."""
    _check_mail(organisation_id, recipients)
    if SpendAlert.objects.filter(organisation_id=organisation_id).count() >= MOST_ALERTS:
        raise Conflict(f"{MOST_ALERTS} spend alerts are enough; delete one first.")
    return SpendAlert.objects.create(
        organisation_id=organisation_id,
        project_id=project_id,
        amount=amount,
        recipients=list(dict.fromkeys(recipients)),
        subject_prefix=subject_prefix,
    )


def change_spend_alert(
    row: SpendAlert, *, amount: Decimal, recipients: Sequence[str], subject_prefix: str
) -> None:
    """All of it anew; with another amount it may be told again this month."""
    _check_mail(row.organisation_id, recipients)
    row.amount, row.subject_prefix = amount, subject_prefix
    row.recipients = list(dict.fromkeys(recipients))
    row.save(update_fields=["amount", "subject_prefix", "recipients"])


def _check_mail(organisation_id: UUID, recipients: Sequence[str]) -> None:
    if not settings.EMAIL_HOST:
        raise Conflict("This installation has no mail server; set SLIPWAY_SMTP_URL.")
    people = directory.people_of(organisation_id=organisation_id)
    known = {person.email.lower() for person in people if person.email}
    for address in recipients:
        if address.lower() not in known:
            raise Invalid(
                "Spend alerts go to people of the organisation.",
                Detail(
                    field="notification_channel.recipients",
                    rule="the mail address of somebody here",
                    value=address,
                ),
            )


@dataclass(frozen=True, kw_only=True)
class Reached:
    """What is spent this month has come to an alert's amount."""

    alert_id: UUID
    organisation_id: UUID
    project_id: UUID | None
    amount: Decimal
    spent: Decimal
    recipients: tuple[str, ...]
    subject_prefix: str
    month: datetime


def spend_reached(*, now: datetime) -> Iterator[Reached]:
    """Every alert whose amount has been spent in the month (UTC) that `now` lies in."""
    month = period_start(Budget.Period.MONTH, now)
    sums: dict[tuple[UUID, UUID | None], Decimal] = {}
    for row in SpendAlert.objects.order_by("created_at", "pk"):
        place = row.organisation_id, row.project_id
        if place not in sums:
            sums[place] = spent(
                organisation_id=row.organisation_id, since=month, project_id=row.project_id
            )
        if month is not None and sums[place] >= row.amount:
            yield Reached(
                alert_id=row.pk, organisation_id=row.organisation_id, project_id=row.project_id,
                amount=row.amount, spent=sums[place], recipients=tuple(row.recipients),
                subject_prefix=row.subject_prefix, month=month,
            )  # fmt: skip
