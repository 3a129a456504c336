"""What an organisation asked to take away, and that it asked to be gone."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from slipway.core.lifecycle import Lifecycle
from slipway.core.models import Tracked


class TakeoutPhase(models.TextChoices):
    MAKING = "making"
    READY = "ready"
    FAILED = "failed"
    #: It lay there for as long as was said; its archive is gone.
    EXPIRED = "expired"


class Takeout(Tracked):
    """One archive of everything that is an organisation's."""

    LIFECYCLE = Lifecycle(
        {
            TakeoutPhase.MAKING: (TakeoutPhase.READY, TakeoutPhase.FAILED),
            TakeoutPhase.READY: (TakeoutPhase.EXPIRED,),
        },
        resting=frozenset({TakeoutPhase.READY}),
    )

    organisation_id = models.UUIDField(db_index=True)
    made_by = models.CharField(max_length=150)
    size_bytes = models.BigIntegerField(default=0)
    #: Of the whole archive.
    sha256 = models.CharField(max_length=64, blank=True, default="")
    file_count = models.PositiveIntegerField(default=0)
    #: Table to the number of its rows in the archive.
    rows = models.JSONField(default=dict)
    #: When the archive is removed; null before it is there.
    expires_at = models.DateTimeField(null=True)

    @property
    def key(self) -> str:
        return f"takeouts/{self.organisation_id}/{self.pk}.tar"


class DeparturePhase(models.TextChoices):
    #: Its keys are dead and its work is stopped; until the day it can be taken back.
    WAITING = "waiting"
    WITHDRAWN = "withdrawn"
    STOPPING = "stopping"
    REMOVING = "removing"
    #: Whoever was in the midst of a step when the rows went has given up by the end of it.
    SETTLING = "settling"
    DONE = "done"


class Departure(Tracked):
    """An organisation goes; this row is what is left of it, beside its books."""

    LIFECYCLE = Lifecycle(
        {
            DeparturePhase.WAITING: (DeparturePhase.WITHDRAWN, DeparturePhase.STOPPING),
            DeparturePhase.STOPPING: (DeparturePhase.REMOVING,),
            DeparturePhase.REMOVING: (DeparturePhase.SETTLING,),
            DeparturePhase.SETTLING: (DeparturePhase.DONE,),
        }
    )

    organisation_id = models.UUIDField(db_index=True)
    #: Who asked; empty once it is done.
    made_by = models.CharField(max_length=150)
    #: From then on it cannot be taken back.
    due_at = models.DateTimeField()
    rows_gone_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)
    #: Table to the number of rows removed; `people`, `objects` and `bytes` beside them.
    removed = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation_id"], condition=~Q(phase="withdrawn"), name="departure_once"
            )
        ]
