"""Fine-tuning jobs by the `openai` package: the real routes and rows, a runtime played by hand."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import httpx
import openai
import pytest
from django.core.wsgi import get_wsgi_application
from django.utils import timezone
from door_world import rows_of
from run_world import T0, Runtime, Shelf, look

from slipway.core import lifecycle
from slipway.core.errors import NotFound
from slipway.datasets import reconcile as datasets_life
from slipway.datasets.models import Version
from slipway.deployments.models import Deployment, Phase, Revision, RevisionPhase
from slipway.door.models import File, FineTune
from slipway.door.services import files, models, tune_life, tuning, words
from slipway.metering.models import Reservation
from slipway.metering.services import budgets, prices
from slipway.registry import services as registry
from slipway.runs import life
from slipway.tenancy import services as tenancy
from slipway.tenancy.models import ApiKey, Membership, User
from slipway.traffic import services as traffic
from slipway.training.models import TrainingJob
from slipway.training.reconcile import step
from slipway.training.services import sending
from slipway_contracts.progress import Note, NoteKind
from slipway_contracts.workload import State

pytestmark = pytest.mark.django_db


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    shelf = Shelf()

    def resolve(*, project_id: uuid.UUID, reference: str) -> Any:
        for fact in shelf.models.values():
            if fact.project_id == project_id and reference in {fact.model_name, str(fact.id)}:
                return fact
        raise NotFound(f"no {reference}")

    deleted: list[uuid.UUID] = []
    monkeypatch.setattr(registry, "resolve", resolve)
    monkeypatch.setattr(registry, "version", shelf.ready_version)
    monkeypatch.setattr(registry, "delete_version", lambda **k: deleted.append(k["version_id"]))
    for name in ("ready_version", "whole_of", "hold", "release", "register_result"):
        monkeypatch.setattr(registry, name, getattr(shelf, name))
    monkeypatch.setattr(life, "backoff", lambda run: life.QUICK * 0)
    shelf.deleted = deleted  # type: ignore[attr-defined]
    return shelf


def client_of(principal: Any) -> openai.OpenAI:
    secret = tenancy.issue_key(maker=principal, name="t", role="owner").secret
    http = httpx.Client(transport=httpx.WSGITransport(app=get_wsgi_application()))
    return openai.OpenAI(
        base_url="http://localhost/v1",
        api_key=secret,
        admin_api_key=secret,
        http_client=http,
        max_retries=0,
    )


@pytest.fixture
def client(owner: Any, shelf: Shelf, world: SimpleNamespace) -> Iterator[openai.OpenAI]:
    shelf.add_model(owner.project_id, "chart-base")
    with client_of(owner) as made:
        yield made


def work(times: int = 3) -> None:
    """What the worker does for files and jobs."""
    look(
        (Version, datasets_life.look_at_version), (File, files.look), (FineTune, tune_life.look),
        (TrainingJob, step), times=times,
    )  # fmt: skip


def put(client: openai.OpenAI, count: int = 20, data: bytes | None = None) -> str:
    content = rows_of(count) if data is None else data
    return client.files.create(file=("rows.jsonl", content), purpose="fine-tune").id


def begun(client: openai.OpenAI, **more: Any) -> Any:
    given = {"model": "chart-base", "training_file": put(client)} | more
    job = client.fine_tuning.jobs.create(**given)
    work()
    return job


def runtime_of(world: SimpleNamespace, job: Any) -> Runtime:
    row = client_job(job)
    return Runtime(world.compute, row)


def client_job(job: Any) -> TrainingJob:
    tune = FineTune.objects.get(pk=uuid.UUID(job.id.removeprefix("ftjob-")))
    return TrainingJob.objects.get(pk=tune.training_job_id)


def answer() -> None:
    """The deployment that was asked for answers."""
    for revision in Revision.objects.filter(phase=RevisionPhase.COMING):
        Revision.objects.filter(pk=revision.pk).update(
            phase=RevisionPhase.SERVING, endpoints=["unix:/x.sock"]
        )
        Deployment.objects.filter(pk=revision.deployment_id).update(phase=Phase.LIVE)


def test_a_job_from_file_to_model(
    client: openai.OpenAI, world: SimpleNamespace, shelf: Shelf
) -> None:
    held_out = put(client, 12)
    job = client.fine_tuning.jobs.create(
        model="chart-base",
        training_file=put(client),
        validation_file=held_out,
        suffix="my charts",
        seed=7,
        metadata={"team": "a"},
        method={
            "type": "supervised",
            "supervised": {
                "hyperparameters": {"n_epochs": 3, "learning_rate_multiplier": 0.5},
            },
        },
    )
    assert (job.status, job.object, job.seed) == ("validating_files", "fine_tuning.job", 7)
    assert job.hyperparameters.batch_size == "auto"
    work()
    job = client.fine_tuning.jobs.retrieve(job.id)
    assert job.status == "queued"
    assert job.hyperparameters.n_epochs == 3
    assert job.hyperparameters.learning_rate_multiplier == 0.5
    assert isinstance(job.hyperparameters.batch_size, int)
    row = client_job(job)
    assert (row.seed, row.held_out_name != "", row.made_by) == (7, True, "owner-of-acme")
    assert row.resolved["learning_rate"] == pytest.approx(0.5 * 2e-3)

    runtime = Runtime(world.compute, row)
    runtime.sees(State.RUNNING)
    runtime.steps(1, 6, total=6)
    runtime.checkpoint(3)
    runtime.checkpoint(6)
    work()
    assert client.fine_tuning.jobs.retrieve(job.id).status == "running"
    runtime.reports()
    runtime.sees(State.SUCCEEDED)
    work(4)
    assert client.fine_tuning.jobs.retrieve(job.id).status == "running"
    answer()
    work()
    done = client.fine_tuning.jobs.retrieve(job.id)
    assert (done.status, done.trained_tokens, done.error) == ("succeeded", 8000, None)
    assert done.finished_at is not None
    name = done.fine_tuned_model
    assert name == f"ft:chart-base:acme:my-charts:{job.id[6:14]}"
    assert Deployment.objects.get(name=name).phase == Phase.LIVE

    table = client.files.content(done.result_files[0]).text.splitlines()
    assert table[0].startswith("step,train_loss,train_accuracy,valid_loss")
    assert table[2].startswith("2,0.5,")
    assert len(table) == 7
    steps = list(client.fine_tuning.jobs.checkpoints.list(job.id))
    assert [c.step_number for c in steps] == [6, 3]
    assert steps[0].fine_tuned_model_checkpoint == f"{name}:ckpt-step-6"
    assert steps[0].metrics.valid_loss == 0.5
    assert len(list(client.fine_tuning.jobs.checkpoints.list(job.id, limit=1))) == 2
    events = list(client.fine_tuning.jobs.list_events(job.id, limit=2))
    assert len({event.id for event in events}) == len(events) > 8
    assert {event.type for event in events} == {"message", "metrics"}
    assert [e.created_at for e in events] == sorted((e.created_at for e in events), reverse=True)
    metrics = next(e for e in events if e.type == "metrics" and e.data["step"] == 2)  # type: ignore[index]
    assert metrics.data["train_loss"] == 0.5  # type: ignore[index]
    assert any(name in event.message for event in events)

    assert client.models.delete(name).deleted
    assert client.fine_tuning.jobs.checkpoints.list(job.id).data == [], "nor are they called"
    assert Deployment.objects.get(name=name).phase == Phase.DELETING
    models.forget_weights(timezone.now())
    assert shelf.deleted == [client_job(job).result_version_id]  # type: ignore[attr-defined]
    with pytest.raises(openai.NotFoundError):
        client.models.delete(name)


def test_jobs_are_listed_by_pages_and_by_metadata(client: openai.OpenAI, stranger: Any) -> None:
    file = put(client)
    jobs = [
        client.fine_tuning.jobs.create(
            model="chart-base", training_file=file, metadata={"n": str(n % 2), "odd key'": "x"}
        ).id
        for n in range(4)
    ]
    assert [j.id for j in client.fine_tuning.jobs.list(limit=3)] == jobs[::-1]
    assert [j.id for j in client.fine_tuning.jobs.list(metadata={"n": "1"})] == [jobs[3], jobs[1]]
    assert list(client.fine_tuning.jobs.list(metadata={"n": "1", "other": "1"})) == []
    assert len(list(client.fine_tuning.jobs.list(metadata={"odd key'": "x"}))) == 4
    with client_of(stranger) as other:
        assert list(other.fine_tuning.jobs.list()) == []
        for verb in (
            other.fine_tuning.jobs.retrieve, other.fine_tuning.jobs.cancel,
            other.fine_tuning.jobs.pause, other.fine_tuning.jobs.resume,
            other.fine_tuning.jobs.list_events, other.fine_tuning.jobs.checkpoints.list,
        ):  # fmt: skip
            with pytest.raises(openai.NotFoundError):
                verb(jobs[0])
        with pytest.raises(openai.NotFoundError):
            other.fine_tuning.jobs.create(model="chart-base", training_file=file)


def test_a_paused_job_gives_its_place_away_and_resumes(
    client: openai.OpenAI, world: SimpleNamespace
) -> None:
    job = begun(client)
    runtime = runtime_of(world, job)
    runtime.sees(State.RUNNING)
    runtime.steps(1, 4)
    runtime.checkpoint(4)
    work()
    paused = client.fine_tuning.jobs.pause(job.id)
    assert paused.status == "paused"
    assert client.fine_tuning.jobs.pause(job.id).status == "paused"
    work(4)
    assert client.fine_tuning.jobs.retrieve(job.id).status == "paused"
    assert world.compute.applied == {}
    assert client.fine_tuning.jobs.resume(job.id).status == "queued"
    work()
    assert client_job(job).attempt == 2
    assert client.fine_tuning.jobs.resume(job.id).status in {"queued", "running"}


def test_a_cancelled_job_is_cancelled_whatever_it_was_doing(
    client: openai.OpenAI, world: SimpleNamespace
) -> None:
    early = client.fine_tuning.jobs.create(model="chart-base", training_file=put(client))
    assert client.fine_tuning.jobs.cancel(early.id).status == "cancelled"
    running = begun(client)
    runtime_of(world, running).sees(State.RUNNING)
    work()
    assert client.fine_tuning.jobs.cancel(running.id).status == "cancelled"
    work(4)
    assert client.fine_tuning.jobs.cancel(running.id).status == "cancelled"
    paused = begun(client)
    client.fine_tuning.jobs.pause(paused.id)
    work(4)
    assert client.fine_tuning.jobs.cancel(paused.id).status == "cancelled"
    with pytest.raises(openai.BadRequestError):
        client.fine_tuning.jobs.resume(paused.id)


def test_a_job_cancelled_as_its_training_begins_leaves_none_behind(
    client: openai.OpenAI, world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made() -> FineTune:
        job = client.fine_tuning.jobs.create(model="chart-base", training_file=put(client))
        look((Version, datasets_life.look_at_version), (File, files.look), times=3)
        return FineTune.objects.get(pk=uuid.UUID(job.id.removeprefix("ftjob-")))

    # The worker looked at it before it was cancelled.
    stale = made()
    client.fine_tuning.jobs.cancel(words.public_id("ftjob-", stale.pk))
    with pytest.raises(lifecycle.LostRace):
        tune_life.look(stale, timezone.now())
    assert not TrainingJob.objects.exists()

    # It is cancelled by one who saw it before its training began.
    stale = made()
    tune_life.look(FineTune.objects.get(pk=stale.pk), timezone.now())
    tuning.cancel(stale, now=timezone.now(), by="ada")
    job = TrainingJob.objects.get()
    assert job.phase in {"cancelling", "cancelled"}

    # What follows the making of the training fails: then it was not made.
    stale = made()
    before = TrainingJob.objects.count()
    monkeypatch.setattr(tuning, "name_of_result", lambda tune: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tune_life.look(stale, timezone.now())
    assert TrainingJob.objects.count() == before


def test_a_job_is_paid_for_by_the_key_that_asked(
    client: openai.OpenAI, world: SimpleNamespace
) -> None:
    job = begun(client)
    assert client_job(job).key_id == ApiKey.objects.get().pk


def test_a_bad_file_fails_the_job_with_its_line(client: openai.OpenAI) -> None:
    bad = put(client, data=rows_of(12) + b'{"messages": []}\n')
    few = put(client, 3)
    jobs = [client.fine_tuning.jobs.create(model="chart-base", training_file=f) for f in (bad, few)]
    work(4)
    found = [client.fine_tuning.jobs.retrieve(job.id) for job in jobs]
    assert [job.status for job in found] == ["failed", "failed"]
    assert found[0].error is not None
    assert found[1].error is not None
    assert (found[0].error.code, found[0].error.param) == ("invalid_training_file", "training_file")
    assert "line 13" in found[0].error.message
    assert found[1].error.param == "training_file"
    assert "at least" in found[1].error.message or "too few" in found[1].error.message
    with pytest.raises(openai.BadRequestError):
        client.fine_tuning.jobs.cancel(jobs[0].id)


def test_a_file_in_use_is_not_deleted(client: openai.OpenAI, world: SimpleNamespace) -> None:
    job = begun(client)
    with pytest.raises(openai.BadRequestError) as caught:
        client.files.delete(job.training_file)
    assert caught.value.code == "file_in_use"
    assert job.id in str(caught.value)
    client.fine_tuning.jobs.cancel(job.id)
    work(4)
    assert client.files.delete(job.training_file).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(job.training_file)
    assert client.fine_tuning.jobs.retrieve(job.id).training_file == job.training_file


def test_a_job_learns_from_pairs(client: openai.OpenAI, world: SimpleNamespace) -> None:
    rows = [
        {
            "input": {"messages": [{"role": "user", "content": f"question {n}"}]},
            "preferred_output": [{"role": "assistant", "content": "good"}],
            "non_preferred_output": [{"role": "assistant", "content": "bad"}],
        }
        for n in range(20)
    ]
    file = put(client, data="".join(json.dumps(row) + "\n" for row in rows).encode())
    method: Any = {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.3, "n_epochs": 2}}}
    job = begun(client, training_file=file, method=method)
    row = client_job(job)
    assert (row.method, row.resolved["beta"], row.resolved["epochs"]) == ("dpo", 0.3, 2)
    job = client.fine_tuning.jobs.retrieve(job.id)
    told = job.method.to_dict()  # type: ignore[union-attr]
    assert (told["type"], told["dpo"]["hyperparameters"]["beta"]) == ("dpo", 0.3)  # type: ignore[index]
    assert told["dpo"]["hyperparameters"]["learning_rate_multiplier"] == 1.0  # type: ignore[index]

    wrong = begun(client, training_file=file)
    failed = client.fine_tuning.jobs.retrieve(wrong.id)
    assert (failed.status, failed.error and failed.error.param) == ("failed", "training_file")
    # In the words of who asked: their file, their method.
    told = f"{file} holds pair rows; supervised learns from chats."
    assert failed.error is not None
    assert failed.error.message.startswith(told)


GRADER = {
    "type": "string_check", "name": "right", "operation": "eq",
    "input": "{{sample.output_text}}", "reference": "{{item.reference_answer}}",
}  # fmt: skip


def test_a_job_learns_from_rewards(client: openai.OpenAI, world: SimpleNamespace) -> None:
    rows = [
        {"messages": [{"role": "user", "content": f"{n} + 1 ="}], "reference_answer": str(n + 1)}
        for n in range(20)
    ]
    file = put(client, data="".join(json.dumps(row) + "\n" for row in rows).encode())
    settings = {
        "grader": GRADER,
        "hyperparameters": {"n_epochs": 2, "compute_multiplier": 0.5, "eval_interval": 5},
    }
    method: Any = {"type": "reinforcement", "reinforcement": settings}
    job = begun(client, training_file=file, method=method)
    row = client_job(job)
    assert (row.method, row.grader) == ("grpo", GRADER)
    wanted = {"epochs": 2, "num_generations": 4, "save_strategy": "steps", "save_steps": 5}
    assert wanted.items() <= row.resolved.items()
    assert sending.workload(row).settings["grader"] == GRADER
    told = client.fine_tuning.jobs.retrieve(job.id).to_dict()["method"]
    assert told["type"] == "reinforcement"  # type: ignore[index]
    shown = told["reinforcement"]  # type: ignore[index]
    assert shown["grader"]["operation"] == "eq"
    assert shown["hyperparameters"]["compute_multiplier"] == 0.5
    # The ceiling is set aside: every answer as long as it may be.
    tokens = row.resolved["num_generations"] * row.resolved["max_new_tokens"] * 20 * 2
    assert row.estimate["tokens"] > tokens

    runtime = Runtime(world.compute, row)
    runtime.sees(State.RUNNING)
    runtime.tells(
        Note(kind=NoteKind.METRICS, at=T0, step=1, total_steps=4, values={"reward": 0.25, "kl": 0})
    )
    work()
    [step] = [e for e in client.fine_tuning.jobs.list_events(job.id) if e.type == "metrics"]
    assert step.data["train_reward_mean"] == 0.25  # type: ignore[index]
    assert "reward=0.2500" in step.message


def deployed(base: Any) -> None:
    deployment = Deployment.objects.create(
        project_id=base.project_id, name="live-base", phase=Phase.LIVE, version_id=base.id
    )
    Revision.objects.create(
        project_id=base.project_id, deployment=deployment, number=1, replicas=1,
        version_id=base.id, reference="chart-base@1", phase=RevisionPhase.SERVING,
        base_uri=base.uri, endpoints=["unix:/base.sock"],
    )  # fmt: skip


def finished(client: openai.OpenAI, world: SimpleNamespace) -> Any:
    """A job with a checkpoint that has ended while its base was deployed."""
    job = begun(client, suffix="shared")
    runtime = runtime_of(world, job)
    runtime.sees(State.RUNNING)
    runtime.steps(1, 6, total=6)
    runtime.checkpoint(3)
    work()
    runtime.reports()
    runtime.sees(State.SUCCEEDED)
    work(4)
    return client.fine_tuning.jobs.retrieve(job.id)


def test_where_the_base_is_deployed_a_fine_tune_needs_no_deployment_of_its_own(
    client: openai.OpenAI, shelf: Shelf, world: SimpleNamespace
) -> None:
    [base] = shelf.models.values()
    deployed(base)
    done = finished(client, world)
    assert done.status == "succeeded"
    assert [row.name for row in Deployment.objects.all()] == ["live-base"]
    name = done.fine_tuned_model
    [alias] = traffic.all_aliases()
    assert (alias.name, alias.of_name, alias.with_checkpoints) == (
        name, name.replace(":", "-"), True,
    )  # fmt: skip
    [event] = [e for e in client.fine_tuning.jobs.list_events(done.id) if name in e.message]
    assert event.message.endswith("on a deployment of its base")
    again = client_job(begun(client, model=name))
    assert again.base_version_id == client_job(done).result_version_id
    client.models.delete(name)
    assert {alias.name for alias in traffic.all_aliases()} == {
        FineTune.objects.get(training_job_id=again.pk).result_name
    }


def test_a_checkpoint_is_shared_with_a_project_of_the_organisation(
    client: openai.OpenAI, shelf: Shelf, world: SimpleNamespace, owner: Any, stranger: Any
) -> None:
    [base] = shelf.models.values()
    deployed(base)
    done = finished(client, world)
    Membership.objects.create(
        user_id=owner.user_id, organisation_id=owner.organisation_id, role="owner"
    )
    member = tenancy.principal_of(user=User.objects.get(pk=owner.user_id))
    secret = tenancy.issue_key(maker=member, name="a", role="admin").secret
    # The package signs these calls with the ordinary key, which has to be an administrator's.
    client = client.with_options(api_key=secret, admin_api_key=secret)
    permissions = client.fine_tuning.checkpoints.permissions
    [step] = client.fine_tuning.jobs.checkpoints.list(done.id)
    name = step.fine_tuned_model_checkpoint
    places = client.admin.organization.projects
    one, two = (places.create(name=each).id for each in ("one", "two"))
    given = permissions.create(name, project_ids=[one])
    both = permissions.create(name, project_ids=[one, two])
    assert [p.project_id for p in both] == [one, two]
    assert {p.object for p in both} == {"checkpoint.permission"}
    assert both.data[0].id == given.data[0].id
    assert [p.project_id for p in permissions.list(name)] == [two, one]
    assert [p.project_id for p in permissions.list(name, order="ascending", limit=1)] == [one, two]
    assert [p.project_id for p in permissions.list(name, project_id=two)] == [two]
    shared = [a for a in traffic.all_aliases() if a.project_id != a.of_project_id]
    assert {(a.name, a.of_project_id) for a in shared} == {(name, owner.project_id)}

    gone = permissions.delete(given.data[0].id, fine_tuned_model_checkpoint=name)
    assert (gone.deleted, gone.id) == (True, given.data[0].id)
    assert [p.project_id for p in permissions.list(name)] == [two]
    for wrong in (name[:-1] + "7", "ft:nobody:ckpt-step-3"):
        with pytest.raises(openai.NotFoundError):
            permissions.create(wrong, project_ids=[one])
    with pytest.raises(openai.NotFoundError):
        permissions.delete(given.data[0].id, fine_tuned_model_checkpoint=name)
    theirs = "proj_" + stranger.project_id.hex
    with pytest.raises(openai.NotFoundError):
        permissions.create(name, project_ids=[theirs])
    with client_of(stranger) as rival, pytest.raises(openai.PermissionDeniedError):
        rival.fine_tuning.checkpoints.permissions.create(name, project_ids=[theirs])


def test_a_fine_tune_is_tuned_further(
    client: openai.OpenAI, shelf: Shelf, owner: Any, world: SimpleNamespace
) -> None:
    [base] = shelf.models.values()
    adapter = shelf.add_model(
        owner.project_id, "ft-chart-base-acme--1234", kind="adapter", base_uri=base.uri,
        base_version_id=base.id, parent="chart-base", adapter={"rank": 4, "alpha": 8.0},
    )  # fmt: skip
    job = begun(client, model=adapter.model_name, suffix="again")
    row = client_job(job)
    assert row.inputs["adapter"] == adapter.uri
    tune = FineTune.objects.get(training_job_id=row.pk)
    assert tune.result_name == f"ft:chart-base:acme:again:{job.id[6:14]}"


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"model": "gpt-4o"}, "model"),
        ({"training_file": "file-abc"}, "training_file"),
        ({"validation_file": "file-" + "0" * 32}, "validation_file"),
        ({"suffix": ""}, "suffix"),
        ({"suffix": "x" * 65}, "suffix"),
        ({"seed": -1}, "seed"),
        ({"seed": "1"}, "seed"),
        ({"hyperparameters": {"n_epochs": 0}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"n_epochs": "few"}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"rank": 8}}, "hyperparameters.rank"),
        ({"method": {"type": "ppo"}}, "method.type"),
        ({"method": {"type": "dpo", "supervised": {}}}, "method"),
        (
            {"method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": 2.5}}}},
            "method.dpo.hyperparameters.beta",
        ),
        ({"method": {"type": "reinforcement"}}, "method.reinforcement.grader"),
        (
            {"method": {"type": "reinforcement", "reinforcement": {"grader": {"type": "x"}}}},
            "method.reinforcement.grader.type",
        ),
        (
            {
                "method": {
                    "type": "reinforcement",
                    "reinforcement": {
                        "grader": GRADER,
                        "hyperparameters": {"reasoning_effort": "high"},
                    },
                }
            },
            "method.reinforcement.hyperparameters.reasoning_effort",
        ),
        (
            {
                "method": {
                    "type": "reinforcement",
                    "reinforcement": {
                        "grader": {
                            "type": "score_model",
                            "name": "j",
                            "model": "m",
                            "input": [{"role": "user", "content": "?"}],
                        }
                    },
                }
            },
            "method.reinforcement.grader.type",
        ),
        ({"integrations": [{"type": "wandb"}]}, "integrations"),
        ({"metadata": {"k": 1}}, "metadata"),
        ({"metadata": {"": "v"}}, "metadata"),
        ({"metadata": {str(n): "v" for n in range(17)}}, "metadata"),
        ({"metadata": {"k": "v" * 513}}, "metadata"),
        ({"metadata": ["k"]}, "metadata"),
    ],
)
def test_wrong_requests_name_their_field(
    client: openai.OpenAI, given: dict[str, Any], param: str
) -> None:
    file = put(client)
    with pytest.raises(openai.APIStatusError) as caught:
        client.fine_tuning.jobs.create(**{"model": "chart-base", "training_file": file} | given)
    assert caught.value.status_code in {400, 404}
    assert caught.value.param == param


def test_what_does_not_fit_the_budget_is_refused_at_once(client: openai.OpenAI, owner: Any) -> None:
    prices.open_book(
        name="b", organisation_id=None, valid_from=timezone.now(), now=timezone.now(),
        prices=[{"kind": "training_tokens", "amount": Decimal(1), "per": 1}],
    )  # fmt: skip
    file = put(client)
    work()
    price = _price_of(client, file)
    budget = budgets.set_budget(
        organisation_id=owner.organisation_id, reach="project", target_id=owner.project_id,
        period="total", limit=price * 2 - 1, hard=True, alert_at=[],
    )  # fmt: skip
    first = client.fine_tuning.jobs.create(model="chart-base", training_file=file)
    # Also before the first has begun to train: what it may cost is held for it.
    with pytest.raises(openai.RateLimitError) as caught:
        client.fine_tuning.jobs.create(model="chart-base", training_file=file)
    error: Any = caught.value
    assert (error.code, error.type) == ("insufficient_quota", "insufficient_quota")
    assert error.response.headers["x-should-retry"] == "false"
    assert client.fine_tuning.jobs.list().data[0].id == first.id, "nothing was created"
    work()
    assert client.fine_tuning.jobs.retrieve(first.id).status == "queued"
    assert budgets.standing(budget, timezone.now()).reserved == price
    # Of one cancelled before it trains nothing stays set aside.
    budget.limit = price * 2
    budget.save()
    second = client.fine_tuning.jobs.create(model="chart-base", training_file=file)
    client.fine_tuning.jobs.cancel(second.id)
    assert budgets.standing(budget, timezone.now()).reserved == price


def _price_of(client: openai.OpenAI, file: str) -> Decimal:
    job = client.fine_tuning.jobs.create(model="chart-base", training_file=file)
    work()
    reserved = Reservation.objects.get(subject=f"training job {client_job(job).pk}").amount
    client.fine_tuning.jobs.cancel(job.id)
    work(6)
    return Decimal(reserved)
