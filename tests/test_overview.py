"""The home page's one answer: what moves, what failed, what is served and spent; only one's own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from slipway.datasets.models import Dataset
from slipway.deployments.models import Deployment, Revision
from slipway.metering.services import budgets
from slipway.registry.models import Model
from slipway.training.models import MetricPoint, TrainingJob

pytestmark = pytest.mark.django_db


def job(owner: Any, name: str, phase: str, **more: Any) -> TrainingJob:
    facts = {"base_version_id": uuid4(), "whole_version_id": uuid4(), "base_name": "base@1"}
    return TrainingJob.objects.create(
        project_id=owner.project_id, name=name, phase=phase, dataset_version_id=uuid4(),
        queued_at=timezone.now(), look_at=None, handle=uuid4().hex[:12], **facts, **more,
    )  # fmt: skip


def test_a_new_project_has_everything_before_it(api: Any) -> None:
    shown = api.get("/api/v1/overview").json()
    assert not any(shown["steps"].values())
    assert (shown["work"], shown["served"], shown["budgets"]) == ([], [], [])
    assert shown["usage"] == {"days": 30, "requests": 0, "failed": 0, "tokens": 0}


def test_it_names_what_moves_and_what_failed_lately(owner: Any, api: Any) -> None:
    now = timezone.now()
    job(owner, "runs", "running", step=1, total_steps=4)
    job(owner, "broke", "failed", finished_at=now - timedelta(days=1), reason="no memory")
    job(owner, "broke long ago", "failed", finished_at=now - timedelta(days=30))
    job(owner, "went well", "succeeded", finished_at=now)
    for name, phase in (("up", "live"), ("down", "stopped"), ("odd", "unhealthy")):
        row = Deployment.objects.create(
            project_id=owner.project_id, name=name, phase=phase, version_id=uuid4(), look_at=None
        )
        Revision.objects.create(
            project_id=owner.project_id, deployment=row, number=1, version_id=row.version_id,
            reference="m@1", phase="removed" if name == "down" else "serving", replicas=1,
        )  # fmt: skip
    Dataset.objects.create(project_id=owner.project_id, name="rows")
    budgets.set_budget(
        organisation_id=owner.organisation_id, reach="project", target_id=owner.project_id,
        period="month", limit=Decimal(50), hard=False, alert_at=[],
    )  # fmt: skip
    shown = api.get("/api/v1/overview").json()
    work = {each["name"]: each for each in shown["work"]}
    assert set(work) == {"runs", "broke", "odd"}
    assert (work["runs"]["what"], work["runs"]["percent"]) == ("job", 25.0)
    assert work["broke"]["reason"] == "no memory"
    assert {each["name"] for each in shown["served"]} == {"up", "odd"}
    taken = {name for name, done in shown["steps"].items() if done}
    assert taken == {"data", "job", "deploy"}
    (budget,) = shown["budgets"]
    assert (Decimal(budget["limit"]), Decimal(budget["spent"])) == (50, 0)


def test_others_are_shown_nothing_of_it(
    owner: Any, stranger: Any, api_for: Callable[[Any], Any]
) -> None:
    job(owner, "ours", "running")
    Model.objects.create(project_id=owner.project_id, name="ours")
    shown = api_for(stranger).get("/api/v1/overview").json()
    assert shown["work"] == []
    assert not shown["steps"]["model"]


def test_who_may_not_look_at_a_module_is_shown_nothing_of_it(
    owner: Any, api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job(owner, "ours", "running")
    allows = type(owner).allows
    monkeypatch.setattr(
        type(owner),
        "allows",
        lambda self, module, level: (
            module not in {"training", "usage", "money"} and allows(self, module, level)
        ),
    )
    shown = api.get("/api/v1/overview").json()
    assert (shown["work"], shown["usage"], shown["budgets"]) == ([], None, [])


def test_a_long_curve_is_told_by_its_lows_and_highs(owner: Any, api: Any) -> None:
    long = job(owner, "long", "succeeded")
    MetricPoint.objects.bulk_create(
        MetricPoint(job=long, name="loss", step=step, value=9.0 if step == 4321 else step % 7,
                    at=timezone.now())
        for step in range(1, 10_001)
    )  # fmt: skip
    MetricPoint.objects.create(job=long, name="held_out_loss", step=5000, value=None,
                               at=timezone.now())  # fmt: skip
    path = f"/api/v1/jobs/{long.pk}/metrics"
    shown = api.get(path, {"most": 100}).json()
    loss = [(each["step"], each["value"]) for each in shown["data"] if each["name"] == "loss"]
    assert 90 <= len(loss) <= 110
    assert (4321, 9.0) in loss, "a peak is not lost"
    assert loss[-1][0] == 10_000, "the last step is where one reads on"
    assert [each["step"] for each in shown["data"] if each["name"] == "held_out_loss"] == [5000]
    names = {each["name"]: each for each in shown["names"]}
    assert (names["loss"]["points"], names["loss"]["last_step"]) == (10_000, 10_000)
    assert names["held_out_loss"]["last_value"] is None
    assert len(api.get(path, {"most": 100, "from_step": 9_990}).json()["data"]) == 11
    assert api.get(path, {"most": 0}).status_code == 422
