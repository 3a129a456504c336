"""Batches by the `openai` package: asked through the gateway, paid once, readable meanwhile."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import openai
import pytest
from django.utils import timezone
from door_world import Door, error_of, running_door, until
from gateway_world import Exchange, answer_well, completion_of

from slipway import backends
from slipway.door.models import Batch, File
from slipway.door.services import batch_asking, batch_lines, batches

CHAT = "/v1/chat/completions"


@pytest.fixture(autouse=True)
def _well(door: Door) -> Iterator[None]:
    door.engine.script = answer_well
    yield
    door.engine.script = answer_well


@pytest.fixture(scope="module")
def client(door: Door) -> openai.OpenAI:
    return door.client(_strict_response_validation=True)


def line(n: Any, *, model: str = "m", url: str = CHAT, **body: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"row {n}"}]
    return {"custom_id": f"r{n}", "method": "POST", "url": url,
            "body": {"model": model, "messages": messages} | body}  # fmt: skip


def lines(count: int, **more: Any) -> bytes:
    return b"".join(json.dumps(line(n, **more)).encode() + b"\n" for n in range(count))


def begin(client: openai.OpenAI, data: bytes, **more: Any) -> Any:
    file = client.files.create(file=("in.jsonl", data), purpose="batch")
    return client.batches.create(
        input_file_id=file.id, endpoint=CHAT, completion_window="24h", **more
    )


def ended(client: openai.OpenAI, batch: Any, *, seconds: float = 40) -> Any:
    def look() -> Any:
        found = client.batches.retrieve(batch.id)
        over = {"completed", "failed", "expired", "cancelled"}
        return found if found.status in over else None

    return until("the batch's end", look, seconds=seconds)


def table(client: openai.OpenAI, file_id: str | None) -> dict[str, Any]:
    assert file_id is not None
    rows = [json.loads(row) for row in client.files.content(file_id).text.splitlines()]
    assert len({row["custom_id"] for row in rows}) == len(rows)
    return {row["custom_id"]: row for row in rows}


def asked(door: Door) -> Counter[str]:
    """How often the engine was asked each row, since the last call."""
    # Those before may have been asked in other shapes.
    given = [exchange.asked.get("messages") for exchange in door.engine.exchanges]
    found = Counter(messages[0]["content"] for messages in given if messages)
    door.engine.exchanges.clear()
    return found


async def by_row(exchange: Exchange, refuse: dict[str, tuple[int, dict[str, Any]]]) -> None:
    status, body = refuse.get(exchange.asked["messages"][0]["content"], (200, {}))
    if status == 200:
        body = completion_of("m", "fine", 7, 5)
    await exchange.whole(body, status=status)


def test_every_line_is_answered_once_and_paid_for(door: Door, client: openai.OpenAI) -> None:
    asked(door)
    batch = begin(client, lines(40), metadata={"job": "night"})
    assert (batch.object, batch.status, batch.metadata) == ("batch", "validating", {"job": "night"})
    assert batch.expires_at == batch.created_at + 24 * 3600
    done = ended(client, batch)
    assert (done.status, done.model, done.errors) == ("completed", "m", None)
    counts = done.request_counts
    assert (counts.total, counts.completed, counts.failed) == (40, 40, 0)
    assert (done.usage.input_tokens, done.usage.output_tokens) == (280, 200)
    assert done.error_file_id is None
    rows = table(client, done.output_file_id)
    assert set(rows) == {f"r{n}" for n in range(40)}
    answer = rows["r3"]
    assert answer["id"].startswith("batch_req_")
    assert answer["error"] is None
    assert answer["response"]["status_code"] == 200
    assert answer["response"]["request_id"].startswith("req_")
    assert answer["response"]["body"]["choices"][0]["message"]["content"] == "a b c d e"
    # The engine is told that nobody waits for these.
    assert all(b"\r\nx-background: 1\r\n" in e.head for e in door.engine.exchanges)
    assert set(asked(door).values()) == {1}
    one = answer["response"]["request_id"]
    record = until(
        "the ledger",
        lambda: (r := door.http.get(
            f"{door.url[:-3]}/api/v1/requests/{one}",
            headers={"authorization": f"Bearer {door.keys['acme-owner']}"})).status_code == 200
        and r.json(),
    )  # fmt: skip
    assert (record["prompt_tokens"], record["completion_tokens"]) == (7, 5)
    times = [done.created_at, done.in_progress_at, done.finalizing_at, done.completed_at]
    assert times == sorted(times)
    output = client.files.retrieve(done.output_file_id)
    assert (output.purpose, output.status) == ("batch_output", "processed")
    assert output.bytes == len(client.files.content(output.id).content)


def test_lines_that_fail_go_to_the_error_file_and_only_they_are_asked_again(
    door: Door, client: openai.OpenAI
) -> None:
    error = {"error": {"message": "no", "type": "invalid_request_error", "param": None,
                       "code": "bad"}}  # fmt: skip
    broken = {"error": error["error"] | {"type": "server_error"}}
    door.engine.script = lambda e: by_row(e, {"row 2": (400, error), "row 5": (500, broken)})
    asked(door)
    done = ended(client, begin(client, lines(8)))
    assert (done.status, done.request_counts.failed, done.request_counts.completed) == (
        "completed", 2, 6,
    )  # fmt: skip
    failed = table(client, done.error_file_id)
    assert set(failed) == {"r2", "r5"}
    assert failed["r2"]["response"]["status_code"] == 400
    assert failed["r2"]["response"]["body"] == error
    assert asked(door)["row 5"] == 3
    door.engine.script = answer_well
    again = door.call("POST", f"batches/{done.id}/retry")
    assert again.json()["request_counts"] == {"total": 8, "completed": 6, "failed": 0}
    done = ended(client, done)
    assert (done.request_counts.completed, done.error_file_id) == (8, None)
    assert len(table(client, done.output_file_id)) == 8
    assert asked(door) == {"row 2": 1, "row 5": 1}
    refused = door.call("POST", f"batches/{done.id}/retry")
    assert refused.status_code == 400
    error_of(refused)


def test_a_batch_whose_input_was_deleted_is_not_asked_again(
    door: Door, client: openai.OpenAI
) -> None:
    done = ended(client, begin(client, lines(3, model="nobody")))
    client.files.delete(done.input_file_id)
    refused = door.call("POST", f"batches/{done.id}/retry")
    assert (refused.status_code, error_of(refused)["code"]) == (400, "file_deleted")
    kept = client.batches.retrieve(done.id)
    assert (kept.status, kept.error_file_id) == ("completed", done.error_file_id)


def test_when_all_lines_fail_there_is_no_output_file(door: Door, client: openai.OpenAI) -> None:
    done = ended(client, begin(client, lines(5, model="nobody")))
    assert (done.status, done.output_file_id, done.request_counts.failed) == ("completed", None, 5)
    errors = table(client, done.error_file_id)
    assert errors["r0"]["response"]["body"]["error"]["code"] == "model_not_found"


def test_answers_are_readable_while_it_runs_and_after_it_was_cancelled(
    door: Door, client: openai.OpenAI
) -> None:
    held = asyncio.Event()

    async def some(exchange: Exchange) -> None:
        if int(exchange.asked["messages"][0]["content"].split()[1]) >= 12:
            await held.wait()
            # Slow enough that the worker hears of the end before the last line is answered.
            await asyncio.sleep(0.2)
        await answer_well(exchange)

    door.engine.script = some
    batch = begin(client, lines(200))
    seen = until(
        "the first answers",
        lambda: (b := client.batches.retrieve(batch.id)).request_counts.completed >= 12 and b,
    )
    assert seen.status == "in_progress"
    early = client.files.content(seen.output_file_id).text.splitlines()
    assert len(early) >= 12
    assert client.files.retrieve(seen.output_file_id).bytes == sum(len(x) + 1 for x in early)
    with pytest.raises(openai.BadRequestError):
        client.files.delete(batch.input_file_id)
    assert client.batches.cancel(batch.id).status == "cancelling"
    door.engine._loop.loop.call_soon_threadsafe(held.set)
    done = ended(client, batch)
    assert done.status == "cancelled"
    rows = table(client, done.output_file_id)
    left = table(client, done.error_file_id)
    assert len(rows) == done.request_counts.completed < 200
    assert len(rows) + len(left) == 200
    assert {row["error"]["code"] for row in left.values()} == {"batch_cancelled"}
    text = client.files.content(done.output_file_id).text.splitlines()
    assert text[: len(early)] == early
    asked(door)
    again = door.call("POST", f"batches/{batch.id}/retry")
    assert again.json()["status"] == "in_progress"
    done = ended(client, batch)
    assert done.request_counts.completed == 200
    assert len(table(client, done.output_file_id)) == 200
    assert sum(asked(door).values()) == 200 - len(rows)


def let_expire(door: Door, batch_id: str) -> None:
    """As if a day had passed."""
    with sqlite3.connect(door.home / "slipway.sqlite3", timeout=30) as base:
        key = batch_id.removeprefix("batch_")
        now = datetime.now(UTC).replace(tzinfo=None).isoformat(" ")
        base.execute("UPDATE door_batch SET expires_at = ? WHERE id = ?", [now, key])


def test_answers_are_readable_after_its_window_has_ended(door: Door, client: openai.OpenAI) -> None:
    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.05)
        await answer_well(exchange)

    door.engine.script = slow
    batch = begin(client, lines(4000))
    until("answers", lambda: client.batches.retrieve(batch.id).request_counts.completed >= 5)
    let_expire(door, batch.id)
    done = ended(client, batch)
    assert done.status == "expired"
    assert done.expired_at
    rows, left = table(client, done.output_file_id), table(client, done.error_file_id)
    assert 5 <= len(rows) == done.request_counts.completed < 4000
    assert len(rows) + len(left) == 4000
    assert {row["error"]["code"] for row in left.values()} == {"batch_expired"}


def test_a_key_bound_to_a_network_has_its_batches_asked_from_here(
    door: Door, client: openai.OpenAI
) -> None:
    """The worker asks from an address of its own; the key's maker asked from the right one."""
    made = door.http.post(
        f"http://127.0.0.1:{door.port}/api/v1/keys",
        headers={"authorization": f"Bearer {door.keys['acme-owner']}"},
        json={"name": "bound", "networks": ["127.0.0.2/32"]},
    )
    door.keys["bound"] = made.json()["secret"]
    here = door.call("GET", "models", "bound")
    assert here.status_code == 403
    transport = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(transport=transport, timeout=60) as http:
        bound = openai.OpenAI(base_url=door.url, api_key=door.keys["bound"], http_client=http)
        done = ended(bound, begin(bound, lines(3)))
    assert (done.status, done.request_counts.completed) == ("completed", 3)


