"""Signing on by SAML: through a real provider, and with answers that do not hold."""

from __future__ import annotations

import copy
import html
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from django.utils import timezone
from lxml import etree
from rest_framework.test import APIClient
from saml_answers import EXCLUSIVE, NS, Answer, Key, Sha1Signer, at, posted, signed, taken_apart
from servers import Server
from servers.identity import saml

from slipway.audit.models import Entry
from slipway.tenancy import services
from slipway.tenancy.models import IdentityProvider, Membership, SamlAnswer, SignOnDomain, User
from slipway.tenancy.services.signon import published
from slipway.tenancy.services.signon.saml import answered, kept
from slipway.tenancy.services.signon.saml.described import Here
from slipway.tenancy.services.signon.seen import ProviderDown, Untrusted

pytestmark = pytest.mark.django_db

PASSWORD = "very secure"
USERS: dict[str, dict[str, object]] = {
    "ada": {"password": PASSWORD, "email": "ada@example.com", "common_name": "Ada L",
            "groups": ["ml-team", "all"]},
    "bob": {"password": PASSWORD, "email": "bob@example.com", "common_name": "Bob",
            "groups": ["all"]},
}  # fmt: skip
HERE = Here(
    entity_id="https://slipway.example.com/saml", answers_to="https://slipway.example.com/a"
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = saml(USERS)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def key() -> Key:
    return Key.new()


@pytest.fixture(autouse=True)
def _here(settings: Any) -> Iterator[None]:
    settings.PUBLIC_URL = "http://127.0.0.1:8000"
    settings.EXTERNAL_NETWORKS = [ip_network("127.0.0.0/8"), ip_network("::1/128")]
    published.kept.forget()
    yield
    published.kept.forget()


@pytest.fixture
def admin(owner: Any, api_for: Any) -> Any:
    Membership.objects.create(
        user_id=owner.user_id, organisation_id=owner.organisation_id, role="owner"
    )
    return api_for(services.principal_of(user=User.objects.get(pk=owner.user_id)), role="admin")


@pytest.fixture
def provider(admin: Any, server: Server) -> dict[str, Any]:
    """A provider whose people become readers, and operators in the group `ml-team`; it knows us."""
    group = admin.post("/api/v1/groups", {"name": "ml", "people": []}, format="json").json()
    admin.post("/api/v1/members", {"group": group["id"], "role": "operator"}, format="json")
    made = admin.post(
        "/api/v1/identity-providers",
        {
            "name": "company", "kind": "saml", "domains": ["example.com"],
            "settings": {"metadata_url": server.fresh(),
                         "groups_attribute": "eduPersonAffiliation"},
            "groups": {"ml-team": group["id"]}, "default_role": "reader",
        },
        format="json",
    )  # fmt: skip
    assert made.status_code == 201, made.json()
    SignOnDomain.objects.update(proved_at=timezone.now())
    row: dict[str, Any] = made.json()
    ours = APIClient().get(urlsplit(row["entity_id"]).path)
    assert ours["content-type"] == "application/samlmetadata+xml"
    address = server.fresh().replace("/metadata", f"/services/{row['id']}")
    httpx.put(address, content=ours.content).raise_for_status()
    return row


def leave(client: Any, provider: dict[str, Any], **asked: Any) -> str:
    answer = client.get(f"/api/v1/sign-on/{provider['id']}", asked)
    assert answer.status_code == 302
    return str(answer["location"])


def at_the_provider(address: str, user: str) -> tuple[str, str]:
    """What a person does there; where the page then posts what."""
    with httpx.Client(follow_redirects=True) as there:
        page = there.get(address)
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
        assert "SAMLRequest" in fields, page.text
        given = {name: html.unescape(value) for name, value in fields.items()}
        page = there.post(
            address.partition("?")[0], data=given | {"user": user, "password": PASSWORD}
        )
        target = re.search(r'action="([^"]+)"', page.text)
        made = re.search(r'name="SAMLResponse" value="([^"]*)"', page.text)
        assert target, page.text
        assert made, page.text
        return html.unescape(target[1]), html.unescape(made[1])


def post(where: str, response: str) -> Any:
    """As a browser does from another site: without a session."""
    client = APIClient(enforce_csrf_checks=True)
    given = str(httpx.QueryParams({"SAMLResponse": response}))
    return client.post(
        urlsplit(where).path, given, content_type="application/x-www-form-urlencoded"
    )


def sign_on(client: Any, provider: dict[str, Any], user: str, **asked: Any) -> Any:
    return client.get(post(*at_the_provider(leave(client, provider, **asked), user))["location"])


def test_a_stranger_comes_in_with_the_role_of_their_group(provider: dict[str, Any]) -> None:
    told = APIClient().post("/api/v1/sign-on/offers", {"email": "Ada@Example.COM"}, format="json")
    assert told.json()["data"] == [{"id": provider["id"], "name": "company", "kind": "saml"}]
    client = APIClient()
    answer = sign_on(client, provider, "ada", next="/models?x=1")
    assert (answer.status_code, answer["location"]) == (302, "/models?x=1")
    me = client.get("/api/v1/session").json()
    assert (me["user"], me["role"]) == ("ada@example.com", "operator")
    user = User.objects.get(username="ada@example.com")
    assert (user.first_name, user.last_name, user.has_usable_password()) == ("Ada", "L", False)
    other = APIClient()
    assert sign_on(other, provider, "bob")["location"] == "/"
    assert other.get("/api/v1/session").json()["role"] == "reader"
    # Once more it is the same person, and the audit log names who came in.
    assert sign_on(APIClient(), provider, "ada")["location"] == "/"
    assert User.objects.filter(email="ada@example.com").count() == 1
    seen = Entry.objects.filter(action__contains="saml/finish").earliest("number")
    assert seen.actor == "ada@example.com"
    assert '"outcome":"done"' in seen.body
    # What was proved is not kept any longer than it is needed.
    assert not SamlAnswer.objects.exclude(seen={}).exists()


def test_an_answer_is_for_one_browser_and_one_time(provider: dict[str, Any]) -> None:
    client, thief = APIClient(), APIClient()
    where, response = at_the_provider(leave(client, provider), "ada")
    on = post(where, response)
    assert on.status_code == 303
    # Sent again, by whomever, it is known; stolen, it opens no other browser.
    assert "sign_on_failed" in post(where, response)["location"]
    leave(thief, provider)
    assert "sign_on_failed" in thief.get(on["location"])["location"]
    assert "sign_on_failed" in APIClient().get(on["location"])["location"]
    assert thief.get("/api/v1/session").status_code == 401
    assert client.get(on["location"])["location"] == "/"
    assert "sign_on_failed" in client.get(on["location"])["location"]
    # An answer to another sign-on of the same browser is not the one it waits for.
    where, response = at_the_provider(leave(client, provider), "ada")
    leave(client, provider)
    assert "sign_on_failed" in client.get(post(where, response)["location"])["location"]
    refused = Entry.objects.filter(action__contains="saml", body__contains='"outcome":"refused"')
    assert refused.count() == 5
    assert "was used before" in refused.earliest("number").body


def test_an_answer_left_lying_is_too_old(provider: dict[str, Any]) -> None:
    client = APIClient()
    on = post(*at_the_provider(leave(client, provider), "ada"))
    SamlAnswer.objects.update(created_at=timezone.now() - timedelta(minutes=3))
    assert "sign_on_failed" in client.get(on["location"])["location"]
    kept.forget(now=timezone.now())
    assert SamlAnswer.objects.count() == 1, "it could still be sent again"
    kept.forget(now=timezone.now() + timedelta(hours=1))
    assert not SamlAnswer.objects.exists()


def test_who_must_show_again_who_they_are_does(provider: dict[str, Any]) -> None:
    client = APIClient()
    sign_on(client, provider, "ada")
    assert sign_on(client, provider, "ada", anew="true")["location"] == "/"
    where, response = at_the_provider(leave(client, provider, anew="true"), "ada")
    on = post(where, response)
    SamlAnswer.objects.update(proved_at=timezone.now() - timedelta(minutes=5))
    assert "sign_on_failed" in client.get(on["location"])["location"]
    # Somebody else who answers there shows nothing of who is here.
    assert "sign_on_failed" in sign_on(client, provider, "bob", anew="true")["location"]


def test_a_provider_that_is_down_is_named(provider: dict[str, Any], admin: Any) -> None:
    gone = saml({})
    url = gone.fresh()
    path = f"/api/v1/identity-providers/{provider['id']}"
    admin.patch(path, {"settings": {"metadata_url": url}}, format="json")
    assert admin.post(f"{path}/check").json() == {"trouble": ""}
    gone.stop()
    assert "localhost" in admin.post(f"{path}/check").json()["trouble"]
    assert leave(APIClient(), provider) == "/?sign-in=provider_down"
    admin.patch(path, {"settings": {}}, format="json")
    assert "no metadata yet" in admin.post(f"{path}/check").json()["trouble"]
    assert post(provider["redirect_uri"], "x")["location"] == "/?sign-in=provider_down"


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"metadata": "no XML"}, "settings.metadata"),
        ({"metadata": "<!DOCTYPE x [<!ENTITY e 'y'>]><x>&e;</x>"}, "settings.metadata"),
        ({"metadata": "<x/>"}, "settings.metadata"),
        ({"metadata": "<x/>", "metadata_url": "https://x.example.com"}, "settings.metadata_url"),
        ({"metadata_url": "file:///etc/passwd"}, "url"),
        ({"issuer": "x"}, "settings.issuer"),
        ({"groups_attribute": ["x"]}, "settings.groups_attribute"),
    ],
)
def test_settings_that_make_no_sense_name_the_field(
    admin: Any, told: dict[str, Any], field: str
) -> None:
    body = {"name": "x", "kind": "saml", "settings": told}
    answer = admin.post("/api/v1/identity-providers", body, format="json")
    assert answer.status_code == 422, answer.json()
    assert field in [each["field"] for each in answer.json()["error"]["details"]]


