"""Lists by SQL that was made before: the same rows as Django's, whatever the values."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models import Count, F, Q, signals
from django.db.models.functions import Lower
from django.db.models.sql.compiler import SQLCompiler
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from tenant_world import minimal

from slipway.core import compiled
from slipway.tenancy.models import ApiKey
from slipway.training.models import RunMirror, TrainingJob

pytestmark = pytest.mark.django_db
JSON = {
    "given": {"a": [1, 2.5, None, "中\n\"'"], "big": 2**70},
    "grader": None,
    "resolved": {},
    "why": {"epochs": {"zh": "由数据决定", "en": "from the rows"}},
}


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    compiled._kept.clear()
    yield
    compiled._kept.clear()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The SQL that Django makes from here on."""
    seen, make = [], SQLCompiler.as_sql

    def as_sql(self: Any, *given: Any, **more: Any) -> Any:
        answer = make(self, *given, **more)
        seen.append(answer[0])
        return answer

    monkeypatch.setattr(SQLCompiler, "as_sql", as_sql)
    return seen


def job(project_id: Any, **fields: Any) -> TrainingJob:
    own = {"project_id": project_id, "text": "job-", "handle": uuid4().hex[:12]}
    made: TrainingJob = minimal(TrainingJob, own | JSON | fields)
    return made


@pytest.fixture
def jobs(owner: Any, stranger: Any) -> list[TrainingJob]:
    now = timezone.now()
    fields = [
        {"phase": phase, "name": name, "created_at": now - timedelta(seconds=age), "price": price}
        for age, phase in enumerate(("queued", "failed", "succeeded", "deleted"))
        for name, price in (("ada", None), ("Bob_%", 2), ("中", 3))
    ]
    found = [job(who.project_id, **each) for who in (owner, stranger) for each in fields]
    RunMirror.objects.create(job=found[0], run="r")
    return found


def columns(row: Any) -> dict[str, Any] | None:
    return row and {name: value for name, value in row.__dict__.items() if name != "_state"}


def seen(rows: list[Any]) -> list[Any]:
    """All that is known of them, and of what came with them."""
    return [
        (columns(each), {name: columns(row) for name, row in each._state.fields_cache.items()})
        for each in rows
    ]


def questions(project_id: Any, at: Any, word: str, phase: str) -> dict[str, Any]:
    every = TrainingJob.objects.filter(project_id=project_id).order_by("-created_at", "-pk")
    return {
        "all": every,
        "one phase": every.filter(phase=phase).exclude(phase="deleted").select_related("mirror"),
        "not one phase": every.exclude(phase=phase),
        "a part of the name": every.filter(name__icontains=word),
        "after a row": every.filter(created_at__lte=at).filter(
            Q(created_at__lt=at) | Q(created_at=at, pk__lt=project_id)
        ),
        "before it": every.filter(created_at__gte=at).filter(
            Q(created_at__gt=at) | Q(created_at=at, pk__gt=project_id)
        ),
        "neither nor": every.exclude(Q(phase=phase) | Q(name=word)),
        "without a price": every.filter(price=None),
        "with one": every.exclude(price__isnull=True),
        "two": every[:2],
        "the next two": every[2:4],
        "the other way round": every.order_by("created_at", "pk"),
        "fewer columns": every.defer("inputs", "why").select_related("mirror"),
        "few columns": every.only("name", "phase"),
        "through another table": RunMirror.objects.filter(
            job__project_id=project_id, job__name=word
        ),
        "with the other table": RunMirror.objects.filter(job__phase=phase).select_related("job"),
    }


def test_every_question_is_answered_as_django_answers_it_whatever_its_values(
    owner: Any, stranger: Any, jobs: list[TrainingJob], made: list[str]
) -> None:
    at = jobs[4].created_at
    rounds = [
        questions(owner.project_id, at, "ada", "queued"),
        questions(stranger.project_id, at - timedelta(seconds=1), "_%", "failed"),
        questions(owner.project_id, at + timedelta(days=1), "中", "deleted"),
        questions(uuid4(), at, "", "nothing"),
    ]
    answers = []
    for number, each in enumerate(rounds):
        for name, asked in each.items():
            plain = seen(list(asked.all()))
            before = len(made)
            assert seen(compiled.rows(asked)) == plain, name
            assert (len(made) > before) is (number == 0), f"{name}: made once, used after"
            answers.append(str(plain))
    assert len(set(answers)) > 25, "the values tell"
    assert len(compiled._kept) == len(rounds[0])
    assert None not in compiled._kept.values()


