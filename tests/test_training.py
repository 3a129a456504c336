"""A fine-tune job's life: asked for, queued, run, harvested; cancelled, lost, resumed, retried."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec

import pytest
from django.utils import timezone
from run_world import Runtime, Shelf, chat, look

from slipway import backends
from slipway.backends.compute import ComputeUnavailable
from slipway.backends.tracking import TrackingUnavailable
from slipway.core import lifecycle
from slipway.core.errors import Conflict, Invalid, NotFound
from slipway.core.models import Event
from slipway.datasets import services as datasets
from slipway.registry import services as registry
from slipway.runs import life
from slipway.training import services
from slipway.training.models import Checkpoint, MetricPoint, RunMirror, TrainingJob
from slipway.training.reconcile import WATCHED, mirror, step, sweep
from slipway_contracts.progress import Note, NoteKind
from slipway_contracts.workload import (
    OVER_NAME,
    Report,
    State,
    Workload,
    artifact_name,
    report_name,
    to_json,
)

pytestmark = pytest.mark.django_db
JOBS = (TrainingJob, step)
MIRRORS = (RunMirror, mirror.step)


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    shelf = Shelf()
    for module, names in (
        (registry, ("ready_version", "whole_of", "hold", "release", "register_result", "exists")),
        (datasets, ("published_version", "rows_at", "hold", "release", "holders")),
    ):
        for name in names:
            # The stand-in has the real one's signature, so a call it would refuse fails here too.
            fake = create_autospec(getattr(module, name), side_effect=getattr(shelf, name))
            monkeypatch.setattr(module, name, fake)
    return shelf


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other at once; `test_backoff…` looks at the waiting itself."""
    monkeypatch.setattr(life, "backoff", lambda run: timedelta(0))


@pytest.fixture
def ask(shelf: Shelf, owner: Any) -> services.Ask:
    return services.Ask(
        name="lines",
        base_version_id=shelf.add_model(owner.project_id).id,
        dataset_version_id=shelf.add_dataset(owner.project_id).id,
        held_out_version_id=shelf.add_dataset(owner.project_id, [chat("a", "b")]).id,
        hyperparameters={"epochs": 3, "batch_size": 8},
    )


@pytest.fixture
def job(world: SimpleNamespace, owner: Any, ask: services.Ask) -> TrainingJob:
    return services.create_job(
        project_id=owner.project_id, ask=ask, now=timezone.now(), made_by="ann"
    )


@pytest.fixture
def runtime(world: SimpleNamespace, job: TrainingJob) -> Runtime:
    return Runtime(world.compute, job)


def phase_of(job: TrainingJob) -> str:
    job.refresh_from_db()
    return str(job.phase)


def moves(job: TrainingJob) -> list[str]:
    events = Event.objects.filter(subject=lifecycle.subject_of(job), kind="move")
    return list(events.order_by("created_at").values_list("target", flat=True))


def to_running(runtime: Runtime) -> None:
    look(JOBS)
    runtime.sees(State.RUNNING)
    look(JOBS)


def test_a_job_runs_from_queue_to_registered_version(
    world: SimpleNamespace, shelf: Shelf, job: TrainingJob, runtime: Runtime
) -> None:
    look(JOBS)
    sent = world.compute.applied[job.workload_name]
    assert sent.name == f"train-{job.pk.hex[:12]}-1"
    assert set(sent.inputs) == {"base", "dataset", "held_out"}
    assert sent.settings["hyperparameters"]["epochs"] == 3
    assert "auto" not in {
        v for k, v in sent.settings["hyperparameters"].items() if k != "precision"
    }

    runtime.sees(State.WAITING, "behind train-0123-1 for 20 s", position=2)
    look(JOBS)
    job.refresh_from_db()
    assert (job.phase, job.reason, job.position) == ("queued", "behind train-0123-1 for 20 s", 2)

    runtime.sees(State.RUNNING)
    runtime.tells(Note(kind=NoteKind.STAGE, at=1.0, text="loading the base model"))
    look(JOBS, times=2)
    job.refresh_from_db()
    assert (job.phase, job.position) == ("running", 0)
    assert job.reason == "loading the base model"

    runtime.steps(1, 4, total=10)
    runtime.checkpoint(4)
    look(JOBS)
    job.refresh_from_db()
    assert (job.step, job.total_steps, job.reason) == (4, 10, "step 4 of 10")
    assert job.first_step_at is not None

    runtime.steps(5, 10, total=10)
    runtime.reports()
    runtime.sees(State.SUCCEEDED)
    look(JOBS, times=2)
    job.refresh_from_db()
    assert job.phase == "succeeded"
    assert job.look_at is None
    assert job.finished_at is not None
    assert moves(job) == ["queued", "running", "harvesting", "succeeded"]

    result = shelf.results[str(job.pk)]
    assert result.version.id == job.result_version_id
    assert (result.kind, result.base_version_id) == ("adapter", job.base_version_id)
    assert MetricPoint.objects.filter(job=job, name="loss").count() == 10
    assert Checkpoint.objects.get(job=job).step == 4
    assert world.compute.names() == []
    # The model keeps the rows it learnt from for as long as it is there.
    assert [version for version, _ in shelf.held] == [job.dataset_version_id]
    sweep(timezone.now())
    assert len(shelf.held) == 1
    del shelf.models[result.version.id]
    sweep(timezone.now())
    assert shelf.held == set()


def test_the_inputs_are_held_while_the_job_may_run(
    shelf: Shelf, job: TrainingJob, runtime: Runtime
) -> None:
    assert {version for version, _ in shelf.held} == {
        job.base_version_id, job.dataset_version_id, job.held_out_version_id,
    }  # fmt: skip
    runtime.fails("diverged", retryable=False)
    look(JOBS, times=3)
    assert phase_of(job) == "failed"
    assert shelf.held == set()


