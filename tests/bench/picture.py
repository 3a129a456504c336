"""What the gateway's picture costs with many keys and models: `python tests/bench/picture.py`.

Prints seconds and MiB: the first reading, a look that finds nothing new, one after a revoked key,
and one after a replica came or went.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

ROOT = Path(__file__).parents[2]


def timed(what: str, work: object, times: int = 1) -> None:
    began, cpu = time.perf_counter(), time.process_time()
    for _ in range(times):
        work()  # type: ignore[operator]
    spent, used = (time.perf_counter() - began) / times, (time.process_time() - cpu) / times
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what:42} {spent * 1000:9.2f} ms  cpu {used * 1000:9.2f} ms  peak {memory:7.1f} MiB")


def main(keys: int, models: int) -> None:
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"SLIPWAY_HOME": home, "DJANGO_SETTINGS_MODULE": "slipway.settings"}
        sys.path.insert(0, str(ROOT / "platform"))
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        from django.utils import timezone

        from slipway.deployments.models import Deployment, Revision
        from slipway.gateway.loader import Loader
        from slipway.tenancy import services as tenancy
        from slipway.tenancy.models import ApiKey

        project = tenancy.open_project(organisation="acme", name="default")
        user = tenancy.ensure_member(
            user_name="o", password="correct horse", project_id=project.pk, role="owner"
        )
        ApiKey.objects.bulk_create(
            (
                ApiKey(project=project, made_by=user, name="k", digest=f"{n:064x}", redacted="r")
                for n in range(keys)
            ),
            batch_size=500,
        )
        rows = [
            Deployment(project_id=project.pk, name=f"m{n}", phase="live", version_id=uuid4())
            for n in range(models)
        ]
        Deployment.objects.bulk_create(rows, batch_size=500)
        Revision.objects.bulk_create(
            (
                Revision(
                    project_id=project.pk, deployment=row, number=1, replicas=1,
                    version_id=uuid4(), reference="m@1", phase="serving",
                    endpoints=[f"unix:/run/{row.pk}.sock"],
                )
                for row in rows
            ),
            batch_size=500,
        )  # fmt: skip
        load = Loader()
        print(f"{keys} keys, {models} models")
        timed("before", lambda: None)
        timed("first reading", load)
        timed("nothing new", load, 100)
        ApiKey.objects.filter(digest=f"{1:064x}").update(revoked_at=timezone.now())
        timed("a key was revoked", load)
        assert len(load().keys) == keys - 1
        Revision.objects.filter(deployment=rows[0]).update(endpoints=[])
        timed("a replica went", load)
        assert sum(bool(route.endpoints) for route in load().routes.values()) == models - 1


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:3] or ("100000", "10000")))
