"""The kernel: a phase changes in one place, a lease outlives its worker, refusals explain."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, models
from django.http import HttpResponse
from django.test import RequestFactory
from django.utils import timezone

from slipway.core import http, lifecycle, logs, reconcile
from slipway.core.lifecycle import Lifecycle, LostRace, NoSuchMove
from slipway.core.models import Event, Tracked
from slipway.core.parsing import unstorable


class Boat(Tracked):
    """A thing with a life, for these tests only."""

    LIFECYCLE = Lifecycle(
        {"docked": ("sailing", "sunk"), "sailing": ("docked", "sunk")},
        resting=frozenset({"docked"}),
    )
    cargo = models.IntegerField(default=0)

    class Meta:
        app_label = "core"


@pytest.fixture
def boat(transactional_db: None) -> Any:
    connection.disable_constraint_checking()
    with connection.schema_editor() as editor:
        editor.create_model(Boat)
    yield Boat.objects.create(phase="docked")
    with connection.schema_editor() as editor:
        editor.delete_model(Boat)


def test_a_move_stores_its_fields_and_tells_why(boat: Boat) -> None:
    now = timezone.now()
    lifecycle.advance(boat, "sailing", now=now, reason="fair wind", cargo=7)
    fresh = Boat.objects.get(pk=boat.pk)
    assert (fresh.phase, fresh.reason, fresh.cargo) == ("sailing", "fair wind", 7)
    event = Event.objects.get(subject=lifecycle.subject_of(boat))
    assert (event.source, event.target, event.reason, event.at) == (
        "docked",
        "sailing",
        "fair wind",
        now,
    )


def test_of_two_who_saw_the_same_phase_only_one_moves_it(boat: Boat) -> None:
    mine, theirs = Boat.objects.get(pk=boat.pk), Boat.objects.get(pk=boat.pk)
    lifecycle.advance(mine, "sailing", now=timezone.now())
    with pytest.raises(LostRace):
        lifecycle.advance(theirs, "sunk", now=timezone.now())
    assert Boat.objects.get(pk=boat.pk).phase == "sailing"
    assert Event.objects.filter(subject=lifecycle.subject_of(boat)).count() == 1
    with pytest.raises(LostRace):
        lifecycle.annotate(theirs, reason="stale news")


def test_there_is_no_move_without_an_arrow(boat: Boat) -> None:
    lifecycle.advance(boat, "sunk", now=timezone.now())
    with pytest.raises(NoSuchMove, match="sailing"):
        lifecycle.advance(boat, "sailing", now=timezone.now())
    assert Boat.objects.get(pk=boat.pk).look_at is None


def test_a_resting_phase_is_not_looked_at_but_can_be_left(boat: Boat) -> None:
    lifecycle.advance(boat, "sailing", now=timezone.now())
    lifecycle.advance(boat, "docked", now=timezone.now())
    assert Boat.objects.get(pk=boat.pk).look_at is None
    lifecycle.advance(boat, "sailing", now=timezone.now())
    assert Boat.objects.get(pk=boat.pk).look_at is not None


def test_a_due_record_is_stepped_once_and_rests_until_its_next_look(boat: Boat) -> None:
    seen = []

    def step(record: Boat, now: Any) -> timedelta:
        seen.append(record.pk)
        return timedelta(seconds=60)

    assert reconcile.run_due(Boat, step, now=timezone.now()) == 1
    assert reconcile.run_due(Boat, step, now=timezone.now()) == 0
    assert seen == [boat.pk]
    assert Boat.objects.get(pk=boat.pk).look_at > timezone.now() + timedelta(seconds=50)


def test_a_record_held_by_a_dead_worker_comes_due_when_its_lease_ends(boat: Boat) -> None:
    class Killed(BaseException):
        pass

    def die(record: Boat, now: Any) -> None:
        raise Killed

    with pytest.raises(Killed):
        reconcile.run_due(Boat, die, now=timezone.now())
    stepped: list[Any] = []
    assert reconcile.run_due(Boat, lambda r, n: stepped.append(r), now=timezone.now()) == 0
    later = timezone.now() + reconcile.LEASE + timedelta(seconds=1)
    assert reconcile.run_due(Boat, lambda r, n: stepped.append(r), now=later) == 1


def test_one_bad_record_does_not_stop_its_neighbours_and_says_so(boat: Boat) -> None:
    other = Boat.objects.create(phase="docked")
    stepped = []

    def step(record: Boat, now: Any) -> None:
        if record.pk == boat.pk:
            raise ValueError("a hole in the hull")
        stepped.append(record.pk)

    reconcile.run_due(Boat, step, now=timezone.now())
    assert stepped == [other.pk]
    assert "a hole in the hull" in Boat.objects.get(pk=boat.pk).reason


def test_a_user_who_moves_a_record_meanwhile_wins_over_the_step(boat: Boat) -> None:
    def step(record: Boat, now: Any) -> None:
        lifecycle.advance(Boat.objects.get(pk=record.pk), "sunk", now=now)
        lifecycle.advance(record, "sailing", now=now)

    reconcile.run_due(Boat, step, now=timezone.now())
    fresh = Boat.objects.get(pk=boat.pk)
    assert (fresh.phase, fresh.look_at) == ("sunk", None)


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ({"a": ["\ud800"]}, "\\ud800"),
        ({"\udfff": 1}, "\\udfff"),
        ("a\0b", "\\u0000"),
        ({"\0": 1}, "\\u0000"),
        ("\\\0", "\\u0000"),
        ("\\u0000", None),
        ({"a": "😀\\\\u0000"}, None),
        ([1.5, None, True], None),
    ],
)
def test_what_no_database_takes_is_found_and_nothing_else(value: Any, wrong: str | None) -> None:
    assert unstorable(value) == wrong


@pytest.mark.parametrize("text", ['"\\ud800"', '"a\\u0000"', "[" * 100_000])
def test_a_body_that_cannot_be_kept_is_refused_before_anything_is_done(api: Any, text: str) -> None:
    for path in ("/api/v1/keys", "/v1/conversations", "/v1/evals", "/api/v1/budgets"):
        answer = api.post(path, f'{{"metadata": {text}}}', content_type="application/json")
        assert answer.status_code in {400, 422}, (path, answer.content)
        assert answer.json()["error"]["message"]


def test_a_message_cannot_pretend_to_be_another_line_of_the_log() -> None:
    line = logs.Line("%(levelname)s %(request)s %(message)s")
    said = "named %r\x1b[2K\nERROR root: \u2028forged"
    record = logging.LogRecord("a", logging.INFO, "", 1, said, ("x",), None)
    token = logs.request_id.set("req_1")
    shown = line.format(record)
    logs.request_id.reset(token)
    assert shown == "INFO req_1 named 'x'\\x1b[2K\\x0aERROR root: \\u2028forged"


@pytest.mark.parametrize("path", ["/v1/files", "/api/v1/jobs"])
def test_a_page_of_djangos_own_says_whose_fault_it_was(path: str) -> None:
    def said(status: int) -> str:
        answer = http.RequestIds(lambda _: HttpResponse("<h1>", status=status))
        error = json.loads(answer(RequestFactory().post(path)).content)["error"]
        return str(error["message"])

    assert said(500) == "Something broke on our side; it was logged under the request id."
    assert said(400) == "The request was not understood."
    assert said(404) == f"There is nothing at {path}."
