"""The licence installed here, and the latest time ever seen."""

from __future__ import annotations

from django.db import models

from slipway.core.models import Record


class Installed(Record):
    """A licence file as it was installed; the newest one counts, older ones stay for the record."""

    file = models.TextField()


class Clock(models.Model):
    """One row: when this installation was first seen, and the latest time it has seen."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    first_at = models.DateTimeField()
    latest_at = models.DateTimeField()
