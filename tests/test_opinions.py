"""What people think of answers: thumbs on requests, ratings of an evaluation's rows."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.utils import timezone
from scipy import stats

from slipway.evaluation.models import EvaluationRun
from slipway.evaluation.services import people
from slipway.runs.record import Phase

pytestmark = pytest.mark.django_db
BASE, TUNED = str(uuid.uuid4()), str(uuid.uuid4())


def thumb(**given: Any) -> dict[str, Any]:
    asked = [{"role": "user", "content": "<b>哪个月最高?</b>"}]
    body = {"request_id": "req_1", "model": "chat", "good": True, "messages": asked}
    return body | {"answer": "三月"} | given


def test_a_thumb_is_kept_with_its_answer_and_may_be_turned(api: Any) -> None:
    assert api.post("/api/v1/feedback", thumb(), format="json").status_code == 201
    turned = api.post("/api/v1/feedback", thumb(good=False, comment="四月"), format="json")
    assert turned.status_code == 201
    (row,) = api.get("/api/v1/feedback").data["data"]
    assert (row["good"], row["comment"], row["answer"]) == (False, "四月", "三月")
    assert row["messages"] == [{"role": "user", "content": "<b>哪个月最高?</b>"}]
    assert api.get("/api/v1/feedback?good=true").data["data"] == []
    assert len(api.get("/api/v1/feedback?good=false&model=chat").data["data"]) == 1
    assert api.delete(f"/api/v1/feedback/{row['id']}").status_code == 204
    assert api.get("/api/v1/feedback").data["data"] == []


def test_thumbs_are_a_projects_own(api: Any, stranger: Any, api_for: Any) -> None:
    api.post("/api/v1/feedback", thumb(), format="json")
    others = api_for(stranger)
    assert others.get("/api/v1/feedback").data["data"] == []
    row = api.get("/api/v1/feedback").data["data"][0]
    assert others.delete(f"/api/v1/feedback/{row['id']}").status_code == 404


@pytest.fixture
def run(owner: Any) -> EvaluationRun:
    return EvaluationRun.objects.create(
        project_id=owner.project_id, name="judged", phase=Phase.SUCCEEDED, look_at=None,
        queued_at=timezone.now(), dataset_version_id=uuid.uuid4(),
        dataset_name="rows", dataset_sha256="0" * 64,
        dataset_uri="file:///rows",
        candidates=[{"version_id": BASE, "name": "base@1"}, {"version_id": TUNED, "name": "t@1"}],
    )  # fmt: skip


def rate(api: Any, run: EvaluationRun, line: int, version: str, **scores: int) -> Any:
    body = {"line": line, "version_id": version, "scores": scores}
    return api.put(f"/api/v1/evals/{run.pk}/ratings", body, format="json")


def test_ratings_are_summed_up_by_candidate_and_dimension(api: Any, run: EvaluationRun) -> None:
    for line, (base, tuned) in enumerate([(1, 4), (2, 5), (3, 4), (2, 5)], start=1):
        assert rate(api, run, line, BASE, logic=base).status_code == 200
        told = rate(api, run, line, TUNED, logic=tuned, facts=5)
    cells = {(cell["name"], cell["dimension"]): cell for cell in told.data["board"]}
    assert set(cells) == {("base@1", "logic"), ("t@1", "logic"), ("t@1", "facts")}
    base = cells["base@1", "logic"]
    assert (base["mean"], base["n"], base["people"], base["good"]) == (2.0, 4, 1, 0.0)
    low, high = stats.t.interval(0.95, 3, loc=2.0, scale=stats.sem([1, 2, 3, 2]))
    assert base["low"] == pytest.approx(max(low, 1), abs=0.01)
    assert base["high"] == pytest.approx(high, abs=0.01)
    assert cells["t@1", "logic"]["good"] == 1.0
    mine = {(each["line"], each["version_id"]): each["scores"] for each in told.data["mine"]}
    assert mine[2, TUNED] == {"logic": 5, "facts": 5}


def test_a_rating_is_changed_and_taken_back(api: Any, run: EvaluationRun) -> None:
    rate(api, run, 1, BASE, logic=1, facts=2)
    told = rate(api, run, 1, BASE, logic=3)
    assert told.data["mine"][0]["scores"] == {"logic": 3}
    assert rate(api, run, 1, BASE).data["mine"] == []


def test_what_cannot_be_rated_is_refused_by_name(api: Any, run: EvaluationRun) -> None:
    assert rate(api, run, 1, str(uuid.uuid4()), logic=1).status_code == 422
    assert rate(api, run, 1, BASE, beauty=1).data["error"]["details"][0]["field"] == "scores"
    assert rate(api, run, 1, BASE, logic=6).data["error"]["details"][0]["field"] == "scores.logic"
    EvaluationRun.objects.filter(pk=run.pk).update(phase=Phase.RUNNING)
    assert rate(api, run, 1, BASE, logic=1).status_code == 409


@pytest.mark.parametrize("freedom", [1, 2, 3, 5, 10, 30, 200])
def test_the_quantile_is_students(freedom: int) -> None:
    assert people._t(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=0.003)
