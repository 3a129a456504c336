"""The usage ledger: one row per request that was let in, added once and never changed."""

from __future__ import annotations

from django.db import models

from slipway.core.models import Record


class UsageRecord(Record):
    """What one request used. `created_at` is when it came in, so pages are in that order."""

    #: `req_…`, as in the `x-request-id` of its answer.
    request_id = models.CharField(max_length=64, unique=True)
    project_id = models.UUIDField()
    key_id = models.UUIDField()
    deployment_id = models.UUIDField()
    #: The model version that answered, even if the deployment has been swapped since.
    version_id = models.UUIDField()
    model = models.CharField(max_length=256)
    endpoint = models.CharField(max_length=64)
    #: HTTP status; 499 where the client went away before the end.
    status = models.PositiveSmallIntegerField()
    stream = models.BooleanField()
    prompt_tokens = models.PositiveIntegerField()
    completion_tokens = models.PositiveIntegerField()
    #: The engine never said what it used: the tokens are the gateway's count.
    estimated = models.BooleanField()
    latency_ms = models.FloatField()
    first_byte_ms = models.FloatField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["project_id", "created_at", "id"], name="usage_by_project"),
        ]


class SpoolFile(models.Model):
    """How far a spool file has been taken in; moves in the same transaction as its records."""

    name = models.CharField(max_length=128, primary_key=True)
    offset_bytes = models.PositiveBigIntegerField(default=0)
    seen_at = models.DateTimeField()