@pytest.mark.parametrize(
    ("data", "code", "number"),
    [
        (lines(2) + b"{nonsense\n", "invalid_json_line", 3),
        (lines(1) + b"\xff\xfe\n", "invalid_json_line", 2),
        (b"[" * 100_000 + b"\n", "invalid_json_line", 1),
        (lines(1) + b'{"custom_id": "a", "url": %b}\n' % (b"[" * 990), "invalid_json_line", 2),
        (b'{"custom_id": 1}\n', "invalid_json_line", 1),
        (lines(2) + b"\n" + lines(1), "duplicate_custom_id", 4),
        (lines(1) + json.dumps(line(9, url="/v1/completions")).encode(), "url_mismatch", 2),
        (lines(1) + json.dumps(line(9, model="other")).encode(), "model_mismatch", 2),
        (json.dumps(line(1, stream=True)).encode(), "unsupported_stream", 1),
        (b"\n \n", "empty_file", None),
    ],
)
def test_a_bad_input_fails_the_batch_with_its_lines(
    client: openai.OpenAI, data: bytes, code: str, number: int | None
) -> None:
    done = ended(client, begin(client, data))
    assert (done.status, done.request_counts.total) == ("failed", 0)
    assert done.failed_at is not None
    first = done.errors.data[0]
    assert (first.code, first.line) == (code, number)


