"""The first boot: who has the code sets the installation up, once, and nobody else ever does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from slipway.audit.models import Entry
from slipway.cli import web
from slipway.core.errors import NotFound
from slipway.editions.models import Installed
from slipway.firstboot import services
from slipway.leaving.services import resetting
from slipway.tenancy.models import Membership, User

pytestmark = pytest.mark.django_db

PASSWORD = "a long way down"


@pytest.fixture
def code(settings: Any, tmp_path: Path) -> str:
    """An installation that has just started for the first time; what stands on the machine."""
    settings.HOME, settings.FIRST_BOOT = tmp_path, "wizard"
    web.ensure_owner()
    file = tmp_path / "setup-code"
    assert file.stat().st_mode & 0o777 == 0o600
    return file.read_text().strip()


def ask(code: str, **other: str) -> Any:
    asked = {"setup_code": code, "user": "ada", "password": PASSWORD}
    return APIClient().post("/api/v1/set-up", asked | other, format="json")


def is_open() -> bool:
    return bool(APIClient().get("/api/v1/set-up").json()["open"])


def test_who_has_the_code_administers_and_nobody_after_them(
    code: str, tmp_path: Path, django_capture_on_commit_callbacks: Any
) -> None:
    assert is_open()
    assert not (tmp_path / "demo.env").exists(), "nobody has a password that was not theirs"
    web.ensure_owner()
    assert (tmp_path / "setup-code").read_text().strip() == code, "the same after a restart"
    with django_capture_on_commit_callbacks(execute=True):
        # As people type it.
        answer = ask(f" {code.lower().replace('-', ' ')}")
    assert (answer.status_code, answer.json()) == (201, {"user": "ada"})
    ada = User.objects.get()
    assert ada.is_superuser
    assert Membership.objects.filter(user=ada, role="owner", organisation__name="default").exists()
    signed_in = APIClient().post(
        "/api/v1/session", {"user": "ada", "password": PASSWORD}, format="json"
    )
    assert signed_in.status_code == 200
    told = str(list(Entry.objects.values()))
    assert "set-up" in told
    assert code not in told
    assert PASSWORD not in told

    assert not is_open()
    assert not (tmp_path / "setup-code").exists()
    assert ask(code, user="eve").status_code == 404
    web.ensure_owner()
    assert not (tmp_path / "setup-code").exists()
    assert User.objects.count() == 1


def test_a_wrong_code_opens_nothing_and_is_slower_with_every_one(code: str) -> None:
    seen = [ask(f"{code[:-1]}{'2' if code[-1] != '2' else '3'}").status_code for _ in range(6)]
    assert seen == [403] * 5 + [429]
    assert ask(code).status_code == 429, "nor does the right one, until the wait is over"
    assert not User.objects.exists()


@pytest.mark.parametrize(
    ("other", "field"),
    [({"password": "short"}, "password"), ({"user": "no spaces"}, "user"),
     ({"file": "not a licence"}, "file")],
    ids=["password", "name", "licence"],
)  # fmt: skip
def test_what_will_not_do_leaves_the_wizard_open(
    code: str, settings: Any, other: dict[str, str], field: str
) -> None:
    settings.EDITION = "private"
    answer = ask(code, **other)
    assert answer.status_code == 422, answer.content
    assert answer.json()["error"]["details"][0]["field"] == field
    assert not User.objects.exists()
    assert not Installed.objects.exists()
    assert is_open()
    assert ask(code).status_code == 201


def test_without_the_wizard_there_is_none(settings: Any, tmp_path: Path) -> None:
    settings.HOME, settings.FIRST_BOOT = tmp_path, "owner"
    (tmp_path / "setup-code").write_text("23456-23456-23456-23456\n")
    assert not is_open()
    assert ask("23456-23456-23456-23456").status_code == 404
    assert not User.objects.exists()


def test_a_factory_reset_opens_it_again_with_another_code(
    code: str, tmp_path: Path, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        assert ask(code).status_code == 201
        resetting.reset(now=timezone.now())
    web.ensure_owner()
    new = (tmp_path / "setup-code").read_text().strip()
    assert new != code
    assert ask(code).status_code == 403
    assert ask(new, user="bob").status_code == 201
    assert [each.username for each in User.objects.all()] == ["bob"]


def test_of_two_at_once_the_second_finds_the_first_ones_administrator(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(**_: Any) -> None:
        User.objects.create(username="bob", is_superuser=True)

    monkeypatch.setattr("slipway.firstboot.services.whole.lock_organisation", meanwhile)
    with pytest.raises(NotFound):
        services.set_up(
            code=code, user_name="ada", password=PASSWORD, licence="", address="192.0.2.1",
            now=timezone.now(),
        )  # fmt: skip
    assert not User.objects.filter(username="ada").exists()
