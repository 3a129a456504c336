"""The audit log: what is changed is in it, and what is done to it is found out."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from django.db import DatabaseError
from django.utils import timezone
from rest_framework.test import APIClient

from slipway.audit import services
from slipway.audit.models import Digest, Entry, Head
from slipway.audit.rules import chain
from slipway.tenancy.models import ApiKey, User
from slipway.tenancy.services import issue_key, principal_of

pytestmark = pytest.mark.django_db


def entries(**where: Any) -> list[dict[str, Any]]:
    rows = Entry.objects.filter(**where).order_by("number")
    return [json.loads(row.body) for row in rows]


def test_a_change_is_recorded_with_who_what_and_where(api: Any, owner: Any) -> None:
    answer = api.post("/api/v1/keys", {"name": "ci"}, format="json")
    (entry,) = entries(action__contains="keys")
    assert entry["actor"] == owner.user_name
    assert entry["project"] == str(owner.project_id)
    assert entry["action"] == "POST api/v1/keys"
    assert entry["object"] == answer.json()["id"]
    assert entry["asked"] == {"name": "ci"}
    assert entry["request_id"] == answer["x-request-id"]
    assert entry["origin"] == "127.0.0.1"
    assert (entry["outcome"], entry["status"]) == ("done", 201)


def test_before_and_after_are_told(api: Any, owner: Any) -> None:
    made = api.post("/api/v1/keys", {"name": "ci"}, format="json").json()
    api.delete(f"/api/v1/keys/{made['id']}")
    (entry,) = entries(action__startswith="DELETE")
    assert entry["before"]["revoked_at"] is None
    assert entry["object"] == made["id"]


def test_nothing_secret_is_kept(api: Any, owner: Any) -> None:
    made = api.post("/api/v1/keys", {"name": "ci"}, format="json").json()
    rotated = api.post(f"/api/v1/keys/{made['id']}/rotate", {}, format="json").json()
    invite = api.post("/api/v1/invites", {"email": "a@b.cd", "role": "reader"}, "json").json()
    password = "canary-password-canary"
    APIClient().post("/api/v1/session", {"user": owner.user_name, "password": password}, "json")
    right = {"user": owner.user_name, "password": "correct horse"}
    assert APIClient().post("/api/v1/session", right, "json").status_code == 200
    kept = " ".join(Entry.objects.values_list("body", flat=True))
    for secret in (made["secret"], rotated["secret"], invite["token"], password, "correct horse"):
        assert secret not in kept
    assert kept.count(services.scrubbed({"password": "x"})["password"]) >= 4


def test_reading_and_dry_runs_are_no_changes(api: Any) -> None:
    api.get("/api/v1/keys")
    api.post("/api/v1/jobs/estimate", {}, format="json")
    assert entries() == []


def test_refusals_are_recorded_and_change_nothing(api: Any, owner: Any) -> None:
    api.post("/api/v1/keys", {"name": "x" * 64}, format="json")
    (entry,) = entries()
    assert (entry["outcome"], entry["status"]) == ("refused", 422)
    APIClient().post("/api/v1/session", {"user": "mallory", "password": "x"}, format="json")
    assert entries(actor__contains="mallory")[0]["outcome"] == "refused"


def test_where_bytes_move_the_intent_is_recorded_first(api: Any) -> None:
    asked = {"filename": "model.tar", "size_bytes": 100}
    assert api.post("/api/v1/models/uploads", asked, format="json").status_code == 201
    assert [entry["outcome"] for entry in entries()] == ["asked", "done"]


@pytest.mark.parametrize("path", ["keys", "datasets"])
def test_what_cannot_be_recorded_does_not_happen(
    api: Any, owner: Any, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    api.raise_request_exception = False
    before = ApiKey.objects.count()

    def broken(*_: Any, **__: Any) -> None:
        raise DatabaseError("disk full")

    monkeypatch.setattr(Entry.objects, "create", broken)
    answer = api.post(f"/api/v1/{path}", {"name": "ci", "format": "openai-chat"}, format="json")
    assert answer.status_code == 500
    assert ApiKey.objects.count() == before
    assert api.get("/api/v1/datasets").json()["data"] == []


@pytest.fixture
def log(api: Any) -> list[int]:
    """Eight entries, the first five sealed."""
    for number in range(5):
        api.post("/api/v1/keys", {"name": f"key {number}"}, format="json")
    services.seal(now=timezone.now())
    for number in range(5, 8):
        api.post("/api/v1/keys", {"name": f"key {number}"}, format="json")
    assert services.verify_stored() == []
    return list(Entry.objects.order_by("number").values_list("number", flat=True))


def faults() -> list[chain.Fault]:
    return services.verify_stored()


def test_every_edit_is_found(log: list[int]) -> None:
    for number in log:
        row = Entry.objects.get(number=number)
        for field, value in (
            ("body", row.body.replace("key", "kez", 1)),
            ("hash", ("0" if row.hash[0] != "0" else "1") + row.hash[1:]),
            ("actor", "somebody else"),
            ("action", "GET nothing"),
            ("subject", "another object"),
            ("project_id", None),
        ):
            kept = getattr(row, field)
            Entry.objects.filter(number=number).update(**{field: value})
            assert faults(), f"{field} of {number}"
            Entry.objects.filter(number=number).update(**{field: kept})
    assert faults() == []


def test_every_deletion_and_reordering_is_found(log: list[int]) -> None:
    for number in log[:-1]:
        row = Entry.objects.get(number=number)
        Entry.objects.filter(number=number).delete()
        assert faults(), f"{number} deleted"
        row.save(force_insert=True)
    for one, other in itertools.pairwise(log):
        a, b = Entry.objects.get(number=one), Entry.objects.get(number=other)
        Entry.objects.filter(number=one).update(body=b.body, hash=b.hash)
        Entry.objects.filter(number=other).update(body=a.body, hash=a.hash)
        assert faults(), f"{one} and {other} changed places"
        a.save()
        b.save()
    assert faults() == []


def test_cutting_off_the_end_and_making_the_chain_anew_are_found(log: list[int]) -> None:
    services.seal(now=timezone.now())
    Entry.objects.filter(number__gt=3).delete()
    assert faults(), "cut off"
    before = chain.START
    for row in Entry.objects.order_by("number"):
        body = row.body.replace("key", "kez")
        before = chain.link(before, body)
        Entry.objects.filter(pk=row.pk).update(body=body, hash=before)
    Head.objects.update(number=3, hash=before)
    assert faults(), "made anew, and as long as before or not"
    Digest.objects.filter(number__gt=3).delete()
    seal = services.seal(now=timezone.now())
    assert seal is not None
    Digest.objects.update(signature="00" * 64)
    assert faults(), "a signature that is none"


def test_the_head_and_its_entries_agree(log: list[int]) -> None:
    Entry.objects.filter(number=log[-1]).delete()
    assert faults(), "the newest entry, not sealed yet, is missed by the head"


def test_an_export_is_verified_offline(log: list[int], tmp_path: Any) -> None:
    from click.testing import CliRunner

    from slipway.cli.audit import audit

    good = list(services.export_lines(now=timezone.now()))
    key = services.public_key().hex()

    def verify(lines: list[str], *more: str) -> Any:
        path = tmp_path / "log.jsonl"
        path.write_text("".join(f"{line}\n" for line in lines))
        return CliRunner().invoke(audit, ["verify", str(path), *more])

    whole = verify(good, "--public-key", key)
    assert whole.exit_code == 0, whole.output
    assert "8 entries" in whole.output
    rows = [index for index, line in enumerate(good) if '"body"' in line]
    for index in rows:
        edited = [*good[:index], good[index].replace("key", "kez", 1), *good[index + 1 :]]
        assert verify(edited).exit_code == 1
        assert verify(good[:index] + good[index + 1 :]).exit_code == 1
    swapped = good.copy()
    swapped[rows[1]], swapped[rows[2]] = swapped[rows[2]], swapped[rows[1]]
    assert verify(swapped).exit_code == 1
    assert verify(good[: rows[-1]] + good[rows[-1] + 1 :]).exit_code == 1, "cut off at its end"
    assert verify(good, "--public-key", "11" * 32).exit_code == 1, "sealed by somebody else"
    assert verify(["not json"]).exit_code == 1


def test_the_log_is_searched_by_ones_own(api: Any, stranger: Any, api_for: Any) -> None:
    theirs = api_for(stranger)
    theirs.post("/api/v1/keys", {"name": "theirs"}, format="json")
    api.post("/api/v1/keys", {"name": "one"}, format="json")
    api.post("/api/v1/keys", {"name": "two"}, format="json")
    page = api.get("/api/v1/audit", {"limit": 1, "action": "keys"}).json()
    assert page["data"][0]["asked"] == {"name": "two"}
    rest = api.get("/api/v1/audit", {"limit": 1, "cursor": page["next_cursor"]}).json()
    assert rest["data"][0]["asked"] == {"name": "one"}
    assert rest["next_cursor"] is None
    assert api.get("/api/v1/audit/export").status_code == 403
    assert api.get("/api/v1/audit", {"everywhere": True}).status_code == 403


def test_an_administrator_exports_over_http(owner: Any) -> None:
    user = User.objects.get(pk=owner.user_id)
    user.is_superuser = True
    user.save()
    issued = issue_key(maker=principal_of(user=user), name="a", role="admin")
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {issued.secret}")
    client.post("/api/v1/keys", {"name": "one"}, format="json")
    lines = b"".join(client.get("/api/v1/audit/export").streaming_content).splitlines()
    assert json.loads(lines[0])["format"] == "slipway-audit-1"
    assert client.get("/api/v1/audit/check").json()["whole"] is True
