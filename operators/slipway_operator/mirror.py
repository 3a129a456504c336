"""What the watches have told, so that a look asks the API server only what it cannot know.

Watches may lose a deletion when they break, so every minute the names and versions of all objects
are compared with what is here. What is not here is asked for; what we write is refused if it was
worked out from an object that has changed since.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from slipway_contracts.resources import GROUP, LABEL, RUN, SERVED_MODEL, VERSION
from slipway_operator.cluster import Address, Cluster, Conflict, Name, Object, Unknown
from slipway_operator.lines import Lines
from slipway_operator.render.pods import ROLE
from slipway_operator.status.pods import is_deserted

RUNS: Address = (GROUP, VERSION, RUN.plural)
SERVED: Address = (GROUP, VERSION, SERVED_MODEL.plural)
RAY_JOBS: Address = ("ray.io", "v1", "rayjobs")
RAY_SERVICES: Address = ("ray.io", "v1", "rayservices")
QUEUED: Address = ("kueue.x-k8s.io", "v1beta1", "workloads")
PODS: Address = ("", "v1", "pods")
ALL = (RUNS, SERVED, RAY_JOBS, RAY_SERVICES, QUEUED, PODS)
_PLURALS = {"run": RUN.plural, "served": SERVED_MODEL.plural}
#: Kinds of which only those concern us that have our label.
OF_OURS = (RAY_JOBS, RAY_SERVICES, PODS)
#: The parts of a spec that looks read; of ours they read everything.
_SPEC = {
    RAY_JOBS: ("suspend",),
    RAY_SERVICES: (),
    QUEUED: ("queueName", "priority", "active"),
    PODS: ("containers",),
}


class Mirror:
    """Objects by kind, namespace and name; any thread may ask."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._lock = threading.RLock()
        #: Version and JSON: a thousand jobs as Python's own objects would fill a hundred megabytes.
        self._kept: dict[Address, dict[Name, tuple[int, bytes]]] = {kind: {} for kind in ALL}
        self._pods: defaultdict[Name, set[Name]] = defaultdict(set)
        #: Kueue's Workload of each resource: namespace, plural, name → its name.
        self._held: dict[tuple[str, str, str], Name] = {}
        self._lines = Lines()
        #: RayJobs that were there and were deleted, while their runs are there.
        self._lost: set[Name] = set()

    def take(self, kind: Address, event: str | None, body: Object) -> None:
        """What a watch or an answer tells; what is older than what is known changes nothing."""
        meta = body["metadata"]
        name, version = (meta["namespace"], meta["name"]), int(meta["resourceVersion"])
        with self._lock:
            if event == "DELETED":
                self._forget(kind, name)
                self._lose(kind, name)
            elif version > self._version(kind, name):
                self._forget(kind, name)
                self._remember(kind, name, version, body)

    def get(self, kind: Address, namespace: str, name: str) -> Object | None:
        """An object as it was told, or as the API server has it."""
        return self.told(kind, namespace, name) or self._cluster.get(kind, namespace, name)

    def told(self, kind: Address, namespace: str, name: str) -> Object | None:
        """An object as it was told; None if nothing was."""
        found = self._kept[kind].get((namespace, name))
        return json.loads(found[1]) if found else None

    def was_lost(self, namespace: str, name: str) -> bool:
        """Whether a run's RayJob was there and was deleted."""
        return (namespace, name) in self._lost

    def pods(self, namespace: str, workload: str) -> list[Object]:
        """The pods that were told of."""
        with self._lock:
            names = sorted(self._pods.get((namespace, workload), ()))
            found = [self.told(PODS, *name) for name in names]
        return [pod for pod in found if pod is not None]

    def pods_left(self, namespace: str, workload: str) -> bool:
        """Whether the API server has any pod of it still, on a node that is heard of.

        The others stay until somebody says that their machine is off. Nobody waits for them: what
        they write carries their attempt, and they end where they learn that it is over.
        """
        return not all(is_deserted(pod) for pod in self._cluster.pods(namespace, workload))

    def queued(self, namespace: str, plural: str, name: str) -> tuple[Object | None, int]:
        """Kueue's Workload of a resource, and its place in its queue (0: it does not wait)."""
        with self._lock:
            held = self._held.get((namespace, plural, name))
            if held is None:
                return None, 0
            return self.told(QUEUED, *held), self._lines.place(held)

    def apply(self, kind: Address, manifest: Object) -> Object:
        with self._read_anew_if_changed(kind, manifest):
            applied = self._cluster.apply(kind, manifest)
        self.take(kind, "MODIFIED", applied)
        return applied

    def apply_status(self, resource: Object, plural: str, status: Object) -> None:
        kind = (GROUP, VERSION, plural)
        with self._read_anew_if_changed(kind, resource):
            applied = self._cluster.apply_status(resource, plural, status)
        if applied is not None:
            self.take(kind, "MODIFIED", applied)

    @contextlib.contextmanager
    def _read_anew_if_changed(self, kind: Address, thing: Object) -> Iterator[None]:
        try:
            yield
        except Conflict:
            with self._lock:
                self._forget(kind, (thing["metadata"]["namespace"], thing["metadata"]["name"]))
            raise

    def delete(self, kind: Address, namespace: str, name: str) -> None:
        self._cluster.delete(kind, namespace, name)

    def compare(self, namespace: str | None) -> Iterator[tuple[str, str, str]]:
        """Put right what differs from the API server; what it concerns: plural, namespace, name.

        Raises:
            Again: the API server cannot tell now.
        """
        for kind in ALL:
            try:
                names, at = self._cluster.names(kind, namespace, LABEL if kind in OF_OURS else "")
            except Unknown:
                names, at = {}, 0
            with self._lock:
                gone = {
                    name: json.loads(there)
                    for name, (version, there) in self._kept[kind].items()
                    if name not in names and (version <= at or not at)
                }
                for name in gone:
                    self._forget(kind, name)
                    self._lose(kind, name)
                changed = [name for name in names if names[name] > self._version(kind, name)]
            for body in gone.values():
                yield from concerned(kind, body)
            for name in changed:
                found = self._cluster.get(kind, *name)
                if found is not None:
                    self.take(kind, None, found)
                    yield from concerned(kind, found)

    def _version(self, kind: Address, name: Name) -> int:
        return self._kept[kind].get(name, (0, b""))[0]

    def _remember(self, kind: Address, name: Name, version: int, body: Object) -> None:
        small = _small(kind, body)
        self._kept[kind][name] = (version, json.dumps(small).encode())
        if kind == PODS:
            self._pods[name[0], _workload(small)].add(name)
        elif kind == QUEUED:
            self._lines.join(name, small)
            if (whose := subject(small)) is not None:
                self._held[(name[0], *whose)] = name

    def _lose(self, kind: Address, name: Name) -> None:
        if kind == RAY_JOBS and name in self._kept[RUNS]:
            self._lost.add(name)
        elif kind == RUNS:
            self._lost.discard(name)

    def _forget(self, kind: Address, name: Name) -> None:
        found = self._kept[kind].pop(name, None)
        if found is None:
            return
        if kind == PODS:
            workload = (name[0], _workload(json.loads(found[1])))
            self._pods[workload].discard(name)
            if not self._pods[workload]:
                del self._pods[workload]
        elif kind == QUEUED:
            self._lines.leave(name)
            whose = subject(json.loads(found[1]))
            if whose is not None and self._held.get((name[0], *whose)) == name:
                del self._held[(name[0], *whose)]


