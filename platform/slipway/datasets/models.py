"""Datasets, their versions, who holds a version, and the errands run over versions."""

from __future__ import annotations

from django.db import models

from slipway.core.lifecycle import Lifecycle
from slipway.core.models import Record, Tracked


class Dataset(Record):
    """A named line of versions in a project."""

    project_id = models.UUIDField(db_index=True)
    name = models.CharField(max_length=63)
    description = models.TextField(blank=True, default="")
    made_by = models.CharField(max_length=150, blank=True, default="")
    #: In the bin since then: it can be brought back, and not be used meanwhile.
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project_id", "name"], name="dataset_name_once")
        ]


class Phase(models.TextChoices):
    DRAFT = "draft"  # waiting for its bytes: an upload, or a source to be named
    IMPORTING = "importing"  # the worker fetches the bytes
    CHECKING = "checking"  # the worker reads every row
    VALID = "valid"
    INVALID = "invalid"
    FAILED = "failed"  # the bytes could not be had
    PUBLISHED = "published"


class Version(Tracked):
    """One state of a dataset: filled once, checked, then published and never changed again."""

    LIFECYCLE = Lifecycle(
        arrows={
            Phase.DRAFT: (Phase.IMPORTING, Phase.CHECKING, Phase.FAILED),
            Phase.IMPORTING: (Phase.CHECKING, Phase.FAILED),
            Phase.CHECKING: (Phase.VALID, Phase.INVALID, Phase.FAILED),
            Phase.VALID: (Phase.PUBLISHED,),
        },
        resting=frozenset({Phase.DRAFT, Phase.VALID}),
    )

    project_id = models.UUIDField(db_index=True)
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="+")
    number = models.PositiveIntegerField()
    note = models.TextField(blank=True, default="")
    made_by = models.CharField(max_length=150, blank=True, default="")

    #: Where the bytes come from: {"kind": "upload" | "path" | "url" | "split" | "corrected" |
    #: "edited", …}.
    source = models.JSONField(default=dict)
    #: Object keys; empty until there is such an object. The canonical file of an invalid version
    #: is its corrected file.
    source_key = models.CharField(max_length=512, blank=True, default="")
    canonical_key = models.CharField(max_length=512, blank=True, default="")
    index_key = models.CharField(max_length=512, blank=True, default="")
    faults_key = models.CharField(max_length=512, blank=True, default="")

    upload_id = models.CharField(max_length=512, blank=True, default="")
    upload_size_bytes = models.PositiveBigIntegerField(default=0)
    upload_part_bytes = models.PositiveBigIntegerField(default=0)

    #: As named by the owner, empty for detection; then as found.
    format = models.CharField(max_length=16, blank=True, default="")
    kind = models.CharField(max_length=8, blank=True, default="")
    #: How far a long step has come; both are 0 before it and final after it.
    bytes_done = models.PositiveBigIntegerField(default=0)
    rows_done = models.PositiveBigIntegerField(default=0)

    rows = models.PositiveBigIntegerField(default=0)
    size_bytes = models.PositiveBigIntegerField(default=0)
    #: Of the canonical file, lower-case hex.
    sha256 = models.CharField(max_length=64, blank=True, default="")
    fault_count = models.PositiveBigIntegerField(default=0)
    faulty_rows = models.PositiveBigIntegerField(default=0)
    dropped_rows = models.PositiveBigIntegerField(default=0)
    warning_count = models.PositiveBigIntegerField(default=0)
    faults_by_rule = models.JSONField(default=dict)
    statistics = models.JSONField(default=dict)
    checked_at = models.DateTimeField(null=True)
    published_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "number"], name="version_number_once")
        ]


class Hold(Record):
    """Something that needs a version, in words; while it is there the version is not deleted."""

    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="holds")
    holder = models.CharField(max_length=200)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "holder"], name="hold_once")]


class ErrandPhase(models.TextChoices):
    QUEUED = "queued"
    DONE = "done"
    FAILED = "failed"


ERRAND = Lifecycle(arrows={ErrandPhase.QUEUED: (ErrandPhase.DONE, ErrandPhase.FAILED)})


class Export(Tracked):
    """A version written out in a format, kept so that it is made once."""

    LIFECYCLE = ERRAND

    project_id = models.UUIDField(db_index=True)
    version = models.ForeignKey(Version, on_delete=models.CASCADE, related_name="+")
    format = models.CharField(max_length=16)
    key = models.CharField(max_length=512, blank=True, default="")
    rows = models.PositiveBigIntegerField(default=0)
    size_bytes = models.PositiveBigIntegerField(default=0)
    #: What the format has no place for; the first few.
    faults = models.JSONField(default=list)


class LeakCheck(Tracked):
    """Rows of one version that are (nearly) in another."""

    LIFECYCLE = ERRAND

    project_id = models.UUIDField(db_index=True)
    version = models.ForeignKey(Version, on_delete=models.CASCADE, related_name="+")
    other = models.ForeignKey(Version, on_delete=models.CASCADE, related_name="+")
    #: Jaccard similarity of character 5-grams from which two rows are a pair.
    threshold = models.FloatField()
    #: What is compared: the questions of a row, or all of it.
    scope = models.CharField(max_length=8)
    pair_count = models.PositiveBigIntegerField(default=0)
    leaking_rows = models.PositiveBigIntegerField(default=0)
    pairs = models.JSONField(default=list)
