"""Compute on Kubernetes: writes Slipway's custom resources and reads their status, nothing else.

What becomes of them (KubeRay, Kueue, pods) is the operator's business. Every verb is one request
or two; a failure is not retried here, for whoever asks looks again anyway.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes.client as k8s
import kubernetes.config
import urllib3
from django.conf import settings
from kubernetes.client.exceptions import ApiException

from slipway.backends.compute import ComputeUnavailable, Readiness
from slipway_contracts import resources
from slipway_contracts.workload import Observation, State, Workload

FIELD_MANAGER = "slipway-control-plane"
TIMEOUT_SECONDS = 10.0
PAGE = 500
#: Of a run, the pod that follows the job's output; it outlives the cluster of the run.
_SUBMITTER = "ray-job-submitter"
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Kubernetes:
    """`Compute` by the API server, in one namespace."""

    def __init__(
        self, configuration: k8s.Configuration | None = None, namespace: str | None = None
    ) -> None:
        configuration = configuration or _configuration()
        configuration.retries = False
        client = k8s.ApiClient(configuration)
        self._objects = k8s.CustomObjectsApi(client)
        self._core = k8s.CoreV1Api(client)
        self._namespace = namespace or settings.KUBERNETES_NAMESPACE or _own_namespace()

    def apply(self, workload: Workload) -> None:
        manifest = resources.to_resource(workload)
        kind = resources.resource_of(workload.kind)
        try:
            self._ask(
                self._objects.patch_namespaced_custom_object,
                kind,
                name=workload.name,
                body=manifest,
                field_manager=FIELD_MANAGER,
                force=True,
                field_validation="Strict",
                _content_type="application/apply-patch+yaml",
            )
        except _Gone as error:
            raise ComputeUnavailable(
                f"the namespace {self._namespace} is not there; create it, or set SLIPWAY_NAMESPACE"
            ) from error

    def observe(self, name: str) -> Observation:
        for kind in _likely(name):
            try:
                found = self._ask(self._objects.get_namespaced_custom_object, kind, name=name)
            except _Gone:
                continue
            return resources.observation_of(found)
        return Observation(state=State.ABSENT)

    def delete(self, name: str) -> None:
        for kind in _likely(name):
            try:
                self._ask(self._objects.delete_namespaced_custom_object, kind, name=name)
            except _Gone:
                continue
            return

    def logs(self, name: str) -> Iterator[str]:
        pods = self._call(
            self._core.list_namespaced_pod,
            self._namespace,
            label_selector=f"{resources.LABEL}={name}",
        ).items
        pods.sort(key=lambda pod: (str(pod.metadata.creation_timestamp), pod.metadata.name))
        submitters = [p for p in pods if p.spec.containers[0].name == _SUBMITTER]
        for pod in submitters or pods:
            try:
                stream = self._call(
                    self._core.read_namespaced_pod_log,
                    pod.metadata.name,
                    self._namespace,
                    container=pod.spec.containers[0].name,
                    _preload_content=False,
                )
            except (_Gone, ValueError):
                continue  # it left meanwhile, or its container has not started yet
            yield from _lines(stream)

    def readiness(self) -> Readiness:
        try:
            for kind in resources.RESOURCES:
                self._ask(self._objects.list_namespaced_custom_object, kind, limit=1)
        except ComputeUnavailable as error:
            return Readiness(ready=False, reason=str(error))
        return Readiness(ready=True)

    def room(self) -> None:
        """Nobody here knows what a cluster may grow to; its queue says what cannot be had."""

    def names(self) -> list[str]:
        return sorted(name for kind in resources.RESOURCES for name in self._names(kind))

    def _names(self, kind: resources.Resource) -> list[str]:
        found: list[str] = []
        following: str | None = None
        while True:
            try:
                page = self._ask(
                    self._objects.list_namespaced_custom_object,
                    kind,
                    label_selector=f"{resources.MANAGED_BY}=slipway",
                    limit=PAGE,
                    _continue=following,
                )
            except _Expired:
                # The list changed too much since its first page; it is read anew.
                found, following = [], None
                continue
            found += [item["metadata"]["name"] for item in page["items"]]
            following = page["metadata"].get("continue")
            if not following:
                return found

    def _ask(self, verb: Callable[..., Any], kind: resources.Resource, **arguments: Any) -> Any:
        return self._call(
            verb,
            group=resources.GROUP,
            version=resources.VERSION,
            namespace=self._namespace,
            plural=kind.plural,
            **arguments,
        )

    def _call(self, verb: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        try:
            return verb(*arguments, _request_timeout=TIMEOUT_SECONDS, **named)
        except ApiException as error:
            raise _translated(error) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ComputeUnavailable(f"the API server does not answer: {error}") from error


class _Gone(Exception):
    """The object is not there; the API server knows its kind."""


class _Expired(Exception):
    """The place in a list is too old (410)."""


def _translated(error: ApiException) -> Exception:
    status = _status(error)
    message = status.get("message") or error.reason or "no reason given"
    match error.status:
        case 404 if status.get("reason") == "NotFound":
            return _Gone(message)
        case 404:
            return ComputeUnavailable(
                f"the cluster does not know {resources.GROUP}/{resources.VERSION};"
                " install the chart slipway-crds"
            )
        case 410:
            return _Expired(message)
        case 400 | 422:
            return ValueError(message)
        case 401 | 403:
            return ComputeUnavailable(
                f"the control plane's service account may not do this: {message};"
                " the chart's role slipway-control-plane grants it"
            )
        case 429:
            return ComputeUnavailable("the API server is busy and asks to wait")
        case _:
            return ComputeUnavailable(f"the API server answers {error.status}: {message}")


def _status(error: ApiException) -> dict[str, Any]:
    try:
        found = json.loads(error.body or "")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _likely(name: str) -> tuple[resources.Resource, ...]:
    """The kinds, that which a name most likely is of first: one request is then enough."""
    both = (resources.RUN, resources.SERVED_MODEL)
    return both[::-1] if name.startswith("serve-") else both


def _lines(stream: Any) -> Iterator[str]:
    rest = b""
    for chunk in stream.stream(65536):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")


def _configuration() -> k8s.Configuration:
    """The pod's own service account, or the kubeconfig outside of a cluster."""
    found = k8s.Configuration()
    try:
        kubernetes.config.load_incluster_config(client_configuration=found)
    except kubernetes.config.ConfigException:
        kubernetes.config.load_kube_config(client_configuration=found)
    return found


def _own_namespace() -> str:
    return _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.exists() else "default"
