"""Where to tell what happened, and each telling with its attempts."""

from __future__ import annotations

from django.db import models

from slipway.core.lifecycle import Lifecycle
from slipway.core.models import Record, Tracked


class Happening(models.TextChoices):
    """What can be told; the names are those of webhooks."""

    BUDGET = "budget.reached"
    JOB = "job.ended"
    KEY = "key.expiring"
    QUOTA_ASKED = "quota.asked"
    QUOTA_ANSWERED = "quota.answered"
    QUOTA_LAPSED = "quota.lapsed"
    PLAN_ENDED = "plan.ended"
    TEST = "test"


class Target(Record):
    """A mail address or webhook that is told what happens in a project, or in all of them."""

    class Kind(models.TextChoices):
        MAIL = "mail"
        WEBHOOK = "webhook"

    organisation_id = models.UUIDField(db_index=True)
    #: Empty for every project of the organisation.
    project_id = models.UUIDField(null=True)
    kind = models.CharField(max_length=8, choices=Kind)
    address = models.CharField(max_length=1024)
    #: Happenings it is told of; empty for all.
    wants = models.JSONField(default=list)
    #: What webhooks are signed with, sealed; empty for mail.
    secret = models.TextField(blank=True, default="")
    made_by = models.CharField(max_length=150)
    #: The spend alert whose recipient it is, or the request for more of a limit that is its
    #: business: it is told of nothing else. Null for others.
    alert_id = models.UUIDField(null=True)
    #: Why nothing is sent there any more; empty while it is.
    stopped = models.CharField(max_length=200, blank=True, default="")


class Phase(models.TextChoices):
    QUEUED = "queued"
    SENT = "sent"
    FAILED = "failed"


class Delivery(Tracked):
    """One happening on its way to one target."""

    LIFECYCLE = Lifecycle({Phase.QUEUED: (Phase.SENT, Phase.FAILED), Phase.SENT: (),
                           Phase.FAILED: ()})  # fmt: skip

    target = models.ForeignKey(Target, on_delete=models.CASCADE, related_name="+")
    happening = models.CharField(max_length=32, choices=Happening)
    #: What it is about, so that nobody is told twice.
    source = models.CharField(max_length=128)
    #: What is told, as webhooks get it.
    body = models.JSONField(default=dict)
    attempts = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["target", "source"], name="told_once")]
