"""Organisations hold projects; people belong to projects with a role; keys act for one project."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models

from slipway.core.models import Record


class Role(models.TextChoices):
    """What a member may do in a project; each includes the ones below it."""

    OWNER = "owner"
    OPERATOR = "operator"
    READER = "reader"


class Organisation(Record):
    name = models.CharField(max_length=63, unique=True)


class Project(Record):
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=63)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "name"], name="project_name_once")
        ]


class User(AbstractUser):
    """A person; signs in with user name and password."""


class Membership(Record):
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    role = models.CharField(max_length=16, choices=Role, default=Role.READER)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "project"], name="member_once"),
        ]


class ApiKey(Record):
    """A credential for programs; only its HMAC is stored, the secret is shown once."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    made_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=63)
    role = models.CharField(max_length=16, choices=Role, default=Role.OPERATOR)
    #: HMAC-SHA256 of the whole secret under a key derived from SECRET_KEY, lower-case hex.
    digest = models.CharField(max_length=64, unique=True)
    #: First and last characters, enough for a person to tell keys apart.
    redacted = models.CharField(max_length=32)
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
