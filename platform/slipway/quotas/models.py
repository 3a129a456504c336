"""A request for more of a limit, its answer, and what the limit was before."""

from __future__ import annotations

from django.db import models

from slipway.core.models import Record


class State(models.TextChoices):
    ASKED = "asked"
    GRANTED = "granted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    #: Its term has passed; the limit is what it was before.
    LAPSED = "lapsed"


class Request(Record):
    """Somebody asks for more of one limit of their project, for a time."""

    class Kind(models.TextChoices):
        BUDGET = "budget"
        RATE = "rate"

    organisation_id = models.UUIDField(db_index=True)
    project_id = models.UUIDField(db_index=True)
    kind = models.CharField(max_length=8, choices=Kind)
    #: The budget or the rate limit.
    limit_id = models.UUIDField()
    #: The limit in words, as it was when this was asked.
    about = models.CharField(max_length=300)
    #: What it is a limit of, for whoever says it in their own words: reach and period, or model.
    scope = models.JSONField(default=dict)
    #: Field of the limit to what is asked for it; amounts of money as text.
    wanted = models.JSONField()
    why = models.CharField(max_length=1000)
    asked_by = models.CharField(max_length=150)
    asked_by_id = models.BigIntegerField()
    #: Until when; null for good.
    until = models.DateTimeField(null=True)

    state = models.CharField(max_length=10, choices=State, default=State.ASKED, db_index=True)
    answered_by = models.CharField(max_length=150, blank=True, default="")
    answered_at = models.DateTimeField(null=True)
    answer = models.CharField(max_length=1000, blank=True, default="")
    #: What was granted, which may be less than was wanted; and what it is when the term is over.
    granted = models.JSONField(default=dict)
    before = models.JSONField(default=dict)
    lapsed_at = models.DateTimeField(null=True)
