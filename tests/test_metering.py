"""The ledger: what was spooled is taken in exactly once, and added up for its project only."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.utils import timezone

from slipway.core import spools
from slipway.core.errors import NotFound
from slipway.gateway.spool import Spool
from slipway.metering import reconcile
from slipway.metering.models import SpoolFile, UsageRecord
from slipway.metering.services import ledger as services
from slipway.metering.services import rollups
from slipway.tenancy import services as tenancy
from slipway_contracts.usage import UsageLine

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)


def line(number: int, **changes: Any) -> UsageLine:
    made = UsageLine(
        request_id=f"req_{number}",
        at=NOON.timestamp(),
        project_id=str(UUID(int=1)),
        key_id=str(UUID(int=2)),
        deployment_id=str(UUID(int=3)),
        version_id=str(UUID(int=4)),
        model="m",
        endpoint="/v1/chat/completions",
        status=200,
        stream=True,
        prompt_tokens=10,
        completion_tokens=number,
        estimated=False,
        latency_ms=12.5,
        first_byte_ms=3.5,
    )
    return dataclasses.replace(made, **changes)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path)
    made.start()
    yield made
    made.stop()


def take_in(directory: Path) -> int:
    return services.ingest_spool(now=timezone.now(), directory=directory)


def ids() -> list[str]:
    return sorted(UsageRecord.objects.values_list("request_id", flat=True))


def test_a_file_is_taken_in_as_it_grows_and_deleted_when_its_writer_is_gone(
    spool: Spool, tmp_path: Path
) -> None:
    spool.write(line(1))
    assert take_in(tmp_path) == 1
    assert take_in(tmp_path) == 0
    spool.write(line(2))
    spool.write(line(3))
    assert take_in(tmp_path) == 2
    assert len(list(tmp_path.iterdir())) == 1, "its writer still has it"
    spool.stop()
    assert take_in(tmp_path) == 0
    assert list(tmp_path.iterdir()) == []
    assert ids() == ["req_1", "req_2", "req_3"]
    assert not SpoolFile.objects.exists()
    record = UsageRecord.objects.get(request_id="req_3")
    assert (record.prompt_tokens, record.completion_tokens) == (10, 3)
    assert record.created_at == NOON


def test_a_worker_killed_between_any_two_steps_counts_nothing_twice(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        spool.write(line(number))
    spool.stop()
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()

    class Killed(BaseException):
        pass

    def kill(*_: object, **__: object) -> None:
        raise Killed

    # Inside the transaction: nothing of it stays.
    with monkeypatch.context() as patch:
        patch.setattr(tenancy, "note_key_use", kill)
        with pytest.raises(Killed):
            take_in(tmp_path)
    assert ids() == []
    # After the commit, before the file is deleted.
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", kill)
        with pytest.raises(Killed):
            take_in(tmp_path)
    assert len(ids()) == 5
    assert take_in(tmp_path) == 0
    # The database was put back to before: how far the file was read is forgotten, records are not.
    path.write_bytes(content)
    SpoolFile.objects.all().delete()
    assert take_in(tmp_path) == 0
    assert len(ids()) == 5


def test_two_workers_at_once_count_once(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.write(line(1))
    genuine, inner = services._store, []

    def raced(*given: Any) -> int:
        if not inner:
            inner.append(1)
            inner.append(take_in(tmp_path))
        return genuine(*given)

    monkeypatch.setattr(services, "_store", raced)
    assert take_in(tmp_path) == 0, "the first one lost the race"
    assert inner == [1, 1]
    assert ids() == ["req_1"]


def test_a_file_in_pieces(tmp_path: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spools, "PIECE_BYTES", 1000)
    for number in range(40):
        spool.write(line(number))
    assert take_in(tmp_path) == 40


def test_lines_that_cannot_be_records_do_not_stop_the_others(tmp_path: Path) -> None:
    good = [json.dumps(dataclasses.asdict(line(number))) for number in range(6)]
    bad = [
        "{",
        "",
        json.dumps(dataclasses.asdict(line(7, prompt_tokens=-1))),
        json.dumps(dataclasses.asdict(line(8, completion_tokens=2**40))),
        json.dumps(dataclasses.asdict(line(9, project_id="nobody"))),
        json.dumps(dataclasses.asdict(line(10, at=1e300))),
        json.dumps(dataclasses.asdict(line(11, model="a\0b"))),
        json.dumps(dataclasses.asdict(line(12, request_id="req\ttab"))),
        '{"request_id": 5}',
        "[" * 100_000,
    ]
    (tmp_path / "usage-1-1.jsonl").write_text("\n".join(good[:3] + bad + good[3:]) + '\n{"cut')
    assert take_in(tmp_path) == 6
    (rejected,) = tmp_path.iterdir()
    assert rejected.name == "usage-1-1.rejected"
    assert rejected.read_text().splitlines() == [*bad, '{"cut']


def test_lines_are_kept_as_they_are_written(tmp_path: Path) -> None:
    odd = 'tab\t, \\N, \\\\., line\nend\r, "quotes" and 数据'
    written = [
        line(1, model=odd, first_byte_ms=None, estimated=True),
        line(2, request_id="req_\\t2", model="\\N", key_id=str(UUID(int=2**127 + 5)).upper()),
    ]
    spooled = "".join(json.dumps(dataclasses.asdict(each)) + "\n" for each in written)
    (tmp_path / "usage-3-3.jsonl").write_text(spooled)
    assert take_in(tmp_path) == 2
    for each in written:
        kept = UsageRecord.objects.get(request_id=each.request_id)
        for field in dataclasses.fields(each):
            if field.name != "at":
                value = getattr(kept, field.name)
                spelt = str(value) if field.name.endswith("_id") else value
                asked = getattr(each, field.name)
                assert spelt == (asked.lower() if field.name == "key_id" else asked), field.name
        assert kept.created_at == NOON
    assert rollups.differences() == []


@pytest.mark.django_db(transaction=True)
def test_two_workers_that_meet_the_same_lines_at_once_count_each_once(tmp_path: Path) -> None:
    """Two files with 600 lines each, 300 of them in both, mixed; requests of both sorts."""
    if connection.vendor != "postgresql":
        pytest.skip("one writes at a time to SQLite; test_gateway_postgres.py runs this one")
    places = []
    for first in (0, 300):
        place = tmp_path / str(first)
        place.mkdir()
        numbers = list(range(first, first + 600))
        random.Random(first).shuffle(numbers)
        made = [
            line(
                number,
                model=f"m{number % 7}",
                key_id=str(UUID(int=number % 5)),
                endpoint="/v1/embeddings" if number % 3 else "/v1/chat/completions",
                at=NOON.timestamp() + number * 60,
            )
            for number in numbers
        ]
        spooled = "".join(json.dumps(dataclasses.asdict(each)) + "\n" for each in made)
        (place / f"usage-4-{first}.jsonl").write_text(spooled)
        places.append(place)
    start = threading.Barrier(2)

    def work(place: Path) -> int:
        try:
            start.wait()
            return take_in(place)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        added = list(pool.map(work, places))
    assert sum(added) == 900 == UsageRecord.objects.count()
    assert rollups.differences() == []


def test_half_a_line_of_a_living_writer_waits_for_the_rest(tmp_path: Path) -> None:
    text = json.dumps(dataclasses.asdict(line(1))) + "\n"
    with (tmp_path / "usage-2-2.jsonl").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.write(file.fileno(), text[:50].encode())
        assert take_in(tmp_path) == 0
        os.write(file.fileno(), text[50:].encode())
        assert take_in(tmp_path) == 1
    assert take_in(tmp_path) == 0
    assert list(tmp_path.iterdir()) == []


def test_the_worker_takes_the_spool_in(settings: Any, tmp_path: Path, spool: Spool) -> None:
    settings.USAGE_SPOOL = tmp_path
    spool.write(line(1))
    old = timezone.now() - timedelta(days=2)
    SpoolFile.objects.create(name="usage-0-0.jsonl", offset_bytes=1, seen_at=old)
    reconcile.sweep(timezone.now())
    assert ids() == ["req_1"]
    assert [row.offset_bytes > 1 for row in SpoolFile.objects.all()] == [True]


def test_a_key_knows_when_it_was_last_used(owner: Any, tmp_path: Path, spool: Spool) -> None:
    issued = tenancy.issue_key(maker=owner, name="used")
    spool.write(line(1, key_id=str(issued.key.pk)))
    take_in(tmp_path)
    issued.key.refresh_from_db()
    assert issued.key.last_used_at is not None


# What users see


@pytest.fixture
def used(owner: Any, stranger: Any, tmp_path: Path) -> dict[str, str]:
    """Two days of two models and two keys, and someone else's."""
    keys = {"a": str(uuid4()), "b": str(uuid4())}
    yesterday = (NOON - timedelta(days=1)).timestamp()
    own = {"project_id": str(owner.project_id)}
    lines = [
        line(1, key_id=keys["a"], **own),
        line(2, key_id=keys["b"], at=NOON.timestamp() + 3600, **own),
        line(3, key_id=keys["a"], model="n", status=499, **own),
        line(4, key_id=keys["a"], at=yesterday, **own),
        line(50, project_id=str(stranger.project_id)),
    ]
    text = "".join(json.dumps(dataclasses.asdict(made)) + "\n" for made in lines)
    (tmp_path / "usage-3-3.jsonl").write_text(text)
    assert take_in(tmp_path) == 5
    return keys


