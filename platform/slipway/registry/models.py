"""Models and their immutable versions, who holds them, what they are called, and their exports."""

from __future__ import annotations

from django.db import models

from slipway.core.lifecycle import Lifecycle
from slipway.core.models import Record, Tracked


class Model(Record):
    """A name in a project under which versions are counted."""

    project = models.ForeignKey("tenancy.Project", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=63)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="model_name_once"),
        ]


class Kind(models.TextChoices):
    """What the files are: a whole model, or a LoRA adapter upon one."""

    FULL = "full"
    ADAPTER = "adapter"


class VersionPhase(models.TextChoices):
    IMPORTING = "importing"
    READY = "ready"
    REFUSED = "refused"
    FAILED = "failed"
    #: Can be brought back, and not be used meanwhile.
    BINNED = "binned"
    DELETING = "deleting"
    DELETED = "deleted"


class ModelVersion(Tracked):
    """One immutable set of files; nobody may use it before it is ready."""

    LIFECYCLE = Lifecycle(
        {
            VersionPhase.IMPORTING: (
                VersionPhase.READY,
                VersionPhase.REFUSED,
                VersionPhase.FAILED,
                VersionPhase.DELETING,
            ),
            VersionPhase.READY: (VersionPhase.BINNED, VersionPhase.DELETING),
            VersionPhase.BINNED: (VersionPhase.READY, VersionPhase.DELETING),
            VersionPhase.REFUSED: (VersionPhase.DELETING,),
            VersionPhase.FAILED: (VersionPhase.DELETING,),
            VersionPhase.DELETING: (VersionPhase.DELETED,),
        },
        resting=frozenset(
            {VersionPhase.READY, VersionPhase.BINNED, VersionPhase.REFUSED, VersionPhase.FAILED}
        ),
    )

    project = models.ForeignKey("tenancy.Project", on_delete=models.PROTECT, related_name="+")
    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.FULL)
    base = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="adapters")

    binned_at = models.DateTimeField(null=True)

    #: Where the files come from: `{"from": "directory" | "upload" | "prefix", …}`.
    source = models.JSONField(default=dict)
    #: SHA-256 by file that whoever made the files says they have; checked on arrival.
    expected = models.JSONField(default=dict)
    #: Path to `{"size_bytes", "sha256"}`; grows during the import.
    files = models.JSONField(default=dict)
    #: What is wrong, as details of a refusal; what is merely worth knowing, as sentences.
    faults = models.JSONField(default=list)
    notices = models.JSONField(default=list)

    # Read from the files.
    architecture = models.CharField(max_length=128, blank=True, default="")
    dtype = models.CharField(max_length=16, blank=True, default="")
    licence = models.CharField(max_length=128, blank=True, default="")
    parameters = models.BigIntegerField(default=0)
    size_bytes = models.BigIntegerField(default=0)
    context_length = models.PositiveIntegerField(default=0)
    vocabulary_size = models.PositiveIntegerField(default=0)
    hidden_size = models.PositiveIntegerField(default=0)
    layers = models.PositiveIntegerField(default=0)
    template_sha256 = models.CharField(max_length=64, blank=True, default="")
    #: Over the sorted lines `<sha256 of file>  <path>`: names the version's content.
    sha256 = models.CharField(max_length=64, blank=True, default="")
    #: What can be asked of it: `completions`, `chat`, `system`, `tools`; or `embedding`.
    capabilities = models.JSONField(default=list)
    #: For an adapter: rank, alpha, targets.
    adapter = models.JSONField(default=dict)

    # Where it was made; empty for what was brought from outside.
    #: Names the result of a job once: a job that reports twice makes one version.
    made_key = models.CharField(max_length=64, null=True, unique=True)  # noqa: DJ001 - null: many
    job_id = models.UUIDField(null=True)
    dataset_version_id = models.UUIDField(null=True)
    tracking_run = models.CharField(max_length=64, blank=True, default="")
    metrics = models.JSONField(default=dict)
    #: What would make it again: settings of the job as they were.
    recipe = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["model", "number"], name="model_version_number_once"),
        ]

    @property
    def prefix(self) -> str:
        """Key below which the files lie; the name of the directory, without a final slash."""
        return f"projects/{self.project_id}/models/{self.pk}"


class Alias(Record):
    """A movable name for a version, such as `production`."""

    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="aliases")
    name = models.CharField(max_length=63)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="aliases")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["model", "name"], name="alias_once")]


class Hold(Record):
    """Someone needs this version; it cannot be deleted until they let go."""

    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="holds")
    #: Who, by key (`deployment:<uuid>`), and in words a user knows.
    holder = models.CharField(max_length=128, db_index=True)
    label = models.CharField(max_length=255)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "holder"], name="held_once")]


class MirrorPhase(models.TextChoices):
    WAITING = "waiting"
    WRITTEN = "written"
    REMOVING = "removing"
    REMOVED = "removed"


class Mirror(Tracked):
    """A ready version's entry in the tracker's own registry, written as soon as it can be."""

    LIFECYCLE = Lifecycle(
        {
            MirrorPhase.WAITING: (MirrorPhase.WRITTEN, MirrorPhase.REMOVED),
            MirrorPhase.WRITTEN: (MirrorPhase.REMOVING,),
            MirrorPhase.REMOVING: (MirrorPhase.REMOVED,),
        },
        resting=frozenset({MirrorPhase.WRITTEN}),
    )

    version = models.OneToOneField(ModelVersion, on_delete=models.CASCADE, related_name="mirror")
    #: The number that the tracker gave it.
    number = models.CharField(max_length=32, blank=True, default="")


class Form(models.TextChoices):
    """In which form weights are taken away."""

    AS_IS = "as_is"
    MERGED = "merged"


class ExportPhase(models.TextChoices):
    MAKING = "making"
    READY = "ready"
    FAILED = "failed"


class Export(Tracked):
    """One tar of a version's files with a manifest of hashes and a lineage card."""

    LIFECYCLE = Lifecycle(
        {ExportPhase.MAKING: (ExportPhase.READY, ExportPhase.FAILED)},
    )

    project = models.ForeignKey("tenancy.Project", on_delete=models.PROTECT, related_name="+")
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="exports")
    form = models.CharField(max_length=8, choices=Form, default=Form.AS_IS)
    size_bytes = models.BigIntegerField(default=0)
    #: Of the whole tar.
    sha256 = models.CharField(max_length=64, blank=True, default="")
    #: Path in the tar to `{"size_bytes", "sha256"}`.
    files = models.JSONField(default=dict)

    @property
    def key(self) -> str:
        return f"projects/{self.project_id}/exports/{self.pk}.tar"


class Upload(Record):
    """An archive on its way into the store, in parts, by signed addresses."""

    project = models.ForeignKey("tenancy.Project", on_delete=models.PROTECT, related_name="+")
    filename = models.CharField(max_length=255)
    size_bytes = models.BigIntegerField()
    part_bytes = models.BigIntegerField()
    #: The store's own name for the upload.
    store_id = models.CharField(max_length=255)
    finished_at = models.DateTimeField(null=True)

    @property
    def key(self) -> str:
        return f"projects/{self.project_id}/uploads/models/{self.pk}"
