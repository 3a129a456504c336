"""Fine-tuning jobs."""

from __future__ import annotations

from django.db import models

from slipway.core.lifecycle import Lifecycle
from slipway.core.models import Tracked
from slipway.door.models.files import File


class TunePhase(models.TextChoices):
    VALIDATING = "validating"
    TRAINING = "training"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class FineTune(Tracked):
    """A fine-tuning job in OpenAI's words; the work is that of a training job."""

    LIFECYCLE = Lifecycle(
        {
            TunePhase.VALIDATING: (TunePhase.TRAINING, TunePhase.FAILED, TunePhase.CANCELLED),
            TunePhase.TRAINING: (TunePhase.SUCCEEDED, TunePhase.FAILED, TunePhase.CANCELLED),
        }
    )

    project_id = models.UUIDField(db_index=True)
    made_by = models.CharField(max_length=150, blank=True, default="")
    #: Whose key asked for it and pays; null for jobs from before that was known.
    key_id = models.UUIDField(null=True)
    #: As asked for.
    model = models.CharField(max_length=128)
    base_version_id = models.UUIDField()
    training_file = models.ForeignKey(File, on_delete=models.PROTECT, related_name="+")
    validation_file = models.ForeignKey(File, on_delete=models.PROTECT, null=True, related_name="+")
    suffix = models.CharField(max_length=64, blank=True, default="")
    seed = models.PositiveIntegerField()
    #: supervised, dpo or reinforcement.
    method = models.CharField(max_length=16, default="supervised")
    #: As asked for: n_epochs, batch_size, learning_rate_multiplier …: numbers or "auto".
    hyperparameters = models.JSONField(default=dict)
    #: Of a reinforcement job, as given.
    grader = models.JSONField(null=True)
    metadata = models.JSONField(null=True)

    training_job_id = models.UUIDField(null=True, db_index=True)
    #: When its owner paused it; null while it may run.
    paused_at = models.DateTimeField(null=True)
    #: The name it is called by once it has succeeded.
    fine_tuned_model = models.CharField(max_length=63, blank=True, default="", db_index=True)
    #: The same name, from when the training is queued; its checkpoints are named by it.
    result_name = models.CharField(max_length=63, blank=True, default="", db_index=True)
    deployment_id = models.UUIDField(null=True)
    #: Set while the weights of a deleted model wait for its deployment to end.
    model_deleted_at = models.DateTimeField(null=True)
    result_file = models.ForeignKey(File, on_delete=models.SET_NULL, null=True, related_name="+")
    #: code, message, param.
    error = models.JSONField(null=True)
    finished_at = models.DateTimeField(null=True)
