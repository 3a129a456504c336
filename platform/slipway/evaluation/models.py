"""An evaluation: model versions judged side by side on the same held-out rows, and a gate."""

from __future__ import annotations

from django.db import models

from slipway.core.models import Record
from slipway.runs.record import Run


class EvaluationRun(Run):
    PREFIX = "eval"

    dataset_version_id = models.UUIDField(db_index=True)
    dataset_name = models.CharField(max_length=127)
    dataset_sha256 = models.CharField(max_length=64)
    dataset_uri = models.CharField(max_length=1024)
    #: In the order given, the first is the baseline: version_id, name, sha256, base, adapter.
    candidates = models.JSONField(default=list)
    #: Names of metrics, see slipway_contracts.metrics.
    metrics = models.JSONField(default=list)
    max_tokens = models.PositiveIntegerField(default=256)
    gpus = models.PositiveSmallIntegerField(default=0)

    #: Rules that a candidate must meet, each {candidate, group, metric, min, not_worse}.
    gate = models.JSONField(default=list)
    #: What became of each rule; null before the end, and where there is no gate.
    gate_passed = models.BooleanField(null=True)
    gate_findings = models.JSONField(default=list)

    #: When its cost was last held against its budgets.
    weighed_at = models.DateTimeField(null=True)

    #: Comparisons of two candidates on the same rows, as the runtime reported them.
    paired = models.JSONField(default=list)
    #: Rows judged, seconds taken, tokens …
    summary = models.JSONField(default=dict)
    rows_uri = models.CharField(max_length=1024, blank=True, default="")


class Score(Record):
    """One candidate's score by one metric in one group, with its 95 % interval and sample size."""

    run = models.ForeignKey(EvaluationRun, on_delete=models.CASCADE, related_name="scores")
    version_id = models.UUIDField(db_index=True)
    #: Value of the rows' `group` key; `all` for all rows together.
    group = models.CharField(max_length=127)
    metric = models.CharField(max_length=63)
    value = models.FloatField(null=True)
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)
    n = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["run", "version_id", "group", "metric"], name="score_once"
            )
        ]


class Rating(Record):
    """What one person gave one answer by one dimension, 1 to 5."""

    run = models.ForeignKey(EvaluationRun, on_delete=models.CASCADE, related_name="ratings")
    #: Line of the row in the dataset version, as the results name it.
    line = models.PositiveIntegerField()
    version_id = models.UUIDField()
    dimension = models.CharField(max_length=32)
    score = models.PositiveSmallIntegerField()
    user_name = models.CharField(max_length=150)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["run", "line", "version_id", "dimension", "user_name"], name="rated_once"
            )
        ]
