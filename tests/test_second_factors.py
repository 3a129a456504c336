"""One-time passwords, recovery codes, passkeys of a real browser, showing again who is there."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone
from rest_framework.test import APIClient
from servers import chromium

from slipway.audit.models import Entry
from slipway.core.errors import NotSignedIn
from slipway.tenancy import services
from slipway.tenancy.models import Factor, Membership, Organisation, RecoveryCode, User
from slipway.tenancy.services import factors, signin

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse"


@pytest.fixture
def head(owner: Any) -> Any:
    """The owner of the whole organisation."""
    Membership.objects.create(
        user_id=owner.user_id, organisation_id=owner.organisation_id, role="owner"
    )
    return services.principal_of(user=User.objects.get(pk=owner.user_id))


class Browser(APIClient):
    """Keeps cookies, and sends the CSRF token that a page would send."""

    def __init__(self) -> None:
        super().__init__(enforce_csrf_checks=True, HTTP_HOST="localhost")

    def change(self, method: str, path: str, body: Any = None) -> Any:
        csrf = self.cookies.get("csrftoken")
        headers = {"HTTP_X_CSRFTOKEN": csrf.value} if csrf else {}
        return self.generic(
            method,
            f"/api/v1/{path}",
            json.dumps(body or {}),
            content_type="application/json",
            **headers,
        )

    def sign_in(self, user: str, **more: str) -> Any:
        body = {"user": user, "password": PASSWORD, **more}
        return self.post("/api/v1/session", body, format="json")

    def forget_the_proof(self) -> None:
        """As if the person had been asked long ago."""
        session = self.session
        session["shown"] |= {"proved_at": "2020-01-01T00:00:00+00:00"}
        session.save()


def passcode(secret: str, at: datetime | None = None) -> str:
    """RFC 6238 by the letter, as any authenticator app does it."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    step = int((at or timezone.now()).timestamp()) // 30
    digest = hmac.new(key, struct.pack(">Q", step), hashlib.sha1).digest()
    start = digest[-1] & 15
    number = struct.unpack(">I", digest[start : start + 4])[0] & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"


def later(seconds: float) -> datetime:
    return timezone.now() + timedelta(seconds=seconds)


def enrolled(user: str) -> tuple[Browser, str, list[str]]:
    """A browser of somebody who set up an authenticator app, its key, and the recovery codes."""
    client = Browser()
    assert client.sign_in(user).status_code == 200
    made = client.change("POST", "session/factors/totp").json()
    done = client.change(
        "POST", "session/factors/totp/confirm", {"passcode": passcode(made["secret"])}
    )
    assert done.status_code == 200, done.json()
    return client, made["secret"], done.json()["passcodes"]


def test_a_password_is_not_enough_any_more(head: Any) -> None:
    client, secret, codes = enrolled(head.user_name)
    assert client.get("/api/v1/me").status_code == 200, "this session showed it just now"
    assert len(codes) == 10
    fresh = Browser()
    asked = fresh.sign_in(head.user_name)
    assert (asked.status_code, asked.json()["error"]["code"]) == (401, "second_factor_needed")
    assert fresh.get("/api/v1/me").status_code == 401
    assert fresh.sign_in(head.user_name, passcode="000000").status_code == 401
    taken = passcode(secret)
    assert fresh.sign_in(head.user_name, passcode=taken).status_code == 401, "used to confirm"
    assert fresh.sign_in(head.user_name, passcode=passcode(secret, later(30))).status_code == 200
    again = Browser().sign_in(head.user_name, passcode=passcode(secret, later(30)))
    assert again.status_code == 401, "none works twice"
    uri = urlsplit(client.change("POST", "session/factors/totp").json()["secret_uri"])
    assert (uri.scheme, uri.netloc) == ("otpauth", "totp")
    assert parse_qs(uri.query)["digits"] == ["6"]


def test_a_recovery_code_lets_in_once(head: Any) -> None:
    _, _, codes = enrolled(head.user_name)
    assert Browser().sign_in(head.user_name, passcode=codes[0].upper()).status_code == 200
    assert Browser().sign_in(head.user_name, passcode=codes[0]).status_code == 401
    stored = " ".join(RecoveryCode.objects.values_list("digest", flat=True))
    assert codes[1].replace("-", "") not in stored


def test_nothing_of_it_is_in_the_log_or_the_tables(head: Any) -> None:
    client, secret, codes = enrolled(head.user_name)
    Browser().sign_in(head.user_name, passcode=codes[0])
    log = " ".join(Entry.objects.values_list("body", flat=True))
    assert "session/factors/totp/confirm" in log
    assert f'"actor":"{head.user_name}"' in log
    plain = base64.b32decode(secret + "=" * (-len(secret) % 8)).hex()
    for value in (secret, *codes):
        assert value not in log
    assert plain not in Factor.objects.get().secret
    assert client.get("/api/v1/session/factors").json()["codes_left"] == 9