def test_metadata_that_asks_for_what_is_not_done_says_so(admin: Any, key: Key) -> None:
    def why(metadata: str, **more: Any) -> str:
        body = {"name": "x", "kind": "saml", "settings": {"metadata": metadata}} | more
        answer = admin.post("/api/v1/identity-providers", body, format="json")
        assert answer.status_code == 422, answer.json()
        return str(answer.json()["error"]["message"])

    good = key.metadata()
    assert "signed requests" in why(key.metadata(WantAuthnRequestsSigned="true"))
    assert "HTTP-Redirect" in why(good.replace("HTTP-Redirect", "HTTP-POST"))
    assert "web address" in why(good.replace("https://idp.example.com/sso", "javascript:x"))
    assert "no certificate" in why(good.replace('use="signing"', 'use="encryption"'))
    assert "2048 bits" in why(Key.new(bits=1024).metadata())
    assert "needs no secret" in why(good, secret="s")
    made = admin.post(
        "/api/v1/identity-providers",
        {"name": "x", "kind": "saml", "settings": {"metadata": good}}, format="json",
    )  # fmt: skip
    assert made.status_code == 201


# Answers made by hand.


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def row(owner: Any, key: Key) -> IdentityProvider:
    return IdentityProvider.objects.create(
        organisation_id=owner.organisation_id, name="company", kind="saml",
        settings={"metadata": key.metadata()},
    )  # fmt: skip


