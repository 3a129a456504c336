"""A factory reset: nobody is known any more, and everything people made is still there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from django.apps import apps
from django.contrib.sessions.models import Session
from django.utils import timezone
from tenant_world import Scene, dead
from test_leaving import fill

from slipway.audit.models import Entry
from slipway.cli import web
from slipway.cli.env import read_env
from slipway.cli.root import root
from slipway.editions.models import Clock, Installed
from slipway.leaving.services import kinds, resetting
from slipway.tenancy import services
from slipway.tenancy.models import SignInFailure, User

pytestmark = pytest.mark.django_db
#: What goes with what is forgotten.
WITH_IT = {
    "tenancy.Identity", "tenancy.SignOnDomain", "tenancy.SamlAnswer", "tenancy.SignedIn",
    "tenancy.Factor", "tenancy.RecoveryCode", "notices.Delivery",
}  # fmt: skip


def counted() -> dict[str, int]:
    every = {kind.label for kind in kinds.KINDS} | kinds.OF_PEOPLE | kinds.OF_ALL
    return {each: apps.get_model(each)._default_manager.count() for each in sorted(every)}


def test_people_and_their_ways_in_are_forgotten_and_all_else_stays(
    owner: Any, stranger: Any, settings: Any, tmp_path: Path,
    django_capture_on_commit_callbacks: Any,
) -> None:  # fmt: skip
    settings.HOME = tmp_path
    scene = Scene(owner, stranger)
    for tenant in (scene.owner, scene.stranger):
        fill(tenant)
    web.ensure_owner()
    Installed.objects.create(file="a licence")
    Clock.objects.get_or_create(
        pk=1, defaults={"first_at": timezone.now(), "latest_at": timezone.now()}
    )
    SignInFailure.objects.create(name_digest="x", address="192.0.2.1")
    Session.objects.create(session_key="x", session_data="", expire_date=timezone.now())
    old, before = read_env(tmp_path / "demo.env"), counted()
    assert {each for each in resetting.FORGOTTEN if not before[each]} <= {
        "signup.SignUp",
        "signup.Letter",
    }
    with django_capture_on_commit_callbacks(execute=True):
        gone = resetting.reset(now=timezone.now())
    after = counted()
    assert {each: before[each] for each in resetting.FORGOTTEN} == gone
    assert [each for each in resetting.FORGOTTEN if after[each]] == []
    lost = {each for each in before if after[each] < before[each]}
    assert lost - set(resetting.FORGOTTEN) <= WITH_IT
    assert after["datasets.Dataset"] == before["datasets.Dataset"] > 0
    assert after["metering.UsageRecord"] == before["metering.UsageRecord"] > 0
    assert Entry.objects.latest("number").action == "RESET"
    assert services.check_key(secret=old["SLIPWAY_API_KEY"], now=timezone.now()) is None

    # The next start is a first one, and whoever has its password finds the data again.
    assert not (tmp_path / "demo.env").exists()
    web.ensure_owner()
    new = read_env(tmp_path / "demo.env")
    assert new["SLIPWAY_ADMIN_PASSWORD"] != old["SLIPWAY_ADMIN_PASSWORD"]
    admin = User.objects.get(username="admin")
    assert (admin.is_superuser, User.objects.count()) == (True, 1)
    seen = services.projects_of(principal=services.principal_of(user=admin))
    assert {each.organisation for each in seen} >= {"acme", "rival"}


def test_broken_off_nothing_is_forgotten(
    owner: Any, stranger: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    Scene(owner, stranger)
    before = counted()
    monkeypatch.setattr(resetting.audit, "record", dead)
    with pytest.raises(TypeError):
        resetting.reset(now=timezone.now())
    assert counted() == before


def test_it_asks_and_is_refused_while_the_platform_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path))
    held = "from slipway.cli import home; lock = home.claim(); print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", held], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == b"held\n"
        said = CliRunner().invoke(root, ["factory-reset", "--yes"])
        assert "slipway down" in f"{said.output} {said.exception}"
        assert said.exit_code
        other.communicate(b"\n")
    said = CliRunner().invoke(root, ["factory-reset"], input="n\n")
    assert "Forget everybody" in said.output
    assert said.exit_code == 1
