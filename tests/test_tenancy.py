"""Keys are shown once, stored as HMAC, and stop working the moment they are revoked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from slipway.tenancy import services
from slipway.tenancy.models import ApiKey

pytestmark = pytest.mark.django_db


def test_a_key_is_shown_once_and_only_its_digest_is_kept(api: Any) -> None:
    made = api.post("/api/v1/keys", {"name": "ci"}, format="json")
    assert made.status_code == 201
    secret = made.json()["secret"]
    assert len(secret) >= len(services.KEY_PREFIX) + 43, "256 random bits at least"
    row = ApiKey.objects.get(pk=made.json()["id"])
    stored = " ".join(str(value) for value in row.__dict__.values())
    assert secret not in stored
    listed = api.get("/api/v1/keys").json()["data"]
    assert all("secret" not in key for key in listed)


def test_a_revoked_or_expired_key_is_refused_with_the_way_out(api: Any, owner: Any) -> None:
    made = api.post("/api/v1/keys", {"name": "ci"}, format="json").json()
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {made['secret']}")
    assert client.get("/api/v1/me").status_code == 200
    assert api.delete(f"/api/v1/keys/{made['id']}").status_code == 204
    refused = client.get("/api/v1/me")
    assert refused.status_code == 401
    assert "revoked" in refused.json()["error"]["message"]
    assert refused.json()["error"]["request_id"] == refused["x-request-id"]
    old = services.issue_key(
        maker=owner, name="old", expires_at=timezone.now() - timedelta(seconds=1)
    )
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {old.secret}")
    assert client.get("/api/v1/me").status_code == 401


def test_a_key_can_never_do_more_than_its_maker(owner: Any, api_for: Any) -> None:
    reader = api_for(owner, role="reader")
    assert reader.get("/api/v1/keys").status_code == 200
    assert reader.post("/api/v1/keys", {"name": "x"}, format="json").status_code == 403
    operator = api_for(owner, role="operator")
    asked = operator.post("/api/v1/keys", {"name": "x", "role": "owner"}, format="json")
    assert asked.status_code == 403
    assert "operator" in asked.json()["error"]["message"]


def test_another_tenants_key_is_not_there(api: Any, stranger: Any, api_for: Any) -> None:
    theirs = services.issue_key(maker=stranger, name="theirs")
    assert api.delete(f"/api/v1/keys/{theirs.key.pk}").status_code == 404
    assert str(theirs.key.pk) not in api.get("/api/v1/keys").content.decode()


def test_a_person_signs_in_and_out(owner: Any) -> None:
    browser = APIClient(enforce_csrf_checks=True)
    wrong = browser.post("/api/v1/session", {"user": owner.user_name, "password": "x"}, "json")
    assert wrong.status_code == 401
    right = {"user": owner.user_name, "password": "correct horse"}
    signed_in = browser.post("/api/v1/session", right, format="json")
    assert signed_in.status_code == 200
    assert signed_in.json()["project"]["name"] == "default"
    assert browser.get("/api/v1/me").status_code == 200
    without_token = browser.post("/api/v1/keys", {"name": "x"}, format="json")
    assert without_token.status_code == 403, "a session needs its CSRF token to change things"


def test_pages_are_walked_by_cursor(api: Any) -> None:
    for number in range(5):
        api.post("/api/v1/keys", {"name": f"key {number}"}, format="json")
    seen, cursor = [], None
    while True:
        page = api.get("/api/v1/keys", {"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [key["name"] for key in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ["key 4", "key 3", "key 2", "key 1", "key 0", "test"]


@pytest.mark.parametrize(
    "query",
    [{"limit": "0"}, {"limit": "1e9"}, {"limit": "00000000199999999"}, {"cursor": "nonsense"}],
)
def test_bad_paging_is_refused_by_name(api: Any, query: dict[str, str]) -> None:
    refused = api.get("/api/v1/keys", query)
    assert refused.status_code == 422
    assert refused.json()["error"]["details"][0]["field"] == next(iter(query))


def test_errors_have_one_shape_everywhere(api: Any) -> None:
    for answer in (
        api.get("/api/v1/nothing-here"),
        APIClient().get("/api/v1/me"),
        api.post("/api/v1/keys", {}, format="json"),
        api.post("/api/v1/keys", "{broken", content_type="application/json"),
        api.put("/api/v1/keys", {}, format="json"),
    ):
        error = answer.json()["error"]
        assert {"code", "message", "details", "request_id"} <= set(error)
        assert error["request_id"] == answer["x-request-id"]


@pytest.mark.parametrize(
    "path", ["/api/v1/keys", "/api/v1/me", "/api/v1/nothing", "/v1/files", "/api/v1/health"]
)
def test_no_answer_is_kept_framed_or_run(api: Any, path: str) -> None:
    """Opened in a tab of its own an answer is text, and nobody on the way keeps it."""
    answer = api.get(path)
    assert answer["cache-control"] == "no-store"
    assert answer["x-content-type-options"] == "nosniff"
    assert answer["x-frame-options"] == "DENY"
    assert answer["referrer-policy"] == "same-origin"
    if answer.status_code < 400:
        assert "frame-ancestors 'none'; sandbox" in answer["content-security-policy"]
    assert "access-control-allow-origin" not in answer


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
def test_a_form_of_another_site_changes_nothing(api: Any, kind: str) -> None:
    """What a browser sends without asking first is no body here."""
    refused = api.generic("POST", "/api/v1/datasets", 'name=x&{"name": "x"}', content_type=kind)
    assert refused.status_code == 415
    assert api.get("/api/v1/datasets").json()["data"] == []


@pytest.mark.parametrize("path", ["/api/v1/keys", "/v1/files", "/scim/v2/Users"])
def test_trace_is_not_spoken(api: Any, path: str) -> None:
    assert api.generic("TRACE", path).status_code in {401, 405}
