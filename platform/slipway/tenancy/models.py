"""Organisations hold projects; people and groups have roles in them; keys act for one project."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q

from slipway.core.models import Record


class Role(models.TextChoices):
    """Ready-made roles, each including the ones below it; `custom` names one of one's own."""

    #: Everything in the project, the organisation and (for its makers) the platform.
    ADMIN = "admin"
    OWNER = "owner"
    OPERATOR = "operator"
    READER = "reader"
    CUSTOM = "custom"


class Organisation(Record):
    name = models.CharField(max_length=63, unique=True)
    #: People come in through one of the organisation's identity providers, or not at all.
    requires_sign_on = models.BooleanField(default=False)
    #: A password alone does not let anybody in.
    requires_second_factor = models.BooleanField(default=False)


class Project(Record):
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=63)
    #: In the bin since then: nothing in it can be reached or called until it is restored.
    archived_at = models.DateTimeField(null=True)
    #: Kind to days, of what it keeps shorter than the installation: see services/retention.py.
    retention = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "name"], name="project_name_once")
        ]


class User(AbstractUser):
    """A person, who signs in with a password, or a service account, which never does.

    `is_superuser` marks an administrator of the platform.
    """

    #: Set for a service account: the project it belongs to.
    serves = models.ForeignKey(Project, null=True, on_delete=models.CASCADE, related_name="+")
    #: The address whose letter they answered: where a forgotten password is reset by. `email` is
    #: only what somebody said.
    proved_email = models.EmailField(max_length=150, blank=True, default="", db_index=True)


class Group(Record):
    """People of an organisation who get roles together."""

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=255)
    people = models.ManyToManyField(User, related_name="+")
    #: What the directory that provisions it calls it; empty for one made here.
    external_id = models.CharField(max_length=255, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "name"], name="group_name_once")
        ]


class CustomRole(Record):
    """A role of an organisation's own making: a level per module."""

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=63)
    #: Module to `read`, `operate` or `full`; what is not named is not allowed.
    levels = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "name"], name="custom_role_name_once")
        ]


class _HasRole:
    """A row with `role` and `custom_role`."""

    @property
    def role_name(self) -> str:
        """The ready-made role, or the name of the organisation's own."""
        given: Any = self
        return str(given.custom_role.name if given.custom_role else given.role)


class Membership(_HasRole, Record):
    """A person or a group has a role in one project, or in all of an organisation."""

    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")
    group = models.ForeignKey(Group, null=True, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(Project, null=True, on_delete=models.CASCADE, related_name="+")
    organisation = models.ForeignKey(
        Organisation, null=True, on_delete=models.CASCADE, related_name="+"
    )
    role = models.CharField(max_length=16, choices=Role, default=Role.READER)
    custom_role = models.ForeignKey(
        CustomRole, null=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "project"], name="member_once"),
            models.UniqueConstraint(fields=["group", "project"], name="group_in_project_once"),
            models.UniqueConstraint(
                fields=["user", "organisation"], name="organisation_member_once"
            ),
            models.UniqueConstraint(
                fields=["group", "organisation"], name="group_in_organisation_once"
            ),
            models.CheckConstraint(
                condition=Q(user=None) ^ Q(group=None), name="member_is_person_or_group"
            ),
            models.CheckConstraint(
                condition=Q(project=None) ^ Q(organisation=None), name="member_of_one_place"
            ),
            models.CheckConstraint(
                condition=Q(role=Role.CUSTOM) ^ Q(custom_role=None), name="custom_role_named"
            ),
        ]


class Invite(_HasRole, Record):
    """A way in for somebody who may have no account yet; only the token's HMAC is stored."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    email = models.EmailField()
    role = models.CharField(max_length=16, choices=Role)
    custom_role = models.ForeignKey(
        CustomRole, null=True, on_delete=models.CASCADE, related_name="+"
    )
    invited_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)


class ApiKey(Record):
    """A credential for programs; only its HMAC is stored, the secret is shown once."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    #: Whom it acts as, a person or a service account: it can never do more than they can now.
    made_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=63)
    #: What it may do at most; `custom` reads it from `scopes`.
    role = models.CharField(max_length=16, choices=Role, default=Role.OPERATOR)
    #: Module to level, as in CustomRole.
    scopes = models.JSONField(default=dict)
    #: Networks it may be used from (`10.0.0.0/8`); empty for anywhere.
    networks = models.JSONField(default=list)
    #: HMAC-SHA256 of the whole secret under a key derived from SECRET_KEY, lower-case hex.
    digest = models.CharField(max_length=64, unique=True)
    #: First and last characters, enough for a person to tell keys apart.
    redacted = models.CharField(max_length=32)
    rotated_from = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="+")
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)


