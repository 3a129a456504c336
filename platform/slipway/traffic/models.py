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


class Alias(Record):
    """A further name for what answers to another, in this project or in one of its organisation."""

    #: Who may call it.
    project_id = models.UUIDField()
    name = models.CharField(max_length=127)
    #: What answers: a name that may be called in that project, or not yet.
    of_project_id = models.UUIDField()
    of_name = models.CharField(max_length=127)
    #: So do `<of_name>:ckpt-step-N`, as `<name>:ckpt-step-N`.
    with_checkpoints = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project_id", "name"], name="further_name_once")
        ]
        indexes = [models.Index(fields=["of_project_id", "of_name"], name="further_names_of")]


class Change(models.Model):
    """How often facts of a kind have changed; the database itself counts."""

    kind = models.CharField(max_length=16, primary_key=True)
    number = models.PositiveBigIntegerField(default=0)


class Touched(models.Model):
    """Which row the last changes of a kind touched; empty where it could be many."""

    kind = models.CharField(max_length=16)
    number = models.PositiveBigIntegerField()
    #: Key of the row, as the database writes it.
    row = models.CharField(max_length=36)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "number"], name="touched_once")]
