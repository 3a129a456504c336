"""A fine-tune job: what was asked, what it was expected to need, what it did, what came out."""

from __future__ import annotations

from django.db import models

from slipway.core.lifecycle import Lifecycle
from slipway.core.models import Record, Tracked
from slipway.runs.record import Run


class TrainingJob(Run):
    PREFIX = "train"

    # What it stands on: id, name as `name@number`, and content, as they were when it was made.
    base_version_id = models.UUIDField(db_index=True)
    #: The whole model below it: the same, or what the adapter that is trained further stands on.
    whole_version_id = models.UUIDField(db_index=True)
    base_name = models.CharField(max_length=127)
    base_sha256 = models.CharField(max_length=64, blank=True, default="")
    #: Model that the result becomes a version of.
    result_name = models.CharField(max_length=127)
    dataset_version_id = models.UUIDField(db_index=True)
    dataset_name = models.CharField(max_length=127)
    dataset_sha256 = models.CharField(max_length=64)
    held_out_version_id = models.UUIDField(null=True)
    held_out_name = models.CharField(max_length=127, blank=True, default="")
    held_out_sha256 = models.CharField(max_length=64, blank=True, default="")
    #: Role to URI, fixed when the job was made.
    inputs = models.JSONField(default=dict)

    method = models.CharField(max_length=32)
    scale = models.CharField(max_length=32)
    #: What rewards answers, in the form of the OpenAI API; null where nothing does.
    grader = models.JSONField(null=True)
    #: As the user gave them; as they are used; and why, for each that was "auto".
    given = models.JSONField(default=dict)
    resolved = models.JSONField(default=dict)
    why = models.JSONField(default=dict)
    seed = models.PositiveIntegerField(default=0)
    workers = models.PositiveSmallIntegerField(default=1)
    gpus = models.PositiveSmallIntegerField(default=0)

    #: services.estimates.Estimate as it was when the job was made; never changed after.
    #: The key that asked for it; null where a person in a browser did.
    key_id = models.UUIDField(null=True)
    estimate = models.JSONField(default=dict)
    #: When its cost was last held against its budgets.
    weighed_at = models.DateTimeField(null=True)
    #: Since when it has been seen that the budgets do not reach; it pauses at a checkpoint.
    short_since = models.DateTimeField(null=True)
    #: What the runtime measured and reported at the end.
    metrics = models.JSONField(default=dict)
    price = models.DecimalField(max_digits=14, decimal_places=6, null=True)
    result_version_id = models.UUIDField(null=True, db_index=True)


class MetricPoint(models.Model):
    """One value of one curve; a resumed attempt writes over the steps it repeats."""

    job = models.ForeignKey(TrainingJob, on_delete=models.CASCADE, related_name="points")
    name = models.CharField(max_length=127)
    step = models.PositiveIntegerField()
    #: Null where the value was no number (the loss diverged).
    value = models.FloatField(null=True)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "name", "step"], name="metric_point_once")
        ]


class Checkpoint(Record):
    """A complete state of the job that it can resume from, with the metrics at that step."""

    job = models.ForeignKey(TrainingJob, on_delete=models.CASCADE, related_name="checkpoints")
    step = models.PositiveIntegerField()
    attempt = models.PositiveIntegerField()
    uri = models.CharField(max_length=1024)
    values = models.JSONField(default=dict)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "uri"], name="checkpoint_once")]


class MirrorPhase(models.TextChoices):
    FOLLOWING = "following"
    CLOSED = "closed"


class RunMirror(Tracked):
    """The job's run in the experiment tracker; a life of its own, so it never delays the job."""

    #: A job that is tried again wakes its mirror.
    LIFECYCLE = Lifecycle(
        {
            MirrorPhase.FOLLOWING: (MirrorPhase.CLOSED,),
            MirrorPhase.CLOSED: (MirrorPhase.FOLLOWING,),
        },
        resting=frozenset({MirrorPhase.CLOSED}),
    )

    phase = models.CharField(
        max_length=32, choices=MirrorPhase, default=MirrorPhase.FOLLOWING, db_index=True
    )
    job = models.OneToOneField(TrainingJob, on_delete=models.CASCADE, related_name="mirror")
    #: The tracker's id of the run; empty until it was opened.
    run = models.CharField(max_length=64, blank=True, default="")
    #: Key of the last progress chunk written there.
    read_until = models.CharField(max_length=1024, blank=True, default="")
    #: Looks in a row at which the tracker did not answer.
    refusals = models.PositiveIntegerField(default=0)
