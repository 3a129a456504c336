"""Keys: issued once, checked on every request, rotated with an overlap, revoked at once."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from slipway.core.errors import Conflict, Detail, Forbidden, Invalid, NotFound
from slipway.tenancy.models import ApiKey, Membership, Project, Role, User
from slipway.tenancy.rules.secrets import KEY_PREFIX, LENT_PREFIX
from slipway.tenancy.services import entry, grants
from slipway.tenancy.services.grants import Level, Levels
from slipway.tenancy.services.principals import Principal, levels_of, principal_in


@dataclass(frozen=True, kw_only=True)
class KeyFact:
    """What the gateway must know of a key; `digest` is what it looks the key up by."""

    id: UUID
    digest: str
    project_id: UUID
    organisation_id: UUID
    user_id: int
    role: str
    expires_at: datetime | None
    networks: tuple[str, ...]
    #: Whether it may call models: its scopes say so, and its maker may.
    may_call: bool


@dataclass(frozen=True, kw_only=True)
class IssuedKey:
    """A new key with its secret, which is never to be seen again."""

    key: ApiKey
    secret: str


def issue_key(
    *,
    maker: Principal,
    name: str,
    role: str = Role.OPERATOR,
    scopes: Mapping[str, str] | None = None,
    networks: Sequence[str] = (),
    expires_at: datetime | None = None,
    service_account_id: int | None = None,
) -> IssuedKey:
    """A new key for the maker's project; it can never do more than its maker.

    `scopes` (module to level) make a key of the role `custom`. A key for a service account acts
    with the account's rights instead of its maker's. Forbidden if that goes too far.
    """
    stored = grants.checked(scopes, field="scopes") if scopes else {}
    role = Role.CUSTOM if stored else role
    if role == Role.CUSTOM and not stored:
        raise Invalid(
            "A custom key needs scopes.",
            Detail(field="scopes", rule="module to level", fix='{"inference": "operate"}'),
        )
    wanted = grants.levels_of_role(role, stored)
    wide = any(wanted.get(name, Level.NONE) > Level.READ for name in grants.BEYOND_PROJECT)
    if maker.key_id is None and maker.shown is not None and wide:
        entry.check_fresh(seen=maker.shown, now=timezone.now())
    if role == Role.ADMIN and not maker.allows("platform", Level.READ):
        # The owner of an organisation makes such keys too; they reach as far as their maker.
        wanted = {**wanted, "platform": Level.NONE}
    if service_account_id is None:
        maker.check_grant(wanted, what="a key")
    else:
        account = User.objects.filter(pk=service_account_id, serves_id=maker.project_id).first()
        if account is None:
            raise NotFound("There is no such service account in this project.")
        project = Project.objects.get(pk=maker.project_id)
        own = principal_in(user=account, project=project)
        own.check_grant(wanted, what="a key of this service account")
        maker.check_grant(wanted, what="a key")
    return _store(
        project_id=maker.project_id,
        made_by_id=service_account_id or maker.user_id,
        name=name,
        role=role,
        scopes=stored,
        networks=_networks(networks),
        expires_at=expires_at,
    )


@dataclass(frozen=True, kw_only=True)
class Expiring:
    """A key in use that will end soon."""

    id: UUID
    name: str
    project_id: UUID
    organisation_id: UUID
    expires_at: datetime


def expiring_keys(*, after: datetime, before: datetime) -> Iterator[Expiring]:
    """Keys that end between the two, unless they were made to end that soon."""
    rows = ApiKey.objects.filter(
        revoked_at=None, expires_at__gt=after, expires_at__lt=before, rotated_from=None
    )
    for row in rows.select_related("project").order_by("expires_at", "pk"):
        if row.expires_at - row.created_at > before - after:
            yield Expiring(
                id=row.pk, name=row.name, project_id=row.project_id, expires_at=row.expires_at,
                organisation_id=row.project.organisation_id,
            )  # fmt: skip


def _store(**fields: object) -> IssuedKey:
    secret = KEY_PREFIX + secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        digest=digest_of(secret), redacted=f"{secret[:12]}…{secret[-4:]}", **fields
    )
    return IssuedKey(key=key, secret=secret)


def _networks(given: Sequence[str]) -> list[str]:
    found = []
    for index, text in enumerate(given):
        try:
            found.append(str(ipaddress.ip_network(text, strict=False)))
        except ValueError as error:
            raise Invalid(
                f"{text!r} is no network.",
                Detail(field=f"networks[{index}]", rule="an address or network", value=text,
                       fix="such as 10.0.0.0/8 or 192.0.2.7"),
            ) from error  # fmt: skip
    return found


def rotate_key(*, maker: Principal, key_id: UUID, overlap: timedelta, now: datetime) -> IssuedKey:
    """A new secret with the same rights; the old one works until the overlap is over."""
    with transaction.atomic():
        key = _own_key(maker, key_id)
        if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
            raise Conflict("This key is revoked or expired; make a new one instead.")
        issued = _store(
            project_id=key.project_id,
            made_by_id=key.made_by_id,
            name=key.name,
            role=key.role,
            scopes=key.scopes,
            networks=key.networks,
            expires_at=key.expires_at,
            rotated_from=key,
        )
        ends = now + overlap
        if key.expires_at is None or key.expires_at > ends:
            ApiKey.objects.filter(pk=key.pk).update(expires_at=ends)
    return issued


def revoke_key(*, maker: Principal, key_id: UUID, now: datetime) -> None:
    _own_key(maker, key_id)
    ApiKey.objects.filter(pk=key_id, revoked_at=None).update(revoked_at=now)


def _own_key(maker: Principal, key_id: UUID) -> ApiKey:
    key = ApiKey.objects.filter(pk=key_id, project_id=maker.project_id).first()
    if key is None:
        raise NotFound("There is no such key in this project.")
    # Anybody may end their own key; another's only who could have made it.
    if key.made_by_id != maker.user_id and grants.excess(_scopes(key), maker.levels):
        raise Forbidden(f"This key may do more ({key.role}) than you ({maker.role}).")
    return key


def key_of(*, project_id: UUID, key_id: UUID) -> ApiKey:
    """A key of the project with its maker; NotFound otherwise."""
    key = ApiKey.objects.filter(pk=key_id, project_id=project_id).select_related("made_by").first()
    if key is None:
        raise NotFound("There is no such key in this project.")
    return key


def lend(*, key_id: UUID, until: datetime, now: datetime) -> str | None:
    """A secret that stands for this key until then, for work done on its behalf later.

    What is asked with it is allowed, limited and billed as the key's own, and ends with the key. It
    may be used from anywhere: the work was asked for from where the key may be. None if the key is
    not in force.
    """
    key = _live_keys(now).filter(pk=key_id).first()
    if key is None:
        return None
    text = f"{key.digest}-{int(until.timestamp())}"
    return f"{LENT_PREFIX}{text}-{_lent_signature(text)}"


def _lent_signature(text: str) -> str:
    return hmac.new(_pepper(), b"lent\0" + text.encode(), hashlib.sha256).hexdigest()


def _lender(secret: str) -> str:
    """Digest of the key that a lent secret stands for; empty if it is not ours, or no longer."""
    text, _, signature = secret.removeprefix(LENT_PREFIX).rpartition("-")
    digest, _, until = text.partition("-")
    ours = hmac.compare_digest(signature.encode(), _lent_signature(text).encode())
    return digest if ours and int(until) > time.time() else ""


def digest_of(secret: str) -> str:
    """What the key is stored under: HMAC-SHA256 of its secret.

    Keys carry 256 random bits, so no slow hash is needed. A lent secret gives its lender's.
    """
    if secret.startswith(LENT_PREFIX):
        return _lender(secret)
    return hmac.new(_pepper(), secret.encode(), hashlib.sha256).hexdigest()


def _pepper() -> bytes:
    return hashlib.sha256(b"slipway api keys\0" + settings.SECRET_KEY.encode()).digest()


def scopes_of(*, key_id: UUID) -> Levels:
    """What a key may do at most."""
    return _scopes(ApiKey.objects.get(pk=key_id))


def _scopes(key: ApiKey) -> Levels:
    return grants.levels_of_role(key.role, key.scopes)


def has_key(*, project_id: UUID, key_id: UUID) -> bool:
    """Whether the project has this key, in force or not."""
    return ApiKey.objects.filter(pk=key_id, project_id=project_id).exists()


def digests_of(*, key_ids: Iterable[UUID]) -> list[str]:
    """What these keys are stored under, in force or not."""
    return list(ApiKey.objects.filter(pk__in=list(key_ids)).values_list("digest", flat=True))


def live_keys(*, now: datetime, key_ids: Iterable[UUID] | None = None) -> Iterator[KeyFact]:
    """Every key in force (of these), for the gateway's snapshot; a fixed number of queries, and
    plain tuples, for they may be a hundred thousand."""
    callers = _callers()
    ready_made = {
        role: grants.levels_of_role(role).get("inference", Level.NONE) >= Level.OPERATE
        for role in Role.values
        if role != Role.CUSTOM
    }
    live = _live_keys(now)
    if key_ids is not None:
        live = live.filter(pk__in=list(key_ids))
    rows = live.order_by("pk").values_list(
        "pk", "digest", "project_id", "project__organisation_id", "made_by_id",
        "made_by__is_superuser", "role", "scopes", "expires_at", "networks",
    )  # fmt: skip
    for pk, digest, project, organisation, maker, everywhere, role, scopes, ends, nets in rows:
        scoped = ready_made.get(role)
        if scoped is None:
            levels = grants.levels_of_role(role, scopes)
            scoped = levels.get("inference", Level.NONE) >= Level.OPERATE
        places = callers.get(maker, ())
        yield KeyFact(
            id=pk,
            digest=digest,
            project_id=project,
            organisation_id=organisation,
            user_id=maker,
            role=role,
            expires_at=ends,
            networks=tuple(nets),
            may_call=scoped and (everywhere or project in places or organisation in places),
        )


def _callers() -> dict[int, set[UUID]]:
    """People and accounts to the projects and organisations in which they may call models."""
    found: dict[int, set[UUID]] = {}
    rows = Membership.objects.select_related("custom_role", "project")
    in_groups = rows.exclude(group=None).values_list("pk", "group__people")
    people: dict[UUID, list[int]] = {}
    for row_id, user_id in in_groups:
        people.setdefault(row_id, []).append(user_id)
    for row in rows:
        if levels_of(row).get("inference", Level.NONE) < Level.OPERATE:
            continue
        for user_id in people.get(row.pk, []) if row.group_id else [row.user_id]:
            if user_id is not None:
                found.setdefault(user_id, set()).add(row.project_id or row.organisation_id)
    return found


def key_facts(*, project_id: UUID) -> dict[UUID, str]:
    """Names of all keys the project ever had, by id, for reports."""
    return dict(ApiKey.objects.filter(project_id=project_id).values_list("pk", "name"))


def note_key_use(*, key_ids: set[UUID], now: datetime) -> None:
    """Remember when keys were last used; called in bulk, never per request."""
    ApiKey.objects.filter(pk__in=key_ids).update(last_used_at=now)


def _live_keys(now: datetime):  # type: ignore[no-untyped-def]  # Django's queryset types are not installed
    return ApiKey.objects.filter(
        Q(expires_at=None) | Q(expires_at__gt=now),
        revoked_at=None,
        made_by__is_active=True,
        project__archived_at=None,
    )
