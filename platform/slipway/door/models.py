"""What the OpenAI door keeps of its own: files, jobs, batches, evals, responses, completions."""

from __future__ import annotations

from django.db import models

from slipway.core.lifecycle import Lifecycle
from slipway.core.models import Record, Tracked


class Asked(Record):
    """A POST that was answered, so that its repetition gets the same answer and does nothing."""

    project_id = models.UUIDField()
    #: Path and Idempotency-Key, or path and what was asked, by SHA-256.
    name = models.CharField(max_length=64)
    request_sha256 = models.CharField(max_length=64)
    #: Null while the first one is still at work.
    status = models.PositiveSmallIntegerField(null=True)
    body = models.JSONField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project_id", "name"], name="asked_once")]


class FilePhase(models.TextChoices):
    UPLOADED = "uploaded"  # the rows of a fine-tune file are being checked
    PROCESSED = "processed"
    ERROR = "error"


class File(Tracked):
    LIFECYCLE = Lifecycle({FilePhase.UPLOADED: (FilePhase.PROCESSED, FilePhase.ERROR)})

    project_id = models.UUIDField(db_index=True)
    made_by = models.CharField(max_length=150, blank=True, default="")
    filename = models.CharField(max_length=255)
    purpose = models.CharField(max_length=32)
    size_bytes = models.PositiveBigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True, default="", db_index=True)
    #: Empty while a batch still writes its rows.
    key = models.CharField(max_length=512, blank=True, default="")
    expires_at = models.DateTimeField(null=True, db_index=True)
    #: Of a fine-tune file: the dataset and its version that its rows are checked as.
    dataset_id = models.UUIDField(null=True)
    dataset_version_id = models.UUIDField(null=True)


class UploadStatus(models.TextChoices):
    PENDING = "pending"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Upload(Record):
    """A file that comes in parts."""

    project_id = models.UUIDField(db_index=True)
    made_by = models.CharField(max_length=150, blank=True, default="")
    filename = models.CharField(max_length=255)
    purpose = models.CharField(max_length=32)
    mime_type = models.CharField(max_length=255, blank=True, default="")
    size_bytes = models.PositiveBigIntegerField()
    #: Seconds that the file shall live once it is there; null for ever.
    file_seconds = models.PositiveIntegerField(null=True)
    status = models.CharField(
        max_length=16, choices=UploadStatus, default=UploadStatus.PENDING, db_index=True
    )
    expires_at = models.DateTimeField()
    #: As named when it was completed.
    part_ids = models.JSONField(default=list)
    file = models.ForeignKey(File, on_delete=models.SET_NULL, null=True, related_name="+")


class Part(Record):
    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="parts")
    key = models.CharField(max_length=512)
    size_bytes = models.PositiveBigIntegerField()
    md5 = models.CharField(max_length=32)


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


class Response(Record):
    """A model response that may be asked for again, or continued by another."""

    project_id = models.UUIDField()
    #: The response object as it was answered.
    body = models.JSONField()
    #: Items it was given itself, each with an id; those of the responses before it not included.
    input_items = models.JSONField(default=list)
    previous = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="+")

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="response_by_age")]


class StoredCompletion(Record):
    """A chat completion whose request said `store`; written after the answer, once."""

    project_id = models.UUIDField()
    #: `chatcmpl-…`, as in the answer.
    name = models.CharField(max_length=128)
    #: `req_…`; unique for ever, so that taking it in twice is once.
    request_id = models.CharField(max_length=64, unique=True)
    model = models.CharField(max_length=256)
    metadata = models.JSONField(null=True)
    #: The completion as it was answered, and what it was asked with.
    body = models.JSONField()
    messages = models.JSONField(default=list)
    settings = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project_id", "name"], name="completion_name_once")
        ]
        indexes = [
            models.Index(fields=["project_id", "created_at", "id"], name="completion_by_project"),
            models.Index(fields=["created_at"], name="completion_by_age"),
        ]


class CompletionSpool(Record):
    """How far a spool file of completions has been taken in; moves along with their rows."""

    name = models.CharField(max_length=128, unique=True)
    offset_bytes = models.PositiveBigIntegerField(default=0)


class ModerationPolicy(Record):
    """By what a project's texts are judged."""

    project_id = models.UUIDField(unique=True)
    made_by = models.CharField(max_length=150, blank=True, default="")
    #: A chat model that is asked; empty for none.
    model = models.CharField(max_length=256, blank=True, default="")
    #: A category is flagged from this score on.
    threshold = models.FloatField(default=0.5)
    #: Words and phrases by category.
    words = models.JSONField(default=dict)
