"""The web process, and a small worker beside it, for tests of the OpenAI door.

`python door_process.py HOME PORT [ENGINE]` makes two projects with a key each, deploys the models
`m` (at ENGINE) and `cold` (nowhere), says the keys as one JSON line, and serves until killed.
DOOR_WORKER=0 leaves the worker out; DOOR_WORKER=only is the worker alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time


def main(home: str, port: str, engine: str = "") -> None:
    os.environ |= {
        "SLIPWAY_HOME": home, "PORT": port, "DJANGO_SETTINGS_MODULE": "slipway.settings",
        "SLIPWAY_ALLOWED_HOSTS": "*",
    }  # fmt: skip
    import django

    django.setup()
    from slipway.core import nudge

    nudge._send = lambda _label: None  # type: ignore[assignment]
    worker = os.environ.get("DOOR_WORKER", "1")
    if worker == "only":
        print("{}", flush=True)
        look_for_ever()
    print(json.dumps(prepare(engine)), flush=True)
    if worker == "1":
        threading.Thread(target=look_for_ever, daemon=True).start()
    import uvicorn

    uvicorn.run("slipway.asgi:application", port=int(port), log_level="warning", ws="none",
                interface="asgi3")  # fmt: skip


def prepare(engine: str) -> dict[str, str]:
    from django.core.management import call_command

    from slipway.tenancy import models as tenancy_models
    from slipway.tenancy import services as tenancy

    call_command("migrate", verbosity=0)
    keys = {}
    for name in ("acme", "rival"):
        project = tenancy.open_project(organisation=name, name="default")
        user = tenancy.ensure_member(
            user_name=name, password="x", project_id=project.pk, role="owner"
        )
        tenancy_models.Membership.objects.get_or_create(
            user=user, organisation_id=project.organisation_id, defaults={"role": "owner"}
        )
        tenancy_models.User.objects.filter(pk=user.pk).update(email=f"{name}@a.example")
        principal = tenancy.principal_of(user=user)
        admin = tenancy.issue_key(maker=principal, name="admin", role="admin")
        keys[f"{name}-admin"] = admin.secret
        for role in ("owner", "reader"):
            keys[f"{name}-{role}"] = tenancy.issue_key(maker=principal, name=role, role=role).secret
        keys[f"{name}-project"] = str(project.pk)
        deploy(project.pk, "m", engine)
        deploy(project.pk, "cold", "")
    return keys


def deploy(project_id: object, name: str, engine: str) -> None:
    import uuid

    from slipway.deployments.models import Deployment, Phase, Revision, RevisionPhase

    version = uuid.uuid4()
    phase = Phase.LIVE if engine else Phase.STOPPED
    deployment, _ = Deployment.objects.get_or_create(
        project_id=project_id, name=name,
        defaults={"version_id": version, "phase": phase, "look_at": None},
    )  # fmt: skip
    revisions = Revision.objects.filter(deployment=deployment)
    if engine and not revisions.update(endpoints=[engine]):
        Revision.objects.create(
            project_id=project_id, deployment=deployment, number=1, replicas=1, version_id=version,
            reference=f"{name}@1", base_uri="file:///none", phase=RevisionPhase.SERVING,
            endpoints=[engine], look_at=None,
        )  # fmt: skip


def data_version() -> int:
    """A number that is another one after each change that another connection commits."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("PRAGMA data_version")
        return int(cursor.fetchone()[0])


def look_for_ever() -> None:
    """What beat and worker do, for the tables that need no compute."""
    from django.db import DatabaseError, close_old_connections
    from django.utils import timezone

    from slipway.core import reconcile
    from slipway.door.services import completions
    from slipway.metering import services as metering
    from slipway.worker import tasks

    found = [pair for label, pair in tasks.watched().items()
             if label.split(".")[0] in {"door", "datasets", "leaving", "signup"}]  # fmt: skip

    def turn(model: object, step: object) -> None:
        seen, looked = -1, 0.0
        while True:
            stepped = 0
            try:
                # Looking costs more than asking whether anybody wrote, and tests share two cores.
                now, written = time.monotonic(), data_version()
                if written != seen or now - looked > 1:
                    looked = now
                    stepped = reconcile.run_due(model, step, now=timezone.now())  # type: ignore[arg-type]
                    seen = -1 if stepped else written
            except DatabaseError:  # It comes back later, as a task of Celery's does.
                close_old_connections()
                seen = -1
            if not stepped:
                time.sleep(0.1)

    for model, step in found:
        threading.Thread(target=turn, args=(model, step), daemon=True).start()
    while True:
        close_old_connections()
        with contextlib.suppress(DatabaseError):
            metering.ingest_spool(now=timezone.now())
            completions.take_in(now=timezone.now())
        time.sleep(0.3)


if __name__ == "__main__":
    main(*sys.argv[1:])