Read = Callable[[str], answered.Answered]


@pytest.fixture
def read(row: IdentityProvider, now: datetime) -> Read:
    return lambda text: answered.read(row, posted(text), here=HERE, now=now)


@pytest.fixture
def made(now: datetime) -> Answer:
    return Answer(HERE, now)


def test_what_is_signed_is_believed(read: Read, made: Answer, key: Key) -> None:
    """The assertion's signature, the whole answer's, or both; and what they say is found."""
    inner = made.response(signed(made.assertion(), key))
    for text in (
        inner,
        signed(made.response(made.assertion()), key),
        signed(made.response(signed(made.assertion(), key)), key),
    ):
        found = read(text)
        assert found.request == "_request"
        assert found.seen.subject == "u-1"
        assert (found.seen.email, found.seen.name) == ("ada@example.com", "Ada")
        assert found.seen.groups == {"ml-team", "all"}


def test_keys_may_be_exchanged(row: IdentityProvider, made: Answer, key: Key) -> None:
    """While two keys are announced answers may be signed with either."""
    other = Key.new()
    row.settings = {"metadata": other.metadata(key)}
    text = posted(made.response(signed(made.assertion(), key)))
    assert answered.read(row, text, here=HERE, now=made.now).seen.subject == "u-1"
    row.settings = {"metadata": other.metadata()}
    with pytest.raises(Untrusted, match="none of the provider's"):
        answered.read(row, text, here=HERE, now=made.now)
    ended = Key.new(ended=True)
    row.settings = {"metadata": ended.metadata()}
    text = posted(made.response(signed(made.assertion(), ended)))
    with pytest.raises(Untrusted, match="not valid after"):
        answered.read(row, text, here=HERE, now=made.now)


