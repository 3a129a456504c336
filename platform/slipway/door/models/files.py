"""Files, and uploads that become files."""

from __future__ import annotations

from django.db import models

from slipway.core.lifecycle import Lifecycle
from slipway.core.models import Record, Tracked


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