@pytest.mark.parametrize(
    ("change", "error", "field"),
    [
        ({"base_version_id": uuid.UUID(int=1)}, NotFound, None),
        ({"dataset_version_id": uuid.UUID(int=1)}, NotFound, None),
        ({"held_out_version_id": uuid.UUID(int=1)}, NotFound, None),
        ({"hyperparameters": {"learning_rate": 5.0}}, Invalid, "hyperparameters.learning_rate"),
        ({"hyperparameters": {"rank": 5}}, Invalid, "hyperparameters.rank"),
        ({"method": "magic"}, Invalid, "method"),
        ({"name": "n" * 60}, Invalid, "model"),
        ({"scale": "huge"}, Invalid, "scale"),
        ({"workers": 9}, Invalid, "workers"),
        ({"workers": 3, "gpus": 3}, Invalid, "gpus"),
        ({"workers": 8}, Invalid, "memory"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_made(
    world: SimpleNamespace, owner: Any, ask: services.Ask, change: dict[str, Any],
    error: type[Exception], field: str | None,
) -> None:  # fmt: skip
    asked = services.Ask(**{**vars(ask), **change})
    with pytest.raises(error) as caught:
        services.create_job(project_id=owner.project_id, ask=asked, now=timezone.now())
    if field:
        assert caught.value.details[0].field == field
        assert caught.value.details[0].fix
    assert not TrainingJob.objects.exists()


def test_too_few_and_too_long_rows_are_refused_naming_the_row(
    world: SimpleNamespace, shelf: Shelf, owner: Any, ask: services.Ask
) -> None:
    few = shelf.add_dataset(owner.project_id, [chat("a", "b")] * 9)
    long = shelf.add_dataset(
        owner.project_id, [chat("a", "b")] * 20 + [chat("x" * 700, "y")] + [chat("a", "b")]
    )
    for dataset, said in ((few, "too few"), (long, "longer than the 512 tokens")):
        asked = services.Ask(**{**vars(ask), "dataset_version_id": dataset.id})
        with pytest.raises(Invalid, match=said) as caught:
            services.plan(project_id=owner.project_id, ask=asked, now=timezone.now())
    assert [detail.field for detail in caught.value.details] == ["dataset, row 21"]
    assert caught.value.details[0].value > 700


def test_an_adapter_is_trained_further_and_keeps_its_shape(
    world: SimpleNamespace, shelf: Shelf, owner: Any, ask: services.Ask
) -> None:
    base = shelf.models[ask.base_version_id]
    adapter = shelf.add_model(
        owner.project_id, "tuned", kind="adapter", base_uri=base.uri, base_version_id=base.id,
        adapter={"rank": 4, "alpha": 8.0},
    )  # fmt: skip
    more = services.Ask(**{**vars(ask), "base_version_id": adapter.id, "hyperparameters": {}})
    job = services.create_job(project_id=owner.project_id, ask=more, now=timezone.now())
    assert job.inputs["base"] == base.uri
    assert job.inputs["adapter"] == adapter.uri
    assert (job.base_version_id, job.whole_version_id) == (adapter.id, base.id)
    assert (job.resolved["lora_rank"], job.resolved["lora_alpha"]) == (4, 8)
    larger = services.Ask(**{**vars(more), "hyperparameters": {"lora_rank": 8}})
    with pytest.raises(Invalid, match="lora_rank: out of range, use from 4 to 4"):
        services.plan(project_id=owner.project_id, ask=larger, now=timezone.now())


def test_each_method_takes_its_own_kind_of_rows(
    world: SimpleNamespace, shelf: Shelf, owner: Any, ask: services.Ask
) -> None:
    def plan(method: str, dataset: Any) -> services.Plan:
        asked = services.Ask(
            **{**vars(ask), "method": method, "dataset_version_id": dataset.id,
               "held_out_version_id": None, "hyperparameters": {}}
        )  # fmt: skip
        return services.plan(project_id=owner.project_id, ask=asked, now=timezone.now())

    chats = shelf.add_dataset(owner.project_id)
    pairs = shelf.add_dataset(
        owner.project_id,
        [
            {
                "input": {"messages": [{"role": "user", "content": "how many"}]},
                "preferred_output": [{"role": "assistant", "content": "four"}],
                "non_preferred_output": [{"role": "assistant", "content": "who knows"}],
            }
        ]
        * 40,
    )
    pairs.kind = "pair"
    with pytest.raises(Invalid, match="holds chat rows; dpo learns from pairs"):
        plan("dpo", chats)
    with pytest.raises(Invalid, match="holds pair rows; sft learns from chats"):
        plan("sft", pairs)
    alone, both = plan("sft", chats), plan("dpo", pairs)
    assert both.resolved.values["beta"] == 0.1
    tokens = both.estimate.tokens / both.resolved.values["epochs"]
    assert tokens > 1.9 * alone.estimate.tokens / alone.resolved.values["epochs"]
    assert both.estimate.memory_parts["reference"] > 0


def test_a_large_dataset_is_sampled_and_its_longest_row_still_found(
    monkeypatch: pytest.MonkeyPatch, world: SimpleNamespace, shelf: Shelf, owner: Any,
    ask: services.Ask,
) -> None:  # fmt: skip
    from slipway.training.services import rows

    lines = [chat("q" * (10 + n % 7), "answer") for n in range(997)]
    lines[500] = chat("q" * 400, "answer")
    dataset = shelf.add_dataset(owner.project_id, lines)
    base_uri = shelf.models[ask.base_version_id].uri
    whole = rows.measure(dataset_uri=dataset.uri, base_uri=base_uri, row_count=997)
    rows.measure.cache_clear()
    monkeypatch.setattr(rows, "EXACT_BYTES", 1000)
    monkeypatch.setattr(rows, "SAMPLE", 100)
    sampled = rows.measure(dataset_uri=dataset.uri, base_uri=base_uri, row_count=997)
    rows.measure.cache_clear()
    assert whole.exact
    assert not sampled.exact
    assert (
        sampled.longest_rows[0]
        == whole.longest_rows[0]
        == rows.Row(number=501, tokens=whole.longest)
    )
    assert abs(sampled.tokens - whole.tokens) < 0.05 * whole.tokens


def test_rows_are_counted_in_tokens_of_the_model_that_is_to_learn_from_them(
    api: Any, ask: services.Ask
) -> None:
    query = f"base={ask.base_version_id}&dataset={ask.dataset_version_id}"
    found = api.get(f"/api/v1/training/token-lengths?{query}").data
    bars, longest = found["bars"], found["longest"]
    assert found["exact"] is True
    assert sum(bar["rows"] for bar in bars) == 40
    assert bars[0]["low"] <= longest[-1]["tokens"] <= longest[0]["tokens"] <= bars[-1]["high"]
    assert all(one["high"] + 1 == two["low"] for one, two in pairwise(bars))
    assert found["tokens"] <= 40 * longest[0]["tokens"]
    refused = api.get(f"/api/v1/training/token-lengths?base={ask.base_version_id}")
    assert refused.status_code == 422


def test_the_rows_behind_a_bar_of_tokens_are_read_by_the_page(
    api: Any, ask: services.Ask, shelf: Shelf, owner: Any
) -> None:
    words = ["four " * (1 + number % 3) for number in range(30)]
    dataset = shelf.add_dataset(owner.project_id, [chat("how many", each) for each in words])
    query = f"base={ask.base_version_id}&dataset={dataset.id}"
    bar = api.get(f"/api/v1/training/token-lengths?{query}").data["bars"][-1]
    query += f"&at_least={bar['low']}&at_most={bar['high']}"
    path = f"/api/v1/training/token-lengths/rows?{query}"
    first = api.get(f"{path}&limit=6").data
    assert first["rows"] == bar["rows"] == 10
    assert [each["number"] for each in first["data"]] == [2, 5, 8, 11, 14, 17]
    assert all(bar["low"] <= each["tokens"] <= bar["high"] for each in first["data"])
    assert first["data"][0]["row"] == chat("how many", words[2])
    rest = api.get(f"{path}&limit=6&cursor={first['next_cursor']}").data
    assert [each["number"] for each in rest["data"]] == [20, 23, 26, 29]
    assert rest["next_cursor"] is None
    assert api.get(f"{path}&limit=101").status_code == 422
    assert api.get(f"{path}&cursor=99").data["data"] == []


def test_a_dry_run_makes_nothing_and_its_estimate_is_kept_and_compared(
    world: SimpleNamespace, settings: Any, owner: Any, ask: services.Ask, job: TrainingJob,
    runtime: Runtime,
) -> None:  # fmt: skip
    from decimal import Decimal

    settings.TRAIN_PRICE_PER_MILLION_TOKENS = Decimal(5)
    plan = services.plan(project_id=owner.project_id, ask=ask, now=timezone.now())
    assert TrainingJob.objects.count() == 1
    # 40 rows of "user\nhow many\nassistant\nfour", newline apart counted too; 3 epochs of 5 steps.
    assert plan.estimate.steps == 15
    assert plan.estimate.tokens % (40 * 3) == 0
    assert plan.estimate.price == f"{Decimal(5) * plan.estimate.tokens / 1_000_000:.6f}"
    assert "arithmetic" in plan.estimate.basis
    assert plan.estimate.starts_in_seconds == job.estimate["seconds"]
    assert "1 job is in front" in plan.estimate.starts_reason

    runtime.sees(State.RUNNING)
    look(JOBS)
    runtime.steps(1, 15, total=15)
    runtime.reports(metrics={"tokens": 4000.0, "seconds": 0.001})
    runtime.sees(State.SUCCEEDED)
    look(JOBS, times=3)
    job.refresh_from_db()
    compared = services.compared(job)
    assert compared["tokens"] == {"estimate": float(plan.estimate.tokens), "actual": 4000.0}
    assert compared["steps"] == {"estimate": 15.0, "actual": 15}
    assert job.price == Decimal("0.02")

    again = services.plan(project_id=owner.project_id, ask=ask, now=timezone.now())
    assert "1 earlier job with this model" in again.estimate.basis
    assert again.estimate.starts_reason == "at once"
    # 4 million tokens a second were measured, so little but the fixed part is left.
    assert again.estimate.seconds < plan.estimate.seconds


def test_the_eta_narrows_as_steps_are_seen(job: TrainingJob, runtime: Runtime) -> None:
    from datetime import UTC, datetime

    from run_world import T0

    from slipway.runs.record import remaining

    to_running(runtime)
    runtime.steps(1, 1, total=101)
    look(JOBS)
    job.refresh_from_db()
    assert remaining(job, now=timezone.now()) is None
    widths = []
    for last in (3, 51):
        runtime.steps(job.step + 1, last, total=101)
        look(JOBS)
        job.refresh_from_db()
        low, expected, high = remaining(job, now=datetime.fromtimestamp(T0 + last, UTC))
        assert expected == pytest.approx(101 - last)
        widths.append((high - low) / expected)
    assert widths[1] < widths[0]


def test_a_repeated_request_with_the_same_key_returns_the_first_job(
    world: SimpleNamespace, owner: Any, ask: services.Ask
) -> None:
    def create(asked: services.Ask) -> TrainingJob:
        return services.create_job(
            project_id=owner.project_id, ask=asked, now=timezone.now(), idempotency_key="k1"
        )

    first = create(ask)
    assert create(ask).pk == first.pk
    with pytest.raises(Conflict, match="different request"):
        create(services.Ask(**{**vars(ask), "seed": 7}))
    assert TrainingJob.objects.count() == 1


def test_two_requests_with_one_key_at_the_same_moment_make_one_job(
    monkeypatch: pytest.MonkeyPatch, world: SimpleNamespace, shelf: Shelf, owner: Any,
    ask: services.Ask,
) -> None:  # fmt: skip
    from slipway.runs import verbs

    def create() -> TrainingJob:
        return services.create_job(
            project_id=owner.project_id, ask=ask, now=timezone.now(), idempotency_key="k2"
        )

    first = create()
    held = set(shelf.held)
    seen = iter([None])
    real = verbs.earlier
    # The second request looked before the first one's row was there.
    monkeypatch.setattr(verbs, "earlier", lambda *a, **k: next(seen, real(*a, **k)))
    assert create().pk == first.pk
    assert TrainingJob.objects.count() == 1
    assert shelf.held == held


def test_a_lost_node_means_a_new_attempt_on_the_same_output(
    world: SimpleNamespace, job: TrainingJob, runtime: Runtime
) -> None:
    to_running(runtime)
    runtime.steps(1, 5)
    runtime.checkpoint(5)
    look(JOBS)
    runtime.dies()
    look(JOBS, times=2)
    job.refresh_from_db()
    assert (job.phase, job.attempt, job.faults, job.losses) == ("queued", 2, 0, 1)
    assert list(world.compute.applied) == [f"train-{job.handle}-2"]
    sent = world.compute.applied[job.workload_name]
    assert sent.output_uri == job.output_uri
    assert sent.attempt == 2

    # The new attempt repeats a step and goes on; the curve has each step once.
    runtime.seq = 0
    runtime.sees(State.RUNNING)
    look(JOBS)
    runtime.steps(5, 10)
    runtime.reports()
    runtime.sees(State.SUCCEEDED)
    look(JOBS, times=3)
    job.refresh_from_db()
    assert (job.phase, job.losses) == ("succeeded", 0)
    points = MetricPoint.objects.filter(job=job, name="loss").order_by("step")
    assert [p.step for p in points] == list(range(1, 11))


def test_an_attempt_believed_lost_is_told_so_and_its_late_result_is_not_taken(
    shelf: Shelf, job: TrainingJob, runtime: Runtime
) -> None:
    to_running(runtime)
    runtime.steps(1, 5)
    runtime.sees(State.FAILED, "pod head was lost: its node does not answer")
    look(JOBS, times=2)
    job.refresh_from_db()
    assert (job.phase, job.attempt) == ("queued", 2)
    assert backends.objects().read(f"{runtime.prefix}/{OVER_NAME}") == b"1"
    look(JOBS)
    runtime.sees(State.RUNNING)
    look(JOBS)
    # It had only lost its network, and goes on to its end.
    late = f"{runtime.prefix}/{report_name(1)}"
    report = Report(artifact_uri=f"{job.output_uri}/{artifact_name(1)}", metrics={})
    backends.objects().put(late, to_json(report).encode())
    look(JOBS, times=2)
    assert phase_of(job) == "running"
    runtime.reports()
    runtime.sees(State.SUCCEEDED)
    look(JOBS, times=3)
    job.refresh_from_db()
    assert job.phase == "succeeded"
    assert shelf.results[str(job.pk)].artifact_uri.endswith(artifact_name(2))


def test_a_job_under_way_survives_its_licence_and_even_its_node(
    shelf: Shelf, job: TrainingJob, runtime: Runtime, api: Any, run_out: Callable[[], None]
) -> None:
    to_running(runtime)
    runtime.steps(1, 5)
    runtime.checkpoint(5)
    look(JOBS)
    run_out()
    refused = api.post(f"/api/v1/jobs/{job.pk}/cancel", {}, format="json")
    assert refused.json()["error"]["code"] == "read_only", "nobody changes it meanwhile"
    runtime.dies()
    look(JOBS, times=2)
    assert phase_of(job) == "queued"
    runtime.seq = 0
    runtime.sees(State.RUNNING)
    look(JOBS)
    runtime.steps(5, 10)
    runtime.reports()
    runtime.sees(State.SUCCEEDED)
    look(JOBS, times=3)
    assert phase_of(job) == "succeeded"
    assert shelf.results[str(job.pk)].version.id == job.result_version_id
    sweep(timezone.now())
    assert api.get(f"/api/v1/jobs/{job.pk}").json()["phase"] == "succeeded"


def test_a_run_that_ended_before_its_node_died_is_harvested_and_not_run_again(
    world: SimpleNamespace, job: TrainingJob, runtime: Runtime
) -> None:
    look(JOBS)
    runtime.reports()
    runtime.dies()
    look(JOBS, times=3)
    assert phase_of(job) == "succeeded"
    assert job.attempt == 1
    assert world.compute.names() == []


def test_faults_of_the_machine_are_tried_again_up_to_a_limit(
    world: SimpleNamespace, job: TrainingJob, runtime: Runtime
) -> None:
    for _ in range(life.FAULT_LIMIT):
        look(JOBS)
        runtime.fails("disk full: no room", retryable=True)
        look(JOBS, times=2)
    job.refresh_from_db()
    assert (job.phase, job.attempt) == ("failed", life.FAULT_LIMIT)
    assert job.recoverable
    assert "disk full: no room" in job.reason
    assert world.compute.names() == []


def test_a_fault_of_the_request_is_not_tried_again(job: TrainingJob, runtime: Runtime) -> None:
    to_running(runtime)
    runtime.fails("training diverged: try a lower learning rate", retryable=False)
    look(JOBS, times=2)
    job.refresh_from_db()
    assert (job.phase, job.attempt) == ("failed", 1)
    assert job.reason == "training diverged: try a lower learning rate"
    with pytest.raises(Conflict, match="diverged"):
        services.retry(job, now=timezone.now(), by="ann")


def test_a_job_that_kills_every_node_it_meets_is_given_up(
    world: SimpleNamespace, job: TrainingJob, runtime: Runtime
) -> None:
    for _ in range(life.LOSS_LIMIT):
        to_running(runtime)
        runtime.dies()
        look(JOBS)
    assert phase_of(job) == "failed"
    assert job.recoverable


def test_backoff_grows_with_early_ends() -> None:
    # The fixture above replaced life.backoff; the function itself is looked at here.
    import importlib

    fresh = importlib.util.find_spec("slipway.runs.life")
    module = importlib.util.module_from_spec(fresh)
    fresh.loader.exec_module(module)
    waits = [
        module.backoff(SimpleNamespace(faults=faults, losses=losses)).total_seconds()
        for faults, losses in ((0, 0), (0, 1), (1, 0), (2, 1), (4, 20))
    ]
    assert waits == [0, 0, 1, 3, 60]


def test_a_cancel_that_arrives_while_we_dispatch_leaves_no_orphan(
    monkeypatch: pytest.MonkeyPatch, world: SimpleNamespace, job: TrainingJob
) -> None:
    real = world.compute.apply

    def apply_while_cancelled(workload: Workload) -> None:
        services.cancel(TrainingJob.objects.get(pk=job.pk), now=timezone.now(), by="ann")
        real(workload)

    monkeypatch.setattr(world.compute, "apply", apply_while_cancelled)
    look(JOBS)
    assert phase_of(job) == "cancelling"
    look(JOBS)
    assert phase_of(job) == "cancelled"
    assert world.compute.names() == []
    assert job.reason == "cancelled by ann"


def test_cancel_keeps_checkpoints_and_a_retry_resumes_from_them(
    world: SimpleNamespace, shelf: Shelf, job: TrainingJob, runtime: Runtime
) -> None:
    to_running(runtime)
    runtime.steps(1, 4)
    runtime.checkpoint(4)
    services.cancel(job, now=timezone.now(), by="ann")
    services.cancel(job, now=timezone.now(), by="ann")
    look(JOBS)
    job.refresh_from_db()
    assert (job.phase, job.reason) == ("cancelled", "cancelled by ann")
    assert shelf.held == set()
    # Written between our last look and the cancel, and kept all the same.
    assert [c.step for c in services.checkpoints(job)] == [4]

    services.retry(job, now=timezone.now(), by="ann")
    look(JOBS)
    job.refresh_from_db()
    assert (job.phase, job.attempt) == ("queued", 2)
    assert world.compute.applied[job.workload_name].output_uri == job.output_uri
    assert len(shelf.held) == 3


def test_a_retry_whose_input_has_gone_is_refused_and_leaves_the_job_as_it_was(
    monkeypatch: pytest.MonkeyPatch, world: SimpleNamespace, shelf: Shelf, job: TrainingJob
) -> None:
    services.cancel(job, now=timezone.now(), by="ann")
    look(JOBS)
    job.refresh_from_db()

    def gone(**_: Any) -> None:
        raise Conflict("The model version is gone, so it cannot be built upon.")

    monkeypatch.setattr(registry, "hold", gone)
    with pytest.raises(Conflict, match="gone"):
        services.retry(job, now=timezone.now(), by="ann")
    assert phase_of(job) == "cancelled"


def test_the_old_attempt_is_seen_to_be_gone_before_the_next_is_sent(
    monkeypatch: pytest.MonkeyPatch, world: SimpleNamespace, job: TrainingJob, runtime: Runtime
) -> None:
    to_running(runtime)
    runtime.fails("worker crashed", retryable=True)
    # A cluster that takes its time to remove things.
    monkeypatch.setattr(world.compute, "delete", world.compute.deleted.append)
    look(JOBS, times=3)
    assert phase_of(job) == "running"
    assert world.compute.names() == [f"train-{job.handle}-1"]
    monkeypatch.undo()
    monkeypatch.setattr(backends, "compute", lambda: world.compute)
    world.compute.delete(job.workload_name)
    look(JOBS)
    job.refresh_from_db()
    assert (job.phase, job.attempt) == ("queued", 2)


def test_a_cluster_that_does_not_answer_is_told_and_waited_for(
    monkeypatch: pytest.MonkeyPatch, world: SimpleNamespace, job: TrainingJob
) -> None:
    def away(*_: Any) -> None:
        raise ComputeUnavailable("node agent is starting Ray")

    monkeypatch.setattr(world.compute, "observe", away)
    look(JOBS, times=2)
    job.refresh_from_db()
    assert job.phase == "queued"
    assert "node agent is starting Ray" in job.reason
    monkeypatch.undo()
    monkeypatch.setattr(backends, "compute", lambda: world.compute)
    look(JOBS)
    assert job.workload_name in world.compute.applied


def test_a_result_that_cannot_be_registered_fails_plainly_and_may_be_tried_again(
    world: SimpleNamespace, shelf: Shelf, job: TrainingJob, runtime: Runtime
) -> None:
    to_running(runtime)
    runtime.reports()
    runtime.sees(State.SUCCEEDED)
    shelf.refusal = Invalid("The result cannot be kept.")
    look(JOBS, times=3)
    assert phase_of(job) == "failed"
    assert "The result cannot be kept." in job.reason
    shelf.refusal = None
    services.retry(job, now=timezone.now(), by="ann")
    look(JOBS, times=3)
    # The report is still there, so nothing is trained again.
    assert phase_of(job) == "succeeded"


def test_sweep_removes_what_no_job_wants_and_nothing_else(
    world: SimpleNamespace, job: TrainingJob
) -> None:
    look(JOBS)
    live = job.workload_name
    orphans = [f"train-{job.handle}-0", "train-ffffffffffff-1"]
    others = ["eval-ffffffffffff-1", "serve-chart-1", "train-odd"]
    for name in orphans + others:
        world.compute.applied[name] = world.compute.applied[live]
    sweep(timezone.now())
    assert set(world.compute.names()) == {live, *others}
    services.cancel(job, now=timezone.now(), by="ann")
    look(JOBS)
    world.compute.applied[live] = world.compute.applied[others[0]]
    sweep(timezone.now())
    assert live not in world.compute.names()


class Crash(BaseException):
    """Stands for kill -9: nothing between the failing call and the top catches it."""


@pytest.mark.parametrize("ending", ["succeeds", "fails", "lost", "cancelled"])
def test_killed_at_any_outward_call_it_still_ends_in_exactly_one_final_state(  # noqa: C901 - one story
    monkeypatch: pytest.MonkeyPatch, world: SimpleNamespace, shelf: Shelf, owner: Any,
    ask: services.Ask, ending: str,
) -> None:  # fmt: skip
    """Fails each outward call in turn, before and after it took effect, and lets it go on."""
    calls: dict[str, Any] = {"count": 0, "crash_at": None, "after": False}
    changing: set[int] = set()
    # No power fails here; thousands of small objects need not reach the disk.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    objects = backends.objects()

    def breaking(call: Any, *, changes: bool = True) -> Any:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            calls["count"] += 1
            if changes:
                changing.add(calls["count"])
            here = calls["count"] == calls["crash_at"]
            if here and not calls["after"]:
                raise Crash
            value = call(*args, **kwargs)
            if here:
                raise Crash
            return value

        return guarded

    def live(killed_at: int | None, after: bool) -> int:
        world.compute.applied.clear()
        world.compute.seen.clear()
        job = services.create_job(project_id=owner.project_id, ask=ask, now=timezone.now())
        runtime = Runtime(world.compute, job)
        calls.update(count=0, crash_at=killed_at, after=after)

        def looked(times: int) -> None:
            for _ in range(times):
                try:
                    look(JOBS)
                except Crash:
                    calls["crash_at"] = None

        with monkeypatch.context() as patch:
            for verb in ("apply", "delete"):
                patch.setattr(world.compute, verb, breaking(getattr(world.compute, verb)))
            for port, verb in ((world.compute, "observe"), (objects, "read"), (objects, "list")):
                patch.setattr(port, verb, breaking(getattr(port, verb), changes=False))
            patch.setattr(registry, "register_result", breaking(registry.register_result))
            patch.setattr(registry, "release", breaking(registry.release))
            looked(2)
            runtime.sees(State.RUNNING)
            looked(2)
            runtime.steps(1, 3)
            runtime.checkpoint(3)
            looked(2)
            if ending == "lost":
                runtime.dies()
                looked(4)
                runtime.seq = 0
                runtime.sees(State.RUNNING)
                looked(2)
            if ending == "cancelled":
                services.cancel(job, now=timezone.now(), by="ann")
            elif ending == "fails":
                runtime.fails("diverged", retryable=False)
            else:
                runtime.reports()
                runtime.sees(State.SUCCEEDED)
            looked(6)
        job.refresh_from_db()
        final = {"fails": "failed", "cancelled": "cancelled"}.get(ending, "succeeded")
        assert job.phase == final, (killed_at, after, job.reason)
        assert moves(job).count(final) == 1
        assert job.attempt == (2 if ending == "lost" else 1)
        assert world.compute.names() == []
        held = {version for version, _ in shelf.held}
        assert held == ({job.dataset_version_id} if final == "succeeded" else set())
        shelf.held.clear()
        assert len([r for r in shelf.results if r == str(job.pk)]) == (final == "succeeded")
        assert MetricPoint.objects.filter(job=job).count() == 3
        assert Checkpoint.objects.filter(job=job).count() == 1
        return int(calls["count"])

    total = live(None, after=False)
    assert total > 10
    assert len(changing) >= 3
    # To die after a call that only reads is to die before the next one.
    points = [(n, False) for n in range(1, total + 1)] + [(n, True) for n in sorted(changing)]
    for crash_at, after in points:
        live(crash_at, after)


def test_an_unreadable_chunk_is_a_warning_and_not_the_end(
    job: TrainingJob, runtime: Runtime
) -> None:
    to_running(runtime)
    backends.objects().put(f"{runtime.prefix}/progress/001-000000.jsonl", b'{"kind": "metr')
    runtime.seq = 1
    runtime.steps(1, 2)
    look(JOBS)
    job.refresh_from_db()
    assert job.step == 2
    warning = Event.objects.get(subject=lifecycle.subject_of(job), level="warning")
    assert "could not be read" in warning.reason


def test_a_loss_that_is_no_number_is_kept_as_null(job: TrainingJob, runtime: Runtime) -> None:
    to_running(runtime)
    note = Note(kind=NoteKind.METRICS, at=1.0, step=1, total_steps=2, values={"loss": float("nan")})
    runtime.tells(note)
    look(JOBS)
    assert MetricPoint.objects.get(job=job).value is None


def test_curves_reach_the_tracker_and_its_run_is_closed(
    world: SimpleNamespace, job: TrainingJob, runtime: Runtime
) -> None:
    to_running(runtime)
    runtime.steps(1, 3)
    look(JOBS, MIRRORS, times=2)
    run = services.tracking_run(job)
    assert [p.step for p in world.tracking.points[run]] == [1, 2, 3]
    runtime.steps(4, 6)
    runtime.reports()
    runtime.sees(State.SUCCEEDED)
    look(JOBS, MIRRORS, times=4)
    assert [p.step for p in world.tracking.points[run]] == [1, 2, 3, 4, 5, 6]
    assert world.tracking.ended[run] == "FINISHED"
    assert RunMirror.objects.get(job=job).phase == "closed"


def test_a_broken_tracker_is_one_warning_and_its_curves_follow_later(
    monkeypatch: pytest.MonkeyPatch, world: SimpleNamespace, job: TrainingJob, runtime: Runtime
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise TrackingUnavailable("no such host")

    to_running(runtime)
    with monkeypatch.context() as patch:
        patch.setattr(world.tracking, "log", away)
        runtime.steps(1, 3)
        look(JOBS, MIRRORS, times=3)
        runtime.reports()
        runtime.sees(State.SUCCEEDED)
        look(JOBS, MIRRORS, times=3)
    assert phase_of(job) == "succeeded"
    told = Event.objects.filter(subject=lifecycle.subject_of(job), kind="tracking")
    assert [event.level for event in told] == ["warning"]
    look(MIRRORS, times=2)
    mirrored = RunMirror.objects.get(job=job)
    assert mirrored.phase == "closed"
    assert [p.step for p in world.tracking.points[mirrored.run]] == [1, 2, 3]


def test_a_hanging_tracker_holds_up_neither_the_job_nor_the_worker(
    monkeypatch: pytest.MonkeyPatch, world: SimpleNamespace, job: TrainingJob, runtime: Runtime
) -> None:
    import time

    release = threading.Event()
    monkeypatch.setattr(mirror, "BOX_SECONDS", 0.2)
    monkeypatch.setattr(world.tracking, "log", lambda *_: release.wait(30))
    to_running(runtime)
    runtime.steps(1, 3)
    try:
        began = time.monotonic()
        look(JOBS, MIRRORS, times=5)
        runtime.reports()
        runtime.sees(State.SUCCEEDED)
        look(JOBS, MIRRORS, times=4)
        assert time.monotonic() - began < 5
        assert phase_of(job) == "succeeded"
        assert RunMirror.objects.get(job=job).phase == "following"
    finally:
        release.set()
    for _ in range(50):
        if mirror._box.acquire(timeout=0.1):
            mirror._box.release()
            break
    monkeypatch.undo()
    monkeypatch.setattr(backends, "tracking", lambda: world.tracking)
    look(MIRRORS, times=2)
    assert RunMirror.objects.get(job=job).phase == "closed"


def test_deleting_a_job_removes_its_leftovers_and_keeps_where_the_version_came_from(
    world: SimpleNamespace, owner: Any, job: TrainingJob, runtime: Runtime
) -> None:
    with pytest.raises(Conflict, match="cancel it first"):
        services.delete(job, now=timezone.now(), by="ann")
    to_running(runtime)
    runtime.steps(1, 3)
    runtime.checkpoint(3)
    backends.objects().put(f"{runtime.prefix}/artifact-1/adapter_model.safetensors", b"weights")
    runtime.reports()
    runtime.sees(State.SUCCEEDED)
    look(JOBS, times=3)
    job.refresh_from_db()
    version_id = job.result_version_id
    services.delete(job, now=timezone.now(), by="ann")
    look(JOBS)
    with pytest.raises(NotFound):
        services.job(project_id=owner.project_id, job_id=job.pk)
    left = [stat.key for stat in backends.objects().list(runtime.prefix)]
    assert not [key for key in left if "/progress/" in key or "/checkpoints/" in key]
    assert not MetricPoint.objects.filter(job=job).exists()
    lineage = services.lineage(project_id=owner.project_id, version_id=version_id)
    assert (lineage.job_id, lineage.dataset_sha256) == (job.pk, "d" * 64)


def test_lineage_leads_from_version_to_rows_and_tracker(
    world: SimpleNamespace, owner: Any, stranger: Any, job: TrainingJob, runtime: Runtime
) -> None:
    to_running(runtime)
    runtime.steps(1, 2)
    look(JOBS, MIRRORS, times=2)
    runtime.reports()
    runtime.sees(State.SUCCEEDED)
    look(JOBS, times=3)
    job.refresh_from_db()
    found = services.lineage(project_id=owner.project_id, version_id=job.result_version_id)
    assert found.dataset_version_id == job.dataset_version_id
    assert found.tracking_run == world.tracking.runs[str(job.pk)]
    with pytest.raises(NotFound):
        services.lineage(project_id=stranger.project_id, version_id=job.result_version_id)


def body_of(ask: services.Ask, **more: Any) -> dict[str, Any]:
    return {
        "name": ask.name,
        "base": str(ask.base_version_id),
        "dataset": str(ask.dataset_version_id),
        "hyperparameters": dict(ask.hyperparameters),
    } | more


def test_the_story_over_rest(
    world: SimpleNamespace, api: Any, ask: services.Ask, settings: Any
) -> None:
    methods = api.get("/api/v1/training/methods", {"base": str(ask.base_version_id)}).json()
    by_scale = {(m["method"], m["scale"]): m["hyperparameters"] for m in methods["data"]}
    length = next(p for p in by_scale["sft", "lora"] if p["key"] == "max_seq_len")
    assert length["maximum"] == 512
    assert {p["key"] for p in by_scale["sft", "full"]} < {p["key"] for p in by_scale["sft", "lora"]}

    plan = api.post("/api/v1/jobs/estimate", body_of(ask), format="json")
    assert plan.status_code == 200, plan.json()
    assert plan.json()["estimate"]["steps"] == 15
    assert set(plan.json()["why"]["learning_rate"]) == {"zh", "en"}
    assert not TrainingJob.objects.exists()

    made = api.post(
        "/api/v1/jobs", body_of(ask), format="json", headers={"idempotency-key": "story"}
    )
    assert made.status_code == 201, made.json()
    again = api.post(
        "/api/v1/jobs", body_of(ask), format="json", headers={"idempotency-key": "story"}
    )
    assert again.json()["id"] == made.json()["id"]
    path = f"/api/v1/jobs/{made.json()['id']}"
    job = TrainingJob.objects.get()
    runtime = Runtime(world.compute, job)
    to_running(runtime)
    runtime.tells(Note(kind=NoteKind.LOG, at=2.0, text="hello"))
    runtime.steps(1, 5, total=15)
    runtime.checkpoint(5)
    look(JOBS)

    shown = api.get(path).json()
    assert (shown["phase"], shown["progress"]["percent"]) == ("running", 33.33)
    assert shown["progress"]["eta"] is not None
    assert shown["dataset"]["sha256"] == "d" * 64
    assert [j["id"] for j in api.get("/api/v1/jobs", {"phase": "running"}).json()["data"]] == [
        shown["id"]
    ]
    assert api.get("/api/v1/jobs", {"phase": "failed"}).json()["data"] == []
    part = {"phase": "running", "search": shown["name"][1:].upper()}
    assert [j["id"] for j in api.get("/api/v1/jobs", part).json()["data"]] == [shown["id"]]
    assert api.get("/api/v1/jobs", {"search": "nobody"}).json()["data"] == []
    assert api.get("/api/v1/jobs", {"phase": "odd"}).status_code == 422

    page = api.get(f"{path}/logs").json()
    assert [line["text"] for line in page["data"]] == ["hello"]
    assert page["live"]
    runtime.tells(Note(kind=NoteKind.LOG, at=3.0, text="again"))
    more = api.get(f"{path}/logs", {"cursor": page["next_cursor"]}).json()
    assert [line["text"] for line in more["data"]] == ["again"]
    assert api.get(f"{path}/logs", {"cursor": "ÿ"}).status_code == 422

    metrics = api.get(f"{path}/metrics", {"name": "loss", "from_step": 2, "to_step": 3}).json()
    assert [p["step"] for p in metrics["data"]] == [2, 3]
    assert metrics["names"][0] | {"last_value": 0} == {
        "name": "loss", "points": 5, "last_step": 5, "last_value": 0,
    }  # fmt: skip
    table = api.get(f"{path}/metrics.csv")
    text = b"".join(table.streaming_content).decode().splitlines()
    assert text[0] == "name,step,value,at"
    assert text[1].startswith("loss,1,1.0,")
    assert len(text) == 6
    assert api.get(f"{path}/checkpoints").json()["data"][0]["values"] == {"held_out_loss": 0.5}
    kinds = {e["kind"] for e in api.get(f"{path}/events").json()["data"]}
    assert {"move", "checkpoint"} <= kinds

    assert api.post(f"{path}/retry").status_code == 409
    assert api.post(f"{path}/cancel").json()["phase"] == "cancelling"
    look(JOBS)
    assert api.post(f"{path}/retry").json()["attempt"] == 2
    api.post(f"{path}/cancel")
    look(JOBS)
    assert api.delete(path).status_code == 204
    look(JOBS)
    assert api.get(path).status_code == 404


def test_bad_requests_are_told_field_by_field(
    world: SimpleNamespace, api: Any, ask: services.Ask
) -> None:
    bad = api.post(
        "/api/v1/jobs",
        body_of(
            ask,
            hyperparameters={"epochs": 1000},
        ),
        format="json",
    )
    assert bad.status_code == 422
    detail = bad.json()["error"]["details"][0]
    assert detail["field"] == "hyperparameters.epochs"
    assert detail["value"] == 1000
    assert detail["fix"].startswith("from 1 to 100")
    assert api.post("/api/v1/jobs", body_of(ask, name="Ü b"), format="json").status_code == 422
    unknown = body_of(ask, base=str(uuid.uuid4()))
    assert api.post("/api/v1/jobs", unknown, format="json").status_code == 404


def test_another_tenants_job_is_a_404_on_every_route(
    world: SimpleNamespace, api_for: Any, stranger: Any, job: TrainingJob
) -> None:
    theirs = api_for(stranger)
    path = f"/api/v1/jobs/{job.pk}"
    for route in ("", "/events", "/logs", "/metrics", "/metrics.csv", "/checkpoints"):
        assert theirs.get(path + route).status_code == 404, route
    for route in ("/cancel", "/retry"):
        assert theirs.post(path + route).status_code == 404, route
    assert theirs.delete(path).status_code == 404
    assert theirs.get("/api/v1/jobs").json()["data"] == []
    assert phase_of(job) == "queued"


def test_a_reader_reads_and_changes_nothing(
    world: SimpleNamespace, api_for: Any, owner: Any, job: TrainingJob, ask: services.Ask
) -> None:
    reader = api_for(owner, role="reader")
    assert reader.get(f"/api/v1/jobs/{job.pk}").status_code == 200
    assert reader.post("/api/v1/jobs", body_of(ask), format="json").status_code == 403
    assert reader.post(f"/api/v1/jobs/{job.pk}/cancel").status_code == 403


def test_everything_with_a_life_here_is_watched() -> None:
    assert {model for model, _ in WATCHED} == {TrainingJob, RunMirror}
