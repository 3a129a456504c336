"""The shapes of training's requests and answers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone
from rest_framework import serializers

from slipway.core.shapes import shape
from slipway.runs import http
from slipway.training import services
from slipway.training.models import Checkpoint, MetricPoint, TrainingJob
from slipway_contracts import hyperparameters

#: What jobs and models may be called.
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"


class TextOut(serializers.Serializer[Any]):
    zh = serializers.CharField()
    en = serializers.CharField()


class HyperParameterOut(serializers.Serializer[Any]):
    """One thing to set."""

    key = serializers.CharField()
    type = serializers.ChoiceField(["int", "float", "bool", "string", "choice"])
    default = serializers.JSONField()
    name = TextOut()
    text = TextOut()
    minimum = serializers.FloatField(allow_null=True)
    maximum = serializers.FloatField(allow_null=True)
    choices = serializers.ListField(child=serializers.JSONField())
    auto = serializers.BooleanField(help_text='whether "auto" may be given')


class MethodOut(serializers.Serializer[Any]):
    method = serializers.ChoiceField(hyperparameters.METHODS)
    scale = serializers.ChoiceField(hyperparameters.SCALES)
    hyperparameters = HyperParameterOut(many=True)


class MethodsOut(serializers.Serializer[Any]):
    data = MethodOut(many=True)


class LengthBarOut(serializers.Serializer[Any]):
    low = serializers.IntegerField()
    high = serializers.IntegerField()
    rows = serializers.IntegerField()


class LongRowOut(serializers.Serializer[Any]):
    number = serializers.IntegerField(help_text="from 1")
    tokens = serializers.IntegerField()


class TokenLengthsOut(serializers.Serializer[Any]):
    """How long rows are for a model; a pair of answers counts as the longer of its two."""

    tokens = serializers.IntegerField(help_text="of all rows together")
    exact = serializers.BooleanField(help_text="False where it was reckoned from a sample.")
    bars = LengthBarOut(many=True)
    longest = LongRowOut(many=True, help_text="the ten longest, longest first")


class MeasuredRowOut(serializers.Serializer[Any]):
    number = serializers.IntegerField(help_text="from 0")
    tokens = serializers.IntegerField()
    row = serializers.JSONField()


class MeasuredRowsOut(serializers.Serializer[Any]):
    """Rows of so many tokens; of a large dataset those of the sample that its bars are of."""

    data = MeasuredRowOut(many=True)
    next_cursor = serializers.CharField(allow_null=True)
    rows = serializers.IntegerField(help_text="how many there are of that length")


class JobIn(serializers.Serializer[Any]):
    """A fine-tune to be made."""

    name = serializers.RegexField(
        NAME,
        help_text="letters, digits, `.`, `_`, `-`; at most 63",
    )
    base = serializers.UUIDField(help_text="model version to train")
    dataset = serializers.UUIDField(help_text="published dataset version to train on")
    held_out = serializers.UUIDField(required=False, allow_null=True, default=None)
    model = serializers.RegexField(
        NAME,
        required=False,
        default="",
        help_text="model that the result becomes a version of; `<base>-<name>` if left out",
    )
    method = serializers.ChoiceField(hyperparameters.METHODS, default="sft")
    scale = serializers.ChoiceField(hyperparameters.SCALES, default="lora")
    hyperparameters = serializers.DictField(child=serializers.JSONField(), default=dict)
    grader = serializers.DictField(
        child=serializers.JSONField(),
        required=False,
        allow_null=True,
        default=None,
        help_text="what rewards answers (grpo), in the form of OpenAI's graders: string_check, "
        "text_similarity, python, multi",
    )
    seed = serializers.IntegerField(min_value=0, max_value=2**31 - 1, default=0)
    workers = serializers.IntegerField(min_value=1, max_value=64, default=1)
    gpus = serializers.IntegerField(min_value=0, max_value=64, default=0)
    priority = serializers.IntegerField(
        min_value=0, max_value=3, default=0, help_text="higher goes first"
    )


class EstimateOut(serializers.Serializer[Any]):
    rows = serializers.IntegerField()
    tokens = serializers.IntegerField()
    steps = serializers.IntegerField()
    seconds = serializers.FloatField()
    seconds_low = serializers.FloatField()
    seconds_high = serializers.FloatField()
    basis = serializers.CharField(help_text="what the seconds were reckoned from")
    trainable_parameters = serializers.IntegerField()
    memory_bytes = serializers.IntegerField(help_text="of one worker")
    memory_parts = serializers.DictField(child=serializers.IntegerField())
    price = serializers.DecimalField(max_digits=14, decimal_places=6)
    currency = serializers.CharField()
    starts_in_seconds = serializers.FloatField()
    starts_reason = serializers.CharField()


class PlanOut(serializers.Serializer[Any]):
    """The answer to a dry run: final values, why, and what the job would need."""

    hyperparameters = serializers.DictField(child=serializers.JSONField())
    why = serializers.DictField(child=TextOut())
    estimate = EstimateOut()


class ComparedOut(serializers.Serializer[Any]):
    estimate = serializers.FloatField()
    actual = serializers.FloatField(allow_null=True)


class JobOut(http.RunOut):
    base = http.NamedRefOut()
    dataset = http.NamedRefOut()
    held_out = http.NamedRefOut(allow_null=True)
    model = serializers.CharField(help_text="model that the result becomes a version of")
    method = serializers.CharField()
    scale = serializers.CharField()
    grader = serializers.DictField(child=serializers.JSONField(), allow_null=True)
    given = serializers.DictField(child=serializers.JSONField())
    hyperparameters = serializers.DictField(child=serializers.JSONField())
    why = serializers.DictField(child=TextOut())
    seed = serializers.IntegerField()
    workers = serializers.IntegerField()
    gpus = serializers.IntegerField()
    estimate = EstimateOut()
    compared = serializers.DictField(child=ComparedOut(), allow_null=True)
    metrics = serializers.DictField(child=serializers.FloatField(allow_null=True))
    price = serializers.DecimalField(max_digits=14, decimal_places=6, allow_null=True)
    result_version_id = serializers.UUIDField(allow_null=True)
    tracking_run = serializers.CharField(help_text="the MLflow run; empty while there is none")


#: What a job has and does not show; lists need not fetch it.
UNSHOWN = (
    "whole_version_id", "inputs", "key_id", "weighed_at", "short_since", "look_at", "handle",
    "idempotency_key", "request_sha256", "output_uri", "faults", "losses", "placed_at",
    "read_until", "mirror__created_at", "mirror__phase", "mirror__reason", "mirror__look_at",
    "mirror__read_until", "mirror__refusals",
)  # fmt: skip


def _ref(version_id: UUID | None, name: str, sha256: str) -> dict[str, Any] | None:
    if version_id is None:
        return None
    return {"version_id": version_id, "name": name, "sha256": sha256}


def job_out(job: TrainingJob) -> dict[str, Any]:
    return dict(JobOut(_shown(job)).data)


def jobs_out(jobs: Iterable[TrainingJob]) -> list[dict[str, Any]]:
    now = timezone.now()
    return [shape(JobOut)(_shown(job, now=now)) for job in jobs]


def _shown(job: TrainingJob, *, now: datetime | None = None) -> dict[str, Any]:
    fields = http.shown(job, now=now) | {
        "base": _ref(job.base_version_id, job.base_name, job.base_sha256),
        "dataset": _ref(job.dataset_version_id, job.dataset_name, job.dataset_sha256),
        "held_out": _ref(job.held_out_version_id, job.held_out_name, job.held_out_sha256),
        "model": job.result_name,
        "hyperparameters": job.resolved,
        "compared": services.compared(job),
        "metrics": http.finite(job.metrics),
        "tracking_run": services.tracking_run(job),
    }
    same = [
        "method",
        "scale",
        "grader",
        "given",
        "why",
        "seed",
        "workers",
        "gpus",
        "estimate",
        "price",
        "result_version_id",
    ]
    return fields | {name: getattr(job, name) for name in same}


class MetricNameOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    points = serializers.IntegerField()
    last_step = serializers.IntegerField()
    last_value = serializers.FloatField(allow_null=True)


class PointOut(serializers.ModelSerializer[MetricPoint]):
    class Meta:
        model = MetricPoint
        fields = ("name", "step", "value", "at")


class MetricsOut(serializers.Serializer[Any]):
    names = MetricNameOut(many=True)
    data = PointOut(many=True)


class CheckpointOut(serializers.ModelSerializer[Checkpoint]):
    class Meta:
        model = Checkpoint
        fields = ("id", "step", "attempt", "uri", "values", "at")


class CheckpointsOut(serializers.Serializer[Any]):
    data = CheckpointOut(many=True)
