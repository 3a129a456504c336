"""A deployment answers under one name; its revisions are what runs, one after the other."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from slipway.core.lifecycle import Lifecycle
from slipway.core.models import Tracked
from slipway_contracts.workload import Kind, Workload


class Phase(models.TextChoices):
    STARTING = "starting"
    LIVE = "live"
    #: Answers by one revision while the next one comes up beside it.
    UPDATING = "updating"
    UNHEALTHY = "unhealthy"
    #: Nobody asked for it for a while; the next request wakes it.
    SLEEPING = "sleeping"
    WAKING = "waking"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    DELETING = "deleting"
    DELETED = "deleted"


#: A worker watches the deployment; the others are at rest or on their way there.
UP = (Phase.LIVE, Phase.UPDATING, Phase.UNHEALTHY)


class Deployment(Tracked):
    """What clients pass as `model`, and how many copies of which version answer it."""

    LIFECYCLE = Lifecycle(
        {
            Phase.STARTING: (Phase.LIVE, Phase.FAILED, Phase.STOPPING, Phase.DELETING),
            Phase.LIVE: (
                Phase.UPDATING,
                Phase.UNHEALTHY,
                Phase.SLEEPING,
                Phase.STOPPING,
                Phase.DELETING,
            ),
            Phase.SLEEPING: (Phase.WAKING, Phase.STOPPING, Phase.DELETING),
            Phase.WAKING: (Phase.LIVE, Phase.FAILED, Phase.STOPPING, Phase.DELETING),
            Phase.UPDATING: (Phase.UPDATING, Phase.LIVE, Phase.STOPPING, Phase.DELETING),
            Phase.UNHEALTHY: (Phase.LIVE, Phase.UPDATING, Phase.STOPPING, Phase.DELETING),
            Phase.STOPPING: (Phase.STOPPED, Phase.DELETING),
            Phase.STOPPED: (Phase.STARTING, Phase.DELETING),
            Phase.FAILED: (Phase.STARTING, Phase.DELETING),
            Phase.DELETING: (Phase.DELETED,),
        },
        resting=frozenset({Phase.STOPPED, Phase.FAILED}),
    )

    project = models.ForeignKey("tenancy.Project", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=63)
    made_by = models.CharField(max_length=150, blank=True, default="")
    #: The version that answers, or will when it starts again; an id in the registry.
    version_id = models.UUIDField()
    replicas = models.PositiveSmallIntegerField(default=1)
    engine = models.CharField(max_length=16, default="auto")
    #: How long a replaced revision lives on for the requests it has begun.
    drain_seconds = models.PositiveIntegerField(default=60)
    #: Requests that one gateway sends it at a time, and how many more may wait for their turn.
    at_once = models.PositiveIntegerField(default=512)
    queue = models.PositiveIntegerField(default=0)
    #: Unasked for so long it is taken down until the next request; null for never.
    sleep_after_seconds = models.PositiveIntegerField(null=True)
    #: Since when it does not answer; null while it does.
    down_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"],
                condition=~Q(phase="deleted"),
                name="deployment_name_once",
            )
        ]


class RevisionPhase(models.TextChoices):
    COMING = "coming"
    SERVING = "serving"
    RETIRED = "retired"
    FAILED = "failed"


class Revision(Tracked):
    """One version on so many replicas under one workload name; never changed, only replaced."""

    # Nobody looks at a revision by itself: the holder of its deployment's lease moves it.
    LIFECYCLE = Lifecycle(
        {
            RevisionPhase.COMING: (
                RevisionPhase.SERVING,
                RevisionPhase.RETIRED,
                RevisionPhase.FAILED,
            ),
            RevisionPhase.SERVING: (RevisionPhase.RETIRED,),
        },
        resting=frozenset(RevisionPhase),
    )

    project = models.ForeignKey("tenancy.Project", on_delete=models.PROTECT, related_name="+")
    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="revisions")
    number = models.PositiveIntegerField()
    replicas = models.PositiveSmallIntegerField()

    # Facts of the version, as they were when the revision was made: versions never change.
    version_id = models.UUIDField()
    reference = models.CharField(max_length=128)
    parent = models.CharField(max_length=63, blank=True, default="")
    base_uri = models.CharField(max_length=1024)
    adapter_uri = models.CharField(max_length=1024, blank=True, default="")
    context_length = models.PositiveIntegerField(default=0)
    capabilities = models.JSONField(default=list)

    #: Addresses that answer now.
    endpoints = models.JSONField(default=list)
    #: When it was last sent to the cluster, and when it first answered.
    sent_at = models.DateTimeField(null=True)
    served_at = models.DateTimeField(null=True)
    #: How often it crashed lately, and when it may be tried again.
    crashes = models.PositiveSmallIntegerField(default=0)
    crashed_at = models.DateTimeField(null=True)
    #: When the workload of a retired revision goes, and when it was gone.
    remove_at = models.DateTimeField(null=True)
    #: Until when its replicas' time is in the ledger; null while none answers.
    charged_until = models.DateTimeField(null=True)
    removed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["deployment", "number"], name="revision_number_once"),
            models.UniqueConstraint(
                fields=["deployment"], condition=Q(phase="serving"), name="one_revision_serves"
            ),
            models.UniqueConstraint(
                fields=["deployment"], condition=Q(phase="coming"), name="one_revision_comes"
            ),
        ]

    @property
    def workload_name(self) -> str:
        return f"serve-{self.deployment_id.hex[:12]}-{self.number}"

    def workload(self) -> Workload:
        inputs = {"base": self.base_uri}
        if self.adapter_uri:
            inputs["adapter"] = self.adapter_uri
        return Workload(
            name=self.workload_name,
            kind=Kind.SERVE,
            inputs=inputs,
            settings={"served_name": self.deployment.name, "engine": self.deployment.engine},
            submitted_at=self.created_at.timestamp(),
            replicas=self.replicas,
        )
