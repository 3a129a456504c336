"""The two things every domain stores: a record with a phase, and the events of its life."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone


class Record(models.Model):
    """A row with an id nobody can guess and the time it was made."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False, db_index=True)

    class Meta:
        abstract = True


class Tracked(Record):
    """A record that moves through a Lifecycle, named by the subclass as LIFECYCLE."""

    phase = models.CharField(max_length=32, db_index=True)
    #: Why it is where it is, in words its user can act on.
    reason = models.TextField(blank=True, default="")
    #: When the worker should look at this record; null once it is at rest.
    #: One column is the schedule, the wake-up call, the lease and the crash recovery.
    look_at = models.DateTimeField(null=True, default=timezone.now, db_index=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self._meta.label}:{self.pk} [{self.phase}]"


class Event(Record):
    """Append-only: who went where, and why. Feeds timelines and `--follow`."""

    #: `<app>.<Model>:<uuid>`.
    subject = models.CharField(max_length=128)
    source = models.CharField(max_length=32, blank=True, default="")
    #: Empty for an event that is not a move: a warning, a checkpoint, a stage.
    target = models.CharField(max_length=32, blank=True, default="")
    level = models.CharField(max_length=8, default="info")
    kind = models.CharField(max_length=32, default="move")
    reason = models.TextField(blank=True, default="")
    data = models.JSONField(default=dict)
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["subject", "at", "id"], name="event_by_subject")]