SPOILED: dict[str, tuple[dict[str, str], str]] = {
    "another issuer": ({"issuer": "https://evil.example.com"}, "issued by somebody else"),
    "another audience": ({"audience": "https://other.example.com"}, "another audience"),
    "no audience": ({"audience": ""}, "for whom"),
    "another recipient": ({"recipient": "https://other.example.com/a"}, "somewhere else"),
    "no request": ({"request": ""}, "answers no request"),
    "not a bearer": ({"method": "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"}, "no bearer"),
    "bearer later": ({"bearer": 'NotBefore="2020-01-01T00:00:00Z"'}, "may not come yet"),
    "other conditions": ({"conditions": "<a:Never/>"}, "conditions not known"),
    "two audiences": (
        {"conditions": "<a:AudienceRestriction><a:Audience>urn:x</a:Audience>"
                       "</a:AudienceRestriction>"},
        "another audience",
    ),
    "no time zone": ({"until": "2099-01-01T00:00:00"}, "no time zone"),
    "no time": ({"until": "soon"}, "is no time"),
    "session over": ({"session": 'SessionNotOnOrAfter="2020-01-01T00:00:00Z"'}, "is over"),
    "another version": ({"version": "1.1"}, "not of SAML 2.0"),
    "transient": (
        {"format": "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"}, "another name each time",
    ),
    "no name": ({"name": ""}, "NameID"),
    "long name": ({"name": "x" * 256}, "NameID"),
    "elements in the name": ({"name": "u-<b>1</b>"}, "more than text"),
    "two subjects": ({"extra": "<a:Subject/>"}, "2 Subject"),
    "two statements": ({"extra": '<a:AuthnStatement AuthnInstant="x"/>'}, "2 AuthnStatement"),
}  # fmt: skip


@pytest.mark.parametrize("case", SPOILED)
def test_each_rule_of_the_profile_is_held(read: Read, made: Answer, key: Key, case: str) -> None:
    changed, why = SPOILED[case]
    with pytest.raises(Untrusted, match=why):
        read(made.response(signed(made.assertion(**changed), key)))


def test_times_have_a_minute_of_leeway(read: Read, made: Answer, key: Key) -> None:
    def holds(**changed: str) -> bool:
        try:
            read(made.response(signed(made.assertion(**changed), key)))
        except Untrusted:
            return False
        return True

    for seconds, late, early in ((50, True, True), (70, False, False)):
        assert holds(until=at(made.now, -seconds)) is late
        assert holds(**{"from": at(made.now, seconds)}) is early
        assert holds(instant=at(made.now, seconds)) is early


AROUND: dict[str, tuple[dict[str, str], str]] = {
    "another destination": ({"destination": 'Destination="https://x.example.com"'}, "was meant"),
    "another issuer": ({"issuer": "https://evil.example.com"}, "comes from"),
    "no success": ({"status": "urn:oasis:names:tc:SAML:2.0:status:AuthnFailed"}, "AuthnFailed"),
    "another version": ({"version": "1.1"}, "no Response"),
}


@pytest.mark.parametrize("case", AROUND)
def test_what_is_around_the_assertion_must_fit(
    read: Read, made: Answer, key: Key, case: str
) -> None:
    changed, why = AROUND[case]
    with pytest.raises(Untrusted, match=why):
        read(made.response(signed(made.assertion(), key), **changed))
    with pytest.raises(Untrusted, match=why):
        read(signed(made.response(made.assertion(), **changed), key))