@pytest.mark.django_db
def test_too_many_lines_are_not_read_on(monkeypatch: pytest.MonkeyPatch, owner: Any) -> None:
    key = f"files/{owner.project_id}/many"
    backends.objects().put(key, lines(7))
    now = timezone.now()
    file = File.objects.create(project_id=owner.project_id, filename="f", purpose="batch", key=key)
    batch = Batch.objects.create(
        project_id=owner.project_id, key_id=file.pk, input_file=file, endpoint=CHAT, expires_at=now
    )
    monkeypatch.setattr(batch_lines, "MOST_LINES", 6)
    found = batch_lines.read(batch, lambda: None)
    assert [(e["code"], e["line"]) for e in found.errors] == [("too_many_tasks", 7)]
    monkeypatch.setattr(batch_lines, "MOST_LINES", 7)
    assert batch_lines.read(batch, lambda: None).errors == []
    assert batch.lines.count() == 7
    longest = max(len(row) for row in lines(7).splitlines()) - 1
    monkeypatch.setattr(batch_lines, "LONGEST_LINE", longest)
    assert batch_lines.read(batch, lambda: None).errors[0]["code"] == "invalid_json_line"


def test_a_batch_that_cannot_be_is_refused(door: Door, client: openai.OpenAI) -> None:
    file = client.files.create(file=("in.jsonl", lines(1)), purpose="batch").id
    other = client.files.create(file=("in.jsonl", lines(1)), purpose="user_data").id
    good = {"input_file_id": file, "endpoint": CHAT, "completion_window": "24h"}
    for change, param in (
        ({"endpoint": "/v1/videos"}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"input_file_id": other}, "input_file_id"),
        ({"input_file_id": "file-0"}, "input_file_id"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"output_expires_after": {"anchor": "now", "seconds": 3600}}, "output_expires_after"),
    ):
        refused = door.call("POST", "batches", json=good | change)
        assert refused.status_code in {400, 404}
        assert error_of(refused)["param"] == param
    assert door.call("POST", "batches", "rival-owner", json=good).status_code == 404


