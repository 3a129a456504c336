"""Who is told: mail addresses and webhooks of a project or an organisation."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Q

from slipway.core import outward, seal
from slipway.core.errors import Conflict, Detail, Invalid, NotFound
from slipway.notices.models import Delivery, Happening, Target
from slipway.notices.services.happenings import Happened
from slipway.notices.services.telling import queue
from slipway.tenancy import services as tenancy
from slipway.tenancy.services import Level, directory

MOST_TARGETS = 50


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
        row.secret = seal.seal(secret, purpose=purpose(row))
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
    return queue(
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


def purpose(row: Target) -> str:
    """What the secret of a webhook is sealed for."""
    return f"notices:{row.pk}"
