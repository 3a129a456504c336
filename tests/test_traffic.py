"""Where requests for a name go: rules, and models that other servers answer."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from slipway.core import addresses, seal
from slipway.core.errors import Conflict, Invalid
from slipway.deployments.models import Deployment
from slipway.traffic import services
from slipway.traffic.models import External


@pytest.fixture
def deployed(owner: Any) -> None:
    for name in ("one", "two"):
        Deployment.objects.create(
            project_id=owner.project_id, name=name, phase="live", version_id=uuid4(), look_at=None
        )


# Secrets


@pytest.fixture
def key_file(settings: Any, tmp_path: Path) -> Path:
    settings.SEAL_KEY = tmp_path / "seal-key"
    return settings.SEAL_KEY


def test_what_is_sealed_opens_for_its_purpose_only(key_file: Path) -> None:
    sealed = seal.seal("sk-theirs", purpose="external:1")
    assert "theirs" not in sealed
    assert seal.seal("sk-theirs", purpose="external:1") != sealed
    assert seal.unseal(sealed, purpose="external:1") == "sk-theirs"
    assert key_file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(seal.CannotOpen, match="something else"):
        seal.unseal(sealed, purpose="external:2")
    for index in (3, 30, len(sealed) - 6):
        changed = sealed[:index] + ("A" if sealed[index] != "A" else "B") + sealed[index + 1 :]
        with pytest.raises(seal.CannotOpen):
            seal.unseal(changed, purpose="external:1")
    with pytest.raises(seal.CannotOpen, match="not sealed"):
        seal.unseal("sk-theirs", purpose="external:1")


def test_a_new_key_on_top_leaves_old_secrets_readable(key_file: Path) -> None:
    old = seal.seal("old", purpose="x")
    key_file.write_text("ab" * 32 + "\n" + key_file.read_text())
    new = seal.seal("new", purpose="x")
    assert (seal.unseal(old, purpose="x"), seal.unseal(new, purpose="x")) == ("old", "new")
    key_file.write_text("ab" * 32)
    assert seal.unseal(new, purpose="x") == "new"
    with pytest.raises(seal.CannotOpen, match="not in"):
        seal.unseal(old, purpose="x")
    key_file.write_text("too short")
    with pytest.raises(ValueError, match="64 hex digits"):
        seal.seal("x", purpose="x")


# Rules


def put(api: Any, **given: Any) -> Any:
    body = {"name": "name", "targets": [{"model": "one", "percent": 100}]} | given
    return api.put("/api/v1/traffic", body, format="json")


def shares(**percents: int) -> list[dict[str, Any]]:
    return [{"model": name, "percent": percent} for name, percent in percents.items()]


def test_a_rule_is_set_seen_replaced_and_lifted(api: Any, deployed: None) -> None:
    made = put(api, targets=shares(one=90, two=10), fallbacks=["one"], hedge_after_ms=500)
    assert made.status_code == 200, made.json()
    again = put(api, targets=shares(one=50, two=50))
    assert again.json()["id"] == made.json()["id"]
    (row,) = api.get("/api/v1/traffic?name=name").json()["data"]
    assert row["targets"] == shares(one=50, two=50)
    assert (row["fallbacks"], row["hedge_after_ms"]) == ([], None)
    (fact,) = services.all_rules()
    assert fact.targets == (("one", 50), ("two", 50))
    assert api.delete(f"/api/v1/traffic/{row['id']}").status_code == 204
    assert list(services.all_rules()) == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"targets": []}, "targets"),
        ({"targets": shares(one=99)}, "targets"),
        ({"targets": shares(one=60) + shares(one=40)}, "targets"),
        ({"targets": shares(one=60, nobody=40)}, "targets[1].model"),
        ({"fallbacks": ["nobody"]}, "fallbacks[0]"),
        ({"fallbacks": ["one", "one"]}, "fallbacks"),
        ({"hedge_after_ms": 1}, "hedge_after_ms"),
        ({"name": "a b"}, "name"),
        ({"targets": shares(one=101)}, "targets.0.percent"),
    ],
)
def test_a_rule_that_cannot_be_is_told_where(
    api: Any, deployed: None, given: dict[str, Any], field: str
) -> None:
    refused = put(api, **given)
    assert refused.status_code == 422
    assert refused.json()["error"]["details"][0]["field"] == field


# External models


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Names of hosts to their addresses, as a name server would tell."""
    names: dict[str, list[str]] = {"api.example.com": ["93.184.216.34"]}

    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        if host not in names:
            raise OSError(-2, "Name or service not known")
        return [(2, 1, 6, "", (address, port)) for address in names[host]]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", look_up)
    return names