def test_guessing_passcodes_gets_slower(head: Any) -> None:
    _, secret, _ = enrolled(head.user_name)
    user, now = User.objects.get(pk=head.user_id), later(60)
    for _ in range(signin.FREE_PER_NAME):
        with pytest.raises(NotSignedIn):
            factors.check_second(user=user, passcode="000000", address="192.0.2.1", now=now)
    right = passcode(secret, now)
    with pytest.raises(signin.SlowDown):
        factors.check_second(user=user, passcode=right, address="192.0.2.9", now=now)
    assert Browser().sign_in(head.user_name, passcode=right).status_code == 429


@pytest.mark.parametrize(
    ("steps", "taken"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)]
)
def test_clocks_may_differ_by_one_step(head: Any, steps: int, taken: bool) -> None:
    _, secret, _ = enrolled(head.user_name)
    user, now = User.objects.get(pk=head.user_id), later(300)
    given = passcode(secret, now + timedelta(seconds=30 * steps))
    if taken:
        assert factors.check_second(user=user, passcode=given, address="", now=now)
    else:
        with pytest.raises(NotSignedIn):
            factors.check_second(user=user, passcode=given, address="", now=now)


def test_an_organisation_demands_it_and_its_people_can_comply(head: Any) -> None:
    services.ensure_member(
        user_name="ada", password=PASSWORD, project_id=head.project_id, role="operator"
    )
    Organisation.objects.update(requires_second_factor=True)
    client = Browser()
    refused = client.sign_in("ada")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "second_factor_required")
    assert client.get("/api/v1/datasets").status_code == 403
    assert client.get("/api/v1/session").status_code == 403
    secret = client.change("POST", "session/factors/totp").json()["secret"]
    client.change("POST", "session/factors/totp/confirm", {"passcode": passcode(secret)})
    assert client.get("/api/v1/session").json()["user"] == "ada"
    assert Browser().sign_in("ada", passcode=passcode(secret, later(30))).status_code == 200


def test_what_cannot_be_undone_asks_again_who_is_there(head: Any, api_for: Any) -> None:
    client, secret, _ = enrolled(head.user_name)
    client.forget_the_proof()
    key = {"name": "wide", "role": "admin"}
    provider = {
        "name": "x",
        "kind": "oidc",
        "settings": {"issuer": "https://a.b", "client_id": "c"},
    }
    acts = [
        ("DELETE", f"projects/{head.project_id}", None),
        ("POST", "keys", key),
        ("POST", "identity-providers", provider),
        ("PUT", "sign-in-rules", {"requires_sign_on": False, "requires_second_factor": False}),
        ("POST", "session/factors/totp", None),
        ("POST", "session/factors/codes", None),
        ("DELETE", f"session/factors/{Factor.objects.get().pk}", None),
    ]
    for method, path, body in acts:
        refused = client.change(method, path, body)
        assert refused.status_code == 403, path
        assert refused.json()["error"]["code"] == "proof_required", path
    plain = client.change("POST", "keys", {"name": "narrow", "role": "operator"})
    assert plain.status_code == 201, "daily work goes on"
    wrong = {"password": PASSWORD, "passcode": "000000"}
    assert client.change("POST", "session/proof", wrong).status_code == 401
    right = {"password": PASSWORD, "passcode": passcode(secret, later(30))}
    assert client.change("POST", "session/proof", right).status_code == 204
    assert client.change("POST", "keys", key).status_code == 201
    assert client.change("DELETE", f"projects/{head.project_id}").status_code == 409, "one's own"
    programs = api_for(head, role="admin")
    assert programs.post("/api/v1/keys", key, format="json").status_code == 201, "cannot be asked"


def test_who_lost_everything_starts_anew(head: Any, api_for: Any) -> None:
    enrolled(head.user_name)
    path = f"/api/v1/people/{head.user_name}/factors"
    assert api_for(head, role="admin").delete(path).status_code == 403, "not an organisation's"
    User.objects.filter(pk=head.user_id).update(is_superuser=True)
    chief = services.principal_of(user=User.objects.get(pk=head.user_id))
    assert api_for(chief, role="admin").delete(path).status_code == 204
    assert Browser().sign_in(head.user_name).status_code == 200


def test_factors_are_ones_own(head: Any, stranger: Any) -> None:
    enrolled(head.user_name)
    other = Browser()
    other.sign_in(stranger.user_name)
    assert other.change("DELETE", f"session/factors/{Factor.objects.get().pk}").status_code == 404
    assert other.get("/api/v1/session/factors").json()["factors"] == []


# Passkeys


