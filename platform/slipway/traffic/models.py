"""Rules for a name, and models behind somebody else's door."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

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
    #: No request is sent to it until it is found well again.
    down = models.BooleanField(default=False)
    #: Looks in a row that found it unwell; they come ever more seldom.
    failures = models.PositiveIntegerField(default=0)
    next_check_at = models.DateTimeField(default=timezone.now, db_index=True)

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


class PromptPolicy(Record):
    """What a project's models are asked and answer is kept, for so long, with this masked."""

    project_id = models.UUIDField(unique=True)
    made_by = models.CharField(max_length=150, blank=True, default="")
    days = models.PositiveSmallIntegerField()
    #: Names of masks that are there, and expressions of one's own.
    masks = models.JSONField(default=list)
    expressions = models.JSONField(default=list)


class LoggedPrompt(Record):
    """One request and its answer, masked before it was written."""

    project_id = models.UUIDField()
    #: `req_…`; unique for ever, so that taking it in twice is once.
    request_id = models.CharField(max_length=64, unique=True)
    model = models.CharField(max_length=256)
    request = models.JSONField()
    answer = models.JSONField()
    #: When it is forgotten.
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        indexes = [
            models.Index(fields=["project_id", "created_at", "id"], name="prompt_by_project")
        ]


class Feedback(Record):
    """What a person thought of one answer, with the answer as they saw it."""

    project_id = models.UUIDField()
    #: `req_…` of the answer; one person says one thing about it.
    request_id = models.CharField(max_length=64)
    model = models.CharField(max_length=256)
    good = models.BooleanField()
    comment = models.TextField(blank=True, default="")
    #: What was asked: role and content, the answer not included.
    messages = models.JSONField(default=list)
    answer = models.TextField(blank=True, default="")
    user_name = models.CharField(max_length=150)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project_id", "request_id", "user_name"], name="thought_once"
            )
        ]
        indexes = [
            models.Index(fields=["project_id", "created_at", "id"], name="feedback_by_project")
        ]
