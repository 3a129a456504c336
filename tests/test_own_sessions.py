"""A person's own sessions and password: seen, ended, changed; nobody else's."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from test_second_factors import PASSWORD, Browser

from slipway.audit.models import Entry
from slipway.tenancy import reconcile, services
from slipway.tenancy.models import Factor, SignedIn, User
from slipway.tenancy.services import entry

pytestmark = pytest.mark.django_db
NEW = "a longer battery staple"


@pytest.fixture
def me(owner: Any) -> str:
    return str(owner.user_name)


def signed_in(user: str, password: str = PASSWORD, agent: str = "Firefox") -> Browser:
    browser = Browser()
    answer = browser.post(
        "/api/v1/session",
        {"user": user, "password": password},
        format="json",
        HTTP_USER_AGENT=agent,
    )
    assert answer.status_code == 200, answer.data
    return browser


def test_a_session_is_seen_and_ended_from_another(me: str) -> None:
    laptop, phone = signed_in(me), signed_in(me, agent="Phone")
    kept = laptop.get("/api/v1/session/factors").data
    assert (kept["has_password"], kept["providers"]) == (True, [])
    found = laptop.get("/api/v1/session/all").data["data"]
    assert {(each["agent"], each["here"]) for each in found} == {
        ("Firefox", True),
        ("Phone", False),
    }
    other = next(each["id"] for each in found if not each["here"])
    assert laptop.change("DELETE", f"session/all/{other}").status_code == 204
    assert phone.get("/api/v1/datasets").status_code == 401
    assert phone.get("/api/v1/session/factors").status_code == 401
    assert laptop.get("/api/v1/datasets").status_code == 200
    # Signing in again in the browser that was ended works.
    again = phone.post("/api/v1/session", {"user": me, "password": PASSWORD}, format="json")
    assert again.status_code == 200
    assert phone.get("/api/v1/datasets").status_code == 200


def test_sessions_of_others_are_neither_seen_nor_ended(me: str, stranger: Any) -> None:
    mine, theirs = signed_in(me), signed_in(stranger.user_name)
    row = SignedIn.objects.get(user__username=stranger.user_name)
    assert len(mine.get("/api/v1/session/all").data["data"]) == 1
    assert mine.change("DELETE", f"session/all/{row.pk}").status_code == 404
    assert mine.change("DELETE", f"session/all/{uuid.uuid4()}").status_code == 404
    assert mine.change("DELETE", "session/all").status_code == 204
    assert theirs.get("/api/v1/datasets").status_code == 200


def test_who_administers_the_platform_signs_somebody_out_everywhere(
    me: str, stranger: Any, api_for: Any
) -> None:
    mine, theirs, phone = signed_in(me), signed_in(stranger.user_name), signed_in(me)
    path = f"/api/v1/people/{me}/sessions"
    assert theirs.change("DELETE", f"people/{me}/sessions").status_code == 403
    User.objects.filter(pk=stranger.user_id).update(is_superuser=True)
    chief = api_for(services.principal_of(user=User.objects.get(pk=stranger.user_id)), role="admin")
    assert chief.delete(path).status_code == 204
    assert chief.delete("/api/v1/people/nobody/sessions").status_code == 404
    assert [each.get("/api/v1/datasets").status_code for each in (mine, phone, theirs)] == [
        401, 401, 200,
    ]  # fmt: skip
    noted = Entry.objects.filter(action__startswith="DELETE", action__contains="sessions")
    assert [('"outcome":"done"' in each.body) for each in noted.filter(subject=me)] == [False, True]


def test_a_session_ends_others_only_soon_after_its_factor_was_shown(me: str) -> None:
    laptop, phone = signed_in(me), signed_in(me)
    user = User.objects.get(username=me)
    Factor.objects.create(user=user, kind="totp", name="x", secret="", confirmed_at=timezone.now())
    kept = laptop.session
    kept[entry.SHOWN] = kept[entry.SHOWN] | {
        "proved_at": (timezone.now() - timedelta(minutes=11)).isoformat()
    }
    kept.save()
    for path in ("session/all", f"session/all/{uuid.uuid4()}"):
        answer = laptop.change("DELETE", path)
        assert (answer.status_code, answer.data["error"]["code"]) == (403, "proof_required")
    assert phone.get("/api/v1/datasets").status_code == 200


def test_another_password_ends_all_other_sessions(me: str) -> None:
    here, there = signed_in(me), signed_in(me)
    wrong = here.change("POST", "session/password", {"password": "no", "new_password": NEW})
    assert wrong.status_code == 401
    weak = here.change("POST", "session/password", {"password": PASSWORD, "new_password": "abc"})
    assert (weak.status_code, weak.data["error"]["details"][0]["field"]) == (422, "new_password")
    done = here.change("POST", "session/password", {"password": PASSWORD, "new_password": NEW})
    assert done.status_code == 204
    assert here.get("/api/v1/datasets").status_code == 200
    assert there.get("/api/v1/datasets").status_code == 401
    assert signed_in(me, NEW).get("/api/v1/datasets").status_code == 200


def test_who_signs_on_elsewhere_has_no_password_to_change(me: str) -> None:
    here = signed_in(me)
    user = User.objects.get(username=me)
    stored = user.password
    user.set_unusable_password()
    # The session stays: only what is asked for is refused.
    User.objects.filter(pk=user.pk).update(password=stored)
    here.force_authenticate(user)
    told = here.post("/api/v1/session/password", {"password": "x", "new_password": NEW}, "json")
    assert told.status_code == 409


def test_a_session_that_signed_out_is_listed_no_more_and_old_ones_are_swept(me: str) -> None:
    here, there = signed_in(me), signed_in(me)
    assert there.change("DELETE", "session").status_code == 204
    assert len(here.get("/api/v1/session/all").data["data"]) == 1
    reconcile.sweep(timezone.now() + timedelta(hours=13))
    assert not SignedIn.objects.exists()


def test_a_session_that_lay_idle_is_over(me: str, settings: Any) -> None:
    here, elsewhere = signed_in(me), signed_in(me)
    idle = timezone.now() - timedelta(seconds=settings.SESSION_IDLE + 1)
    row = SignedIn.objects.order_by("created_at", "pk").first()
    assert row is not None
    SignedIn.objects.filter(pk=row.pk).update(seen_at=idle)
    assert here.get("/api/v1/datasets").status_code == 401
    assert elsewhere.get("/api/v1/datasets").status_code == 200
    assert len(elsewhere.get("/api/v1/session/all").data["data"]) == 1
    reconcile.sweep(timezone.now())
    assert SignedIn.objects.count() == 1


@pytest.mark.parametrize("word", ["Slipway2026!", "my-ACME-account", "xx default xx"])
def test_a_password_of_words_of_this_place_is_refused(me: str, word: str) -> None:
    asked = {"password": PASSWORD, "new_password": word}
    refused = signed_in(me).change("POST", "session/password", asked)
    assert (refused.status_code, "a word that" in refused.data["error"]["message"]) == (422, True)
