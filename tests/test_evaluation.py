"""An evaluation's life, its scoreboard, its gate and its rows."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec

import pytest
from django.utils import timezone
from run_world import Runtime, Shelf, look

from slipway import backends
from slipway.core.errors import Conflict, Invalid, NotFound
from slipway.datasets import services as datasets
from slipway.evaluation import services
from slipway.evaluation.models import EvaluationRun, Score
from slipway.evaluation.reconcile import step, sweep
from slipway.evaluation.services.gates import Rule, judge
from slipway.metering.models import Budget
from slipway.metering.services import BudgetSpent, budgets, prices
from slipway.registry import services as registry
from slipway_contracts.progress import Note, NoteKind
from slipway_contracts.workload import Kind, State

pytestmark = pytest.mark.django_db
RUNS = (EvaluationRun, step)


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    shelf = Shelf()
    for module, names in (
        (registry, ("ready_version", "hold", "release")),
        (datasets, ("published_version", "hold", "release")),
    ):
        for name in names:
            fake = create_autospec(getattr(module, name), side_effect=getattr(shelf, name))
            monkeypatch.setattr(module, name, fake)
    return shelf


@pytest.fixture
def base(shelf: Shelf, owner: Any) -> Any:
    return shelf.add_model(owner.project_id)


@pytest.fixture
def tuned(shelf: Shelf, owner: Any, base: Any) -> Any:
    return shelf.add_model(
        owner.project_id, "chart-base-lines", kind="adapter",
        base_uri=base.uri, base_version_id=base.id,
    )  # fmt: skip


@pytest.fixture
def ask(shelf: Shelf, owner: Any, base: Any, tuned: Any) -> services.Ask:
    return services.Ask(
        name="lines",
        candidates=[base.id, tuned.id],
        dataset_version_id=shelf.add_dataset(owner.project_id).id,
        metrics=["exact_match"],
        gate=[
            Rule(candidate=str(tuned.id), group="line", metric="exact_match", min=0.9),
            Rule(candidate=str(tuned.id), group="known", metric="exact_match", not_worse=0.05),
        ],
    )


@pytest.fixture
def run(world: SimpleNamespace, owner: Any, ask: services.Ask) -> EvaluationRun:
    return services.create_run(
        project_id=owner.project_id, ask=ask, now=timezone.now(), made_by="ann"
    )


@pytest.fixture
def runtime(world: SimpleNamespace, run: EvaluationRun) -> Runtime:
    return Runtime(world.compute, run)


def cell(value: float, n: int = 100) -> dict[str, Any]:
    return {"value": value, "low": max(0.0, value - 0.05), "high": min(1.0, value + 0.05), "n": n}


def scores_of(base: Any, tuned: Any, *, line: float, known: float) -> dict[str, Any]:
    return {
        str(base.id): {
            "all": {"exact_match": cell(0.5, 250)},
            "line": {"exact_match": cell(0.0)},
            "known": {"exact_match": cell(0.98, 150)},
        },
        str(tuned.id): {
            "all": {"exact_match": cell(0.9, 250)},
            "line": {"exact_match": cell(line)},
            "known": {"exact_match": cell(known, 150)},
        },
    }


def paired_of(base: Any, tuned: Any) -> list[dict[str, Any]]:
    return [
        {"a": str(base.id), "b": str(tuned.id), "metric": "exact_match", "group": "known",
         "difference": 0.19, "low": 0.1, "high": 0.28, "p_value": 1e-6, "n": 150}
    ]  # fmt: skip


def finish(
    runtime: Runtime, base: Any, tuned: Any, *, line: float = 0.93, known: float = 0.97
) -> None:
    rows = [
        {"index": i, "group": "line", "prompt": f"问题 {i}", "reference": "{}",
         "answers": {str(base.id): "换个问题试试", str(tuned.id): "{}"}}
        for i in range(7)
    ]  # fmt: skip
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    backends.objects().put(f"{runtime.prefix}/artifact-1/rows.jsonl", lines.encode())
    runtime.reports(
        metrics={"rows": 250.0, "seconds": 3.0},
        scores=scores_of(base, tuned, line=line, known=known),
        paired=paired_of(base, tuned),
    )
    runtime.sees(State.SUCCEEDED)
    look(RUNS, times=3)


def test_a_candidate_that_was_trained_on_these_very_rows_is_named(
    api: Any, shelf: Shelf, owner: Any, base: Any
) -> None:
    seen, unseen = (shelf.add_dataset(owner.project_id) for _ in range(2))
    taught = shelf.add_model(owner.project_id, "taught", dataset_version_id=seen.id)
    body = {"name": "e", "candidates": [str(base.id), str(taught.id)]}
    for dataset, names in ((seen, [taught.reference]), (unseen, [])):
        made = api.post("/api/v1/evals", body | {"dataset": str(dataset.id)}, format="json")
        assert made.status_code == 201, made.content
        assert made.json()["trained_on_these_rows"] == names


def test_an_evaluation_ends_in_a_scoreboard_and_a_verdict(
    world: SimpleNamespace, shelf: Shelf, run: EvaluationRun, runtime: Runtime, base: Any,
    tuned: Any,
) -> None:  # fmt: skip
    look(RUNS)
    sent = world.compute.applied[f"eval-{run.handle}-1"]
    assert sent.kind is Kind.EVALUATE
    assert sent.settings["candidates"] == [
        {"key": str(base.id), "base": base.uri, "adapter": ""},
        {"key": str(tuned.id), "base": base.uri, "adapter": tuned.uri},
    ]
    assert {version for version, _ in shelf.held} == {base.id, tuned.id, run.dataset_version_id}

    runtime.sees(State.RUNNING)
    runtime.tells(Note(kind=NoteKind.METRICS, at=1.0, step=50, total_steps=250))
    look(RUNS, times=2)
    run.refresh_from_db()
    assert (run.phase, run.reason) == ("running", "step 50 of 250")

    finish(runtime, base, tuned)
    run.refresh_from_db()
    assert run.phase == "succeeded"
    assert run.gate_passed is True
    board = services.scoreboard(run)
    assert [(row["group"], [c["value"] for c in row["scores"]]) for row in board] == [
        ("all", [0.5, 0.9]), ("known", [0.98, 0.97]), ("line", [0.0, 0.93]),
    ]  # fmt: skip
    assert board[0]["scores"][0]["name"] == "chart-base@1"
    assert board[1]["scores"][0]["n"] == 150
    assert shelf.held == set()
    assert world.compute.names() == []


def test_a_gain_bought_by_forgetting_fails_the_gate_and_says_so(
    run: EvaluationRun, runtime: Runtime, base: Any, tuned: Any
) -> None:
    look(RUNS)
    finish(runtime, base, tuned, line=0.935, known=0.787)
    run.refresh_from_db()
    assert run.phase == "succeeded"
    assert run.gate_passed is False
    assert [finding["passed"] for finding in run.gate_findings] == [True, False]
    assert run.gate_findings[1]["text"] == (
        "failed: exact_match in group 'known' is 0.787 against 0.980 of the baseline "
        "(paired p = 1e-06)"
    )


@pytest.mark.parametrize(
    ("rule", "passed"),
    [
        ({"min": 0.9}, True),
        ({"min": 0.91}, False),
        ({"not_worse": 0.0}, False),
        ({"not_worse": 0.05}, True),
        ({"min": 0.95, "not_worse": 0.05}, False),
        ({"group": "unseen", "min": 0.0}, False),
    ],
)
def test_rules(rule: dict[str, Any], passed: bool) -> None:
    scores = {
        "base": {"known": {"exact_match": {"value": 0.95}}},
        "tuned": {"known": {"exact_match": {"value": 0.9}}},
    }
    rules = [Rule(**{"candidate": "tuned", "metric": "exact_match", "group": "known"} | rule)]
    [finding] = judge(rules, scores, [], baseline="base")
    assert finding.passed is passed
    assert finding.text.startswith("passed" if passed else "failed")


def test_harvesting_twice_stores_each_score_once(
    monkeypatch: pytest.MonkeyPatch, world: SimpleNamespace, run: EvaluationRun, runtime: Runtime,
    base: Any, tuned: Any,
) -> None:  # fmt: skip
    look(RUNS)
    calls = iter([True])
    real = world.compute.delete

    def dies_first(name: str) -> None:
        if next(calls, False):
            raise RuntimeError("the worker was killed after the scores were stored")
        real(name)

    monkeypatch.setattr(world.compute, "delete", dies_first)
    finish(runtime, base, tuned)
    assert Score.objects.filter(run=run).count() == 6
    look(RUNS)
    run.refresh_from_db()
    assert run.phase == "succeeded"
    assert Score.objects.filter(run=run).count() == 6


def test_a_report_without_scores_fails_plainly(run: EvaluationRun, runtime: Runtime) -> None:
    look(RUNS)
    runtime.reports()
    runtime.sees(State.SUCCEEDED)
    look(RUNS, times=3)
    run.refresh_from_db()
    assert run.phase == "failed"
    assert "no scores" in run.reason


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"metrics": ["vibes"]}, "metrics"),
        ({"metrics": []}, "metrics"),
        ({"candidates": []}, "candidates"),
        ({"gate": [Rule(candidate="x", metric="exact_match", min=1.0)]}, "gate[0].candidate"),
        ({"gate": [Rule(candidate="x", metric="bleu_4", min=1.0)]}, "gate[0].metric"),
        ({"gate": [Rule(candidate="x", metric="exact_match")]}, "gate[0]"),
    ],
)
def test_what_cannot_be_judged_is_refused_by_field(
    world: SimpleNamespace, owner: Any, ask: services.Ask, change: dict[str, Any], field: str
) -> None:
    asked = services.Ask(**{**vars(ask), **change})
    with pytest.raises(Invalid) as caught:
        services.create_run(project_id=owner.project_id, ask=asked, now=timezone.now())
    assert field in [detail.field for detail in caught.value.details]
    assert not EvaluationRun.objects.exists()


def test_unknown_versions_and_text_rows_are_refused(
    world: SimpleNamespace, shelf: Shelf, owner: Any, ask: services.Ask
) -> None:
    def create(**change: Any) -> None:
        asked = services.Ask(**{**vars(ask), "gate": (), **change})
        services.create_run(project_id=owner.project_id, ask=asked, now=timezone.now())

    with pytest.raises(NotFound):
        create(candidates=[uuid.uuid4()])
    with pytest.raises(NotFound):
        create(dataset_version_id=uuid.uuid4())
    text = shelf.add_dataset(owner.project_id)
    text.kind = "text"
    with pytest.raises(Invalid, match="no answer to judge by"):
        create(dataset_version_id=text.id)


def test_a_lost_evaluation_is_run_again_and_a_cancelled_one_leaves_nothing(
    world: SimpleNamespace, shelf: Shelf, run: EvaluationRun, runtime: Runtime
) -> None:
    look(RUNS)
    runtime.sees(State.RUNNING)
    look(RUNS)
    runtime.dies()
    look(RUNS, times=2)
    assert world.compute.names() == [f"eval-{run.handle}-2"]
    run.refresh_from_db()
    services.cancel(run, now=timezone.now(), by="ann")
    look(RUNS)
    run.refresh_from_db()
    assert run.phase == "cancelled"
    assert world.compute.names() == []
    assert shelf.held == set()
    world.compute.applied[run.workload_name] = None
    sweep(timezone.now())
    assert world.compute.names() == []


def test_the_story_over_rest(
    world: SimpleNamespace, api: Any, api_for: Any, stranger: Any, base: Any, tuned: Any,
    ask: services.Ask,
) -> None:  # fmt: skip
    body = {
        "name": "lines",
        "candidates": [str(base.id), str(tuned.id)],
        "dataset": str(ask.dataset_version_id),
        "metrics": ["exact_match"],
        "gate": [
            {"candidate": str(tuned.id), "metric": "exact_match", "group": "line", "min": 0.9}
        ],
    }
    made = api.post("/api/v1/evals", body, format="json", headers={"idempotency-key": "e"})
    assert made.status_code == 201, made.json()
    again = api.post("/api/v1/evals", body, format="json", headers={"idempotency-key": "e"})
    assert again.json()["id"] == made.json()["id"]
    assert made.json()["gate_passed"] is None
    path = f"/api/v1/evals/{made.json()['id']}"
    assert api.get(f"{path}/rows").status_code == 409

    run = EvaluationRun.objects.get()
    look(RUNS)
    finish(Runtime(world.compute, run), base, tuned)
    shown = api.get(path).json()
    assert (shown["phase"], shown["gate_passed"]) == ("succeeded", True)
    assert shown["scoreboard"][0]["scores"][1]["value"] == 0.9
    assert shown["paired"][0]["p_value"] == 1e-6
    assert shown["gate_findings"][0]["rule"]["min"] == 0.9
    assert shown["dataset"]["name"] == "chats@1"

    first = api.get(f"{path}/rows", {"limit": 5}).json()
    rest = api.get(f"{path}/rows", {"limit": 5, "cursor": first["next_cursor"]}).json()
    assert [row["index"] for row in first["data"] + rest["data"]] == list(range(7))
    assert first["data"][0]["prompt"] == "问题 0"
    assert rest["next_cursor"] is None
    assert api.get(f"{path}/rows", {"cursor": "3"}).status_code == 422
    assert api.get(f"{path}/rows", {"cursor": "99999999"}).status_code == 422
    url = api.get(f"{path}/download").json()["url"]
    assert "rows.jsonl" in url
    assert api.get(f"{path}/events").json()["data"][0]["target"] == "succeeded"
    assert api.get(f"{path}/logs").json()["live"] is False
    assert [e["id"] for e in api.get("/api/v1/evals").json()["data"]] == [shown["id"]]
    part = {"search": shown["name"][1:].upper()}
    assert [e["id"] for e in api.get("/api/v1/evals", part).json()["data"]] == [shown["id"]]
    assert api.get("/api/v1/evals", {"search": "nobody"}).json()["data"] == []

    theirs = api_for(stranger)
    for route in ("", "/rows", "/download", "/events", "/logs"):
        assert theirs.get(path + route).status_code == 404, route
    assert theirs.post(f"{path}/cancel").status_code == 404
    assert theirs.delete(path).status_code == 404

    assert api.post(f"{path}/cancel").status_code == 409
    assert api.delete(path).status_code == 204
    look(RUNS)
    assert api.get(path).status_code == 404
    assert not Score.objects.exists()
    prefix = backends.objects().key(run.output_uri)
    assert not list(backends.objects().list(f"{prefix}/"))


def test_results_that_have_gone_are_said_to_have_gone(
    run: EvaluationRun, runtime: Runtime, base: Any, tuned: Any
) -> None:
    with pytest.raises(Conflict, match="no results yet"):
        services.download_address(run)
    look(RUNS)
    finish(runtime, base, tuned)
    run.refresh_from_db()
    backends.objects().delete_prefix(f"{runtime.prefix}/artifact-1/")
    with pytest.raises(NotFound, match="gone"):
        services.row_page(run, offset=0, limit=10)


def test_an_evaluation_costs_its_machines_time_and_pauses_when_there_is_no_more(
    owner: Any, ask: services.Ask, world: SimpleNamespace
) -> None:
    now = timezone.now()
    prices.open_book(
        name="book", organisation_id=None, valid_from=now, now=now,
        prices=[{"kind": "cpu_milliseconds", "amount": Decimal(1), "per": 1000}],
    )  # fmt: skip
    row = budgets.set_budget(
        organisation_id=owner.organisation_id, reach="project", target_id=owner.project_id,
        period="total", limit=Decimal(100), hard=True, alert_at=[],
    )  # fmt: skip
    made = services.create_run(project_id=owner.project_id, ask=ask, now=now)
    assert budgets.standing(row, now).reserved == 30
    played = Runtime(world.compute, made)
    look(RUNS)
    played.sees(State.RUNNING)
    look(RUNS)

    def after(seconds: float) -> str:
        begun = timezone.now() - timedelta(seconds=seconds)
        EvaluationRun.objects.filter(pk=made.pk).update(placed_at=begun, weighed_at=None)
        look(RUNS)
        made.refresh_from_db()
        return made.phase

    assert after(40) == "running"
    assert after(75) == "pausing"
    look(RUNS, times=2)
    made.refresh_from_db()
    assert (made.phase, "budget" in made.reason) == ("paused", True)
    seen = budgets.standing(row, timezone.now())
    assert seen.reserved == 0
    assert 75 <= seen.spent <= 100
    with pytest.raises(BudgetSpent):
        services.resume(made, now=timezone.now(), by="ada")
    Budget.objects.update(limit=Decimal(1000))
    services.resume(made, now=timezone.now(), by="ada")
    assert (made.phase, made.attempt) == ("queued", 2)
