"""Whether external models are well, and that nobody is sent to one that is not."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from slipway.core import addresses
from slipway.gateway.loader import Loader
from slipway.metering.models import UsageRecord
from slipway.traffic import services
from slipway.traffic.models import External
from slipway.traffic.services import health


@pytest.fixture
def far(owner: Any, monkeypatch: pytest.MonkeyPatch) -> External:
    there = [(2, 1, 6, "", ("93.184.216.34", 443))]
    monkeypatch.setattr(addresses.socket, "getaddrinfo", lambda *_, **__: there)
    return services.register(
        project_id=owner.project_id, name="far", url="https://api.example.com/v1",
        now=timezone.now(),
    )  # fmt: skip


def answered(far: External, status: int, at: datetime) -> None:
    UsageRecord.objects.create(
        created_at=at, request_id=uuid4().hex, project_id=far.project_id, key_id=uuid4(),
        deployment_id=far.pk, version_id=far.pk, model="far", endpoint="/v1/chat/completions",
        status=status, stream=False, prompt_tokens=1, completion_tokens=1, estimated=False,
        latency_ms=1, first_byte_ms=1,
    )  # fmt: skip


WELL, GONE = health.Finding(), health.Finding(trouble="does not answer", grave=True)
HALF = health.Finding(trouble="refuses the credential (status 403)")


def test_who_does_not_answer_twice_is_out_and_asked_ever_more_seldom(
    far: External, api: Any
) -> None:
    now, pauses = timezone.now(), []
    for look in range(9):
        health.look(far, now=now, probe=lambda _: GONE)
        assert far.down == (look > 0)
        pauses.append((far.next_check_at - now).total_seconds())
        now = far.next_check_at
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    shown = api.get(f"/api/v1/externals/{far.pk}").json()
    assert (shown["down"], shown["trouble"], shown["failures"]) == (True, "does not answer", 9)
    ((_, route),) = Loader()().routes.items()
    assert (route.endpoints, route.state, route.reason) == ((), "unhealthy", "does not answer")
    health.look(far, now=now, probe=lambda _: WELL)
    assert (far.down, far.trouble) == (False, "")
    far.refresh_from_db()
    assert (far.down, far.next_check_at) == (False, now + health.EVERY)


def test_what_it_answers_says_more_than_its_list_of_models(far: External) -> None:
    def never(_: External) -> health.Finding:
        raise AssertionError("nobody needs to ask")

    now = timezone.now()
    for _ in range(health.REQUESTS):
        answered(far, 502, now)
    health.look(far, now=now + timedelta(seconds=1), probe=never)
    assert far.down
    assert "last 3 requests failed" in far.trouble
    # Its list is well again, so it gets another chance; failing again it is out for longer.
    first = far.next_check_at
    health.look(far, now=first, probe=lambda _: WELL)
    assert not far.down
    answered(far, 200, first + timedelta(seconds=2))
    answered(far, 502, first + timedelta(seconds=3))
    health.look(far, now=first + health.EVERY, probe=never)
    assert (far.down, far.failures) == (False, 0)


def test_a_key_that_may_not_list_models_is_no_reason_to_go_without(far: External) -> None:
    now = timezone.now()
    for _ in range(4):
        health.look(far, now=now, probe=lambda _: HALF)
        now = far.next_check_at
    assert (far.down, far.trouble) == (False, HALF.trouble)


def test_a_look_is_taken_once_and_never_at_what_was_changed_meanwhile(
    far: External, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now() + timedelta(seconds=1)

    def changed(row: External) -> health.Finding:
        services.change(External.objects.get(pk=row.pk), model="other", now=now)
        return GONE

    monkeypatch.setattr(health, "ask", changed)
    assert services.tend(now=now) == 1
    far.refresh_from_db()
    assert (far.failures, far.trouble, far.next_check_at) == (0, "", now)
    monkeypatch.setattr(health, "ask", lambda _: WELL)
    assert [services.tend(now=now), services.tend(now=now)] == [1, 0]