def subject(item: Any) -> tuple[str, str] | None:
    """Which resource an object belongs to, plural and name, by the labels that all our pods have.

    Kueue's Workload has no labels of ours; the pods that it holds back do.
    """
    found = [item.get("metadata", {}).get("labels") or {}]
    for each in (item.get("spec") or {}).get("podSets", []):
        found.append(each["template"].get("metadata", {}).get("labels") or {})
    for labels in found:
        if LABEL in labels and labels.get(ROLE) in _PLURALS:
            return _PLURALS[labels[ROLE]], labels[LABEL]
    return None


def concerned(kind: Address, body: Any) -> Iterator[tuple[str, str, str]]:
    """Whose look an object's change asks for: plural, namespace, name."""
    namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
    if kind in (RUNS, SERVED):
        yield kind[2], namespace, name
    elif kind in (RAY_JOBS, RAY_SERVICES):
        # Named like what it was made for.
        yield (RUNS if kind == RAY_JOBS else SERVED)[2], namespace, name
    elif (whose := subject(body)) is not None:
        yield whose[0], namespace, whose[1]


def _workload(pod: Object) -> str:
    return str((pod["metadata"].get("labels") or {}).get(LABEL, ""))


def _small(kind: Address, body: Object) -> Object:
    meta = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    if kind not in _SPEC:
        return {**body, "metadata": meta}
    whole = body.get("spec") or {}
    spec = {key: whole[key] for key in _SPEC[kind] if key in whole}
    if kind == PODS:
        spec["containers"] = [
            {key: each.get(key) for key in ("name", "resources")}
            for each in spec.get("containers", [])
        ]
    elif kind == QUEUED and (whose := subject(body)) is not None:
        # Whose it is, in place of the pods it holds back.
        roles = {plural: role for role, plural in _PLURALS.items()}
        meta["labels"] = {LABEL: whose[1], ROLE: roles[whose[0]]}
    named = {key: body[key] for key in ("apiVersion", "kind") if key in body}
    return named | {"metadata": meta, "spec": spec, "status": body.get("status") or {}}
