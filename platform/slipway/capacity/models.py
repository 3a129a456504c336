"""Pools of machines, and what of them is a project's own."""

from __future__ import annotations

from django.db import models

from slipway.core.models import Record


class _Amounts(Record):
    cpus = models.PositiveIntegerField(default=0)
    memory_gib = models.PositiveIntegerField(default=0)
    gpus = models.PositiveIntegerField(default=0)

    class Meta:
        abstract = True


class Pool(_Amounts):
    """Machines of one kind, known by their labels; tried in the order they were made."""

    name = models.CharField(max_length=40, unique=True)
    node_labels = models.JSONField(default=dict)


class Share(_Amounts):
    """What a project is sure of in a pool; the rest is for whoever asks first."""

    pool = models.ForeignKey(Pool, on_delete=models.CASCADE, related_name="shares")
    project_id = models.UUIDField()
    #: Whether it may also use what others leave.
    borrows = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pool", "project_id"], name="one_share_a_pool")
        ]
