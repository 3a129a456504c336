"""Evals, their runs, and what came of each row."""

from __future__ import annotations

from django.db import models

from slipway.core.lifecycle import Lifecycle
from slipway.core.models import Record, Tracked


class Eval(Record):
    """What is to be judged and how: the shape of a row, and the graders."""

    project_id = models.UUIDField(db_index=True)
    name = models.CharField(max_length=255, blank=True, default="")
    metadata = models.JSONField(null=True)
    #: As given.
    data_source_config = models.JSONField()
    #: Graders, each with an `id`.
    testing_criteria = models.JSONField()
    updated_at = models.DateTimeField()


class EvalRunPhase(models.TextChoices):
    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELED = "canceled"
    FAILED = "failed"


class EvalRun(Tracked):
    """One model, or rows of answers at hand, judged by an eval."""

    LIFECYCLE = Lifecycle(
        {
            EvalRunPhase.QUEUED: (
                EvalRunPhase.IN_PROGRESS,
                EvalRunPhase.FAILED,
                EvalRunPhase.CANCELED,
            ),
            EvalRunPhase.IN_PROGRESS: (
                EvalRunPhase.COMPLETED,
                EvalRunPhase.FAILED,
                EvalRunPhase.CANCELED,
            ),
        }
    )

    project_id = models.UUIDField(db_index=True)
    eval = models.ForeignKey(Eval, on_delete=models.CASCADE, related_name="runs")
    #: Whose key asked for it and pays for samples and judges.
    key_id = models.UUIDField()
    name = models.CharField(max_length=255, blank=True, default="")
    metadata = models.JSONField(null=True)
    data_source = models.JSONField()
    model = models.CharField(max_length=256, blank=True, default="")
    #: Rows in the source; 0 until they were counted.
    total = models.PositiveIntegerField(default=0)
    error = models.JSONField(null=True)


class OutputItem(Record):
    """One row of a run: the sample, and each grader's verdict."""

    run = models.ForeignKey(EvalRun, on_delete=models.CASCADE, related_name="items")
    #: From 0, in the source's order.
    number = models.PositiveIntegerField()
    status = models.CharField(max_length=8)  # pass, fail, error
    item = models.JSONField()
    results = models.JSONField()
    sample = models.JSONField()
    #: Model to prompt, completion and total tokens and calls.
    usage = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="output_item_once")]