def test_another_tenants_batch_is_not_there(door: Door, client: openai.OpenAI) -> None:
    batch = begin(client, lines(1))
    other = door.client("rival-owner")
    for verb in (other.batches.retrieve, other.batches.cancel):
        with pytest.raises(openai.NotFoundError):
            verb(batch.id)
    assert batch.id not in [b.id for b in other.batches.list()]
    ended(client, batch)
    with pytest.raises(openai.BadRequestError):
        client.batches.cancel(batch.id)


def test_a_model_without_room_is_asked_again_later(door: Door, client: openai.OpenAI) -> None:
    """Live traffic first: what is refused for want of room is not the line's failure."""
    refusals = 0

    async def full(exchange: Exchange) -> None:
        nonlocal refusals
        if refusals < 3:
            refusals += 1
            body = {"error": {"message": "full", "type": "server_error", "param": None,
                              "code": "overloaded"}}  # fmt: skip
            await exchange.whole(body, status=503)
            return
        await answer_well(exchange)

    door.engine.script = full
    batch = begin(client, lines(4))
    seen = until(
        "a reason",
        lambda: "waiting to ask on" in str(client.batches.retrieve(batch.id).x_reason),  # type: ignore[attr-defined]
    )
    assert seen
    done = ended(client, batch)
    assert (done.request_counts.completed, done.request_counts.failed) == (4, 0)


def test_a_small_tenant_does_not_wait_for_a_large_one(door: Door, client: openai.OpenAI) -> None:
    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(1.0)
        await answer_well(exchange)

    door.engine.script = slow
    large = [begin(client, lines(1500)) for _ in range(3)]
    until("the large one to run", lambda: client.batches.retrieve(large[0].id).request_counts.total)
    rival = door.client("rival-owner")
    small = begin(rival, lines(3))
    done = ended(rival, small, seconds=60)
    assert done.status == "completed"
    assert all(client.batches.retrieve(b.id).status == "in_progress" for b in large)
    for batch in large:
        client.batches.cancel(batch.id)
    for batch in large:
        ended(client, batch, seconds=60)


