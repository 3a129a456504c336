"""Signing up: a real letter, answered once, makes an organisation; nothing exists before it is."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import letters
import pytest
from django.contrib.auth.hashers import check_password
from django.utils import timezone
from rest_framework.test import APIClient

from slipway.audit.models import Entry
from slipway.core import reconcile
from slipway.metering import services as metering
from slipway.metering.models import Credit
from slipway.metering.services import budgets
from slipway.signup.models import SignUp, Trial
from slipway.signup.reconcile import WATCHED, sweep
from slipway.signup.services import signing_up as services
from slipway.signup.services import turns
from slipway.tenancy.models import Membership, Organisation, User

pytestmark = pytest.mark.django_db

PASSWORD = "a long way down"
ASKED = {"email": "ada@example.com", "password": PASSWORD, "organisation": "difference"}


@pytest.fixture
def open_door(settings: Any, post_office: Any) -> Any:
    """An installation where people may sign up, and the letters it sends."""
    letters.away_from_the_turn_of_the_hour()
    settings.EDITION, settings.TRIAL_CREDIT = "cloud", Decimal("12.5")
    settings.PUBLIC_URL = "https://cloud.example.com"
    return post_office


def ask(**other: str) -> Any:
    return APIClient().post("/api/v1/sign-up", ASKED | other, format="json")


def verify(token: str, password: str = PASSWORD) -> Any:
    given = {"token": token, "password": password}
    return APIClient().post("/api/v1/sign-up/verify", given, format="json")


def deliver() -> None:
    """What the worker does."""
    for model, step in WATCHED:
        reconcile.run_due(model, step, now=timezone.now())


def token_in(letter: Any) -> str:
    text = letter.get_payload(decode=True).decode()
    found = re.search(r"https://cloud\.example\.com/sign-up#([\w-]{43})\s", text)
    assert found, text
    return found[1]


def test_the_letter_answered_makes_an_organisation_and_its_owner(open_door: Any) -> None:
    assert APIClient().get("/api/v1/sign-up").json() == {
        "open": True, "trial_credit": "12.500000", "currency": "CNY", "resets": True,
    }  # fmt: skip
    assert ask(email="Ada@Example.com").status_code == 202
    assert not User.objects.exists(), "nobody before the letter is answered"
    assert not Organisation.objects.exists()
    signing_in = {"user": "ada@example.com", "password": PASSWORD}
    assert APIClient().post("/api/v1/session", signing_in, format="json").status_code == 401
    deliver()
    deliver()
    ((to, letter),) = open_door.got
    assert to == ["ada@example.com"]
    token = token_in(letter)
    assert token not in str(list(SignUp.objects.values())), "what the letter holds is not kept"
    made = verify(token)
    assert made.status_code == 201, made.json()
    assert made.json() == {
        "user": "ada@example.com", "organisation": "difference", "project": "default",
    }  # fmt: skip
    client = APIClient()
    me = client.post("/api/v1/session", signing_in, format="json")
    assert me.status_code == 200, me.json()
    assert (me.json()["role"], me.json()["levels"]["organisation"]) == ("owner", "full")
    assert me.json()["levels"]["platform"] == "none"
    shown = client.get("/api/v1/credit").json()
    assert (shown["prepaid"], shown["balance"]) == (True, "12.500000")
    assert verify(token).status_code == 404, "a link works once"
    assert Membership.objects.count() == 1
    row = SignUp.objects.get()
    assert (row.password, row.digest, row.phase) == ("", "", "verified")


def test_trial_credit_is_a_limit_like_any_paid_in_advance(open_door: Any) -> None:
    ask()
    deliver()
    verify(token_in(open_door.got[0][1]))
    place = Organisation.objects.get()
    where = {"organisation_id": place.pk, "project_id": place.pk, "key_id": None}
    metering.check_fits(**where, amount=Decimal("12.5"), now=timezone.now())
    with pytest.raises(metering.BudgetSpent):
        metering.check_fits(**where, amount=Decimal("12.6"), now=timezone.now())


@pytest.mark.parametrize(
    "closed", [{"EDITION": "private"}, {"EMAIL_HOST": ""}, {"TRIAL_CREDIT": None}],
    ids=["private", "no-mail", "no-trial"],
)  # fmt: skip
def test_where_it_is_closed_the_routes_are_not_there(
    open_door: Any, settings: Any, closed: dict[str, Any]
) -> None:
    ask()
    deliver()
    token = token_in(open_door.got[0][1])
    for name, value in closed.items():
        setattr(settings, name, value)
    assert APIClient().get("/api/v1/sign-up").json()["open"] is False
    assert ask(email="eve@example.com").status_code == 404
    assert verify(token).status_code == 404
    assert not User.objects.exists()


def test_a_known_address_gets_the_same_answer_and_another_letter(open_door: Any) -> None:
    User.objects.create_user(username="ada@example.com", password="something else")
    known, unknown = ask(email="ADA@example.com"), ask(email="eve@example.com")
    assert (known.status_code, known.json()) == (unknown.status_code, unknown.json())
    deliver()
    letters = {to[0]: letter.get_payload(decode=True).decode() for to, letter in open_door.got}
    assert "There is one already" in letters["ada@example.com"]
    assert "sign-up#" not in letters["ada@example.com"]
    assert "sign-up#" in letters["eve@example.com"]
    assert User.objects.get().check_password("something else")


def test_nobody_gets_an_account_with_a_password_somebody_else_chose(open_door: Any) -> None:
    ask(password="an intruder's choice")
    deliver()
    token = token_in(open_door.got[0][1])
    tries = [verify(token, "my own password!").status_code for _ in range(7)]
    assert tries == [401] * 5 + [429] * 2, "guesses are slowed like those of signing in"
    assert not User.objects.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [("password", "short"), ("password", "password1"), ("password", "xx-ada@example.com"),
     ("password", "my difference engine"), ("password", "slipway forever"),
     ("email", "no address"), ("email", "o'hara@example.com"), ("organisation", "Two Words"),
     ("organisation", "x" * 64)],
    ids=lambda value: value[:20].replace(" ", "_"),
)  # fmt: skip
def test_what_will_not_do_is_refused_by_field(open_door: Any, field: str, value: str) -> None:
    refused = ask(**{field: value})
    assert refused.status_code == 422, refused.json()
    assert field in {each["field"] for each in refused.json()["error"]["details"]}
    assert not SignUp.objects.exists()


def test_a_mailbox_has_one_trial_and_few_letters_an_hour(open_door: Any) -> None:
    for number in range(turns.PER_MAILBOX):
        assert ask(email=f"ada+{number}@example.com").status_code == 202
    refused = ask(email="Ada+more@Example.com")
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "too_many_letters"
    deliver()
    for _, letter in open_door.got:
        assert verify(token_in(letter)).status_code == 201
    assert Organisation.objects.count() == turns.PER_MAILBOX
    amounts = sorted(Credit.objects.values_list("amount", flat=True))
    assert amounts == [0, 0, Decimal("12.5")]
    assert Trial.objects.count() == 1
    for place in Organisation.objects.all():
        assert metering.limited(organisation_id=place.pk, project_id=place.pk, key_id=None)
        assert budgets.balance(organisation_id=place.pk) in {0, Decimal("12.5")}
    assert len({place.name for place in Organisation.objects.all()}) == turns.PER_MAILBOX


def test_a_network_asks_so_often_in_an_hour(
    open_door: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "PER_NETWORK", 2)
    codes = [ask(email=f"n{n}@example.com").status_code for n in range(3)]
    assert codes == [202, 202, 429]
    elsewhere = APIClient(REMOTE_ADDR="203.0.113.9")
    other = ASKED | {"email": "n3@example.com"}
    assert elsewhere.post("/api/v1/sign-up", other, format="json").status_code == 202
    assert turns.network_of("203.0.113.9") == turns.network_of("203.0.113.200")
    assert turns.network_of("2001:db8::1") == turns.network_of("2001:db8:0:ff::2")
    assert turns.network_of("2001:db8::1") != turns.network_of("2001:db8:1::1")
    later = timezone.now() + timedelta(hours=1)
    services.ask(**ASKED, address="127.0.0.1", now=later)


def test_a_letter_ends_after_a_day_and_what_was_asked_is_forgotten(open_door: Any) -> None:
    ask()
    deliver()
    token = token_in(open_door.got[0][1])
    SignUp.objects.update(created_at=timezone.now() - services.VALID_FOR)
    assert verify(token).status_code == 404
    sweep(timezone.now())
    assert not SignUp.objects.exists()


def test_a_mail_server_that_is_away_is_tried_again(open_door: Any, settings: Any) -> None:
    settings.EMAIL_PORT, port = 1, settings.EMAIL_PORT
    ask()
    deliver()
    row = SignUp.objects.get()
    assert (row.phase, open_door.got) == ("asked", [])
    assert "the letter was not taken" in row.reason
    settings.EMAIL_PORT = port
    SignUp.objects.update(look_at=timezone.now())
    deliver()
    assert verify(token_in(open_door.got[0][1])).status_code == 201


def test_a_name_that_is_taken_is_not_told_before_the_address_is_proved(open_door: Any) -> None:
    Organisation.objects.create(name="difference")
    assert ask().status_code == 202
    deliver()
    made = verify(token_in(open_door.got[0][1])).json()
    assert re.fullmatch(r"difference-[0-9a-f]{8}", made["organisation"])


def test_it_is_all_on_record_without_what_is_secret(open_door: Any) -> None:
    ask()
    deliver()
    token = token_in(open_door.got[0][1])
    verify(token)
    told = " ".join(Entry.objects.values_list("body", flat=True))
    assert "POST api/v1/sign-up/verify" in told
    assert "ada@example.com" in told
    assert token not in told
    assert PASSWORD not in told
    hashed = User.objects.get().password
    assert check_password(PASSWORD, hashed)
    assert hashed not in told
