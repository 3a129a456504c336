"""The chain of entries and its signed digests; rows are added and never changed."""

from __future__ import annotations

from django.db import models


class Entry(models.Model):
    """One change, or one that was asked for, linked to the entry before it by its hash."""

    #: 1, 2, 3 … without a gap.
    number = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField(db_index=True)
    #: All that the hash covers, as canonical JSON text; the columns below repeat parts of it.
    body = models.TextField()
    #: SHA-256 over the hash before and `body`, lower-case hex.
    hash = models.CharField(max_length=64)
    organisation_id = models.UUIDField(null=True)
    project_id = models.UUIDField(null=True)
    actor = models.CharField(max_length=160)
    action = models.CharField(max_length=160)
    subject = models.CharField(max_length=200)
    request_id = models.CharField(max_length=64)

    class Meta:
        indexes = [
            models.Index(fields=["project_id", "number"], name="audit_by_project"),
            models.Index(fields=["organisation_id", "number"], name="audit_by_organisation"),
        ]


class Head(models.Model):
    """Where the chain ends; its one row is the lock that puts entries in order."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    number = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, default="0" * 64)


class Digest(models.Model):
    """The end of the chain at one moment, signed: proof against cutting off what came before."""

    number = models.BigIntegerField(primary_key=True)
    hash = models.CharField(max_length=64)
    at = models.DateTimeField()
    #: Ed25519 over `number hash at`, hex.
    signature = models.CharField(max_length=128)