SPAN = "since=2026-11-18T00:00:00Z&until=2026-11-22T00:00:00Z"


def test_totals_by_day_and_model(api: Any, used: dict[str, str]) -> None:
    body = api.get(f"/api/v1/usage?{SPAN}").json()
    assert body["next_cursor"] is None
    rows = [
        (row["start"][:10], row["group"], row["requests"], row["failed"], row["completion_tokens"])
        for row in body["data"]
    ]
    assert rows == [
        ("2026-11-19", {"model": "m"}, 1, 0, 4),
        ("2026-11-20", {"model": "m"}, 2, 0, 3),
        ("2026-11-20", {"model": "n"}, 1, 1, 3),
    ]
    assert sum(row["prompt_tokens"] for row in body["data"]) == 40


def test_totals_by_hour_and_key_with_a_filter(api: Any, used: dict[str, str]) -> None:
    body = api.get(f"/api/v1/usage?{SPAN}&bucket=hour&group_by=key_id,status&model=m").json()
    got = {(row["start"][11:13], row["group"]["key_id"]): row["requests"] for row in body["data"]}
    assert len(body["data"]) == 3
    assert got[("13", used["b"])] == 1
    assert got[("12", used["a"])] == 1


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("bucket=week", "bucket"),
        ("group_by=secret", "group_by"),
        ("group_by=model,model", "group_by"),
        ("since=yesterday", "since"),
        ("since=2020-01-01T00:00:00Z", "since"),
        ("since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "until"),
        ("key_id=7", "key_id"),
        ("status=9", "status"),
    ],
)
def test_a_wrong_question_is_told_where(api: Any, query: str, field: str) -> None:
    response = api.get(f"/api/v1/usage?{query}")
    assert response.status_code == 422
    assert response.json()["error"]["details"][0]["field"] == field


def test_records_in_pages(api: Any, used: dict[str, str]) -> None:
    first = api.get("/api/v1/usage/records?limit=3").json()
    second = api.get(f"/api/v1/usage/records?limit=3&cursor={first['next_cursor']}").json()
    found = [record["request_id"] for record in first["data"] + second["data"]]
    assert found[0] == "req_2"
    assert sorted(found) == ["req_1", "req_2", "req_3", "req_4"]
    assert second["next_cursor"] is None
    gone = api.get("/api/v1/usage/records?status=499").json()["data"]
    assert [record["request_id"] for record in gone] == ["req_3"]


def test_a_request_leads_to_what_answered_it(api: Any, used: dict[str, str]) -> None:
    found = api.get("/api/v1/requests/req_1").json()
    assert found["deployment_id"] == str(UUID(int=3))
    assert found["version_id"] == str(UUID(int=4))
    assert found["at"].startswith("2026-11-20T12:30:00")


def test_someone_elses_request_is_not_there(api: Any, owner: Any, used: dict[str, str]) -> None:
    response = api.get("/api/v1/requests/req_50")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")
    with pytest.raises(NotFound):
        services.record_of(project_id=owner.project_id, request_id="req_50")
