"""A number per kind of fact that goes up with every change, so that gateways need not read all.

The database counts by itself, in the transaction that changes a row: whoever sees the change sees
the number, and nobody who writes has to think of it. Columns that say nothing to a gateway (when a
row is looked at next, when a key was last used) do not count.
"""

from __future__ import annotations

import hashlib

from django.db import connection, transaction
from django.db.models import F

from slipway.traffic.models import Change

#: Kind to its tables, and the columns whose change counts; none for tables whose rows are only
#: made and deleted, or where every column does.
_FOLLOWED: dict[str, dict[str, tuple[str, ...]]] = {
    "keys": {
        "tenancy_apikey": (
            "role", "scopes", "networks", "expires_at", "revoked_at", "made_by_id", "project_id",
        ),
        "tenancy_user": ("is_active", "is_superuser"),
        "tenancy_project": ("archived_at", "organisation_id"),
        "tenancy_membership": (),
        "tenancy_customrole": ("levels",),
        "tenancy_group_people": (),
    },
    "routes": {
        "deployments_deployment": (
            "phase", "reason", "name", "version_id", "at_once", "queue",
        ),
        "deployments_revision": ("phase", "endpoints"),
        "registry_modelversion": ("phase", "adapter"),
        "registry_model": ("name",),
        "training_checkpoint": (),
        "training_trainingjob": ("result_version_id", "result_name"),
        "traffic_rule": (),
        "traffic_alias": (),
        "traffic_external": ("name", "url", "model", "credential", "timeout_seconds"),
    },
    "limits": {"limits_ratelimit": ()},
    "prices": {"metering_pricebook": (), "metering_price": (), "metering_budget": ()},
}  # fmt: skip


def numbers() -> dict[str, int]:
    """Kind to number; a kind that is not followed is missing. One query."""
    return dict(Change.objects.values_list("kind", "number"))


def follow() -> None:
    """Have the database count; where it does already, nothing is changed.

    Called by each gateway as it starts, not by a migration: SQLite drops the triggers of a table
    that a later migration makes anew.
    """
    wanted = {
        f"follow_{table}_{event}_{_digest(columns)}": (kind, table, event, columns)
        for kind, tables in _FOLLOWED.items()
        for table, columns in tables.items()
        for event in ("insert", "delete", "update")
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_LOOK[connection.vendor])
        there = dict(cursor.fetchall())
        for name in there.keys() - wanted.keys():
            on = f" ON {there[name]}" if connection.vendor == "postgresql" else ""
            cursor.execute(f"DROP TRIGGER {name}{on}")
        missing = wanted.keys() - there.keys()
        if missing and connection.vendor == "postgresql":
            cursor.execute(_FUNCTION)
        for name in sorted(missing):
            cursor.execute(_trigger(name, *wanted[name]))
        for kind in _FOLLOWED:
            Change.objects.get_or_create(kind=kind)
        # What was changed before it was counted.
        if missing:
            Change.objects.update(number=F("number") + 1)


_LOOK = {
    "sqlite": "SELECT name, tbl_name FROM sqlite_master"
    " WHERE type = 'trigger' AND substr(name, 1, 7) = 'follow_'",
    "postgresql": "SELECT t.tgname, c.relname FROM pg_trigger t JOIN pg_class c"
    " ON c.oid = t.tgrelid WHERE starts_with(t.tgname, 'follow_')",
}
_FUNCTION = """
CREATE OR REPLACE FUNCTION traffic_follow() RETURNS trigger AS $$
BEGIN
  UPDATE traffic_change SET number = number + 1 WHERE kind = TG_ARGV[0];
  RETURN NULL;
END $$ LANGUAGE plpgsql
"""


def _trigger(name: str, kind: str, table: str, event: str, columns: tuple[str, ...]) -> str:
    postgres = connection.vendor == "postgresql"
    differs = "IS DISTINCT FROM" if postgres else "IS NOT"
    changed = " OR ".join(f"OLD.{column} {differs} NEW.{column}" for column in columns)
    when = f"WHEN ({changed})" if event == "update" and columns else ""
    then = (
        f"EXECUTE FUNCTION traffic_follow('{kind}')"
        if postgres
        else f"BEGIN UPDATE traffic_change SET number = number + 1 WHERE kind = '{kind}'; END"  # noqa: S608 - a kind is one of ours
    )
    return f"CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW {when} {then}"


def _digest(columns: tuple[str, ...]) -> str:
    # Names of triggers in PostgreSQL have at most 63 characters.
    return hashlib.sha256(" ".join(columns).encode()).hexdigest()[:6]
