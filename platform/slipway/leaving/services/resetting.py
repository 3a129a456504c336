"""Back to the first boot: what people made stays, and nobody is known any more."""

from __future__ import annotations

from datetime import datetime

from django.apps import apps
from django.conf import settings
from django.db import transaction

from slipway.audit import services as audit
from slipway.core.models import Event

#: Who people are, how they come in, who is told what, and the licence; keys before their makers.
#: The clock that trials count by stays: a reset gives no new trial.
FORGOTTEN = (
    "tenancy.ApiKey", "tenancy.Invite", "tenancy.IdentityProvider", "tenancy.ScimToken",
    "tenancy.Provisioned", "tenancy.Membership", "tenancy.Group", "tenancy.CustomRole",
    "tenancy.User", "tenancy.SignInFailure", "sessions.Session", "signup.SignUp", "signup.Letter",
    "notices.Target", "traffic.External", "quotas.Request", "editions.Installed",
)  # fmt: skip


@transaction.atomic
def reset(*, now: datetime) -> dict[str, int]:
    """Forget them all, or none; returns table to number of rows.

    Projects with their data, models, runs and books stay, and so does the audit log, which gets an
    entry. The next start makes a first owner with a new password, as on a fresh installation.
    """
    gone = {}
    for label in FORGOTTEN:
        rows = apps.get_model(label)._default_manager.all()
        gone[label] = rows.count()
        rows.delete()
        Event.objects.filter(subject__startswith=f"{label}:").delete()
    audit.record(at=now, actor="factory reset", action="RESET", subject="", before=gone)
    transaction.on_commit(lambda: (settings.HOME / "demo.env").unlink(missing_ok=True))
    return gone