@pytest.mark.parametrize("end", ["in_progress", "cancelled", "expired"])
def test_a_batch_whose_engine_hangs_keeps_nobody_waiting(
    door: Door, client: openai.OpenAI, end: str
) -> None:
    """Others have their turn, and what comes late is recorded, once, and not asked again; also
    where the batch has ended meanwhile."""
    over = threading.Event()

    async def hanging(exchange: Exchange) -> None:
        if exchange.asked["messages"][0]["content"] == "row 1":
            while not over.is_set():
                await asyncio.sleep(0.05)
        await answer_well(exchange)

    door.engine.script = hanging
    try:
        asked(door)
        first = begin(client, lines(4))
        until("the others", lambda: client.batches.retrieve(first.id).request_counts.completed == 3)
        rival = door.client("rival-owner")
        others = b"".join(json.dumps(line(f"of the rival {n}")).encode() + b"\n" for n in range(3))
        small = ended(rival, begin(rival, others), seconds=60)
        assert small.status == "completed"
        assert client.batches.retrieve(first.id).status == "in_progress"
        if end == "cancelled":
            client.batches.cancel(first.id)
        elif end == "expired":
            let_expire(door, first.id)
        # Time to close it, if nothing were awaited.
        time.sleep(2 if end != "in_progress" else 0)
    finally:
        over.set()
    done = ended(client, first, seconds=60)
    # Of one that has expired every line was answered after all.
    status = "cancelled" if end == "cancelled" else "completed"
    assert (done.status, done.request_counts.completed) == (status, 4)
    assert done.error_file_id is None
    assert set(table(client, done.output_file_id)) == {f"r{n}" for n in range(4)}
    times = asked(door)
    assert {row: times[row] for row in map("row {}".format, range(4))} == {
        "row 0": 1, "row 1": 1, "row 2": 1, "row 3": 1,
    }  # fmt: skip


def test_a_killed_worker_loses_no_answer_and_pays_none_twice() -> None:
    """What was recorded is never asked again; what was not recorded yet is, at most once a kill."""

    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.02)
        await answer_well(exchange)

    with running_door(worker="0") as door:
        door.engine.script = slow
        client = door.client()
        batch = begin(client, lines(240))
        kills = 0
        for wanted in (40, 120):
            worker = door.start("only")
            until(
                "answers",
                lambda wanted=wanted: (
                    client.batches.retrieve(batch.id).request_counts.completed >= wanted
                ),
                seconds=90,
            )
            worker.kill()
            worker.wait()
            kills += 1
            # As if its lease had run out, so that the test need not wait for it.
            with sqlite3.connect(door.home / "slipway.sqlite3", timeout=30) as base:
                base.execute("UPDATE door_batch SET look_at = created_at WHERE look_at IS NOT NULL")
        door.start("only")
        done = ended(client, batch, seconds=90)
        assert (done.status, done.request_counts.completed) == ("completed", 240)
        assert set(table(client, done.output_file_id)) == {f"r{n}" for n in range(240)}
        times = asked(door)
        assert len(times) == 240
        assert max(times.values()) <= 1 + kills
        assert sum(times.values()) - 240 <= kills * batch_asking.MOST_UNRECORDED


def test_its_end_is_told_from_the_pace_since_it_was_taken_up() -> None:
    now = timezone.now()
    batch = Batch(
        phase="in_progress", total=105, completed=25, failed=5, resumed_from=10,
        resumed_at=now - timedelta(seconds=40),
    )  # fmt: skip
    # 20 lines in 40 s, 75 are left.
    assert batches.finish_at(batch, now) == now + timedelta(seconds=150)
    batch.phase = "completed"
    assert batches.finish_at(batch, now) is None
    batch.phase, batch.resumed_from = "in_progress", 30
    assert batches.finish_at(batch, now) is None
