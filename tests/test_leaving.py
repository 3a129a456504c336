"""An organisation takes everything with it: only its own, and nothing that opens a door."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tracemalloc
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from django.apps import apps
from django.utils import timezone
from tenant_world import Scene, minimal
from test_objects import call

from slipway import backends
from slipway.audit.models import Entry
from slipway.audit.services import recording
from slipway.backends.objects.s3 import S3
from slipway.cli.root import root
from slipway.core import reconcile
from slipway.leaving.models import Takeout, TakeoutPhase
from slipway.leaving.reconcile import WATCHED, sweep
from slipway.leaving.services import kinds, takeouts
from slipway.tenancy import services
from slipway.tenancy.models import Membership, Project, User

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]
HERE, THERE = b"bytes-of-acme", b"bytes-of-rival"


#: The same on a folder and on a real S3 server.
ON_BOTH = pytest.mark.parametrize("store", ["folder", "s3"], indirect=True)


def own_models() -> list[Any]:
    return [m for m in apps.get_models() if m.__module__.startswith(("slipway.", "django."))]


@pytest.fixture
def boss(owner: Any) -> Any:
    """The owner of the whole organisation."""
    Membership.objects.create(
        user_id=owner.user_id, organisation_id=owner.organisation_id, role="owner"
    )
    return services.principal_of(user=User.objects.get(pk=owner.user_id))


def fill(tenant: Any) -> None:
    """A row in every table of the organisation's, each text of which bears the tenant's name."""
    number = recording.record(
        at=timezone.now(), actor=tenant.owned["text"], action="POST", subject="thing",
        organisation_id=tenant.owner.organisation_id,
    )  # fmt: skip
    tenant.owned["audit.Entry"] = Entry.objects.get(pk=number)
    tenant.owned["tenancy.Organisation"] = tenant.owned["organisation"]
    for kind in kinds.KINDS:
        minimal(kind.model, tenant.owned)


def put(tenant: Any, data: bytes) -> None:
    for prefix in kinds.prefixes(tenant.owner.organisation_id):
        backends.objects().put(f"{prefix}thing", data)


def step(model: Any) -> None:
    for _ in range(20):
        if not reconcile.run_due(model, dict(WATCHED)[model], now=timezone.now()):
            return


def taken(made: Takeout) -> dict[str, bytes]:
    data = backends.objects().read(made.key)
    made.refresh_from_db()
    assert hashlib.sha256(data).hexdigest() == made.sha256
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]


def test_every_table_is_decided_upon() -> None:
    known = {kind.label for kind in kinds.KINDS} | kinds.OF_PEOPLE | kinds.OF_ROWS | kinds.OF_ALL
    there = {model._meta.label for model in own_models()}
    assert known == there, "say in leaving/services/kinds.py whose rows of a new table are"


@ON_BOTH
def test_all_and_only_ones_own_is_taken_and_nothing_secret(owner: Any, stranger: Any) -> None:
    scene = Scene(owner, stranger)
    for tenant, data in ((scene.owner, HERE), (scene.stranger, THERE)):
        fill(tenant)
        put(tenant, data)
    Takeout.objects.update(phase=TakeoutPhase.EXPIRED)
    made = takeouts.ask(organisation_id=owner.organisation_id, by="ada")
    assert takeouts.ask(organisation_id=owner.organisation_id, by="bob").pk == made.pk
    step(Takeout)
    found = taken(made)
    assert (made.phase, made.file_count) == (TakeoutPhase.READY, len(found))
    manifest = json.loads(found.pop("manifest.json"))
    assert manifest["files"] == {
        name: {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in found.items()
    }
    # At least a row of every table, and nothing of the other tenant's in any file.
    for kind in kinds.KINDS:
        if kind.taken:
            assert manifest["rows"][kind.label] == kind.rows(owner.organisation_id).count() > 0
    everything = b"".join(found.values())
    assert everything.count(HERE) == 6, "two projects with three prefixes each"
    assert (THERE in everything, b"rivals-own-" in everything) == (False, False)
    assert str(stranger.organisation_id).encode() not in everything
    for kind in kinds.KINDS:
        row = scene.owner.owned[kind.label]
        for column in (f for f in row._meta.concrete_fields if f.name in kinds.SECRET):
            value = str(getattr(row, column.name))
            assert not value or value.encode() not in everything, (kind.label, column.name)
    people = [json.loads(line) for line in found["people.jsonl"].splitlines()]
    assert owner.user_name in {each["username"] for each in people}
    assert stranger.user_name not in {each["username"] for each in people}


@ON_BOTH
def test_an_archive_is_the_organisations_for_its_days(
    boss: Any, stranger: Any, api_for: Any
) -> None:
    api = api_for(boss, role="admin")
    told = api.post("/api/v1/organisation/takeouts")
    assert (told.status_code, told.data["phase"]) == (202, "making")
    step(Takeout)
    address = f"/api/v1/organisation/takeouts/{told.data['id']}"
    status, _, body = call("GET", api.get(address).data["download_url"])
    assert (status, hashlib.sha256(body).hexdigest()) == (200, api.get(address).data["sha256"])
    theirs = Membership(user_id=stranger.user_id, organisation_id=stranger.organisation_id)
    theirs.role = "owner"
    theirs.save()
    rival = services.principal_of(user=User.objects.get(pk=stranger.user_id))
    assert api_for(rival, role="admin").get(address).status_code == 404
    made = Takeout.objects.get(pk=told.data["id"])
    Takeout.objects.filter(pk=made.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    sweep(timezone.now())
    assert api.get(address).data["phase"] == "expired"
    assert not list(backends.objects().list(made.key))


def test_only_who_owns_the_organisation_takes_it_away(
    owner: Any, stranger: Any, api_for: Any
) -> None:
    for who, role in ((owner, "reader"), (owner, "operator"), (stranger, "owner")):
        asking = api_for(who, role=role)
        assert asking.post("/api/v1/organisation/takeouts").status_code == 403
        assert asking.get("/api/v1/organisation/takeouts").status_code == 403


@ON_BOTH
def test_a_broken_store_leaves_nothing_and_says_why(
    owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(type("T", (), {"owner": owner}), HERE)

    def shorter(*_: Any, **__: Any) -> Any:
        return io.BytesIO(HERE[:3])

    monkeypatch.setattr(type(backends.objects()), "open", shorter)
    made = takeouts.ask(organisation_id=owner.organisation_id, by="ada")
    step(Takeout)
    made.refresh_from_db()
    assert made.phase == TakeoutPhase.FAILED
    assert "expected" in made.reason
    assert not list(backends.objects().list("takeouts/"))


@ON_BOTH
def test_memory_is_bounded_however_much_there_is(owner: Any, store: Any) -> None:
    # To an S3 server three parts of 16 MiB are on their way at once, and one is being read.
    size, most = (256 * 2**20, 128 * 2**20) if isinstance(store, S3) else (96 * 2**20, 32 * 2**20)
    project = Project.objects.get(pk=owner.project_id)
    with backends.objects().create(f"projects/{project.pk}/models/weights") as out:
        for _ in range(size // 2**20):
            out.write(b"w" * 2**20)
    made = takeouts.ask(organisation_id=owner.organisation_id, by="ada")
    tracemalloc.start()
    step(Takeout)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    made.refresh_from_db()
    assert made.size_bytes > size
    assert peak < most


@pytest.mark.parametrize("fault", ["changed", "left out", "added", "not ours"])
def test_an_archive_is_checked_offline(owner: Any, tmp_path: Path, fault: str) -> None:
    made = takeouts.ask(organisation_id=owner.organisation_id, by="ada")
    step(Takeout)
    found = taken(made)
    whole, broken = tmp_path / "whole.tar", tmp_path / "broken.tar"
    whole.write_bytes(backends.objects().read(made.key))
    said = CliRunner().invoke(root, ["organisation", "verify", str(whole)])
    assert (said.exit_code, "are whole" in said.output) == (0, True), said.output
    match fault:
        case "changed":
            found["people.jsonl"] = found["people.jsonl"].replace(b"owner", b"loser")
        case "left out":
            del found["people.jsonl"]
        case "added":
            found["tables/more.jsonl"] = b"{}"
        case "not ours":
            del found["manifest.json"]
    with tarfile.open(broken, "w") as archive:
        for name, data in found.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    refused = CliRunner().invoke(root, ["organisation", "verify", str(broken)])
    assert refused.exit_code == 1 or refused.exception is not None
    assert "are whole" not in refused.output