def test_what_is_not_known_is_asked_as_ever(owner: Any, jobs: list[TrainingJob]) -> None:
    every = TrainingJob.objects.filter(project_id=owner.project_id).order_by("pk")
    for number, asked in enumerate((
        every.none(), every[:0], every.filter(pk__in=[jobs[0].pk]), every.filter(pk__in=[]),
        every.annotate(points_=Count("points")), every.filter(step=F("total_steps")),
        every.filter(mirror__in=RunMirror.objects.filter(run="r")), every.filter(recoverable=True),
        every.filter(recoverable=False), every.order_by(Lower("name"), "pk"), every.distinct(),
        every.extra(where=["1 = 1"]), every.filter(given__epochs=3), every.filter(inputs={}),
        every.filter(name="ada") | every.filter(name="中"),
        every.order_by().union(every.order_by()), every.values("name"), every.reverse(),
        every.filter(pk__lt=jobs[3].pk).exclude(points__step=1), every.filter(step=2**80),
    )):  # fmt: skip
        for _ in range(2):
            got, plain = compiled.rows(asked), list(asked.all())
            assert sorted(map(str, got)) == sorted(map(str, plain)), number
    for _ in range(2):
        (row,) = compiled.rows(every.filter(pk=jobs[0].pk).prefetch_related("checkpoints"))
        assert "checkpoints" in row._prefetched_objects_cache


def test_the_question_itself_is_left_as_it_was(owner: Any, jobs: list[TrainingJob]) -> None:
    every = TrainingJob.objects.filter(project_id=owner.project_id).order_by("pk")
    assert len(compiled.rows(every, unread=["why"])) == 12
    assert every.filter(name="ada").count() == 4
    assert every[0].why == JSON["why"], "read, where nobody said otherwise"
    assert [each.why for each in compiled.rows(every)] == [JSON["why"]] * 12


def test_models_that_are_watched_are_made_as_ever(owner: Any, jobs: list[TrainingJob]) -> None:
    seen: list[Any] = []

    def watch(instance: Any, **_: Any) -> None:
        seen.append(instance)

    every = TrainingJob.objects.filter(project_id=owner.project_id)
    signals.post_init.connect(watch, sender=TrainingJob)
    try:
        assert compiled.rows(every) == seen
    finally:
        signals.post_init.disconnect(watch, sender=TrainingJob)
    assert len(seen) == 12


def test_only_so_many_are_kept(owner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_MOST", 5)
    for most in range(1, 20):
        assert len(compiled.rows(ApiKey.objects.order_by("pk")[:most])) == 0
        assert len(compiled._kept) <= 5


def test_a_list_shows_of_each_job_what_the_job_shows(api: Any, owner: Any) -> None:
    found = [job(owner.project_id), job(owner.project_id, grader={"type": "x"}, phase="failed")]
    for accept in ("*/*", "application/json; indent=2"):
        listed = {
            row["id"]: row for row in api.get("/api/v1/jobs", HTTP_ACCEPT=accept).json()["data"]
        }
        for each in found:
            assert listed[str(each.pk)] == api.get(f"/api/v1/jobs/{each.pk}").json()
    assert listed[str(found[0].pk)]["given"] == JSON["given"]


def test_a_page_of_jobs_takes_as_many_questions_as_one_job(api: Any, owner: Any) -> None:
    def asked(rows: int) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert len(api.get("/api/v1/jobs").json()["data"]) == rows
        return len(queries)

    RunMirror.objects.create(job=job(owner.project_id), run="r")
    of_one = asked(1)
    for number in range(5):
        made = job(owner.project_id, phase=("queued", "running", "succeeded")[number % 3])
        RunMirror.objects.create(job=made, run="r")
    assert asked(6) == of_one


def test_only_json_is_left_unread(owner: Any) -> None:
    with pytest.raises(TypeError, match="name is no JSON column"):
        compiled.rows(TrainingJob.objects.all(), unread=["name"])
