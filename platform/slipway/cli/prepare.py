"""`python -m slipway.cli.prepare`: make the database ready for this version; `--wait` until it is.

On a cluster one job prepares, and every pod of the control plane waits before it starts. An
upgrade leaves the pods of the version before what they need, so those go on meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator

PAUSE_SECONDS = 2.0
#: Any number that nothing else locks in the database.
_LOCK = 0x511D_AA17
#: A migration that cannot have a table within this gives up and is tried again, rather than
#: making everyone else queue behind it.
_LOCK_TIMEOUT = "20s"


def main(arguments: list[str]) -> int:
    """Exit status 0 once the database is ready."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "slipway.settings")
    import django

    django.setup()
    if arguments == ["--wait"]:
        wait()
        return 0
    if arguments:
        print(__doc__, file=sys.stderr)
        return 2
    return prepare()


def wait() -> None:
    """Return when no migration of this version is left to do; says what it waits for."""
    from django.db import DatabaseError, connection

    said = ""
    while True:
        try:
            pending = _pending()
        except DatabaseError as error:
            connection.close()
            text = f"the database does not answer ({str(error).strip()}); asking again"
        else:
            if not pending:
                return
            text = f"waiting for the migrate job: {len(pending)} to do, next {pending[0]}"
        if text != said:
            print(text, flush=True)
            said = text
        time.sleep(PAUSE_SECONDS)


def prepare() -> int:
    """Migrate, one at a time however many try, and make the first owner."""
    from django.core.management import call_command

    from slipway.core import tenants
    from slipway.tenancy import services

    password = os.environ.get("SLIPWAY_ADMIN_PASSWORD", "")
    if not password:
        print("SLIPWAY_ADMIN_PASSWORD is not set; the first owner, admin, needs one")
        return 2
    if why := _wrong_encoding():
        print(why)
        return 2
    with _alone():
        call_command("migrate", interactive=False, verbosity=1)
        project = services.open_project(organisation="default", name="default")
        services.first_owner(user_name="admin", password=password, project_id=project.pk)
    if why := tenants.why_not():
        print(f"tenants are kept apart by the services alone: {why}", flush=True)
    return 0


def _wrong_encoding() -> str:
    """Why texts of all languages cannot be kept, before anything is: later it cannot be mended."""
    from django.db import connection

    if connection.vendor != "postgresql":
        return ""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_encoding")
        encoding, name = cursor.fetchone()[0], connection.settings_dict["NAME"]
    if encoding == "UTF8":
        return ""
    return (
        f"the database {name} keeps texts as {encoding}, and must keep them as UTF8; make it anew:"
        f" CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0"
    )


def _pending() -> list[str]:
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Hold the database's own lock; one who is killed lets go of it by that."""
    from django.db import connection

    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        cursor.execute(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
