"""Open projects, add people, issue and check keys."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from slipway.core.errors import Forbidden, NotFound
from slipway.tenancy.models import ApiKey, Membership, Organisation, Project, Role, User

KEY_PREFIX = "sk-slip-"
_LENT_PREFIX = f"{KEY_PREFIX}lent-"
_RANK = {Role.READER: 0, Role.OPERATOR: 1, Role.OWNER: 2}


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who is asking: one project, what the credential may do there, and who stands behind it."""

    project_id: UUID
    role: str
    user_id: int
    user_name: str
    key_id: UUID | None = None

    #: DRF asks its `request.user` this.
    is_authenticated: bool = True

    def may(self, role: str) -> bool:
        return _RANK[Role(self.role)] >= _RANK[Role(role)]


@dataclass(frozen=True, kw_only=True)
class KeyFact:
    """What the gateway must know of a key; `digest` is what it looks the key up by."""

    id: UUID
    digest: str
    project_id: UUID
    user_id: int
    role: str
    expires_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class IssuedKey:
    """A new key with its secret, which is never to be seen again."""

    key: ApiKey
    secret: str


@dataclass(frozen=True, kw_only=True)
class ProjectFact:
    id: UUID
    name: str
    organisation: str


def open_project(*, organisation: str, name: str) -> Project:
    """The project of that name, made if it is not there."""
    owner, _ = Organisation.objects.get_or_create(name=organisation)
    project, _ = Project.objects.get_or_create(organisation=owner, name=name)
    return project


@transaction.atomic
def ensure_member(*, user_name: str, password: str, project_id: UUID, role: str) -> User:
    """A person with this password and role in the project; makes or updates as needed."""
    user, _ = User.objects.get_or_create(username=user_name)
    if not user.check_password(password):
        user.set_password(password)
        user.save(update_fields=["password"])
    Membership.objects.update_or_create(user=user, project_id=project_id, defaults={"role": role})
    return user


def first_owner(*, user_name: str, password: str, project_id: UUID) -> User:
    """The owner a fresh installation starts with; one that exists keeps their own password."""
    user = User.objects.filter(username=user_name).first()
    return user or ensure_member(
        user_name=user_name, password=password, project_id=project_id, role=Role.OWNER
    )


def principal_of(*, user: User, project_id: UUID | None = None) -> Principal:
    """Who this signed-in person is in the project named, or in their first one."""
    memberships = Membership.objects.filter(user=user).order_by("created_at", "pk")
    if project_id is not None:
        memberships = memberships.filter(project_id=project_id)
    membership = memberships.first()
    if membership is None:
        raise Forbidden("You belong to no project yet; ask an owner of one to add you.")
    return Principal(
        project_id=membership.project_id,
        role=membership.role,
        user_id=user.pk,
        user_name=user.username,
    )


def project_fact(*, project_id: UUID) -> ProjectFact:
    project = Project.objects.select_related("organisation").get(pk=project_id)
    return ProjectFact(id=project.pk, name=project.name, organisation=project.organisation.name)


def projects_of(*, principal: Principal) -> list[ProjectFact]:
    """Projects the person behind the credential belongs to; a key sees its own only."""
    if principal.key_id is not None:
        return [project_fact(project_id=principal.project_id)]
    rows = Membership.objects.filter(user_id=principal.user_id).order_by("created_at", "pk")
    return [project_fact(project_id=row.project_id) for row in rows]


def issue_key(
    *, maker: Principal, name: str, role: str = Role.OPERATOR, expires_at: datetime | None = None
) -> IssuedKey:
    """A new key for the maker's project; it can never do more than its maker."""
    if not maker.may(role):
        raise Forbidden(f"A {maker.role} cannot make a key with the role {role}.")
    secret = KEY_PREFIX + secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        project_id=maker.project_id,
        made_by_id=maker.user_id,
        name=name,
        role=role,
        digest=digest_of(secret),
        redacted=f"{secret[:12]}…{secret[-4:]}",
        expires_at=expires_at,
    )
    return IssuedKey(key=key, secret=secret)


def revoke_key(*, maker: Principal, key_id: UUID, now: datetime) -> None:
    key = ApiKey.objects.filter(pk=key_id, project_id=maker.project_id).first()
    if key is None:
        raise NotFound("There is no such key in this project.")
    if not maker.may(key.role):
        raise Forbidden(f"A {maker.role} cannot revoke a key with the role {key.role}.")
    ApiKey.objects.filter(pk=key_id, revoked_at=None).update(revoked_at=now)


def lend(*, key_id: UUID, until: datetime, now: datetime) -> str | None:
    """A secret that stands for this key until then, for work done on its behalf later.

    What is asked with it is allowed, limited and billed as the key's own, and ends with the key.
    None if the key is not in force.
    """
    key = _live_keys(now).filter(pk=key_id).first()
    if key is None:
        return None
    text = f"{key.digest}-{int(until.timestamp())}"
    return f"{_LENT_PREFIX}{text}-{_lent_signature(text)}"


def _lent_signature(text: str) -> str:
    return hmac.new(_pepper(), b"lent\0" + text.encode(), hashlib.sha256).hexdigest()


def _lender(secret: str) -> str:
    """Digest of the key that a lent secret stands for; empty if it is not ours, or no longer."""
    text, _, signature = secret.removeprefix(_LENT_PREFIX).rpartition("-")
    digest, _, until = text.partition("-")
    ours = hmac.compare_digest(signature.encode(), _lent_signature(text).encode())
    return digest if ours and int(until) > time.time() else ""


def digest_of(secret: str) -> str:
    """What the key is stored under: HMAC-SHA256 of its secret.

    Keys carry 256 random bits, so no slow hash is needed. A lent secret gives its lender's.
    """
    if secret.startswith(_LENT_PREFIX):
        return _lender(secret)
    return hmac.new(_pepper(), secret.encode(), hashlib.sha256).hexdigest()


def _pepper() -> bytes:
    return hashlib.sha256(b"slipway api keys\0" + settings.SECRET_KEY.encode()).digest()


def check_key(*, secret: str, now: datetime) -> Principal | None:
    """The principal a key stands for, or None if it is unknown, expired or revoked."""
    key = _live_keys(now).filter(digest=digest_of(secret)).select_related("made_by").first()
    if key is None:
        return None
    return Principal(
        project_id=key.project_id,
        role=key.role,
        user_id=key.made_by_id,
        user_name=key.made_by.username,
        key_id=key.pk,
    )


def live_keys(*, now: datetime) -> Iterator[KeyFact]:
    """Every key in force, for the gateway's snapshot."""
    for key in _live_keys(now).order_by("pk").iterator():
        yield KeyFact(
            id=key.pk,
            digest=key.digest,
            project_id=key.project_id,
            user_id=key.made_by_id,
            role=key.role,
            expires_at=key.expires_at,
        )


def note_key_use(*, key_ids: set[UUID], now: datetime) -> None:
    """Remember when keys were last used; called in bulk, never per request."""
    ApiKey.objects.filter(pk__in=key_ids).update(last_used_at=now)


def _live_keys(now: datetime):  # type: ignore[no-untyped-def]  # Django's queryset types are not installed
    return ApiKey.objects.filter(revoked_at=None).filter(Q(expires_at=None) | Q(expires_at__gt=now))
