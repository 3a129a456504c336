"""Prompts are kept where a project wants it, masked first, and read with a trace."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone
from door_world import Door, until
from gateway_world import answer_well

from slipway.audit.models import Entry
from slipway.traffic import services as traffic
from slipway.traffic.models import LoggedPrompt
from slipway.traffic.services import masking

ALL = sorted(masking.MASKS)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("write to ada.l+x@mail.example.org, please", "write to [e-mail], please"),
        ("card 4111 1111 1111 1111.", "card [card]."),
        ("order 4111 1111 1111 1112 is no card", "order 4111 1111 1111 1112 is no card"),
        ("call +49 (30) 901820 or 030/9018-20", "call [phone] or [phone]"),
        ("打13812345678找我", "打[phone]找我"),
        ("写给ada@example.cn。卡号4111111111111111", "写给[e-mail]。卡号[card]"),
        ("sk-slip-abcdefghijklmnopqrstuvwx is mine", "[key] is mine"),
        ("AKIAIOSFODNN7EXAMPLE", "[key]"),
        ("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----", "[key]"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nc=\n-----END KEY----- end",
            "[key] end",
        ),
        ("in 2019 sales were 1200300 at 3.14159265358979", None),
        ("2026-11-22 16:32:00 and 10.0.0.1", None),
        ("Ada Lovelace has the flu", None),
    ],
)
def test_what_looks_like_a_secret_is_masked_and_nothing_else(text: str, kept: str | None) -> None:
    found = masking.masked({"a": [text, 7]}, masks=ALL, expressions=[])
    assert found == {"a": [text if kept is None else kept, 7]}


def test_an_expression_of_one_s_own_cannot_hold_the_worker() -> None:
    assert masking.masked("case A-77 and B-78", masks=[], expressions=[r"[AB]-\d+"]) == (
        "case [masked] and [masked]"
    )
    began = time.process_time()
    texts = ["a" * 60 + "!"] * 50
    slow = masking.masked([*texts, "b"], masks=[], expressions=[r"^(?:a|aa|(?:a))+$", "b"])
    assert time.process_time() - began < 5
    # What could not be looked through is not kept, and neither is what came after it.
    assert set(slow[1:]) == {masking.TOO_LONG}


def test_masks_of_ours_are_quick_on_what_is_made_to_be_slow() -> None:
    began = time.process_time()
    for piece in ("-----BEGIN PRIVATE KEY-----", "eyJ_", "a.", "1 ", "+1 (", "sk-", "a@a."):
        masking.masked(piece * 20_000, masks=ALL, expressions=[])
    assert time.process_time() - began < 20


@pytest.fixture
def policy(api: Any) -> Any:
    body = {"days": 7, "masks": ["email"], "expressions": [r"case \w+"]}
    answer = api.put("/api/v1/prompt-log/policy", body, format="json")
    assert answer.status_code == 200, answer.data
    return answer.data


def said(project_id: Any, number: int) -> traffic.Said:
    return traffic.Said(
        project_id=project_id, request_id=f"req_{number}", at=timezone.now(), model="m",
        request={"messages": [{"role": "user", "content": "case 7 of a@b.example"}]},
        answer={"choices": [{"message": {"content": "yes, a@b.example"}}]},
    )  # fmt: skip


def test_nothing_is_kept_until_an_owner_says_so(api: Any, owner: Any) -> None:
    assert api.get("/api/v1/prompt-log/policy").data["kept"] is False
    traffic.log_prompts([said(owner.project_id, 1)])
    assert traffic.logged_projects() == frozenset()
    assert api.get("/api/v1/prompt-log").data["data"] == []


def test_kept_masked_read_with_a_trace_and_deleted(
    api: Any, owner: Any, stranger: Any, api_for: Any, policy: Any
) -> None:
    assert traffic.logged_projects() == frozenset({str(owner.project_id)})
    for _ in range(2):
        traffic.log_prompts([said(owner.project_id, n) for n in range(3)])
    traffic.log_prompts([said(stranger.project_id, 9)])
    rows = api.get("/api/v1/prompt-log", {"model": "m"}).data["data"]
    assert len(rows) == LoggedPrompt.objects.count() == 3
    assert "request" not in rows[0]
    where = f"/api/v1/prompt-log/{rows[0]['id']}"
    whole = api.get(where).data
    assert whole["request"]["messages"][0]["content"] == "[masked] of [e-mail]"
    assert whole["answer"]["choices"][0]["message"]["content"] == "yes, [e-mail]"
    (trace,) = Entry.objects.filter(action="prompt.read")
    assert rows[0]["id"] in trace.body
    assert "masked" not in trace.body
    # Others may not, and another organisation does not find it.
    assert api_for(owner, role="operator").get(where).status_code == 403
    assert api_for(stranger).get(where).status_code == 404
    assert api_for(stranger).delete(f"/api/v1/prompt-log?id={rows[0]['id']}").data["deleted"] == 0
    assert api.delete("/api/v1/prompt-log").status_code == 422
    assert api.delete(f"/api/v1/prompt-log?id={rows[0]['id']}").data == {"deleted": 1}
    assert "of [e-mail]" not in "".join(Entry.objects.values_list("body", flat=True))
    traffic.forget_prompts(timezone.now() + timedelta(days=6))
    assert LoggedPrompt.objects.count() == 2
    traffic.forget_prompts(timezone.now() + timedelta(days=8))
    assert LoggedPrompt.objects.count() == 0
    assert api.delete("/api/v1/prompt-log/policy").status_code == 204
    assert traffic.logged_projects() == frozenset()


@pytest.mark.parametrize(
    "wrong",
    [{"days": 0}, {"days": 366}, {"days": 7, "masks": ["names"]},
     {"days": 7, "expressions": ["("]}, {"days": 7, "expressions": ["x" * 301]}],
)  # fmt: skip
def test_a_policy_that_is_none_is_refused(api: Any, wrong: Any) -> None:
    refused = api.put("/api/v1/prompt-log/policy", wrong, format="json")
    assert refused.status_code == 422


def test_through_the_gateway_whole_streamed_and_as_text(door: Door) -> None:
    door.engine.script = answer_well
    headers = {"authorization": f"Bearer {door.keys['rival-owner']}"}
    base = door.url.removesuffix("/v1") + "/api/v1/prompt-log"
    assert door.http.put(f"{base}/policy", json={"days": 1}, headers=headers).status_code == 200
    chat = {"model": "m", "messages": [{"role": "user", "content": "I am a@b.example"}]}

    def kept() -> Any:
        ask = door.call("POST", "chat/completions", "rival-owner", json=chat)
        assert ask.status_code == 200
        return door.http.get(base, headers=headers).json()["data"]

    # The gateway hears of the policy within a second; what it answered before is not kept.
    until("the first prompt", kept)
    door.call("POST", "chat/completions", "rival-owner", json=chat | {"stream": True})
    text = {"model": "m", "prompt": "mail a@b.example"}
    last = door.call("POST", "completions", "rival-owner", json=text)
    name = last.headers["x-request-id"]

    def all_of_them() -> Any:
        rows = door.http.get(f"{base}?limit=100", headers=headers).json()["data"]
        return rows if name in {row["request_id"] for row in rows} else None

    rows = until("the last prompt", all_of_them)
    whole = [door.http.get(f"{base}/{row['id']}", headers=headers).json() for row in rows]
    assert "a@b.example" not in json.dumps(whole)
    streamed = [each for each in whole if each["request"].get("stream")]
    assert streamed[0]["answer"]["choices"][0]["message"]["content"] == "abcde"
    assert door.http.delete(f"{base}/policy", headers=headers).status_code == 204
    # Keeping prompts is not storing completions.
    assert not list(door.client("rival-owner").chat.completions.list())
    assert UUID(rows[0]["id"])
