"""A limit: how fast a project may ask, in all or by one key or for one model."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from slipway.core.models import Record


class RateLimit(Record):
    """Where `key_id` is null it counts all keys together; where `model` is empty, all models.

    A rate that is null is not limited.
    """

    project_id = models.UUIDField()
    key_id = models.UUIDField(null=True)
    model = models.CharField(max_length=256, blank=True, default="")
    requests_per_minute = models.PositiveIntegerField(null=True)
    #: Prompt and answer together.
    tokens_per_minute = models.PositiveIntegerField(null=True)
    #: Requests in flight at one time.
    at_once = models.PositiveIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project_id", "key_id", "model"], name="one_limit_a_key_and_model"
            ),
            models.UniqueConstraint(
                fields=["project_id", "model"],
                condition=Q(key_id=None),
                name="one_limit_a_model",
            ),
        ]


class Share(models.Model):
    """What is left in a common pot (`gateway` is empty), or what one gateway holds of it."""

    #: `requests`, `tokens` or `slots`, then project, key and model; or `gateways`.
    pot = models.CharField(max_length=400)
    gateway = models.CharField(max_length=32, blank=True, default="")
    amount = models.FloatField()
    #: Unix seconds of the last word.
    at = models.FloatField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pot", "gateway"], name="one_share_a_gateway")
        ]
