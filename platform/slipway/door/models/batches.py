"""Batches, their lines and what was answered to them."""

from __future__ import annotations

from django.db import models

from slipway.core.lifecycle import Lifecycle
from slipway.core.models import Tracked
from slipway.door.models.files import File


class BatchPhase(models.TextChoices):
    VALIDATING = "validating"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Batch(Tracked):
    """Requests from a file, asked one by one through the gateway."""

    LIFECYCLE = Lifecycle(
        {
            BatchPhase.VALIDATING: (
                BatchPhase.IN_PROGRESS,
                BatchPhase.FAILED,
                BatchPhase.CANCELLING,
            ),
            BatchPhase.IN_PROGRESS: (
                BatchPhase.FINALIZING,
                BatchPhase.EXPIRED,
                BatchPhase.CANCELLING,
            ),
            BatchPhase.FINALIZING: (BatchPhase.COMPLETED,),
            BatchPhase.CANCELLING: (BatchPhase.CANCELLED,),
            # What failed or was not reached may be asked again.
            BatchPhase.COMPLETED: (BatchPhase.IN_PROGRESS,),
            BatchPhase.EXPIRED: (BatchPhase.IN_PROGRESS,),
            BatchPhase.CANCELLED: (BatchPhase.IN_PROGRESS,),
        },
        resting=frozenset({BatchPhase.COMPLETED, BatchPhase.EXPIRED, BatchPhase.CANCELLED}),
    )

    project_id = models.UUIDField(db_index=True)
    made_by = models.CharField(max_length=150, blank=True, default="")
    #: Whose key asked for it: its lines are paid for, and limited, as that key's requests.
    key_id = models.UUIDField()
    input_file = models.ForeignKey(File, on_delete=models.PROTECT, related_name="+")
    endpoint = models.CharField(max_length=64)
    model = models.CharField(max_length=256, blank=True, default="")
    metadata = models.JSONField(null=True)
    output_seconds = models.PositiveIntegerField(null=True)
    #: What is wrong with the input, line by line.
    errors = models.JSONField(default=list)

    total = models.PositiveIntegerField(default=0)
    completed = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    prompt_tokens = models.PositiveBigIntegerField(default=0)
    completion_tokens = models.PositiveBigIntegerField(default=0)

    output_file = models.ForeignKey(File, on_delete=models.SET_NULL, null=True, related_name="+")
    error_file = models.ForeignKey(File, on_delete=models.SET_NULL, null=True, related_name="+")
    #: When its lines were last asked: who waits longest is next.
    served_at = models.DateTimeField(null=True)
    #: Lines answered since it last began, for the time still to go.
    resumed_at = models.DateTimeField(null=True)
    resumed_from = models.PositiveIntegerField(default=0)

    expires_at = models.DateTimeField()
    in_progress_at = models.DateTimeField(null=True)
    finalizing_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    expired_at = models.DateTimeField(null=True)
    cancelling_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)


class LineState(models.TextChoices):
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


class BatchLine(models.Model):
    """One line of a batch's input: where it stands in the file, and what became of it."""

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="lines")
    #: From 1, as an editor counts.
    number = models.PositiveIntegerField()
    custom_id = models.CharField(max_length=512)
    start = models.PositiveBigIntegerField()
    size_bytes = models.PositiveIntegerField()
    state = models.CharField(max_length=8, choices=LineState, default=LineState.WAITING)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["batch", "number"], name="batch_line_once"),
            models.UniqueConstraint(fields=["batch", "custom_id"], name="batch_custom_id_once"),
        ]
        indexes = [models.Index(fields=["batch", "state", "number"], name="batch_lines_to_ask")]


class BatchAnswer(models.Model):
    """One recorded answer, as its line in the output or error file; rows are only ever added."""

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="answers")
    number = models.PositiveIntegerField()
    good = models.BooleanField()
    text = models.TextField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["batch", "number"], name="batch_answer_once")
        ]
        indexes = [models.Index(fields=["batch", "good", "id"], name="batch_answers_in_order")]
