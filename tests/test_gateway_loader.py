"""The gateway's picture follows the database, and is read anew only where something changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_network
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from gateway_world import wait_until

from slipway.core import addresses
from slipway.deployments.models import Deployment, Revision
from slipway.gateway.loader import Loader
from slipway.limits import services as limits
from slipway.tenancy import services as tenancy
from slipway.tenancy.models import ApiKey, Membership
from slipway.traffic import services as traffic
from slipway.traffic.models import Change
from slipway.traffic.services import changes

pytestmark = pytest.mark.django_db


@pytest.fixture
def key(owner: Any) -> Any:
    return tenancy.issue_key(maker=owner, name="k").key


@pytest.fixture
def deployment(owner: Any) -> Any:
    made = Deployment.objects.create(
        project_id=owner.project_id, name="m", phase="live", version_id=uuid4()
    )
    Revision.objects.create(
        project_id=owner.project_id, deployment=made, number=1, replicas=1, version_id=uuid4(),
        reference="m@1", phase="serving", endpoints=["unix:/a"],
    )  # fmt: skip
    return made


def test_nothing_changed_is_the_same_picture_for_a_few_small_questions(
    key: Any, deployment: Any, owner: Any
) -> None:
    load = Loader()
    first = load()
    first.seen[b"x"] = next(iter(first.keys.values()))
    # What a busy platform writes all the time is nothing to the gateway.
    tenancy.note_key_use(key_ids={key.pk}, now=timezone.now())
    Deployment.objects.update(look_at=timezone.now())
    get_user_model().objects.update(last_login=timezone.now())
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert load() is first
    assert len(asked) <= 3, [one["sql"] for one in asked]
    limits.set_limit(maker=owner, model="m", requests_per_minute=5)
    second = load()
    assert second is not first
    assert second.keys is first.keys
    assert second.seen is first.seen, "keys are not hashed again for a new limit"


def changing(key: Any, deployment: Any, owner: Any) -> dict[str, Callable[[], Any]]:
    now = timezone.now()
    return {
        "a key is made": lambda: tenancy.issue_key(maker=owner, name="other"),
        "a key is revoked": lambda: tenancy.revoke_key(maker=owner, key_id=key.pk, now=now),
        "a key's networks": lambda: ApiKey.objects.update(networks=["10.0.0.0/8"]),
        "a member's role": lambda: Membership.objects.update(role="reader"),
        "a member leaves": lambda: Membership.objects.all().delete(),
        "a user is shut out": lambda: get_user_model().objects.update(is_active=False),
        "replicas": lambda: Revision.objects.update(endpoints=["unix:/a", "unix:/b"]),
        "a deployment stops": lambda: Deployment.objects.update(phase="stopping"),
        "places at once": lambda: Deployment.objects.update(at_once=3),
        "a rule": lambda: traffic.set_rule(
            project_id=owner.project_id, name="n", targets=[{"model": "m", "percent": 100}]
        ),
        "an external model": lambda: traffic.register(
            project_id=owner.project_id, name="far", url="https://api.example.com", now=now
        ),
        "a limit": lambda: limits.set_limit(maker=owner, model="m", at_once=1),
    }  # fmt: skip


@pytest.mark.parametrize(
    "what",
    [
        "a key is made", "a key is revoked", "a key's networks", "a member's role",
        "a member leaves", "a user is shut out", "replicas", "a deployment stops",
        "places at once", "a rule", "an external model", "a limit",
    ],
)  # fmt: skip
def test_every_change_is_seen_at_the_next_look(
    key: Any, deployment: Any, owner: Any, what: str
) -> None:
    load = Loader()
    first = load()
    changing(key, deployment, owner)[what]()
    second = load()
    assert second != first
    assert (second.keys, second.routes, second.limits) == (
        (fresh := Loader()()).keys, fresh.routes, fresh.limits,
    )  # fmt: skip
    # The address of an external model comes a moment later, from a thread.
    assert load() is second or what == "an external model"


def test_one_key_that_changed_is_read_alone(owner: Any) -> None:
    made = [tenancy.issue_key(maker=owner, name=f"k{n}").key for n in range(5)]
    load = Loader()
    first = load()
    tenancy.revoke_key(maker=owner, key_id=made[0].pk, now=timezone.now())
    tenancy.issue_key(maker=owner, name="new")
    second = load()
    kept = [one.digest for one in made[1:]]
    assert all(second.keys[digest] is first.keys[digest] for digest in kept)
    assert set(second.keys) == set(Loader()().keys)
    assert len(second.keys) == 5
    # More than is remembered, or a row that others hang on: everything is read.
    for n in range(changes._REMEMBERED + 1):
        ApiKey.objects.filter(pk=made[1].pk).update(networks=[f"10.0.{n // 250}.{n % 250}/32"])
    third = load()
    assert third.keys[made[1].digest].networks != ()
    assert third.keys[made[2].digest] is not first.keys[made[2].digest]
    Membership.objects.update(role="reader")
    assert not any(one.may_call for one in load().keys.values())


def test_a_change_that_is_taken_back_is_none(key: Any, owner: Any) -> None:
    load = Loader()
    first = load()
    with transaction.atomic():
        tenancy.issue_key(maker=owner, name="other")
        transaction.set_rollback(True)
    assert load() is first


def test_a_table_made_anew_is_followed_again(key: Any, owner: Any) -> None:
    Loader()()
    with connection.cursor() as cursor:
        cursor.execute(changes._LOOK[connection.vendor])
        there = sorted(cursor.fetchall())
        name, table = next(one for one in there if one[1] == "tenancy_apikey")
        if connection.vendor == "postgresql":
            cursor.execute(f"ALTER TRIGGER {name} ON {table} RENAME TO follow_of_old")
        else:
            cursor.execute(f"DROP TRIGGER {name}")
            old = f"CREATE TRIGGER follow_of_old AFTER INSERT ON {table} BEGIN SELECT 1; END"
            cursor.execute(old)
    before = Change.objects.get(kind="keys").number
    Loader()()
    assert Change.objects.get(kind="keys").number > before, "nobody counted meanwhile"
    with connection.cursor() as cursor:
        cursor.execute(changes._LOOK[connection.vendor])
        assert sorted(cursor.fetchall()) == there


def test_who_may_call_is_what_it_was_for_every_kind_of_key(owner: Any) -> None:
    made = {
        "owner": tenancy.issue_key(maker=owner, name="a", role="owner"),
        "reader": tenancy.issue_key(maker=owner, name="b", role="reader"),
        "scoped": tenancy.issue_key(maker=owner, name="c", scopes={"inference": "operate"}),
        "narrow": tenancy.issue_key(maker=owner, name="d", scopes={"usage": "read"}),
    }
    ends = timezone.now() + timedelta(hours=1)
    made["ending"] = tenancy.issue_key(maker=owner, name="e", expires_at=ends)
    keys = Loader()().keys
    may = {name: keys[one.key.digest].may_call for name, one in made.items()}
    assert may == {"owner": True, "reader": False, "scoped": True, "narrow": False, "ending": True}
    assert keys[made["ending"].key.digest].expires_at == ends.timestamp()


def test_an_external_model_is_a_route_once_its_name_is_looked_up(
    owner: Any, settings: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SEAL_KEY = tmp_path / "seal-key"
    found = ["93.184.216.34", "2606:4700::1111"]
    monkeypatch.setattr(
        addresses.socket,
        "getaddrinfo",
        lambda *_, **__: [(2, 1, 6, "", (one, 443)) for one in found],
    )
    traffic.register(
        project_id=owner.project_id, name="far", url="https://api.example.com/openai/v1",
        model="gpt-x", credential="sk-theirs", timeout_seconds=7, now=timezone.now(),
    )  # fmt: skip
    load, key = Loader(), (str(owner.project_id), "far")
    assert load().routes[key].endpoints == ()
    wait_until(lambda: load().routes[key].endpoints)
    route = load().routes[key]
    assert route.endpoints == (
        "https://[2606:4700::1111]:443#api.example.com",
        "https://93.184.216.34:443#api.example.com",
    )
    assert route.origin is not None
    assert route.origin.netloc == "api.example.com"
    assert (route.origin.base_path, route.origin.model) == ("/openai/v1", "gpt-x")
    assert route.origin.authorization == "Bearer sk-theirs"
    assert "theirs" not in repr(route)
    settings.SEAL_KEY = tmp_path / "another"
    traffic.change(
        traffic.external_row(project_id=owner.project_id, external_id=UUID(route.deployment_id)),
        timeout_seconds=8, now=timezone.now(),
    )  # fmt: skip
    assert load().routes[key].endpoints != (), "a secret that was opened stays open"
    assert Loader()().routes[key].reason.startswith("its credential cannot be opened")


def test_an_address_that_is_no_longer_allowed_keeps_nobody_else_out(
    owner: Any, key: Any, deployment: Any, settings: Any
) -> None:
    settings.EXTERNAL_NETWORKS = [ip_network("127.0.0.0/8")]
    traffic.register(
        project_id=owner.project_id, name="far", url="http://127.0.0.1:9/v1", now=timezone.now()
    )
    settings.EXTERNAL_NETWORKS = []
    picture = Loader()()
    assert list(picture.keys) == [key.digest]
    assert [name for _, name in picture.routes] == ["m"]