def test_an_external_model_keeps_its_credential_to_itself(
    api: Any, owner: Any, key_file: Path, public: Any
) -> None:
    body = {"name": "far", "url": "https://api.example.com/v1/", "model": "gpt-x",
            "credential": "sk-theirs-0123456789"}  # fmt: skip
    made = api.post("/api/v1/externals", body, format="json")
    assert made.status_code == 201, made.json()
    row = made.json()
    assert (row["url"], row["model"], row["credential_hint"]) == (
        "https://api.example.com/v1", "gpt-x", "…6789",
    )  # fmt: skip
    one = f"/api/v1/externals/{row['id']}"
    seen = [api.get("/api/v1/externals"), api.get(one), api.patch(one, {"model": "y"}), made]
    assert all("theirs" not in answer.content.decode() for answer in seen)
    stored = External.objects.get()
    assert "theirs" not in stored.credential
    (fact,) = services.all_externals()
    assert seal.unseal(fact.credential, purpose=services.purpose_of(fact.id)).startswith("sk-th")
    assert "theirs" not in str(api.get("/api/v1/audit").json())
    assert api.delete(one).status_code == 204
    assert api.get(one).status_code == 404


def test_only_an_owner_registers_and_a_name_is_taken_once(
    api: Any, api_for: Any, owner: Any, deployed: None, public: Any
) -> None:
    body = {"name": "far", "url": "https://api.example.com/v1"}

    def post(asking: Any, **more: str) -> int:
        return asking.post("/api/v1/externals", body | more, format="json").status_code

    assert post(api_for(owner, "operator")) == 403
    assert [post(api), post(api), post(api, name="one")] == [201, 409, 409]


def test_a_new_address_needs_its_credential(
    owner: Any, key_file: Path, public: dict[str, list[str]]
) -> None:
    now = timezone.now()
    row = services.register(
        project_id=owner.project_id, name="far", url="https://api.example.com/v1",
        credential="sk-theirs", now=now,
    )  # fmt: skip
    with pytest.raises(Invalid, match="credential"):
        services.change(row, url="https://evil.example.com/v1", now=now)
    services.change(row, url="https://evil.example.com/v1", credential="sk-other", now=now)
    with pytest.raises(Conflict):
        services.register(
            project_id=owner.project_id, name="far", url="https://api.example.com", now=now
        )


@pytest.mark.parametrize(
    "url",
    [
        "ftp://api.example.com", "https://", "https://u:p@api.example.com/v1", "//api.example.com",
        "https://api.example.com/v1?key=1", "https://api.example.com:port/", "http://api.example.com",
        "https://a b/", "https://api.example.com/\r\nx: y", "file:///etc/passwd", "https://[::1",
        "https://b\\api.example.com",
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_asked_is_refused(url: str) -> None:
    with pytest.raises(Invalid):
        services.place_of(url)


@pytest.mark.parametrize(
    "found",
    [["127.0.0.1"], ["10.0.0.7"], ["169.254.169.254"], ["93.184.216.34", "192.168.0.1"],
     ["::ffff:10.0.0.1"], ["64:ff9b::a00:1"]],
)  # fmt: skip
def test_private_places_are_not_asked(public: dict[str, list[str]], found: list[str]) -> None:
    public["api.example.com"] = found
    with pytest.raises(addresses.NotAllowed, match="not public"):
        services.resolve(services.place_of("https://api.example.com/v1"))


def test_a_private_place_is_refused_when_it_is_registered(
    api: Any, public: dict[str, list[str]], key_file: Path
) -> None:
    public |= {"127.0.0.1": ["127.0.0.1"], "inside.example": ["10.0.0.7"]}
    for host in ("127.0.0.1", "inside.example"):
        refused = api.post(
            "/api/v1/externals", {"name": "far", "url": f"https://{host}/v1"}, format="json"
        )
        assert refused.status_code == 422
        (detail,) = refused.json()["error"]["details"]
        assert (detail["field"], detail["value"]) == ("url", f"https://{host}/v1")
    # Not known yet is not forbidden; and what is there already may not move inside.
    body = {"name": "far", "url": "https://later.example/v1"}
    made = api.post("/api/v1/externals", body, format="json")
    assert made.status_code == 201
    one = f"/api/v1/externals/{made.json()['id']}"
    moved = api.patch(one, {"url": "https://inside.example/v1"}, format="json")
    assert moved.status_code == 422


def test_a_named_network_may_be_asked_and_no_other(
    public: dict[str, list[str]], settings: Any
) -> None:
    public["inside.example"] = ["10.1.2.3"]
    settings.EXTERNAL_NETWORKS = [ip_network("10.1.0.0/16")]
    assert services.resolve(services.place_of("http://inside.example:8000")) == ["10.1.2.3"]
    assert services.resolve(services.place_of("https://api.example.com")) == ["93.184.216.34"]
    with pytest.raises(addresses.NotAllowed, match="http is not allowed"):
        services.resolve(services.place_of("http://api.example.com"))
    public["inside.example"] = ["10.2.2.3"]
    with pytest.raises(addresses.NotAllowed):
        services.resolve(services.place_of("http://inside.example:8000"))
