"""Compute on Kubernetes: writes Slipway's custom resources and reads their status, nothing else.

What becomes of them (KubeRay, Kueue, pods) is the operator's business. Every verb is one request
or two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import kubernetes.client as k8s

from slipway.backends.api_server import APPLY, ApiServer, Gone, lines
from slipway.backends.compute import ComputeUnavailable, Readiness
from slipway_contracts import resources
from slipway_contracts.workload import Observation, State, Workload

#: Of a run, the pod that follows the job's output; it outlives the cluster of the run.
_SUBMITTER = "ray-job-submitter"


class Kubernetes:
    """`Compute` by the API server, in one namespace."""

    def __init__(
        self, configuration: k8s.Configuration | None = None, namespace: str | None = None
    ) -> None:
        self._api = ApiServer(configuration, namespace)
        self._objects = self._api.objects

    def apply(self, workload: Workload) -> None:
        kind = resources.resource_of(workload.kind)
        body = resources.to_resource(workload)
        verb = self._objects.patch_namespaced_custom_object
        try:
            self._ask(verb, kind, name=workload.name, body=body, **APPLY)
        except Gone as error:
            raise ComputeUnavailable(
                f"the namespace {self._api.namespace} is not there; create it,"
                " or set SLIPWAY_NAMESPACE"
            ) from error

    def observe(self, name: str) -> Observation:
        for kind in _likely(name):
            try:
                found = self._ask(self._objects.get_namespaced_custom_object, kind, name=name)
            except Gone:
                continue
            return resources.observation_of(found)
        return Observation(state=State.ABSENT)

    def delete(self, name: str) -> None:
        for kind in _likely(name):
            try:
                self._ask(self._objects.delete_namespaced_custom_object, kind, name=name)
            except Gone:
                continue
            return

    def logs(self, name: str) -> Iterator[str]:
        pods = self._api.call(
            self._api.core.list_namespaced_pod,
            self._api.namespace,
            label_selector=f"{resources.LABEL}={name}",
        ).items
        pods.sort(key=lambda pod: (str(pod.metadata.creation_timestamp), pod.metadata.name))
        submitters = [p for p in pods if p.spec.containers[0].name == _SUBMITTER]
        for pod in submitters or pods:
            try:
                stream = self._api.call(
                    self._api.core.read_namespaced_pod_log,
                    pod.metadata.name,
                    self._api.namespace,
                    container=pod.spec.containers[0].name,
                    _preload_content=False,
                )
            except (Gone, ValueError):
                continue  # it left meanwhile, or its container has not started yet
            yield from lines(stream)

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
        return sorted(
            item["metadata"]["name"]
            for kind in resources.RESOURCES
            for item in self._api.items(
                self._objects.list_namespaced_custom_object,
                label_selector=f"{resources.MANAGED_BY}=slipway",
                **self._where(kind),
            )
        )

    def _ask(self, verb: Callable[..., Any], kind: resources.Resource, **arguments: Any) -> Any:
        return self._api.call(verb, **self._where(kind), **arguments)

    def _where(self, kind: resources.Resource) -> dict[str, str]:
        return {
            "group": resources.GROUP,
            "version": resources.VERSION,
            "namespace": self._api.namespace,
            "plural": kind.plural,
        }


def _likely(name: str) -> tuple[resources.Resource, ...]:
    """The kinds, that which a name most likely is of first: one request is then enough."""
    both = (resources.RUN, resources.SERVED_MODEL)
    return both[::-1] if name.startswith("serve-") else both
