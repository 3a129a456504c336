"""Licences: only the vendor's, unchanged, for this machine and this time; and work goes on."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.utils import timezone

from slipway.cli.licence import licence as command
from slipway.core.errors import Invalid
from slipway.editions import services
from slipway.editions.models import Installed
from slipway.editions.rules import hardware, licence, policy
from slipway.editions.rules.licence import BadLicence, Terms
from slipway.tenancy.services import invites

VENDOR = Ed25519PrivateKey.from_private_bytes(b"7" * 32)
PRIVATE, PUBLIC = VENDOR.private_bytes_raw(), VENDOR.public_key().public_bytes_raw()
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def terms(**changes: Any) -> Terms:
    made = Terms(
        id="1", customer="ACME 有限公司", edition="private", form="licence", seats=0, gpus=0,
        nodes=0, features=("a",), starts_at=NOW - timedelta(days=1),
        ends_at=NOW + timedelta(days=365), hardware={},
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


@pytest.fixture
def private(settings: Any, db: None) -> Any:
    """A private edition that trusts our vendor."""
    settings.EDITION, settings.LICENCE_PUBLIC_KEY = "private", PUBLIC
    return settings


def install(made: Terms, now: datetime = NOW) -> services.Standing:
    return services.install(file=licence.sign(made, PRIVATE).decode(), now=now)


def test_what_is_signed_is_read_back() -> None:
    assert licence.read(licence.sign(terms(), PRIVATE), PUBLIC) == terms()


def test_every_flipped_bit_is_refused() -> None:
    file = licence.sign(terms(hardware={"board": "x"}), PRIVATE)
    for bit in range(len(file) * 8):
        changed = bytearray(file)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadLicence):
            licence.read(bytes(changed), PUBLIC)


def test_cut_longer_and_foreign_files_are_refused() -> None:
    file = licence.sign(terms(), PRIVATE)
    other = Ed25519PrivateKey.generate().private_bytes_raw()
    for wrong in (b"", file[:-1], file + b"\n", file.replace(b"\n", b"\r\n"), b" " + file,
                  licence.sign(terms(), other), b"\xff" * 300):  # fmt: skip
        with pytest.raises(BadLicence):
            licence.read(wrong, PUBLIC)
    with pytest.raises(BadLicence):
        licence.read(file, b"")


def test_any_changed_field_is_refused() -> None:
    """Somebody edits the terms and keeps the signature."""
    _, payload, signature, _ = licence.sign(terms(), PRIVATE).split(b"\n")
    changes = {"seats": 1, "gpus": 99, "customer": "x", "ends_at": NOW + timedelta(days=9999)}
    for name, value in changes.items():
        _, edited, _, _ = licence.sign(terms(**{name: value}), PRIVATE).split(b"\n")
        assert edited != payload
        with pytest.raises(BadLicence):
            licence.read(b"\n".join([b"slipway-licence-1", edited, signature, b""]), PUBLIC)


def test_one_part_of_the_machine_may_change_and_no_more() -> None:
    parts = {name: name * 8 for name in ("machine", "board", "processor", "network", "disk")}
    made = terms(form="appliance", hardware=parts)
    assert made.fits(parts)
    for one in parts:
        assert made.fits(parts | {one: "new"})
        assert made.fits({k: v for k, v in parts.items() if k != one})
        for other in set(parts) - {one}:
            assert not made.fits(parts | {one: "new", other: "new"})
    assert not terms(hardware={"board": "x"}).fits({"board": "y"})
    assert terms().fits({}), "no hardware named: any machine"


def test_the_cloud_needs_no_licence(db: None, settings: Any, api: Any) -> None:
    settings.EDITION = "cloud"
    assert api.get("/api/v1/edition").json()["state"] == "not_needed"
    assert api.post("/api/v1/keys", {"name": "x"}, format="json").status_code == 201


def test_trial_term_grace_and_read_only_follow_each_other(private: Any) -> None:
    rules = policy.EDITIONS["private"]
    assert services.standing(now=NOW).state == "trial"
    after = NOW + timedelta(days=rules.trial_days)
    assert services.standing(now=after).state == "read_only"
    assert install(terms(), now=after).state == "valid"
    ends = terms().ends_at
    grace = timedelta(days=rules.grace_days)
    for at, state in (
        (ends - timedelta(seconds=1), "valid"),
        (ends, "grace"),
        (ends + grace - timedelta(seconds=1), "grace"),
        (ends + grace, "read_only"),
    ):
        assert services.standing(now=at).state == state, at
    renewed = terms(ends_at=ends + timedelta(days=365))
    assert install(renewed, now=ends + grace).state == "valid", "the newest one counts"


def test_setting_the_clock_back_gains_nothing(private: Any) -> None:
    install(terms())
    late = terms().ends_at + timedelta(days=100)
    assert services.standing(now=late).state == "read_only"
    seen = services.standing(now=NOW)
    assert seen.state == "read_only"
    assert seen.clock_set_back
    assert "set back" in seen.reason
    near = services.standing(now=late - timedelta(minutes=59))
    assert not near.clock_set_back, "an hour is daylight saving, not fraud"


def test_a_licence_for_elsewhere_is_not_installed(private: Any) -> None:
    foreign = {"machine": "x", "board": "y"}
    for wrong in (terms(edition="cloud"), terms(form="appliance", hardware=foreign)):
        with pytest.raises(Invalid):
            install(wrong)
    assert not Installed.objects.exists()
    here = hardware.parts()
    assert here, "this machine shows at least one part"
    assert install(terms(form="appliance", hardware=here)).state == "valid"


def test_a_stored_licence_that_was_edited_counts_as_none(private: Any) -> None:
    install(terms())
    row = Installed.objects.get()
    row.file = row.file.replace("A", "B", 1)
    row.save()
    assert services.standing(now=NOW).state == "read_only"


def test_read_only_refuses_changes_and_nothing_else(
    private: Any, api: Any, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from slipway.tenancy import services as tenancy

    past = terms(starts_at=NOW - timedelta(days=900), ends_at=NOW - timedelta(days=500))
    install(past, now=timezone.now())
    refused = api.post("/api/v1/keys", {"name": "x"}, format="json")
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "read_only"
    assert api.get("/api/v1/keys").status_code == 200
    assert api.get("/api/v1/edition").json()["state"] == "read_only"
    # Keys go on opening the gateway: it never asks for the licence.
    assert any(fact.may_call for fact in tenancy.live_keys(now=timezone.now()))
    right = {"user": owner.user_name, "password": "correct horse"}
    assert api.post("/api/v1/session", right, format="json").status_code == 200


def test_read_only_still_lets_a_plan_end(private: Any, api: Any, owner: Any) -> None:
    from test_plans import BASE, FAST, offer, take

    offer(**BASE)
    row = take(owner, offer(**FAST), now=timezone.now())
    past = terms(starts_at=NOW - timedelta(days=900), ends_at=NOW - timedelta(days=500))
    install(past, now=timezone.now())
    one = f"/api/v1/subscriptions/{row.pk}"
    for more in ({"units": 2}, {"renews": True}, {"units": 1, "renews": False}):
        refused = api.patch(one, more, format="json")
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "read_only")
    ended = api.patch(one, {"renews": False}, format="json")
    assert (ended.status_code, ended.json()["renews"]) == (200, False)


def test_a_lease_is_renewed_although_nothing_else_can_be_changed(
    private: Any, owner: Any, api_for: Any
) -> None:
    from slipway.tenancy import services as tenancy
    from slipway.tenancy.models import User

    user = User.objects.get(pk=owner.user_id)
    user.is_superuser = True
    user.save()
    admin = api_for(tenancy.principal_of(user=user), role="admin")
    now = timezone.now()
    lease = terms(form="lease", starts_at=now - timedelta(days=90), ends_at=now - timedelta(40))
    install(lease, now=now)
    assert admin.post("/api/v1/keys", {"name": "x"}, format="json").status_code == 403
    longer = dataclasses.replace(lease, id="2", ends_at=now + timedelta(days=90))
    file = licence.sign(longer, PRIVATE).decode()
    forged = admin.put("/api/v1/licence", {"file": file.replace("A", "B", 1)}, format="json")
    assert forged.status_code == 422
    renewed = admin.put("/api/v1/licence", {"file": file}, format="json")
    assert (renewed.status_code, renewed.json()["state"]) == (200, "valid")
    assert renewed.json()["terms"]["form"] == "lease"
    assert admin.post("/api/v1/keys", {"name": "x"}, format="json").status_code == 201


def test_seats_are_counted(private: Any, owner: Any) -> None:
    install(terms(seats=2, ends_at=timezone.now() + timedelta(days=9)), now=timezone.now())
    tokens = [
        invites.invite(principal=owner, email=f"{n}@b.cd", role="reader", now=timezone.now()).token
        for n in range(2)
    ]
    accept = {"password": "correct horse battery", "address": "", "now": timezone.now()}
    invites.accept(token=tokens[0], user_name="second", **accept)
    with pytest.raises(services.NoRoom):
        invites.accept(token=tokens[1], user_name="third", **accept)


def test_the_vendor_makes_keys_and_licences(tmp_path: Path, private: Any) -> None:
    run = CliRunner().invoke
    made = run(command, ["make-keys", str(tmp_path / "vendor")])
    public = made.output.strip().partition("=")[2]
    key = tmp_path / "vendor" / "licence-private-key"
    assert key.stat().st_mode & 0o077 == 0
    again = run(command, ["make-keys", str(tmp_path / "vendor")])
    assert again.exit_code != 0, "a key is never overwritten"
    file = tmp_path / "acme.licence"
    options = [
        "--customer",
        "ACME",
        "--ends",
        "2027-11-22",
        "--seats",
        "5",
        "--starts",
        "2026-01-01",
    ]
    assert run(command, ["issue", str(key), str(file), *options]).exit_code == 0
    shown = run(command, ["check", str(file), public])
    assert "ACME" in shown.output
    private.LICENCE_PUBLIC_KEY = bytes.fromhex(public)
    assert services.install(file=file.read_text(), now=NOW).state == "valid"
    parts = tmp_path / "parts.json"
    parts.write_text(json.dumps(hardware.parts()))
    bare = run(command, ["issue", str(key), str(file), *options, "--form", "appliance"])
    assert bare.exit_code == 2
    bound = [*options, "--form", "appliance", "--hardware", str(parts)]
    assert run(command, ["issue", str(key), str(file), *bound]).exit_code == 0
