"""MLflow through its Python client: embedded on a SQLite file, or against a server.

In embedded mode no MLflow server runs; the client opens the database itself. Importing the
library and opening the database take seconds, so both wait for the first use.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from django.conf import settings

from slipway.backends.tracking import Point, TrackingUnavailable

#: What MLflow takes in one batch.
POINTS_AT_ONCE = 1000
PARAMS_AT_ONCE = 100
LONGEST_PARAM = 6000
LONGEST_TAG = 5000
#: Our own name for a run or a version; looking it up makes creating repeatable.
KEY = "slipway.key"

P = ParamSpec("P")
R = TypeVar("R")


def _or_unavailable(
    verb: Callable[Concatenate[MLflow, P], R],
) -> Callable[Concatenate[MLflow, P], R]:
    """Whatever breaks in MLflow, its database or its server is one error to us."""

    @wraps(verb)
    def guarded(self: MLflow, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return verb(self, *args, **kwargs)
        except TrackingUnavailable:
            raise
        except Exception as error:
            first_line = (str(error).splitlines() or [""])[0]
            raise TrackingUnavailable(
                f"MLflow did not take it: {type(error).__name__}: {first_line}"[:500]
            ) from error

    return guarded


class MLflow:
    """The Tracking protocol over one MLflow store that holds both runs and registered models."""

    def __init__(self, uri: str | None = None) -> None:
        self._uri = uri or settings.MLFLOW_URI
        self._lock = threading.Lock()
        self._opened: Any = None

    @_or_unavailable
    def start_run(self, *, experiment: str, name: str, key: str, params: Mapping[str, str]) -> str:
        client = self._client()
        experiment_id = self._experiment(experiment)
        found = client.search_runs(
            [experiment_id], filter_string=f"tags.`{KEY}` = '{_quoted(key)}'", max_results=1
        )
        run = found[0] if found else client.create_run(experiment_id, None, {KEY: key}, name)
        # A crash between the two calls leaves a run without parameters; the next call fills them.
        missing = [
            _entity("Param", name, str(value)[:LONGEST_PARAM])
            for name, value in params.items()
            if name not in run.data.params
        ]
        for start in range(0, len(missing), PARAMS_AT_ONCE):
            client.log_batch(run.info.run_id, params=missing[start : start + PARAMS_AT_ONCE])
        return str(run.info.run_id)

    @_or_unavailable
    def log(self, run: str, points: Sequence[Point]) -> None:
        metrics = [
            _entity("Metric", point.name, point.value, int(point.at.timestamp() * 1000), point.step)
            for point in points
        ]
        for start in range(0, len(metrics), POINTS_AT_ONCE):
            self._client().log_batch(run, metrics=metrics[start : start + POINTS_AT_ONCE])

    @_or_unavailable
    def end_run(self, run: str, *, status: str) -> None:
        self._client().set_terminated(run, status)

    @_or_unavailable
    def register(
        self, *, model: str, source_uri: str, key: str, run: str = "", tags: Mapping[str, str]
    ) -> str:
        client = self._client()
        try:
            client.create_registered_model(model)
        except self._refusal() as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = client.search_model_versions(
            f"name = '{_quoted(model)}' and tags.`{KEY}` = '{_quoted(key)}'", max_results=1
        )
        if found:
            return str(found[0].version)
        shown = {name: str(value)[:LONGEST_TAG] for name, value in tags.items()}
        version = client.create_model_version(
            model, source_uri, run or None, shown | {KEY: key}, await_creation_for=0
        )
        return str(version.version)

    @_or_unavailable
    def unregister(self, *, model: str, version: str) -> None:
        try:
            self._client().delete_model_version(model, version)
        except self._refusal() as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise

    @_or_unavailable
    def forget(self, *, space: str) -> None:
        client = self._client()
        found = client.get_experiment_by_name(space)
        while runs := found and client.search_runs([found.experiment_id]):
            for run in runs:
                client.delete_run(run.info.run_id)
        if found is not None:
            if found.lifecycle_stage != "deleted":
                client.delete_experiment(found.experiment_id)
            # A server only marks what is deleted; its `mlflow gc` removes it.
            if self._uri.startswith("sqlite:///"):
                client._tracking_client.store._hard_delete_experiment(found.experiment_id)
        while models := client.search_registered_models(f"name LIKE '{_quoted(space)}.%'"):
            for model in models:
                client.delete_registered_model(model.name)

    def _experiment(self, name: str) -> str:
        client = self._client()
        found = client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(client.create_experiment(name, artifact_location=self._artifacts()))
            except self._refusal() as error:
                # Another thread was quicker.
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = client.get_experiment_by_name(name)
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _artifacts(self) -> str | None:
        """Beside the database where there is no server; left alone, it is the current folder."""
        if not self._uri.startswith("sqlite:///"):
            return None
        return (Path(self._uri.removeprefix("sqlite:///")).parent / "mlflow-artifacts").as_uri()

    def _client(self) -> Any:
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def _open(self) -> Any:
        # A server that is away must cost seconds, not MLflow's default of many minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        # Nothing leaves the machine that nobody asked to leave it.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient

        if self._uri.startswith("sqlite:///"):
            Path(self._uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        return MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)

    @staticmethod
    def _refusal() -> Any:
        from mlflow.exceptions import MlflowException

        return MlflowException


def _entity(kind: str, *fields: Any) -> Any:
    from mlflow import entities

    return getattr(entities, kind)(*fields)


def _quoted(text: str) -> str:
    """Text fit for MLflow's filter language, which knows no escapes."""
    if "'" in text or "`" in text:
        raise ValueError(f"{text!r} holds a quote, which MLflow cannot search for")
    return text
