"""Rules for a name, and models behind somebody else's door."""

from __future__ import annotations

from django.db import models

from slipway.core.models import Record


class Rule(Record):
    """A name is answered by these others: each by its share, and by whom when they cannot."""

    project_id = models.UUIDField()
    name = models.CharField(max_length=63)
    #: `{"model": name, "percent": whole number}`, 100 in all.
    targets = models.JSONField(default=list)
    #: Names tried in this order when the one that was drawn cannot answer.
    fallbacks = models.JSONField(default=list)
    #: After so long without a first byte another replica is asked too; null for never.
    hedge_after_ms = models.PositiveIntegerField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project_id", "name"], name="rule_once")]


class External(Record):
    """A model that another OpenAI-compatible server answers for us."""

    project_id = models.UUIDField()
    name = models.CharField(max_length=63)
    #: `https://host[:port]/path`; what is asked is at `<url>/chat/completions` and so on.
    url = models.CharField(max_length=1024)
    #: What the other server calls the model.
    model = models.CharField(max_length=256)
    #: Its API key, sealed for `external:<id>`; empty where none is needed.
    credential = models.TextField(blank=True, default="")
    #: Its last characters, enough for a person to tell keys apart.
    credential_hint = models.CharField(max_length=16, blank=True, default="")
    #: The longest silence: until the first byte, and between two.
    timeout_seconds = models.PositiveIntegerField(default=120)
    made_by = models.CharField(max_length=150, blank=True, default="")
    changed_at = models.DateTimeField()
    #: When it was last asked whether it is there, and what was wrong; empty if nothing.
    checked_at = models.DateTimeField(null=True)
    trouble = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project_id", "name"], name="external_once")]


class Change(models.Model):
    """How often facts of a kind have changed; the database itself counts."""

    kind = models.CharField(max_length=16, primary_key=True)
    number = models.PositiveBigIntegerField(default=0)
