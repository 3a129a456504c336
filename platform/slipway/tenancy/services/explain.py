"""Why somebody can, or cannot, do something: every grant that counts, in words."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.utils import timezone

from slipway.core.errors import Detail, Invalid
from slipway.tenancy.models import Project, User
from slipway.tenancy.services import grants, keys, people
from slipway.tenancy.services.grants import LEVELS, Level
from slipway.tenancy.services.principals import Principal, grants_of


@dataclass(frozen=True, kw_only=True)
class Explanation:
    who: str
    module: str
    #: What is needed, and what they have.
    needs: str
    has: str
    allowed: bool
    because: list[str]
    #: What to do to be allowed; empty if they are.
    fix: str


def explain(
    *,
    principal: Principal,
    module: str,
    level: str,
    user_name: str = "",
    key_id: UUID | None = None,
) -> Explanation:
    """Whether a person or key may do things of `level` in `module` of this project, and why."""
    if module not in grants.MODULES or level not in LEVELS:
        raise Invalid(
            "Name a known module and level.",
            Detail(field="module", rule=", ".join(grants.MODULES), value=module),
            Detail(field="level", rule=", ".join(LEVELS), value=level),
        )
    project = Project.objects.get(pk=principal.project_id)
    wanted = LEVELS[level]
    because: list[str] = []
    ceiling = Level.FULL
    if key_id is not None:
        key = keys.key_of(project_id=project.pk, key_id=key_id)
        user, who = key.made_by, f"key {key.name} of {key.made_by.username}"
        ceiling = grants.levels_of_role(key.role, key.scopes).get(module, Level.NONE)
        because.append(f"the key allows at most {ceiling.name.lower()}")
        because += _dead(key.revoked_at is not None, "the key is revoked")
        expired = key.expires_at is not None and key.expires_at <= timezone.now()
        because += _dead(expired, "the key has expired")
        if key.revoked_at is not None or expired:
            ceiling = Level.NONE
        if key.networks:
            because.append(f"the key only works from {', '.join(key.networks)}")
    else:
        user = (
            people.person_in(organisation_id=principal.organisation_id, user_name=user_name)
            if user_name
            else User.objects.get(pk=principal.user_id)
        )
        who = user.username
    own = Level.NONE
    for grant in grants_of(user=user, project=project):
        given = grant.levels.get(module, Level.NONE)
        own = max(own, given)
        because.append(f"{user.username} {grant.because}, which allows {given.name.lower()}")
    because += _dead(not user.is_active, f"{user.username} is retired")
    because += _dead(own is Level.NONE, f"no grant of {user.username} covers {module} here")
    has = min(own, ceiling) if user.is_active else Level.NONE
    allowed = has >= wanted
    fix = ""
    if not allowed and own >= wanted:
        fix = f"use a key whose scopes allow {module}: {level}"
    elif not allowed:
        fix = f"ask an owner for a role that allows {module}: {level}"
    return Explanation(
        who=who, module=module, needs=level, has=has.name.lower(), allowed=allowed,
        because=because, fix=fix,
    )  # fmt: skip


def _dead(is_so: bool, text: str) -> list[str]:  # noqa: FBT001 - reads as a sentence at its calls
    return [text] if is_so else []
