"""The second net below every query: PostgreSQL shows a request only rows of its own organisation.

Services filter by the tenant of the credential; that is the first net. Where one forgets to, row
policies (migration `core.0002`) compare each row with a variable of the connection, which is set
when a request's credential is known and emptied when the request ends. While it is empty, all is
seen: workers, migrations, the gateway's snapshot and the platform's administrators work for
everybody. On SQLite there is no such net.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from uuid import UUID

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse

#: The connection's variable; an organisation's id, or empty: all of them.
VARIABLE = "slipway.organisation"
_POLICY = "tenant"
_ASKED = f"nullif(current_setting('{VARIABLE}', true), '')"
#: Where a row says whose it is, and what the policy asks of it. Subqueries without a reference to
#: the row are answered once a statement, not once a row.
_MINE = {
    "organisation_id": f"organisation_id = (SELECT {_ASKED}::uuid)",
    "project_id": (
        "project_id IN (SELECT mine.id FROM tenancy_project mine"  # noqa: S608 - constants
        f" WHERE mine.organisation_id = (SELECT {_ASKED}::uuid))"
    ),
}

_entered: ContextVar[str] = ContextVar("organisation", default="")


class Net:
    """Middleware: whatever a request entered, its connection leaves it again."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            return self.get_response(request)
        finally:
            if _entered.get():
                leave()


def enter(organisation_id: UUID) -> None:
    """From here to the end of the request, the database shows rows of this organisation only."""
    _set(str(organisation_id))


def entering(organisation: str) -> str:
    """SQL for a statement of one's own that enters by the way, for PostgreSQL: a value, which is
    what `organisation` gives (an id as text, or nothing). `entered` must be told of it."""
    return f"set_config('{VARIABLE}', {organisation}, false)"


def entered(value: str) -> None:
    """A statement has entered this organisation (or none, where empty)."""
    _entered.set(value)


def inside(organisation_id: UUID) -> bool:
    """Whether this organisation is entered."""
    return _entered.get() == str(organisation_id)


def leave() -> None:
    """All is seen again. A connection that cannot be told so is not used any more.

    One that is kept for others is laid back instead, and emptied before it is given to them.
    """
    if getattr(connection, "is_laid_back", False):
        connection.close()
        _entered.set("")
        return
    try:
        _set("")
    except DatabaseError:
        _entered.set("")
        connection.close()


@contextlib.contextmanager
def everyone() -> Iterator[None]:
    """What the whole installation is asked for meanwhile, such as how many GPUs are taken."""
    before = _entered.get()
    if before:
        _set("")
    yield
    # Not in a `finally`: after an error a transaction takes no statement, and its undoing or the
    # end of the request sets the variable.
    if before:
        _set(before)


def _set(value: str) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config(%s, %s, false)", [VARIABLE, value])
        _entered.set(value)


def protect(table: str, column: str, *, shared: bool = False, ownerless: bool = False) -> str:
    """SQL that puts a table's rows under the net, for a migration.

    Args:
        table: its name.
        column: `organisation_id` or `project_id`, whichever says whose a row is.
        shared: rows that name nobody are seen by all.
        ownerless: rows that name nobody may be written by all.
    """
    mine, unset = _MINE[column], f"(SELECT {_ASKED} IS NULL)"
    nobody = f" OR {column} IS NULL"
    seen = f"{unset} OR {mine}{nobody if shared else ''}"
    written = f"{unset} OR {mine}{nobody if ownerless else ''}"
    return f"""
        ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
        ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
        CREATE POLICY {_POLICY} ON {table} USING ({seen}) WITH CHECK ({written});
    """


def release(table: str) -> str:
    """SQL that takes a table from under the net again."""
    return f"""
        DROP POLICY {_POLICY} ON {table};
        ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY;
        ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;
    """


def why_not() -> str:
    """Why the net does not hold here; empty where it does, and on SQLite, which has none."""
    if connection.vendor != "postgresql":
        return ""
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
        row = cursor.fetchone()
    if row and row[0]:
        return (
            "the database's user is a superuser or has BYPASSRLS, whom row policies do not hold; "
            "let the platform sign in to PostgreSQL as the plain owner of its database"
        )
    return ""
