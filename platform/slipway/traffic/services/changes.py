"""A number per kind of fact that goes up with every change, so that gateways need not read all.

The database counts by itself, in the transaction that changes a row: whoever sees the change sees
the number, and nobody who writes has to think of it. Columns that say nothing to a gateway (when a
row is looked at next, when a key was last used) do not count.
"""

from __future__ import annotations

import hashlib
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F

from slipway.traffic.models import Change, Touched

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
        "traffic_external": (
            "name", "url", "model", "credential", "timeout_seconds", "down",
        ),
    },
    "limits": {
        "limits_ratelimit": (), "plans_plan": ("offered",),
        "plans_subscription": ("phase", "units"), "tenancy_project": ("archived_at",),
    },
    "logged": {"traffic_promptpolicy": ("project_id",)},
    "prices": {"metering_pricebook": (), "metering_price": (), "metering_budget": ()},
}  # fmt: skip


#: Tables whose rows can be read one by one after a change.
_ROW_BY_ROW = {"tenancy_apikey"}
#: So many changes of a kind are remembered row by row.
_REMEMBERED = 1000


def numbers() -> dict[str, int]:
    """Kind to number; a kind that is not followed is missing. One query."""
    return dict(Change.objects.values_list("kind", "number"))


def touched(kind: str, *, after: int, upto: int) -> list[UUID] | None:
    """Rows that changes number `after` + 1 to `upto` touched; None if that is no longer known, or
    one of them could have touched many.

    Numbers are in the order of commits: who counts holds the counter until it commits.
    """
    if upto - after > _REMEMBERED:
        return None
    found = Touched.objects.filter(kind=kind, number__gt=after, number__lte=upto)
    rows = list(found.values_list("row", flat=True))
    if len(rows) != upto - after or not all(rows):
        return None
    return [UUID(row) for row in set(rows)]


def follow() -> None:
    """Have the database count; where it does already, nothing is changed.

    Called by each gateway as it starts, not by a migration: SQLite drops the triggers of a table
    that a later migration makes anew.
    """
    wanted = {
        f"follow_{table}_{event}_{_digest(table, columns)}": (kind, table, event, columns)
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
            for function in _FUNCTIONS:
                cursor.execute(function)
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
#: What a trigger does. `{row}` is the key of the row, or '' where others depend on it.
_COUNT = """
  UPDATE traffic_change SET number = number + 1 WHERE kind = {kind};
  INSERT INTO traffic_touched (kind, number, "row")
    SELECT kind, number, {row} FROM traffic_change WHERE kind = {kind};
  DELETE FROM traffic_touched WHERE kind = {kind} AND number =
    (SELECT number - {remembered} FROM traffic_change WHERE kind = {kind});
"""
_FUNCTIONS = [
    f"""
CREATE OR REPLACE FUNCTION traffic_follow_{name}() RETURNS trigger AS $$
BEGIN {_COUNT.format(kind="TG_ARGV[0]", row=row, remembered=_REMEMBERED)}
  RETURN NULL;
END $$ LANGUAGE plpgsql
"""
    for name, row in (("row", "NEW.id::text"), ("all", "''"))
]


def _trigger(name: str, kind: str, table: str, event: str, columns: tuple[str, ...]) -> str:
    postgres = connection.vendor == "postgresql"
    differs = "IS DISTINCT FROM" if postgres else "IS NOT"
    changed = " OR ".join(f"OLD.{column} {differs} NEW.{column}" for column in columns)
    when = f"WHEN ({changed})" if event == "update" and columns else ""
    one = table in _ROW_BY_ROW and event != "delete"
    if postgres:
        then = f"EXECUTE FUNCTION traffic_follow_{'row' if one else 'all'}('{kind}')"
    else:
        row = "NEW.id" if one else "''"
        counted = _COUNT.format(kind=f"'{kind}'", row=row, remembered=_REMEMBERED)
        then = f"BEGIN {counted} END"
    return f"CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW {when} {then}"


def _digest(table: str, columns: tuple[str, ...]) -> str:
    """Tells triggers of other versions apart; names in PostgreSQL have at most 63 characters."""
    told = (_COUNT, _REMEMBERED, table in _ROW_BY_ROW, columns)
    return hashlib.sha256(repr(told).encode()).hexdigest()[:6]
