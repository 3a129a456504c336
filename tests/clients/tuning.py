"""The life of a fine-tuned model."""

from __future__ import annotations

from typing import Any

import openai
from world import CHAT, HELLO, lines, pages, scenario, until


def _begin(w: Any, **more: Any) -> Any:
    method = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}}
    given = {"model": CHAT, "training_file": w.put(w.rows()), "method": method, "seed": 7} | more
    return w.openai.fine_tuning.jobs.create(**given)


def _ended(w: Any, name: str, *ends: str) -> Any:
    def look() -> Any:
        job = w.openai.fine_tuning.jobs.with_raw_response.retrieve(name).http_response.json()
        assert job["status"] != "failed", job["error"]
        return job if job["status"] in ends else None

    return until(f"the job to be {ends}", look, seconds=240)


@scenario("a model is tuned, looked at, called by its name, shared, and deleted")
def _(w: Any) -> None:
    jobs = w.openai.fine_tuning.jobs
    job = _begin(w, suffix=w.mark, metadata={"mark": w.mark}, validation_file=w.put(w.rows(4)))
    assert job.status == "validating_files"
    _ended(w, job.id, "succeeded")
    job = jobs.retrieve(job.id)
    assert job.trained_tokens > 0
    assert job.hyperparameters.batch_size != "auto"
    assert job.id in [each.id for each in pages(jobs.list(limit=1))]
    assert [each.id for each in jobs.list(metadata={"mark": w.mark})] == [job.id]
    events = pages(jobs.list_events(job.id, limit=2))
    assert {event.type for event in events} >= {"message", "metrics"}
    assert len(pages(jobs.list_events(job.id, limit=100))) == len(events)
    steps = pages(jobs.checkpoints.list(job.id, limit=1))
    assert steps[0].step_number > 0
    assert b"train_loss" in w.openai.files.content(job.result_files[0]).read()

    tuned = job.fine_tuned_model
    assert f":{w.mark}:" in tuned
    assert tuned in [each.id for each in w.openai.models.list()]
    for name in (tuned, steps[0].fine_tuned_model_checkpoint):
        said = w.openai.chat.completions.create(
            model=name, messages=HELLO, max_tokens=16, temperature=0
        )
        assert said.model == name
        assert said.choices[0].message.content
    assert w.openai.models.delete(tuned).deleted
    w.refused(openai.NotFoundError, lambda: w.openai.models.retrieve(tuned), 404)


@scenario("a checkpoint is shared with another project", needs="admin.organization.projects")
def _(w: Any) -> None:
    job = _begin(w, suffix="share")
    tuned = _ended(w, job.id, "succeeded")["fine_tuned_model"]
    other = w.openai.admin.organization.projects.create(name=f"other-{w.mark}")
    kept = w.admin.fine_tuning.checkpoints.permissions
    (given,) = kept.create(tuned, project_ids=[other.id])
    assert given.project_id == other.id
    assert [each.id for each in kept.list(tuned)] == [given.id]
    assert kept.delete(given.id, fine_tuned_model_checkpoint=tuned).deleted
    w.refused(
        openai.PermissionDeniedError,
        lambda: w.openai.fine_tuning.checkpoints.permissions.create(tuned, project_ids=[other.id]),
        403,
    )


@scenario("a job is cancelled, twice being once")
def _(w: Any) -> None:
    job = _begin(w)
    for _ in range(2):
        assert w.openai.fine_tuning.jobs.cancel(job.id).status == "cancelled"
    assert w.openai.fine_tuning.jobs.retrieve(job.id).finished_at


@scenario("a job is paused and resumed", needs="fine_tuning.jobs.pause")
def _(w: Any) -> None:
    method = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 50}}}
    job = _begin(w, method=method)
    _ended(w, job.id, "running", "queued")
    # OpenAI answers `paused` too, which is not in the types of its client.
    paused = w.openai.fine_tuning.jobs.with_raw_response.pause(job.id).http_response.json()
    assert paused["status"] == "paused"
    assert w.openai.fine_tuning.jobs.resume(job.id).status in {"queued", "running"}
    assert w.openai.fine_tuning.jobs.cancel(job.id).status == "cancelled"


@scenario("a job of preferences is taken, and what cannot be tuned is refused")
def _(w: Any) -> None:
    pairs = lines(
        {"input": {"messages": HELLO},
         "preferred_output": [{"role": "assistant", "content": f"good {n}"}],
         "non_preferred_output": [{"role": "assistant", "content": f"bad {n}"}]}
        for n in range(12)
    )  # fmt: skip
    method = {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.2, "n_epochs": 1}}}
    job = _begin(w, training_file=w.put(pairs), method=method)
    assert job.method.type == "dpo"
    w.openai.fine_tuning.jobs.cancel(job.id)
    w.refused(openai.APIStatusError, lambda: _begin(w, model="no-such-base"), 404)
    w.refused(openai.APIStatusError, lambda: _begin(w, training_file="file-none"), 404)
    epochs = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 0}}}
    w.refused(openai.BadRequestError, lambda: _begin(w, method=epochs), 400)


@scenario("a job is rewarded by a grader")
def _(w: Any) -> None:
    grader = {
        "type": "string_check", "name": "g", "operation": "ilike",
        "input": "{{sample.output_text}}", "reference": "{{item.reference_answer}}",
    }  # fmt: skip
    questions = lines({"messages": HELLO, "reference_answer": "柱"} for _ in range(8))
    job = _begin(
        w, training_file=w.put(questions),
        method={"type": "reinforcement", "reinforcement": {"grader": grader}},
    )  # fmt: skip
    assert job.method.reinforcement.grader.name == "g"
    w.openai.fine_tuning.jobs.cancel(job.id)
