"""The tracker is real MLflow on SQLite; every verb may be repeated, every failure has one name."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from slipway.backends.tracking import Point, TrackingUnavailable
from slipway.backends.tracking.mlflow import MLflow

# MLflow declares its tables in a way that SQLAlchemy 2.1 finds old-fashioned.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> MLflow:
    return MLflow(f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'deep' / 'mlflow.sqlite3'}")


def test_a_run_is_opened_once_per_key_and_keeps_its_parameters(tracker: MLflow) -> None:
    params = {f"p{n}": "x" * 10 for n in range(250)}
    first = tracker.start_run(experiment="p.train", name="job", key="job-1", params={"p0": "x"})
    again = tracker.start_run(experiment="p.train", name="job", key="job-1", params=params)
    other = tracker.start_run(experiment="p.train", name="job", key="job-2", params={})
    assert again == first != other
    kept = tracker._client().get_run(first).data.params
    assert kept == {"p0": "x"} | {k: v for k, v in params.items() if k != "p0"}


def test_points_beyond_one_batch_arrive_and_writing_them_again_changes_nothing(
    tracker: MLflow,
) -> None:
    run = tracker.start_run(experiment="p.train", name="job", key="job-3", params={})
    points = [
        Point(name="loss", value=1 / (step + 1), step=step, at=NOW + timedelta(seconds=step))
        for step in range(2500)
    ]
    tracker.log(run, points)
    tracker.log(run, points)
    tracker.end_run(run, status="FINISHED")
    history = tracker._client().get_metric_history(run, "loss")
    assert sorted((m.step, m.value) for m in history) == [(p.step, p.value) for p in points]
    assert tracker._client().get_run(run).info.status == "FINISHED"


def test_a_version_is_registered_once_per_key_and_can_be_taken_out(tracker: MLflow) -> None:
    def register(key: str) -> str:
        return tracker.register(
            model="project.chart", source_uri="file:///models/1", key=key, tags={"job": "j"}
        )

    assert [register("v1"), register("v2"), register("v1")] == ["1", "2", "1"]
    version: Any = tracker._client().get_model_version("project.chart", "1")
    assert (version.source, version.tags["job"]) == ("file:///models/1", "j")
    tracker.unregister(model="project.chart", version="1")
    tracker.unregister(model="project.chart", version="1")
    left = tracker._client().search_model_versions("name = 'project.chart'")
    assert [v.version for v in left] == [2]


def test_a_space_is_forgotten_for_good_and_no_other(tmp_path: Path) -> None:
    own = MLflow(f"sqlite:///{tmp_path / 'own.sqlite3'}")
    for space in ("here", "there"):
        run = own.start_run(
            experiment=space, name="job", key=space, params={"base": f"canary-{space}"}
        )
        own.log(run, [Point(name=f"canary-{space}", value=1, step=1, at=NOW)])
        own.register(model=f"{space}.canary-{space}", source_uri="file:///m", key=space, tags={})
    own.forget(space="here")
    own.forget(space="here")
    with sqlite3.connect(tmp_path / "own.sqlite3") as connection:
        dump = "\n".join(connection.iterdump())
    assert "canary-here" not in dump
    assert dump.count("canary-there") >= 3


def test_an_experiment_that_was_deleted_is_used_again(tracker: MLflow) -> None:
    tracker.start_run(experiment="p.gone", name="job", key="a", params={})
    experiment = tracker._client().get_experiment_by_name("p.gone")
    tracker._client().delete_experiment(experiment.experiment_id)
    assert tracker.start_run(experiment="p.gone", name="job", key="b", params={})


def test_whatever_breaks_is_unavailable_and_says_what(tracker: MLflow, tmp_path: Path) -> None:
    (tmp_path / "not-a-database").write_bytes(b"no" * 4096)
    broken = MLflow(f"sqlite:///{tmp_path / 'not-a-database'}")
    with pytest.raises(TrackingUnavailable, match="not a database"):
        broken.start_run(experiment="e", name="n", key="k", params={})
    with pytest.raises(TrackingUnavailable, match="MlflowException"):
        tracker.log("0" * 32, [Point(name="loss", value=1.0, step=1, at=NOW)])
    with pytest.raises(TrackingUnavailable, match="quote"):
        tracker.start_run(experiment="e", name="n", key="k' or ''='", params={})
