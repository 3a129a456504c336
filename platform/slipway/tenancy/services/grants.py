"""What a role allows: a level per module, and how levels of several grants combine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any

from slipway.core.errors import Detail, Invalid
from slipway.tenancy.models import Role


class Level(IntEnum):
    """How far one may go in a module; each level includes the ones below it."""

    NONE = 0
    #: Look at everything.
    READ = 1
    #: Also make, change, start and stop.
    OPERATE = 2
    #: Also delete for good, and decide for others.
    FULL = 3


#: Level by the name users write.
LEVELS = {level.name.lower(): level for level in Level}

#: Everything that rights are given for; a view belongs to exactly one of them.
MODULES = {
    "datasets": "datasets, their versions and errands",
    "models": "models, their versions and exports",
    "training": "fine-tuning jobs",
    "evaluation": "evaluation runs",
    "deployments": "models being served",
    "inference": "calling models; it costs money",
    "usage": "who used how much",
    "money": "costs, budgets and bills of the project",
    "access": "members, invites, keys and service accounts of the project",
    "audit": "the record of changes",
    "organisation": "projects, groups, roles and budgets of the organisation",
    "platform": "organisations, prices and the licence of the installation",
}
#: Modules that reach beyond one project; a project's owner has no part in them.
BEYOND_PROJECT = frozenset({"organisation", "platform"})

Levels = Mapping[str, Level]


def _everywhere(level: Level, beyond: Level = Level.NONE) -> Levels:
    return {name: beyond if name in BEYOND_PROJECT else level for name in MODULES}


_PRESETS: dict[str, Levels] = {
    Role.ADMIN: _everywhere(Level.FULL, Level.FULL),
    Role.OWNER: _everywhere(Level.FULL),
    Role.OPERATOR: _everywhere(Level.OPERATE),
    # Calling a model is no mere look: it is paid for.
    Role.READER: {**_everywhere(Level.READ), "inference": Level.NONE},
}


def levels_of_role(role: str, custom: Mapping[str, str] | None = None) -> Levels:
    """Level per module of a ready-made role, or of stored custom levels."""
    if role == Role.CUSTOM:
        return {name: LEVELS[text] for name, text in (custom or {}).items() if name in MODULES}
    return _PRESETS[role]


def widest(grants: Iterable[Levels]) -> Levels:
    """Several grants to the same person add up."""
    found: dict[str, Level] = {}
    for levels in grants:
        for name, level in levels.items():
            found[name] = max(level, found.get(name, Level.NONE))
    return found


def narrowest(one: Levels, other: Levels) -> Levels:
    """What both allow: a key's scopes and what its maker may do now."""
    return {name: min(level, other.get(name, Level.NONE)) for name, level in one.items()}


def checked(given: Mapping[str, Any], *, field: str) -> dict[str, str]:
    """Custom levels as they are stored; Invalid with each unknown module or level."""
    faults = []
    for module, level in given.items():
        if module not in MODULES:
            rule, fix = "a known module", ", ".join(MODULES)
        elif level not in LEVELS:
            rule, fix = "a known level", ", ".join(LEVELS)
        else:
            continue
        faults.append(Detail(field=f"{field}.{module}", rule=rule, value=level, fix=fix))
    if faults:
        raise Invalid(f"{field} names what is not there.", *faults)
    return {module: str(level) for module, level in given.items()}


def excess(wanted: Levels, own: Levels) -> list[str]:
    """Modules in which `wanted` goes beyond `own`, each with both levels in words."""
    return [
        f"{name}: {level.name.lower()} (yours is {own.get(name, Level.NONE).name.lower()})"
        for name, level in wanted.items()
        if level > own.get(name, Level.NONE)
    ]
