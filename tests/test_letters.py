"""A forgotten password: a real letter to a proved address opens the account once, and only so."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient
from test_second_factors import passcode

from slipway.audit.models import Entry
from slipway.core import reconcile
from slipway.signup.models import Letter
from slipway.signup.reconcile import WATCHED, sweep
from slipway.signup.services import proving, turns
from slipway.tenancy.models import User
from slipway.tenancy.services import factors

pytestmark = pytest.mark.django_db

OLD, NEW = "a long way down", "a much longer way up"


@pytest.fixture
def mailed(settings: Any, post_office: Any) -> Any:
    """An installation that sends letters, and those it sent."""
    import letters

    letters.away_from_the_turn_of_the_hour()
    settings.EDITION, settings.PUBLIC_URL = "private", "https://slipway.example.com"
    return post_office


@pytest.fixture
def ada(owner: Any) -> User:
    """Somebody with a password and a proved address."""
    user = User.objects.get(pk=owner.user_id)
    user.set_password(OLD)
    user.email = user.proved_email = "ada@example.com"
    user.save()
    return user


def post(path: str, client: Any = None, **body: str) -> Any:
    return (client or APIClient()).post(f"/api/v1/session/{path}", body, format="json")


def signed_in(user: User, password: str, **more: str) -> Any:
    client = APIClient()
    body = {"user": user.username, "password": password} | more
    client.answer = client.post("/api/v1/session", body, format="json")
    return client


def deliver() -> None:
    """What the worker does."""
    for model, step in WATCHED:
        reconcile.run_due(model, step, now=timezone.now())


def text_of(letter: Any) -> str:
    return str(letter[1].get_payload(decode=True).decode())


def token_in(letter: Any, page: str = "new-password") -> str:
    found = re.search(rf"https://slipway\.example\.com/{page}#([\w-]{{43}})\s", text_of(letter))
    assert found, text_of(letter)
    return found[1]


def test_a_letter_opens_the_account_once_and_ends_all_sessions(mailed: Any, ada: User) -> None:
    before = signed_in(ada, OLD)
    assert before.get("/api/v1/me").status_code == 200
    # As it was typed, in whatever letters.
    assert post("forgotten", email="ADA@example.com").status_code == 202
    deliver()
    deliver()
    (letter,) = mailed.got
    assert letter[0] == ["ada@example.com"]
    assert ada.username in text_of(letter)
    token = token_in(letter)
    assert token not in str(list(Letter.objects.values())), "what the letter holds is not kept"

    weak = post("new-password", token=token, password="short")
    assert (weak.status_code, weak.json()["error"]["details"][0]["field"]) == (422, "password")
    assert post("new-password", token=token, password=NEW).status_code == 204
    assert before.get("/api/v1/me").status_code == 401
    assert signed_in(ada, OLD).answer.status_code == 401
    assert signed_in(ada, NEW).answer.status_code == 200
    assert post("new-password", token=token, password=OLD).status_code == 404, "once"

    deliver()
    deliver()
    assert len(mailed.got) == 2
    assert "was changed just now" in text_of(mailed.got[1])
    told = " ".join(Entry.objects.values_list("body", flat=True))
    assert "POST api/v1/session/new-password" in told
    assert not any(word in told for word in (token, OLD, NEW))


def test_who_has_no_such_account_gets_the_same_answer_and_no_letter(mailed: Any, ada: User) -> None:
    User.objects.create_user(username="eve", email="eve@example.com", password=OLD)
    service = User.objects.create(username="robot", proved_email="robot@example.com")
    service.set_unusable_password()
    service.save()
    gone = User.objects.create_user(
        username="gone", proved_email="gone@example.com", password=OLD, is_active=False
    )
    assert gone.pk
    answers = [
        post("forgotten", email=f"{name}@example.com")
        for name in ("nobody", "eve", "robot", "gone", "ada")
    ]
    assert {(each.status_code, each.content) for each in answers} == {(202, answers[0].content)}
    deliver()
    assert [to for to, _ in mailed.got] == [["ada@example.com"]], "only a proved address"


def test_a_second_factor_is_still_asked_for(mailed: Any, ada: User) -> None:
    secret, _ = factors.begin_totp(user=ada, issuer="x")
    factors.confirm_totp(
        user=ada, passcode=passcode(secret), name="phone", address="192.0.2.1", now=timezone.now()
    )
    post("forgotten", email="ada@example.com")
    deliver()
    assert post("new-password", token=token_in(mailed.got[0]), password=NEW).status_code == 204
    refused = signed_in(ada, NEW).answer
    assert (refused.status_code, refused.json()["error"]["code"]) == (
        401, "second_factor_needed",
    )  # fmt: skip


def test_a_letter_ends_after_an_hour_and_is_forgotten(mailed: Any, ada: User) -> None:
    post("forgotten", email="ada@example.com")
    deliver()
    Letter.objects.update(created_at=timezone.now() - proving.VALID_FOR)
    token = token_in(mailed.got[0])
    assert post("new-password", token=token, password=NEW).status_code == 404
    assert signed_in(ada, OLD).answer.status_code == 200
    sweep(timezone.now())
    assert not Letter.objects.exists()


def test_a_mailbox_gets_few_letters_an_hour_and_a_network_asks_for_few(
    mailed: Any, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [post("forgotten", email="ada@example.com").status_code for _ in range(4)]
    assert seen == [202] * turns.PER_MAILBOX + [429]
    monkeypatch.setattr(turns, "PER_NETWORK", turns.PER_MAILBOX)
    assert post("forgotten", email="somebody@example.com").status_code == 429
    proving.forgot(
        email="ada@example.com", address="127.0.0.1", now=timezone.now() + timedelta(hours=1)
    )
    assert Letter.objects.count() == turns.PER_MAILBOX + 1


def test_an_address_is_theirs_once_they_answer(mailed: Any, ada: User) -> None:
    eve = User.objects.create_user(username="eve", email="ada@work.example", password=OLD)
    client = signed_in(ada, OLD)
    assert client.get("/api/v1/session/address").json() == {"email": "ada@example.com"}
    said = {"email": "Ada@Work.example"}
    assert post("address", client, **said, password="wrong").status_code == 401
    assert post("address", client, **said, password=OLD).status_code == 202
    deliver()
    (letter,) = mailed.got
    assert letter[0] == ["ada@work.example"]
    token = token_in(letter, "address")
    ada.refresh_from_db()
    assert ada.proved_email == "ada@example.com", "not yet"
    assert post("new-password", token=token, password=NEW).status_code == 404, "not what it is for"
    proved = post("address/prove", token=token)
    assert (proved.status_code, proved.json()) == (200, {"email": "ada@work.example"})
    assert post("address/prove", token=token).status_code == 404
    ada.refresh_from_db()
    assert (ada.email, ada.proved_email) == ("ada@work.example", "ada@work.example")
    eve.refresh_from_db()
    assert eve.proved_email == "", "said, and never proved"
    again = post("address", client, email="ada@work.example", password=OLD)
    assert again.status_code == 409

    # A mailbox that another now has opens no account of who had it before.
    proving.own.note_address(user=eve, email="ada@work.example")
    ada.refresh_from_db()
    assert ada.proved_email == ""


def test_without_a_mail_server_the_routes_are_not_there(settings: Any, ada: User) -> None:
    settings.EMAIL_HOST = ""
    assert APIClient().get("/api/v1/sign-up").json()["resets"] is False
    assert post("forgotten", email="ada@example.com").status_code == 404


def test_a_mail_server_that_is_away_is_tried_again(mailed: Any, ada: User, settings: Any) -> None:
    settings.EMAIL_PORT, port = 1, settings.EMAIL_PORT
    post("forgotten", email="ada@example.com")
    deliver()
    row = Letter.objects.get()
    assert (row.phase, mailed.got) == ("asked", [])
    assert "the letter was not taken" in row.reason
    settings.EMAIL_PORT = port
    Letter.objects.update(look_at=timezone.now())
    deliver()
    assert post("new-password", token=token_in(mailed.got[0]), password=NEW).status_code == 204