class Page:
    """A page at http://localhost in a real browser with an authenticator of its own.

    In a thread apart: the browser's client runs an event loop, beside which no database is asked.
    """

    def __init__(self) -> None:
        from playwright.sync_api import sync_playwright

        self._playwright = sync_playwright().start()
        launch = self._playwright.chromium.launch
        self._browser = launch(executable_path=chromium(), args=["--no-sandbox"])
        context = self._browser.new_context()
        self._page = context.new_page()
        self._page.route("**/*", lambda to: to.fulfill(body="<p>", content_type="text/html"))
        self._page.goto("http://localhost/")
        wire = context.new_cdp_session(self._page)
        wire.send("WebAuthn.enable")
        options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True,
                   "hasUserVerification": True, "isUserVerified": True,
                   "automaticPresenceSimulation": True}  # fmt: skip
        wire.send("WebAuthn.addVirtualAuthenticator", {"options": options})

    def evaluate(self, script: str, given: Any) -> Any:
        return self._page.evaluate(script, given)

    def close(self) -> None:
        self._browser.close()
        self._playwright.stop()


@pytest.fixture
def page() -> Iterator[Any]:
    with ThreadPoolExecutor(1) as apart:
        made = apart.submit(Page).result()
        yield SimpleNamespace(
            evaluate=lambda script, given: apart.submit(made.evaluate, script, given).result()
        )
        apart.submit(made.close).result()


MAKE = """async options => (await navigator.credentials.create({publicKey:
  PublicKeyCredential.parseCreationOptionsFromJSON(options)})).toJSON()"""
ASK = """async options => (await navigator.credentials.get({publicKey:
  PublicKeyCredential.parseRequestOptionsFromJSON(options)})).toJSON()"""


def test_a_passkey_is_a_whole_sign_in(head: Any, page: Any) -> None:
    mine = Browser()
    mine.sign_in(head.user_name)
    options = mine.change("POST", "session/factors/passkey/options").json()["options"]
    made = mine.change(
        "POST", "session/factors/passkey",
        {"name": "laptop", "credential": page.evaluate(MAKE, options)},
    )  # fmt: skip
    assert (made.status_code, made.json()["kind"]) == (201, "passkey"), made.json()
    refused = Browser().sign_in(head.user_name)
    assert refused.json()["error"]["details"][0]["rule"].startswith("passkey")

    client = Browser()
    question = client.change("POST", "session/passkey/options").json()["options"]
    answer = page.evaluate(ASK, question)
    other = Browser()
    other.change("POST", "session/passkey/options")
    assert other.change("POST", "session/passkey", {"credential": answer}).status_code == 401, (
        "an answer to another question"
    )
    assert client.change("POST", "session/passkey", {"credential": answer}).status_code == 204
    assert client.get("/api/v1/me").json()["user"] == head.user_name
    assert client.session["shown"]["second_factor"] is True
    again = client.change("POST", "session/passkey", {"credential": answer})
    assert again.status_code == 401, "replayed"

    # A copy of the authenticator answers with a counter that was seen already.
    Factor.objects.update(counter=1_000)
    client.change("POST", "session/passkey/options")
    third = Browser()
    question = third.change("POST", "session/passkey/options").json()["options"]
    copied = third.change("POST", "session/passkey", {"credential": page.evaluate(ASK, question)})
    assert copied.status_code == 401
    assert "copied" in copied.json()["error"]["message"]


def test_a_passkey_of_another_place_or_person_lets_nobody_in(head: Any, page: Any) -> None:
    mine = Browser()
    mine.sign_in(head.user_name)
    options = mine.change("POST", "session/factors/passkey/options").json()["options"]
    credential = page.evaluate(MAKE, options)
    body = {"credential": credential}
    elsewhere = dict(credential, response=dict(credential["response"]))
    told = base64.urlsafe_b64decode(credential["response"]["clientDataJSON"] + "==")
    forged = told.replace(b"http://localhost", b"https://evil.example")
    elsewhere["response"]["clientDataJSON"] = base64.urlsafe_b64encode(forged).decode().rstrip("=")
    refused = mine.change("POST", "session/factors/passkey", {"credential": elsewhere})
    assert refused.status_code == 422
    assert mine.change("POST", "session/factors/passkey", body).status_code == 422, "once begun"
    client = Browser()
    question = client.change("POST", "session/passkey/options").json()["options"]
    unknown = client.change("POST", "session/passkey", {"credential": page.evaluate(ASK, question)})
    assert unknown.status_code == 401
    for nonsense in ({}, {"id": 1}, {"rawId": "AA", "response": {}}):
        client.change("POST", "session/passkey/options")
        answer = client.change("POST", "session/passkey", {"credential": nonsense})
        assert answer.status_code == 401, nonsense
    numeric = Browser()
    numeric.defaults["HTTP_HOST"] = "127.0.0.1:8000"
    said = numeric.change("POST", "session/passkey/options").json()["error"]
    assert "belong to a name" in said["message"]