class SignedIn(Record):
    """A browser's session as its person sees it; without its row a session is over."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    address = models.CharField(max_length=45)
    #: What the browser says it is.
    agent = models.CharField(max_length=300, blank=True, default="")
    seen_at = models.DateTimeField()


class SignInFailure(Record):
    """A wrong password: who was tried (HMAC of the name) and from where."""

    name_digest = models.CharField(max_length=64)
    address = models.CharField(max_length=45)

    class Meta:
        indexes = [
            models.Index(fields=["name_digest", "created_at"], name="failures_of_a_name"),
            models.Index(fields=["address", "created_at"], name="failures_from_an_address"),
        ]


class ProviderKind(models.TextChoices):
    OIDC = "oidc"
    LDAP = "ldap"
    SAML = "saml"


class IdentityProvider(Record):
    """Who answers for people of an organisation, by OpenID Connect, LDAP or SAML."""

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=63)
    kind = models.CharField(max_length=8, choices=ProviderKind)
    #: What its kind asks for, nothing secret: see services/signon/providers.py.
    settings = models.JSONField(default=dict)
    #: Client secret or bind password, sealed; empty for none.
    secret = models.TextField(blank=True, default="")
    #: Its name of a group to the id of ours that mirrors it.
    groups = models.JSONField(default=dict)
    #: What who comes in for the first time may do in the whole organisation; empty for nothing.
    default_role = models.CharField(max_length=16, choices=Role, blank=True, default="")
    enabled = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "name"], name="provider_name_once")
        ]


class SignOnDomain(Record):
    """Mail addresses below it belong to people of one provider, once that is proved."""

    name = models.CharField(max_length=253)
    provider = models.ForeignKey(IdentityProvider, on_delete=models.CASCADE, related_name="domains")
    #: Empty while it is only claimed, which anybody may do.
    proved_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "name"], name="domain_claimed_once"),
            models.UniqueConstraint(
                fields=["name"], condition=Q(proved_at__isnull=False), name="domain_proved_once"
            ),
        ]


class Identity(Record):
    """A person as a provider knows them: its own lasting name for them, never the mail address."""

    provider = models.ForeignKey(IdentityProvider, on_delete=models.CASCADE, related_name="+")
    subject = models.CharField(max_length=255)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "subject"], name="identity_once")
        ]


class SamlAnswer(Record):
    """An assertion that held: never taken again, and only by the browser that asked for it."""

    provider = models.ForeignKey(IdentityProvider, on_delete=models.CASCADE, related_name="+")
    #: Its own id, and the one of the request it answers.
    assertion = models.CharField(max_length=255)
    request = models.CharField(max_length=64)
    #: SHA-256 of what the browser is sent on with.
    code = models.CharField(max_length=64, unique=True)
    #: The fields of `Seen`, until it is taken.
    seen = models.JSONField(default=dict)
    proved_at = models.DateTimeField()
    taken_at = models.DateTimeField(null=True)
    #: From then on it would be refused for its age alone.
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "assertion"], name="assertion_once")
        ]


class FactorKind(models.TextChoices):
    TOTP = "totp"
    PASSKEY = "passkey"


class Factor(Record):
    """Something a person has beside their password."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=8, choices=FactorKind)
    name = models.CharField(max_length=63)
    #: The key of one-time passwords, or the credential of a passkey; sealed.
    secret = models.TextField()
    #: What a passkey calls itself, base64url; empty for one-time passwords.
    credential_id = models.CharField(max_length=1400, blank=True, default="", db_index=True)
    #: The last time step, or signature counter, that was taken: none counts twice.
    counter = models.BigIntegerField(default=0)
    #: Empty until its person has shown that it works.
    confirmed_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)


class RecoveryCode(Record):
    """Lets a person in once who lost what they had; only its HMAC is stored."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64)
    used_at = models.DateTimeField(null=True)


class ScimToken(Record):
    """Lets a directory provision people and groups of an organisation; only its HMAC is stored."""

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=63)
    digest = models.CharField(max_length=64, unique=True)
    redacted = models.CharField(max_length=32)
    expires_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)


class Provisioned(Record):
    """A person as a directory describes them; the account is the organisation's to end."""

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    #: In small letters: SCIM compares it so.
    user_name = models.CharField(max_length=255)
    external_id = models.CharField(max_length=255, blank=True, default="", db_index=True)
    #: The resource as SCIM draws it, without id, meta, groups and password.
    data = models.JSONField(default=dict)
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "user_name"], name="provisioned_name_once"
            )
        ]
