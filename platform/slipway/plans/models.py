"""A plan that the house offers, and a project's subscription to units of it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from slipway.core.lifecycle import Lifecycle
from slipway.core.models import Record, Tracked


class Term(models.TextChoices):
    HOUR = "hour"
    MONTH = "month"


class Plan(Record):
    """What one unit costs and gives for a term. It never changes; it is only offered no more."""

    name = models.CharField(max_length=63)
    about = models.CharField(max_length=300, blank=True, default="")
    #: Of one unit for one term.
    fee = models.DecimalField(max_digits=15, decimal_places=6)
    term = models.CharField(max_length=8, choices=Term)
    #: The name that it is for; empty for all names together.
    model = models.CharField(max_length=256, blank=True, default="")
    #: What one unit adds to what the house lets a project ask; 0 for nothing.
    requests_per_minute = models.PositiveIntegerField(default=0)
    tokens_per_minute = models.PositiveIntegerField(default=0)
    #: Replicas of deployments of that name whose time is paid with the fee.
    replicas = models.PositiveIntegerField(default=0)
    #: A project takes so many units at most.
    most_units = models.PositiveIntegerField(default=1)
    #: Every project has one unit of it, for nothing: so much the house lets anybody ask.
    everybody = models.BooleanField(default=False)
    offered = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["name"], condition=Q(offered=True), name="one_plan_of_a_name"
            ),
            models.UniqueConstraint(
                fields=["model"],
                condition=Q(offered=True, everybody=True),
                name="one_plan_of_everybody",
            ),
        ]


class Phase(models.TextChoices):
    ACTIVE = "active"
    ENDED = "ended"


class Subscription(Tracked):
    """A project's units of a plan, paid term by term in advance."""

    LIFECYCLE = Lifecycle({Phase.ACTIVE: (Phase.ENDED,), Phase.ENDED: ()})

    project_id = models.UUIDField(db_index=True)
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+")
    units = models.PositiveIntegerField()
    #: From the next term on; null: as many as now.
    next_units = models.PositiveIntegerField(null=True)
    renews = models.BooleanField(default=True)
    begun_at = models.DateTimeField()
    #: Number of the term that is paid, from 0; terms are counted from `begun_at`.
    term = models.PositiveIntegerField(default=0)
    term_ends_at = models.DateTimeField()
    #: Terms lately that nobody paid, because the platform was away; null for none.
    away_from = models.DateTimeField(null=True)
    away_until = models.DateTimeField(null=True)
    made_by = models.CharField(max_length=150)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project_id", "plan"],
                condition=Q(phase=Phase.ACTIVE),
                name="one_subscription_to_a_plan",
            )
        ]
