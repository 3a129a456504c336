"""What others may ask of tenancy: principals, projects, people, keys, and who may do what."""

from slipway.tenancy.rules.secrets import KEY_PREFIX
from slipway.tenancy.services.bearers import check_key
from slipway.tenancy.services.grants import LEVELS, MODULES, Level, levels_of_role
from slipway.tenancy.services.keys import (
    IssuedKey,
    KeyFact,
    digest_of,
    digests_of,
    expiring_keys,
    has_key,
    issue_key,
    key_facts,
    lend,
    live_keys,
    note_key_use,
    revoke_key,
    rotate_key,
)
from slipway.tenancy.services.people import ensure_member, first_owner
from slipway.tenancy.services.principals import Principal, principal_of
from slipway.tenancy.services.projects import (
    ProjectFact,
    open_project,
    open_projects,
    project_fact,
    projects_of,
    projects_of_organisation,
)

__all__ = [
    "KEY_PREFIX",
    "LEVELS",
    "MODULES",
    "IssuedKey",
    "KeyFact",
    "Level",
    "Principal",
    "ProjectFact",
    "check_key",
    "digest_of",
    "digests_of",
    "ensure_member",
    "expiring_keys",
    "first_owner",
    "has_key",
    "issue_key",
    "key_facts",
    "lend",
    "levels_of_role",
    "live_keys",
    "note_key_use",
    "open_project",
    "open_projects",
    "principal_of",
    "project_fact",
    "projects_of",
    "projects_of_organisation",
    "revoke_key",
    "rotate_key",
]
