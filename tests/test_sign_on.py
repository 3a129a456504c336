"""Signing on through a real OpenID provider: who gets in, as whom, and what does not hold."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.utils import timezone
from rest_framework.test import APIClient
from servers import Server
from servers.identity import CLIENT, SECRET, openid

from slipway.audit.models import Entry
from slipway.tenancy import services
from slipway.tenancy.models import Group, IdentityProvider, Membership, SignOnDomain, User
from slipway.tenancy.services.signon import oidc, published
from slipway.tenancy.services.signon.seen import Seen, Untrusted

pytestmark = pytest.mark.django_db

PASSWORD = "very secure"
USERS = {
    "u-ada": {
        "Username": "ada", "Password": PASSWORD, "Email": "ada@example.com",
        "EmailVerified": True, "FirstName": "Ada", "LastName": "ml-team",
    },
    "u-bob": {
        "Username": "bob", "Password": PASSWORD, "Email": "bob@example.com",
        "EmailVerified": True, "FirstName": "Bob", "LastName": "sales",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = openid(USERS)
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def _here(settings: Any) -> Iterator[None]:
    settings.PUBLIC_URL = "http://127.0.0.1:8000"
    settings.EXTERNAL_NETWORKS = [ip_network("127.0.0.0/8"), ip_network("::1/128")]
    published.kept.forget()
    yield
    published.kept.forget()


@pytest.fixture
def head(owner: Any) -> Any:
    """The owner of the whole organisation."""
    Membership.objects.create(
        user_id=owner.user_id, organisation_id=owner.organisation_id, role="owner"
    )
    return services.principal_of(user=User.objects.get(pk=owner.user_id))


@pytest.fixture
def admin(head: Any, api_for: Any) -> Any:
    return api_for(head, role="admin")


@pytest.fixture
def provider(admin: Any, server: Server) -> dict[str, Any]:
    """A provider whose people become readers, and operators in the group `ml-team`."""
    group = admin.post("/api/v1/groups", {"name": "ml", "people": []}, format="json").json()
    admin.post("/api/v1/members", {"group": group["id"], "role": "operator"}, format="json")
    made = admin.post(
        "/api/v1/identity-providers",
        {
            "name": "company", "kind": "oidc", "secret": SECRET,
            # This provider knows no groups; any claim may name them.
            "settings": {"issuer": server.fresh(), "client_id": CLIENT,
                         "groups_claim": "family_name"},
            "domains": ["Example.com"], "groups": {"ml-team": group["id"]},
            "default_role": "reader",
        },
        format="json",
    )  # fmt: skip
    assert made.status_code == 201, made.json()
    SignOnDomain.objects.update(proved_at=timezone.now())
    return dict(made.json())


def browser() -> APIClient:
    return APIClient(enforce_csrf_checks=True)


def leave(client: Any, provider: dict[str, Any], **asked: Any) -> str:
    answer = client.get(f"/api/v1/sign-on/{provider['id']}", asked)
    assert answer.status_code == 302
    return str(answer["location"])


def at_the_provider(address: str, user: str, password: str = PASSWORD) -> str:
    """What a person does there; the address the provider sends the browser back to."""
    with httpx.Client(follow_redirects=True) as there:
        form = there.get(address)
        request = re.search(r'name="id" value="([^"]+)"', form.text)
        assert request, form.text
        given = {"id": request[1], "username": user, "password": password}
        answer = there.post(form.url.join("/login/username"), data=given, follow_redirects=False)
        while "/api/v1/sign-on/" not in answer.headers.get("location", ""):
            assert answer.is_redirect, answer.text
            answer = there.get(answer.url.join(answer.headers["location"]), follow_redirects=False)
        return str(answer.headers["location"])


def come_back(client: Any, address: str) -> Any:
    parts = urlsplit(address)
    return client.get(f"{parts.path}?{parts.query}")


def sign_on(client: Any, provider: dict[str, Any], user: str = "ada", **asked: Any) -> Any:
    return come_back(client, at_the_provider(leave(client, provider, **asked), user))


def test_a_stranger_comes_in_with_the_role_of_their_group(
    provider: dict[str, Any], head: Any
) -> None:
    told = browser().post("/api/v1/sign-on/offers", {"email": "Ada@Example.COM"}, format="json")
    assert told.json()["data"] == [{"id": provider["id"], "name": "company", "kind": "oidc"}]
    client = browser()
    left = parse_qs(urlsplit(leave(client, provider)).query)
    assert left["code_challenge_method"] == ["S256"]
    assert len(left["state"][0]) >= 43
    assert len(left["nonce"][0]) >= 43
    answer = sign_on(client, provider, next="/models?x=1")
    assert (answer.status_code, answer["location"]) == (302, "/models?x=1")
    me = client.get("/api/v1/session").json()
    assert (me["user"], me["role"]) == ("ada@example.com", "operator")
    other = browser()
    assert sign_on(other, provider, "bob")["location"] == "/"
    assert other.get("/api/v1/me").json()["role"] == "reader"
    again = browser()
    sign_on(again, provider)
    assert User.objects.filter(email="ada@example.com").count() == 1, "known the second time"
    entry = Entry.objects.filter(action__contains="sign-on/callback").latest("number")
    assert entry.actor == "ada@example.com"


def test_who_leaves_the_group_there_leaves_it_here(provider: dict[str, Any]) -> None:
    sign_on(browser(), provider)
    row = IdentityProvider.objects.get()
    assert Group.objects.get(name="ml").people.count() == 1
    IdentityProvider.objects.filter(pk=row.pk).update(groups={"elsewhere": row.groups["ml-team"]})
    client = browser()
    sign_on(client, provider)
    assert client.get("/api/v1/me").json()["role"] == "reader"


def test_an_account_of_the_same_name_or_mail_is_not_taken_over(
    provider: dict[str, Any], head: Any
) -> None:
    local = services.ensure_member(
        user_name="ada@example.com", password="correct horse", project_id=head.project_id,
        role="owner",
    )  # fmt: skip
    User.objects.filter(pk=local.pk).update(email="ada@example.com")
    client = browser()
    sign_on(client, provider)
    assert client.get("/api/v1/me").json()["user"] == "ada@example.com-2"


def test_wrong_state_a_replayed_code_and_a_stolen_answer_are_refused(
    provider: dict[str, Any],
) -> None:
    client = browser()
    back = at_the_provider(leave(client, provider), "ada")
    state = parse_qs(urlsplit(back).query)["state"][0]
    wrong = come_back(client, back.replace(state, "x" * 43))
    assert wrong["location"] == "/?sign-in=sign_on_failed"
    assert client.get("/api/v1/session").status_code == 401
    assert "belongs to no sign-on" in Entry.objects.latest("number").body
    assert '"outcome":"refused"' in Entry.objects.latest("number").body

    back = at_the_provider(leave(client, provider), "ada")
    stolen = come_back(browser(), back)
    assert stolen["location"] == "/?sign-in=sign_on_failed", "another browser left"
    assert come_back(client, back)["location"] == "/"
    assert come_back(client, back)["location"] == "/?sign-in=sign_on_failed", "used"

    # The same code under a state of this browser's own: the provider knows it is spent, and that
    # it was given for another challenge.
    attacker = browser()
    mine = parse_qs(urlsplit(leave(attacker, provider)).query)["state"][0]
    theirs = at_the_provider(leave(browser(), provider), "bob")
    injected = theirs.replace(parse_qs(urlsplit(theirs).query)["state"][0], mine)
    assert come_back(attacker, injected)["location"] == "/?sign-in=sign_on_failed"


def test_keys_that_rotate_are_looked_up_anew(admin: Any, settings: Any) -> None:
    first = openid(USERS)
    body = {
        "name": "rotating", "kind": "oidc", "secret": SECRET, "default_role": "reader",
        "settings": {"issuer": first.fresh(), "client_id": CLIENT},
    }  # fmt: skip
    made = admin.post("/api/v1/identity-providers", body, format="json").json()
    assert sign_on(browser(), made)["location"] == "/"
    first.stop()
    second = openid(USERS, port=first.port)
    try:
        # What was published is kept for minutes, yet the new key must be found at once.
        url = f"{first.fresh()}keys"
        at, old = published.kept._seen[url]
        published.kept._seen[url] = (at - oidc._LOOK_AGAIN_SECONDS, old)
        assert sign_on(browser(), made)["location"] == "/"
        assert published.kept._seen[url][1] != old
    finally:
        second.stop()


def test_a_provider_that_is_down_is_named_and_the_owner_still_gets_in(
    admin: Any, head: Any, provider: dict[str, Any]
) -> None:
    gone = openid(USERS)
    gone.stop()
    settings = {"issuer": gone.fresh(), "client_id": CLIENT}
    changed = admin.patch(
        f"/api/v1/identity-providers/{provider['id']}", {"settings": settings}, format="json"
    )
    assert changed.status_code == 422, "another address needs its secret"
    changed = admin.patch(
        f"/api/v1/identity-providers/{provider['id']}",
        {"settings": settings, "secret": SECRET}, format="json",
    )  # fmt: skip
    assert changed.status_code == 200, changed.json()
    rules = {"requires_sign_on": True, "requires_second_factor": False}
    assert admin.put("/api/v1/sign-in-rules", rules, format="json").json() == rules
    client = browser()
    assert leave(client, provider) == "/?sign-in=provider_down"
    checked = admin.post(f"/api/v1/identity-providers/{provider['id']}/check")
    assert "localhost does not answer" in checked.json()["trouble"]
    right = {"user": head.user_name, "password": "correct horse"}
    assert client.post("/api/v1/session", right, format="json").status_code == 200
    services.ensure_member(
        user_name="plain", password="correct horse", project_id=head.project_id, role="operator"
    )
    refused = browser().post("/api/v1/session", right | {"user": "plain"}, format="json")
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "sign_on_required"


def test_a_session_by_password_ends_when_sign_on_is_demanded(
    admin: Any, head: Any, provider: dict[str, Any]
) -> None:
    services.ensure_member(
        user_name="plain", password="correct horse", project_id=head.project_id, role="operator"
    )
    client, signed_on = browser(), browser()
    client.post("/api/v1/session", {"user": "plain", "password": "correct horse"}, format="json")
    sign_on(signed_on, provider)
    rules = {"requires_sign_on": True, "requires_second_factor": True}
    admin.put("/api/v1/sign-in-rules", rules, format="json")
    assert client.get("/api/v1/me").status_code == 403
    assert signed_on.get("/api/v1/me").status_code == 200, "the provider answers for them"


def test_another_sign_on_shows_again_who_is_there(provider: dict[str, Any]) -> None:
    client = browser()
    sign_on(client, provider)
    session = client.session
    session["shown"] |= {"proved_at": "2020-01-01T00:00:00+00:00"}
    session.save()
    assert sign_on(client, provider, anew="true")["location"] == "/"
    assert client.session["shown"]["proved_at"] > "2026"
    other = sign_on(client, provider, "bob", anew="true")
    assert other["location"] == "/?sign-in=sign_on_failed", "somebody else's proof"


def test_nobody_is_sent_to_other_sites(provider: dict[str, Any]) -> None:
    for wanted in ("//evil.example", "/\\evil.example", "https://evil.example", "javascript:x"):
        assert sign_on(browser(), provider, next=wanted)["location"] == "/", wanted


def test_secrets_are_sealed_and_providers_are_ones_own(
    admin: Any, provider: dict[str, Any], stranger: Any, api_for: Any
) -> None:
    row = IdentityProvider.objects.get()
    assert SECRET not in str(row.__dict__.values())
    listed = admin.get("/api/v1/identity-providers").content.decode()
    assert '"secret"' not in listed
    assert row.secret not in listed
    (noted,) = Entry.objects.filter(action__startswith="POST", action__contains="identity-prov")
    assert '"secret":"[hidden]"' in noted.body
    Membership.objects.create(
        user_id=stranger.user_id, organisation_id=stranger.organisation_id, role="owner"
    )
    other = api_for(services.principal_of(user=User.objects.get(pk=stranger.user_id)), role="admin")
    for method in ("get", "patch", "delete"):
        answer = getattr(other, method)(f"/api/v1/identity-providers/{row.pk}")
        assert answer.status_code == 404
    theirs = {
        "name": "catcher", "kind": "oidc", "domains": ["example.com"],
        "settings": {"issuer": "https://id.example.net", "client_id": "x"},
    }  # fmt: skip
    caught = other.post("/api/v1/identity-providers", theirs, format="json").json()
    offered = browser().post("/api/v1/sign-on/offers", {"email": "a@example.com"}, format="json")
    assert [each["name"] for each in offered.json()["data"]] == ["company"], "only claimed"
    other.delete(f"/api/v1/identity-providers/{caught['id']}")
    reach = {"groups": {"x": row.groups["ml-team"]}}
    mine = other.post("/api/v1/identity-providers", theirs | {"domains": []}, format="json").json()
    answer = other.patch(f"/api/v1/identity-providers/{mine['id']}", reach, format="json")
    assert answer.status_code == 404, "another organisation's group"


def test_settings_that_make_no_sense_name_the_field(admin: Any) -> None:
    body = {"name": "x", "kind": "oidc", "settings": {"issuer": "https://a.example", "moon": "y"}}
    wrong = admin.post("/api/v1/identity-providers", body, format="json")
    fields = {each["field"] for each in wrong.json()["error"]["details"]}
    assert (wrong.status_code, fields) == (422, {"settings.client_id", "settings.moon"})


@pytest.fixture
def signing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A key that a provider publishes; tokens made with it or another."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = {**jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "k1"}
    monkeypatch.setattr(published.kept, "get", lambda url, **_: {"keys": [public | {"use": "sig"}]})
    return key


@pytest.mark.parametrize(
    ("claims", "how"),
    [
        ({}, {}),
        ({"nonce": "other"}, {}),
        ({"aud": "other"}, {}),
        ({"iss": "https://evil.example"}, {}),
        ({"exp": time.time() - 3600}, {}),
        ({"aud": ["web", "other"]}, {}),
        ({"azp": "other"}, {}),
        ({}, {"key": "other"}),
        ({}, {"algorithm": "none"}),
        ({}, {"algorithm": "HS256"}),
        ({}, {"kid": "k2"}),
    ],
)
def test_an_identity_token_holds_whole_or_not_at_all(
    signing: Any, claims: dict[str, Any], how: dict[str, str]
) -> None:
    told = {"issuer": "https://id.example", "jwks_uri": "https://id.example/keys"}
    now = time.time()
    good = {"iss": told["issuer"], "aud": "web", "sub": "1", "nonce": "n", "iat": now,
            "exp": now + 60}  # fmt: skip
    algorithm = how.get("algorithm", "RS256")
    key: Any = signing
    if how.get("key"):
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key = {"none": "", "HS256": "x" * 64}.get(algorithm, key)
    named = {"kid": how.get("kid", "k1")}
    token = jwt.encode(good | claims, key, algorithm=algorithm, headers=named)
    row = IdentityProvider(settings={"client_id": "web"})
    if claims or how:
        with pytest.raises(Untrusted):
            oidc._checked(row, told, token, "n")
    else:
        assert oidc._checked(row, told, token, "n")["sub"] == "1"


def test_groups_may_be_one_text_or_several() -> None:
    from slipway.tenancy.services.signon.seen import texts

    assert Seen(subject="1", groups=frozenset(texts(["a", "b"]))).groups == {"a", "b"}
    assert texts("a") == ["a"]
    assert texts({"a": 1}) == []
