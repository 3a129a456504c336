"""Roles, groups, invites, service accounts and keys: nobody gets more than somebody may give."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from slipway.core.errors import Forbidden, Refused
from slipway.tenancy import services
from slipway.tenancy.models import (
    ApiKey,
    CustomRole,
    Group,
    Membership,
    Project,
    SignInFailure,
    User,
)
from slipway.tenancy.services import Level, levels_of_role, signin
from slipway.tenancy.services.principals import principal_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def head(owner: Any) -> Any:
    """The owner of the whole organisation."""
    Membership.objects.create(
        user_id=owner.user_id, organisation_id=owner.organisation_id, role="owner"
    )
    return services.principal_of(user=User.objects.get(pk=owner.user_id))


@pytest.fixture
def admin(head: Any) -> Any:
    return _key(head, role="admin")


def _key(principal: Any, **given: Any) -> APIClient:
    issued = services.issue_key(maker=principal, name="k", **given)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {issued.secret}")
    client.key, client.secret = issued.key, issued.secret
    return client


def colleague(principal: Any, name: str, role: str = "reader") -> Any:
    user = services.ensure_member(
        user_name=name, password="correct horse", project_id=principal.project_id, role=role
    )
    return services.principal_of(user=user)


def test_a_custom_role_allows_its_modules_and_nothing_else(admin: Any, head: Any) -> None:
    levels = {"datasets": "operate", "training": "read"}
    made = admin.post("/api/v1/roles", {"name": "curator", "levels": levels}, format="json")
    assert made.status_code == 201, made.json()
    colleague(head, "ada")
    (member,) = [m for m in admin.get("/api/v1/members").json()["data"] if m["user"] == "ada"]
    changed = admin.patch(f"/api/v1/members/{member['id']}", {"role": "curator"}, format="json")
    assert changed.json()["role"] == "curator"
    ada = services.principal_of(user=User.objects.get(username="ada"))
    assert ada.allows("datasets", Level.OPERATE)
    assert not ada.allows("datasets", Level.FULL)
    assert not ada.allows("models", Level.READ)
    assert admin.delete(f"/api/v1/roles/{made.json()['id']}").status_code == 409, "in use"
    wrong = admin.post("/api/v1/roles", {"name": "x", "levels": {"moon": "full"}}, format="json")
    assert wrong.status_code == 422
    assert wrong.json()["error"]["details"][0]["field"] == "levels.moon"


def test_a_group_brings_its_people_in_and_takes_them_out(admin: Any, head: Any) -> None:
    colleague(head, "ada")
    group = admin.post("/api/v1/groups", {"name": "ops", "people": ["ada"]}, format="json").json()
    admin.post("/api/v1/members", {"group": group["id"], "role": "operator"}, format="json")
    user = User.objects.get(username="ada")
    assert services.principal_of(user=user).role == "operator"
    admin.put(f"/api/v1/groups/{group['id']}", {"people": []}, format="json")
    assert services.principal_of(user=user).role == "reader"


def test_a_role_in_the_organisation_holds_in_every_project_but_not_elsewhere(
    admin: Any, head: Any, stranger: Any
) -> None:
    made = admin.post("/api/v1/projects", {"name": "second"}, format="json").json()
    colleague(head, "ada")
    body = {"user": "ada", "role": "operator", "everywhere": True}
    assert admin.post("/api/v1/members", body, format="json").status_code == 201
    ada = User.objects.get(username="ada")
    assert services.principal_of(user=ada, project_id=made["id"]).role == "operator"
    with pytest.raises(Forbidden):
        services.principal_of(user=ada, project_id=stranger.project_id)


def test_nobody_gives_more_than_they_have(head: Any, owner: Any) -> None:
    plain = colleague(head, "bob", "owner")
    bob = _key(plain, role="owner")
    everywhere = {"user": "bob", "role": "owner", "everywhere": True}
    assert bob.post("/api/v1/members", everywhere, format="json").status_code == 403
    operator = _key(head, role="operator")
    invited = operator.post("/api/v1/invites", {"email": "a@b.cd", "role": "owner"}, format="json")
    assert invited.status_code == 403
    for scopes in ({"platform": "full"}, {"organisation": "read"}, {"training": "full"}):
        key = colleague(head, "eve", "operator")
        with pytest.raises(Forbidden):
            services.issue_key(maker=key, name="k", scopes=scopes)


def test_a_key_shrinks_and_ends_with_its_maker(head: Any) -> None:
    bob = colleague(head, "bob", "operator")
    key = _key(bob, role="operator")
    assert key.get("/api/v1/datasets").status_code == 200
    Membership.objects.filter(user_id=bob.user_id).update(role="reader")
    assert key.post("/api/v1/datasets", {"name": "x"}, format="json").status_code == 403
    (fact,) = [f for f in services.live_keys(now=timezone.now()) if f.id == key.key.pk]
    assert not fact.may_call, "the gateway is told in its next snapshot"
    Membership.objects.filter(user_id=bob.user_id).delete()
    assert key.get("/api/v1/datasets").status_code == 403


def test_who_a_key_is_is_what_its_maker_may_do_whatever_that_hangs_on(
    admin: Any, head: Any, stranger: Any
) -> None:
    here, whole = {"project_id": head.project_id}, {"organisation_id": head.organisation_id}
    away = {"project_id": stranger.project_id}
    custom = CustomRole.objects.create(
        organisation_id=head.organisation_id, name="odd",
        levels={"training": "full", "platform": "full", "moon": "read"},
    )  # fmt: skip
    odd = {"role": "custom", "custom_role": custom}
    scopes = {"training": "operate", "datasets": "full", "organisation": "read", "platform": "full"}
    cases = [
        [], [here | {"role": "reader"}], [whole | {"role": "owner"}], [away | {"role": "owner"}],
        [here | odd], [whole | odd], [here | odd, whole | {"role": "reader"}],
        [here | {"role": "owner"}, away | {"role": "admin"}], [here | {"role": "admin"}],
    ]  # fmt: skip
    project = Project.objects.get(pk=head.project_id)
    seen = set()
    for number, (rows, grouped, everywhere, scoped) in enumerate(
        itertools.product(cases, (False, True), (False, True), (False, True))
    ):
        user = User.objects.create(username=f"u{number}", is_superuser=everywhere)
        group = Group.objects.create(organisation_id=head.organisation_id, name=f"g{number}")
        group.people.add(user, head.user_id)
        holder = {"group": group} if grouped else {"user": user}
        for row in rows:
            Membership.objects.create(**holder, **row)
        made = services.issue_key(maker=head, name="k")
        role = {"role": "custom", "scopes": scopes} if scoped else {"role": "admin"}
        ApiKey.objects.filter(pk=made.key.pk).update(made_by=user, **role)
        own = levels_of_role(role["role"], role.get("scopes"))
        found = services.check_key(secret=made.secret, now=timezone.now())
        assert found == principal_in(user=user, project=project, key_id=made.key.pk, scopes=own)
        seen.add((found.role, *sorted(found.levels.items())))
    assert len(seen) > 12, "they differ"


def test_a_key_of_who_or_what_is_gone_is_nobody(head: Any) -> None:
    now = timezone.now()
    made = services.issue_key(maker=head, name="k")

    def found() -> Any:
        return services.check_key(secret=made.secret, now=now)

    for model, pk, gone in (
        (User, head.user_id, {"is_active": False}),
        (Project, head.project_id, {"archived_at": now}),
        (ApiKey, made.key.pk, {"revoked_at": now}),
        (ApiKey, made.key.pk, {"expires_at": now}),
    ):
        row = model.objects.filter(pk=pk)
        before = row.values(*gone).get()
        row.update(**gone)
        assert found() is None, gone
        row.update(**before)
        assert found() is not None, gone
    ApiKey.objects.filter(pk=made.key.pk).update(expires_at=now + timedelta(seconds=1))
    assert found() is not None


def test_a_service_account_outlives_who_made_it(admin: Any, head: Any) -> None:
    body = {"name": "ci", "role": "operator"}
    account = admin.post("/api/v1/service-accounts", body, format="json").json()
    asked = {"name": "k", "role": "operator", "service_account_id": account["id"]}
    made = admin.post("/api/v1/keys", asked, format="json")
    assert made.status_code == 201, made.json()
    robot = APIClient()
    robot.credentials(HTTP_AUTHORIZATION=f"Bearer {made.json()['secret']}")
    assert robot.get("/api/v1/me").json()["user"].startswith("ci@")
    too_much = admin.post("/api/v1/keys", asked | {"role": "owner"}, format="json")
    assert too_much.status_code == 403
    admin.delete(f"/api/v1/service-accounts/{account['id']}")
    assert robot.get("/api/v1/me").status_code == 401


def test_a_rotated_key_overlaps_and_then_only_the_new_one_works(admin: Any, head: Any) -> None:
    old = _key(head, role="operator", networks=["127.0.0.0/8"])
    made = admin.post(f"/api/v1/keys/{old.key.pk}/rotate", {"overlap_seconds": 60}, format="json")
    assert made.status_code == 201
    assert made.json()["rotated_from"] == str(old.key.pk)
    assert made.json()["networks"] == ["127.0.0.0/8"]
    now = timezone.now()
    for secret, at, works in (
        (old.secret, now, True),
        (old.secret, now + timedelta(seconds=61), False),
        (made.json()["secret"], now + timedelta(seconds=61), True),
    ):
        assert (services.check_key(secret=secret, now=at) is not None) is works


def test_a_key_is_bound_to_its_networks(head: Any) -> None:
    key = _key(head, role="operator", networks=["10.1.0.0/16", "2001:db8::/32"])
    for address, status in (
        ("10.1.2.3", 200),
        ("10.2.0.1", 403),
        ("::ffff:10.1.0.9", 200),
        ("2001:db8::7", 200),
        ("2001:db9::7", 403),
        ("nonsense", 403),
    ):
        assert key.get("/api/v1/me", REMOTE_ADDR=address).status_code == status, address
    wrong = _key(head, role="owner").post(
        "/api/v1/keys", {"name": "x", "networks": ["10.0.0.0/33"]}, format="json"
    )
    assert wrong.json()["error"]["details"][0]["field"] == "networks[0]"


def test_an_invite_lets_one_person_in_once(admin: Any, head: Any) -> None:
    body = {"email": "new@example.com", "role": "operator"}
    made = admin.post("/api/v1/invites", body, format="json").json()
    assert "token" not in str(admin.get("/api/v1/invites").json())
    asked = {"token": made["token"], "user": "newcomer", "password": "correct horse battery"}
    weak = APIClient().post("/api/v1/invites/accept", asked | {"password": "password"}, "json")
    assert weak.status_code == 422
    squat = APIClient().post("/api/v1/invites/accept", asked | {"user": "ceo@rival.com"}, "json")
    assert squat.json()["error"]["details"][0]["rule"] == "no @"
    assert APIClient().post("/api/v1/invites/accept", asked, format="json").status_code == 201
    again = APIClient().post("/api/v1/invites/accept", asked | {"user": "other"}, format="json")
    assert again.status_code == 404
    person = services.principal_of(user=User.objects.get(username="newcomer"))
    assert (person.role, person.project_id) == ("operator", head.project_id)


def test_the_last_owner_stays(admin: Any, head: Any) -> None:
    rows = [m for m in admin.get("/api/v1/members").json()["data"] if not m["everywhere"]]
    (mine,) = [m for m in rows if m["user"] == head.user_name]
    assert admin.delete(f"/api/v1/members/{mine['id']}").status_code == 409
    down = admin.patch(f"/api/v1/members/{mine['id']}", {"role": "reader"}, format="json")
    assert down.status_code == 409
    assert Membership.objects.get(pk=mine["id"]).role == "owner"


def test_a_project_in_the_bin_is_shut_and_comes_back(admin: Any, head: Any) -> None:
    made = admin.post("/api/v1/projects", {"name": "second"}, format="json").json()
    there = services.principal_of(user=User.objects.get(pk=head.user_id), project_id=made["id"])
    key = _key(there, role="owner")
    assert admin.delete(f"/api/v1/projects/{head.project_id}").status_code == 409, "one's own"
    assert admin.delete(f"/api/v1/projects/{made['id']}").json()["archived_at"]
    assert key.get("/api/v1/me").status_code == 401
    assert key.key.pk not in {fact.id for fact in services.live_keys(now=timezone.now())}
    admin.post(f"/api/v1/projects/{made['id']}/restore")
    assert key.get("/api/v1/me").status_code == 200


def test_why_can_they_not(admin: Any, head: Any) -> None:
    colleague(head, "ada")
    asked = {"module": "training", "level": "operate", "user": "ada"}
    told = admin.get("/api/v1/access/explain", asked).json()
    assert told["allowed"] is False
    assert "ada has the role reader in the project, which allows read" in told["because"]
    assert told["fix"]
    narrow = _key(head, scopes={"datasets": "read"})
    mine = narrow.get("/api/v1/access/explain", {"module": "training", "level": "read"}).json()
    assert "the key allows at most none" in mine["because"]
    others = narrow.get("/api/v1/access/explain", asked)
    assert others.status_code == 403


# Sessions


def browser() -> APIClient:
    return APIClient(enforce_csrf_checks=True)


def test_a_browser_signs_in_switches_and_signs_out(admin: Any, head: Any) -> None:
    second = admin.post("/api/v1/projects", {"name": "second"}, format="json").json()
    client = browser()
    assert client.get("/api/v1/session").status_code == 401
    right = {"user": head.user_name, "password": "correct horse"}
    assert client.post("/api/v1/session", right, format="json").status_code == 200
    token = {"HTTP_X_CSRFTOKEN": client.cookies["csrftoken"].value}
    me = client.get("/api/v1/session").json()
    assert {p["name"] for p in me["projects"]} == {"default", "second"}
    bare = client.put("/api/v1/session", {"project": second["id"]}, format="json")
    assert bare.status_code == 403, "a change needs the CSRF token"
    put = client.put("/api/v1/session", {"project": second["id"]}, format="json", **token)
    assert put.json()["project"]["name"] == "second"
    assert client.get("/api/v1/me").json()["project"]["name"] == "second"
    assert client.delete("/api/v1/session", **token).status_code == 204
    assert client.get("/api/v1/me").status_code == 401


def test_a_session_cannot_switch_into_another_tenants_project(head: Any, stranger: Any) -> None:
    client = browser()
    right = {"user": head.user_name, "password": "correct horse"}
    client.post("/api/v1/session", right, format="json")
    token = {"HTTP_X_CSRFTOKEN": client.cookies["csrftoken"].value}
    there = {"project": str(stranger.project_id)}
    assert client.put("/api/v1/session", there, format="json", **token).status_code == 404
    sneaky = client.get("/api/v1/me", HTTP_X_SLIPWAY_PROJECT=str(stranger.project_id))
    assert sneaky.status_code == 403


@pytest.mark.parametrize("exists", [True, False])
def test_guessing_passwords_gets_slower_whether_or_not_the_name_exists(
    owner: Any, exists: bool
) -> None:
    name = owner.user_name if exists else "nobody-of-that-name"
    now = timezone.now()

    def guess(password: str, seconds: float) -> str:
        try:
            signin.sign_in(
                user_name=name,
                password=password,
                address="192.0.2.1",
                now=now + timedelta(seconds=seconds),
            )
        except Refused as error:
            return error.code
        return "in"

    assert [guess("wrong", 0) for _ in range(7)] == ["not_signed_in"] * 5 + [
        "too_many_attempts"
    ] * 2
    assert guess("wrong", 3) == "not_signed_in", "after the first wait"
    assert guess("wrong", 6) == "too_many_attempts", "the second one is longer"
    assert guess("correct horse", 6) == "too_many_attempts", "even for the right one"
    assert guess("correct horse", 3600) == ("in" if exists else "not_signed_in")


def test_the_door_says_429(owner: Any) -> None:
    wrong = {"user": owner.user_name, "password": "guess"}
    assert browser().post("/api/v1/session", wrong, "json").status_code == 401
    assert SignInFailure.objects.count() == 1, "a refusal does not undo the note"
    (row,) = SignInFailure.objects.all()
    for _ in range(12):
        SignInFailure.objects.create(name_digest=row.name_digest, address="192.0.2.1")
    assert browser().post("/api/v1/session", wrong, "json").status_code == 429


def test_the_first_owner_administers_the_platform(db: None) -> None:
    project = services.open_project(organisation="default", name="default")
    user = services.first_owner(user_name="admin", password="pw", project_id=project.pk)
    principal = services.principal_of(user=user)
    assert principal.role == "admin"
    again = services.first_owner(user_name="admin", password="other", project_id=project.pk)
    assert again.check_password("pw"), "their password stays theirs"
    client = _key(principal, role="admin")
    assert client.post("/api/v1/organisations", {"name": "new-one"}, "json").status_code == 201
