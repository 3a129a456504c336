"""Provisioning by SCIM: an independent conformity check, and what it does to people's rights."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.wsgi import get_wsgi_application
from django.utils import timezone
from rest_framework.test import APIClient
from scim2_client.engines.wsgi import WSGISCIMClient
from scim2_tester import Status, check_server

from slipway.audit.models import Entry
from slipway.tenancy import services
from slipway.tenancy.models import Group, Membership, Provisioned, ScimToken, User

pytestmark = pytest.mark.django_db
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"


def head_of(principal: Any) -> Any:
    """The owner of the whole organisation."""
    Membership.objects.create(
        user_id=principal.user_id, organisation_id=principal.organisation_id, role="owner"
    )
    return services.principal_of(user=User.objects.get(pk=principal.user_id))


@pytest.fixture
def head(owner: Any) -> Any:
    return head_of(owner)


def directory(api: Any) -> Any:
    """A client of SCIM, as the directory of an organisation is one."""
    made = api.post("/api/v1/scim-tokens", {"name": "entra"}, format="json")
    assert made.status_code == 201, made.json()
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {made.json()['secret']}")
    client.token = made.json()
    return client


@pytest.fixture
def admin(head: Any, api_for: Any) -> Any:
    return api_for(head, role="admin")


@pytest.fixture
def scim(admin: Any) -> Any:
    return directory(admin)


def ask(client: Any, method: str, path: str, body: Any = None) -> Any:
    return client.generic(
        method, f"/scim/v2/{path}", json.dumps(body) if body is not None else "",
        content_type="application/scim+json",
    )  # fmt: skip


def person(client: Any, user_name: str, **more: Any) -> Any:
    body = {
        "schemas": [USER],
        "userName": user_name,
        "emails": [{"value": user_name, "primary": True}],
    }
    made = ask(client, "POST", "Users", body | more)
    assert made.status_code == 201, made.json()
    return made.json()


def patch(client: Any, path: str, *operations: dict[str, Any]) -> Any:
    return ask(client, "PATCH", path, {"schemas": [PATCH], "Operations": list(operations)})


def test_the_conformity_checker_finds_nothing_wrong(scim: Any, settings: Any) -> None:
    settings.PUBLIC_URL = "http://127.0.0.1:8000"
    client = WSGISCIMClient(
        get_wsgi_application(), base_url="http://127.0.0.1:8000/scim/v2",
        environ={"HTTP_AUTHORIZATION": f"Bearer {scim.token['secret']}"},
    )  # fmt: skip
    results = check_server(client)
    wrong = [
        f"{each.title}: {each.reason}"
        for each in results
        if each.status in {Status.ERROR, Status.CRITICAL}
    ]
    assert not wrong, "\n".join(wrong)
    assert sum(each.status is Status.SUCCESS for each in results) > 50


def test_who_is_provisioned_comes_into_groups_and_their_roles(
    scim: Any, admin: Any, head: Any
) -> None:
    ada = person(scim, "ada@example.com", externalId="e-1", name={"givenName": "Ada"})
    made = ask(scim, "POST", "Groups", {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "ML team",
        "externalId": "g-1", "members": [{"value": ada["id"]}],
    })  # fmt: skip
    assert made.status_code == 201, made.json()
    group = made.json()["id"]
    admin.post("/api/v1/members", {"group": group, "role": "operator"}, format="json")
    user = User.objects.get(username="ada@example.com")
    assert (user.first_name, user.has_usable_password()) == ("Ada", False)
    assert services.principal_of(user=user).role == "operator"
    assert ask(scim, "GET", f"Users/{ada['id']}").json()["groups"][0]["display"] == "ML team"
    gone = patch(scim, f"Groups/{group}", {
        "op": "remove", "path": f'members[value eq "{ada["id"]}"]',
    })  # fmt: skip
    assert gone.status_code == 200, gone.json()
    assert not Group.objects.get(pk=group).people.exists()
    # What Entra ID sends: no path, a capital, text for a truth.
    patch(
        scim, f"Groups/{group}", {"op": "Add", "path": "members", "value": [{"value": ada["id"]}]}
    )
    assert Group.objects.get(pk=group).people.count() == 1
    local = services.ensure_member(
        user_name="local", password="correct horse", project_id=head.project_id, role="reader"
    )
    Group.objects.get(pk=group).people.add(local)
    put = {"schemas": made.json()["schemas"], "displayName": "ML team", "members": []}
    assert ask(scim, "PUT", f"Groups/{group}", put).status_code == 200
    assert list(Group.objects.get(pk=group).people.all()) == [local], "not the directory's"


def test_deactivated_people_are_out_at_once(scim: Any, admin: Any, head: Any) -> None:
    ada = person(scim, "ada@example.com")
    user = User.objects.get(username="ada@example.com")
    Membership.objects.create(user=user, project_id=head.project_id, role="operator")
    user.set_password("correct horse")
    user.save()
    browser = APIClient()
    right = {"user": user.username, "password": "correct horse"}
    assert browser.post("/api/v1/session", right, format="json").status_code == 200
    key = services.issue_key(maker=services.principal_of(user=user), name="hers")
    assert browser.get("/api/v1/me").status_code == 200
    off = patch(scim, f"Users/{ada['id']}", {"op": "replace", "value": {"active": False}})
    assert (off.status_code, off.json()["active"]) == (200, False)
    assert browser.get("/api/v1/me").status_code == 401
    now = timezone.now()
    assert services.check_key(secret=key.secret, now=now) is None
    assert key.key.pk not in {fact.id for fact in services.live_keys(now=now)}, (
        "the gateway's next picture, half a second later, has it no more"
    )
    assert APIClient().post("/api/v1/session", right, format="json").status_code == 401
    patch(scim, f"Users/{ada['id']}", {"op": "replace", "path": "active", "value": True})
    assert services.check_key(secret=key.secret, now=now) is not None
    assert ask(scim, "DELETE", f"Users/{ada['id']}").status_code == 204
    assert services.check_key(secret=key.secret, now=now) is None
    assert not Membership.objects.filter(user=user).exists()
    assert ask(scim, "GET", f"Users/{ada['id']}").status_code == 404
    assert person(scim, "ada@example.com")["id"] != ada["id"], "the name is free again"


def test_found_by_filter_and_page_by_page(scim: Any) -> None:
    for number in range(5):
        person(scim, f"p{number}@example.com", externalId=f"e-{number}")
    asked = {
        'userName eq "P3@Example.com"': 1, 'externalId eq "e-2"': 1, 'externalId eq "E-2"': 0,
        'userName sw "p" and emails.value co "4@"': 1, 'userName eq "nobody"': 0,
    }  # fmt: skip
    for query, total in asked.items():
        answer = scim.get("/scim/v2/Users", {"filter": query})
        assert answer.json()["totalResults"] == total, query
    page = scim.get("/scim/v2/Users", {"startIndex": 4, "count": 3}).json()
    assert (page["totalResults"], page["startIndex"], len(page["Resources"])) == (5, 4, 2)
    down = {"sortBy": "userName", "sortOrder": "descending", "count": 1}
    assert scim.get("/scim/v2/Users", down).json()["Resources"][0]["userName"].startswith("p4")
    wrong = scim.get("/scim/v2/Users", {"filter": "userName zz"})
    assert (wrong.status_code, wrong.json()["scimType"]) == (400, "invalidFilter")
    taken = ask(scim, "POST", "Users", {"schemas": [USER], "userName": "P1@example.com"})
    assert (taken.status_code, taken.json()["scimType"]) == (409, "uniqueness")
    assert taken["content-type"] == "application/scim+json"
    assert taken.json()["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]


def test_a_directory_is_one_organisations_and_nobody_elses(
    scim: Any, admin: Any, stranger: Any, api_for: Any, head: Any
) -> None:
    ada = person(scim, "ada@example.com")
    other = directory(api_for(head_of(stranger), role="admin"))
    assert ask(other, "GET", f"Users/{ada['id']}").status_code == 404
    assert patch(other, f"Users/{ada['id']}", {"op": "replace", "value": {"active": False}}
                 ).status_code == 404  # fmt: skip
    body = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "x"}
    theirs = ask(other, "POST", "Groups", body | {"members": [{"value": ada["id"]}]})
    assert (theirs.status_code, theirs.json()["scimType"]) == (400, "invalidValue")
    assert scim.get("/api/v1/me").status_code == 401, "good for SCIM only"
    assert admin.get("/scim/v2/Users").status_code == 401, "and SCIM for it only"
    assert scim.get("/scim/v2/Nothing").json()["status"] == "404"
    row = ScimToken.objects.get(organisation_id=head.organisation_id)
    assert scim.token["secret"] not in str(row.__dict__.values())
    noted = Entry.objects.filter(action__contains="scim/v2").first()
    assert noted.actor == "scim:entra"
    assert admin.delete(f"/api/v1/scim-tokens/{row.pk}").status_code == 204
    assert scim.get("/scim/v2/Users").status_code == 401


def test_only_owners_of_the_organisation_make_directories(head: Any, api_for: Any) -> None:
    narrow = services.issue_key(maker=head, name="x", scopes={"organisation": "full"})
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {narrow.secret}")
    made = client.post("/api/v1/scim-tokens", {"name": "x"}, format="json")
    assert made.status_code == 403, "who has it decides who is in every group"


def test_a_provisioned_person_signs_on_as_the_same_person(scim: Any, head: Any) -> None:
    from slipway.tenancy.models import IdentityProvider
    from slipway.tenancy.services.signon import joining
    from slipway.tenancy.services.signon.seen import NoRole, Seen

    person(scim, "ada@example.com", externalId="oid-1")
    user = User.objects.get(username="ada@example.com")
    Membership.objects.create(user=user, project_id=head.project_id, role="reader")
    provider = IdentityProvider.objects.create(
        organisation_id=head.organisation_id, name="x", kind="oidc"
    )
    now = timezone.now()
    mail = {"email": "ada@example.com", "email_verified": True}
    assert joining.person_of(provider=provider, seen=Seen(subject="s", **mail), now=now) == user
    by_id = Seen(subject="oid-1", email="other@example.com")
    assert joining.person_of(provider=provider, seen=by_id, now=now) == user
    unchecked = Seen(subject="z", email="ada@example.com", email_verified=False)
    with pytest.raises(NoRole):
        joining.person_of(provider=provider, seen=unchecked, now=now)
    assert Provisioned.objects.count() == 1
