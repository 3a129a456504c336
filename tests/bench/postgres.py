"""A PostgreSQL of a benchmark's own, with the platform's tables and one project in it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))


def project() -> Any:
    """Start it, make the tables, and return the principal of a project's owner."""
    import servers

    os.environ["SLIPWAY_DATABASE_URL"] = servers.postgres().fresh()
    os.environ["DJANGO_SETTINGS_MODULE"] = "embedded_settings"
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    from slipway.tenancy import services

    made = services.open_project(organisation="acme", name="default")
    user = services.ensure_member(
        user_name="ada", password="correct horse", project_id=made.pk, role="owner"
    )
    return services.principal_of(user=user)


def cpu_seconds() -> float:
    """CPU that this connection's PostgreSQL process has spent."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def quantile(values: list[float], share: float) -> float:
    """The smallest value that at least that share of them does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
