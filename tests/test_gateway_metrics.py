"""What the gateway counts, and how Prometheus reads it."""

from __future__ import annotations

import timeit
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from slipway.gateway import metrics
from slipway.gateway.spool import Spool
from slipway.gateway.watch import MOST_SERIES, Watch
from slipway_contracts.usage import UsageLine


def line(**changes: Any) -> UsageLine:
    given: dict[str, Any] = {
        "request_id": "r", "at": 0.0, "project_id": "p", "key_id": "k", "deployment_id": "d",
        "version_id": "v", "model": "m", "endpoint": "/v1/chat/completions", "status": 200,
        "stream": False, "prompt_tokens": 7, "completion_tokens": 5, "estimated": False,
        "latency_ms": 40.0, "first_byte_ms": 12.0,
    }  # fmt: skip
    return UsageLine(**(given | changes))


class Seen:
    def __init__(self, spool: Path) -> None:
        self.watch, self.spool = Watch(), Spool(spool)

    def running(self) -> int:
        return 3

    def picture_age(self) -> float:
        return 0.5

    def keys_and_routes(self) -> tuple[int, int]:
        return 2, 1

    def read(self) -> dict[str, dict[tuple[str, ...], float]]:
        text, kind = metrics.page(self, "text/plain")
        assert kind.startswith("text/plain")
        found: dict[str, dict[tuple[str, ...], float]] = {}
        for family in text_string_to_metric_families(text.decode()):
            for sample in family.samples:
                labels = tuple(value for _, value in sorted(sample.labels.items()))
                found.setdefault(sample.name.removeprefix("slipway_gateway_"), {})[labels] = (
                    sample.value
                )
        return found


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    return Seen(tmp_path)


def test_requests_tokens_and_times_are_counted(seen: Seen) -> None:
    seen.watch.settled(line())
    seen.watch.settled(line(status=499, estimated=True, latency_ms=600.0, first_byte_ms=None))
    found = seen.read()
    assert found["requests_total"] == {
        ("/v1/chat/completions", "m", "p", "200"): 1, ("/v1/chat/completions", "m", "p", "499"): 1,
    }  # fmt: skip
    assert found["tokens_total"] == {("prompt", "m", "p"): 14, ("completion", "m", "p"): 10}
    assert found["estimated_requests_total"] == {("m", "p"): 1}
    buckets = found["request_seconds_bucket"]
    assert (buckets["0.025", "m", "p"], buckets["0.05", "m", "p"]) == (0, 1)
    assert (buckets["0.5", "m", "p"], buckets["1.0", "m", "p"], buckets["+Inf", "m", "p"]) == (
        1, 2, 2,
    )  # fmt: skip
    assert found["request_seconds_sum"] == {("m", "p"): pytest.approx(0.64)}
    assert found["first_byte_seconds_count"] == {("m", "p"): 1}


def test_what_was_refused_and_what_lies_about_is_told(seen: Seen, tmp_path: Path) -> None:
    (tmp_path / "usage-1.jsonl").write_bytes(b"x" * 100)
    seen.watch.refuse("rate_limit_exceeded")
    seen.watch.refuse(None)
    found = seen.read()
    assert found["refused_total"] == {("rate_limit_exceeded",): 1, ("other",): 1}
    assert (found["in_flight"], found["spool_files"], found["spool_bytes"]) == (
        {(): 3}, {(): 1}, {(): 100},
    )  # fmt: skip
    assert (found["keys"], found["picture_age_seconds"]) == ({(): 2}, {(): 0.5})


def test_labels_stay_few_however_many_models_are_asked(seen: Seen) -> None:
    for n in range(MOST_SERIES + 50):
        seen.watch.settled(line(model=f'm{n}"\n'))
    assert len(seen.watch.series) == MOST_SERIES + 1
    found = seen.read()
    assert found["estimated_requests_total"]["other", "other"] == 0
    assert found["request_seconds_count"]["other", "other"] == 50
    assert sum(found["requests_total"].values()) == MOST_SERIES + 50


def test_only_who_may_reads(seen: Seen) -> None:
    ask = metrics.may_read
    assert ask({}, "127.0.0.1", "") and ask({}, "::1", "") and ask({}, "", "")  # noqa: PT018
    assert not ask({}, "10.0.0.1", "")
    assert not ask({b"x-forwarded-for": b"8.8.8.8"}, "127.0.0.1", "")
    assert ask({b"authorization": b"Bearer t"}, "10.0.0.1", "t")
    assert not ask({b"authorization": b"Bearer u"}, "127.0.0.1", "t")
    assert not ask({}, "127.0.0.1", "t")


def test_counting_costs_little(seen: Seen) -> None:
    one = line()
    best = min(timeit.repeat(lambda: seen.watch.settled(one), number=1000, repeat=20)) / 1000
    assert best < 20e-6, f"{best * 1e6:.2f} µs"


def test_the_web_process_shows_them_and_hides_them_from_others(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    import httpx

    from slipway import asgi

    async def get(address: str, **headers: str) -> httpx.Response:
        transport = httpx.ASGITransport(asgi.application, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            return await http.get("/metrics", headers=headers)

    seen = asyncio.run(get("127.0.0.1"))
    assert seen.status_code == 200
    assert "slipway_gateway_in_flight 0.0" in seen.text
    assert asyncio.run(get("10.0.0.9")).status_code == 404
    settings.METRICS_TOKEN = "t"
    assert asyncio.run(get("127.0.0.1")).status_code == 404
    opened = asyncio.run(
        get("10.0.0.9", authorization="Bearer t", accept="application/openmetrics-text")
    )
    assert opened.text.endswith("# EOF\n")