def test_what_is_not_signed_well_is_nothing(read: Read, made: Answer, key: Key) -> None:
    sha1 = Sha1Signer(
        signature_algorithm="rsa-sha1", digest_algorithm="sha1", c14n_algorithm=EXCLUSIVE
    )
    good = made.response(signed(made.assertion(), key))
    for text, why in (
        (made.response(made.assertion()), "neither it nor its assertion is signed"),
        (made.response(signed(made.assertion(), Key.new())), "none of the provider's"),
        (made.response(signed(made.assertion(), key, signer=sha1)), "none of the provider's"),
        (good.replace("u-1", "u-2"), "none of the provider's"),
        (good.replace("ml-team", "owners"), "none of the provider's"),
        (signed(made.response(made.assertion(), destination=""), key), "meant for 'nobody'"),
        (made.response(signed(made.assertion(), key) * 2), "are called"),
        (made.response("<a:EncryptedAssertion/>"), "encrypted"),
        (made.response(""), "0 Assertion"),
        (good.replace("<a:Issuer>", "<!-- x --><a:Issuer>", 1), "comments"),
        (good.replace(">u-1<", ">u-1<!-- -->.evil<"), "comments"),
        (good.replace("<a:Issuer>", "<?x y?><a:Issuer>", 1), "comments"),
        ("<!DOCTYPE x>" + good, "document type"),
        ("<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>" + good, "document type"),
        (good + "x", "no XML"),
        ("<a>" * 5000, "no XML"),
        (signed(made.assertion(), key), "no Response"),
    ):
        with pytest.raises(Untrusted, match=why):
            read(text)


def test_what_is_no_answer_at_all_is_told_so(row: IdentityProvider, now: datetime) -> None:
    for response, why in (
        ("", "no XML"),
        ("%%%", "no base64|not base64"),
        ("A" * 300_000, "longer"),
    ):
        with pytest.raises(Untrusted, match=why):
            answered.read(row, response, here=HERE, now=now)
    row.settings = {}
    with pytest.raises(ProviderDown, match="no metadata yet"):
        answered.read(row, "", here=HERE, now=now)


def _wrap(made: Answer, key: Key, shape: str) -> str:
    """A signed assertion moved away, and a forged one where it stood: XML signature wrapping.

    The eight shapes of Somorovsky et al., "On Breaking SAML: Be Whoever You Want to Be", USENIX
    Security 2012, as SAML Raider numbers them: 1 and 2 wrap a whole signed answer, the others a
    signed assertion.
    """
    evil = etree.fromstring(made.assertion(id="_evil", name="u-admin"))
    if shape in {"1", "2"}:
        whole = etree.fromstring(signed(made.response(made.assertion()), key))
        forged = copy.deepcopy(whole)
        forged.set("ID", "_evil-response")
        mark = forged.find("ds:Signature", NS)
        inside = forged.find("a:Assertion", NS)
        assert mark is not None
        assert inside is not None
        forged.replace(inside, evil)
        if shape == "1":
            mark.append(whole)
        else:
            mark.addprevious(whole)
        return etree.tostring(forged).decode()
    root, good, mark = taken_apart(made.response(signed(made.assertion(), key)))
    there = root.find("a:Assertion", NS)
    bare = copy.deepcopy(good)
    own = bare.find("ds:Signature", NS)
    assert there is not None
    assert own is not None
    bare.remove(own)
    if shape == "3":
        there.addprevious(evil)
    elif shape == "4":
        root.replace(there, evil)
        evil.append(good)
    elif shape == "5":
        evil.insert(1, mark)
        root.replace(there, evil)
        root.append(bare)
    elif shape == "6":
        mark.append(bare)
        evil.insert(1, mark)
        root.replace(there, evil)
    else:
        extensions = etree.Element(f"{{{NS['p']}}}Extensions")
        root.insert(1, extensions)
        if shape == "7":
            extensions.append(good)
            root.replace(there, evil)
        else:
            holder = etree.SubElement(mark, f"{{{NS['ds']}}}Object")
            holder.append(bare)
            evil.insert(1, mark)
            root.replace(there, evil)
            root.remove(extensions)
    return etree.tostring(root).decode()


@pytest.mark.parametrize("shape", "12345678")
def test_a_wrapped_signature_opens_nothing(read: Read, made: Answer, key: Key, shape: str) -> None:
    text = _wrap(made, key, shape)
    assert "u-admin" in text
    assert "SignatureValue" in text
    with pytest.raises(Untrusted):
        read(text)


def test_an_assertion_for_another_tenant_is_not_taken(
    row: IdentityProvider, made: Answer, key: Key
) -> None:
    """Two organisations trust one provider: what it says for one is none of the other's."""
    other = Here(entity_id="https://slipway.example.com/other", answers_to=HERE.answers_to)
    with pytest.raises(Untrusted, match="another audience"):
        answered.read(
            row, posted(made.response(signed(made.assertion(), key))), here=other, now=made.now
        )
