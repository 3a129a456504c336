"""Kueue's objects from a plan, and what Kueue says of them.

A pool is a ResourceFlavor, a project's queue a ClusterQueue with a LocalQueue in our namespace,
and all of them are one Cohort, which holds what no project has for its own. Everything of ours
carries the label of our namespace, for ClusterQueues and flavors belong to the whole cluster.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import kubernetes.client as k8s
from django.conf import settings
from kubernetes.utils.quantity import parse_quantity

from slipway.backends.api_server import APPLY, ApiServer, Gone
from slipway.backends.queues import Amounts, Plan, Pool, Share, Standing, Use, queue_name
from slipway_contracts import resources

_GROUP, _VERSION = "kueue.x-k8s.io", "v1beta1"
#: On everything of ours: the namespace of the installation that it belongs to.
_OF = f"{resources.GROUP}/queues-of"
_PROJECT = f"{resources.GROUP}/project"
_POOL = f"{resources.GROUP}/pool"
#: Hash of an object as rendered, so that what is as it should be is not written again.
_RENDERED = f"{resources.GROUP}/rendered"
_GIB = 1 << 30
_NAMESPACED = "localqueues"
#: In the order they are made; they go in the opposite one.
KINDS = {
    "resourceflavors": "ResourceFlavor",
    "cohorts": "Cohort",
    "clusterqueues": "ClusterQueue",
    _NAMESPACED: "LocalQueue",
}

Object = dict[str, Any]


def render(plan: Plan, *, namespace: str, gpu_resource: str) -> dict[tuple[str, str], Object]:
    """Every object of a plan, by plural and name; pure."""
    if not plan.pools:
        return {}
    prefix = f"slipway-{namespace}"
    flavors = {pool.name: f"{prefix}-{pool.name}" for pool in plan.pools}

    covered = ["cpu", "memory", gpu_resource]

    def quotas(share: Share) -> list[Object]:
        bound = {} if share.borrows else {"borrowingLimit": "0"}
        amounts = zip(covered, _quantities(share.amounts), strict=True)
        return [{"name": name, "nominalQuota": amount, **bound} for name, amount in amounts]

    def groups(shares: Mapping[str, Share]) -> list[Object]:
        of_pools = [
            {"name": flavors[pool.name], "resources": quotas(shares.get(pool.name, Share()))}
            for pool in plan.pools
        ]
        return [{"coveredResources": covered, "flavors": of_pools}]

    found: dict[tuple[str, str], Object] = {}

    def add(plural: str, name: str, spec: Object, **labels: str) -> None:
        found[plural, name] = {
            "apiVersion": f"{_GROUP}/{_VERSION}",
            "kind": KINDS[plural],
            "metadata": {
                "name": name,
                "labels": {_OF: namespace, resources.MANAGED_BY: "slipway", **labels},
            },
            "spec": spec,
        }

    for pool in plan.pools:
        labels = {_POOL: pool.name}
        add("resourceflavors", flavors[pool.name], {"nodeLabels": dict(pool.node_labels)}, **labels)
    add("cohorts", prefix, {"resourceGroups": groups(_rest(plan))})
    for queue in plan.queues:
        name = f"{prefix}-{queue.project}"
        spec = {
            "cohort": prefix,
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            # Who is entitled to a quota gets it back; among a project's own the more urgent goes
            # first. A preempted run saves a checkpoint and takes its place in the queue again.
            "preemption": {"reclaimWithinCohort": "Any", "withinClusterQueue": "LowerPriority"},
            "resourceGroups": groups(queue.shares),
        }
        labels = {_PROJECT: queue.project}
        add("clusterqueues", name, spec, **labels)
        add(_NAMESPACED, queue_name(queue.project), {"clusterQueue": name}, **labels)
    return found


def _rest(plan: Plan) -> dict[str, Share]:
    def of(pool: Pool) -> Share:
        given = (queue.shares.get(pool.name, Share()).amounts for queue in plan.queues)
        return Share(amounts=pool.amounts - sum(given, Amounts()))

    return {pool.name: of(pool) for pool in plan.pools}


def _quantities(amounts: Amounts) -> tuple[str, str, str]:
    return str(amounts.cpus), f"{amounts.memory_gib}Gi", str(amounts.gpus)


class Kueue:
    """`Queues` by the API server."""

    def __init__(
        self, configuration: k8s.Configuration | None = None, namespace: str | None = None
    ) -> None:
        self._api = ApiServer(configuration, namespace)

    def keep(self, plan: Plan) -> None:
        wanted, there = self._wanted(plan), self._there()
        changed = _changed(wanted, there)
        if not changed and wanted.keys() >= there.keys():
            return
        owner = self._owner() if wanted else []
        # First all that grows less, then all that grows: in between, what goes from one to the
        # other belongs to nobody, or Kueue would let in more than there is.
        for place, manifest in changed.items():
            if place in there:
                self._apply(place, _lower(manifest, there[place]), owner, rendered="")
        order = list(KINDS)
        for plural, name in sorted(there, key=lambda place: -order.index(place[0])):
            if (plural, name) not in wanted:
                self._remove(plural, name)
        # A queue leaves with the last that runs by it; until then its share is not to be had.
        leaving = [item for place, item in self._there().items() if place not in wanted]
        for (plural, name), manifest in changed.items():
            if plural == "cohorts" and leaving:
                less = _less(manifest, leaving)
                self._apply((plural, name), less, owner, rendered="")
            else:
                self._apply((plural, name), manifest, owner, rendered=_hash(manifest))

    def behind(self, plan: Plan) -> list[str]:
        wanted, there = self._wanted(plan), self._there()
        wrong = [*_changed(wanted, there), *sorted(there.keys() - wanted.keys())]
        return [f"{KINDS[plural]} {name}" for plural, name in wrong]

    def standing(self) -> dict[str, Standing]:
        there = self._there()
        pools = {
            name: item["metadata"]["labels"].get(_POOL, name)
            for (plural, name), item in there.items()
            if plural == "resourceflavors"
        }
        return {
            item["metadata"]["labels"].get(_PROJECT, ""): _standing(item.get("status") or {}, pools)
            for (plural, _), item in there.items()
            if plural == "clusterqueues"
        }

    def _wanted(self, plan: Plan) -> dict[tuple[str, str], Object]:
        return render(plan, namespace=self._api.namespace, gpu_resource=settings.GPU_RESOURCE)

    def _there(self) -> dict[tuple[str, str], Object]:
        """What is there of ours, that which is leaving too."""
        found: dict[tuple[str, str], Object] = {}
        for plural in KINDS:
            verb = self._verb("list", plural)
            items = self._api.items(
                verb, label_selector=f"{_OF}={self._api.namespace}", **self._where(plural)
            )
            found |= {(plural, item["metadata"]["name"]): item for item in items}
        return found

    def _apply(
        self, place: tuple[str, str], manifest: Object, owner: list[Object], *, rendered: str
    ) -> None:
        plural, name = place
        more = {"annotations": {_RENDERED: rendered}, "ownerReferences": owner}
        body = manifest | {"metadata": manifest["metadata"] | more}
        verb = self._verb("patch", plural)
        self._api.call(verb, name=name, body=body, **self._where(plural), **APPLY)

    def _remove(self, plural: str, name: str) -> None:
        try:
            self._api.call(self._verb("delete", plural), name=name, **self._where(plural))
        except Gone:
            return

    def _verb(self, does: str, plural: str) -> Any:
        reach = "namespaced" if plural == _NAMESPACED else "cluster"
        return getattr(self._api.objects, f"{does}_{reach}_custom_object")

    def _where(self, plural: str) -> dict[str, str]:
        found = {"group": _GROUP, "version": _VERSION, "plural": plural}
        return found | ({"namespace": self._api.namespace} if plural == _NAMESPACED else {})

    def _owner(self) -> list[Object]:
        """The chart's own role for this: when the chart is taken away, its queues go with it."""
        if not settings.QUEUES_OWNER:
            return []
        role = self._api.call(self._api.roles.read_cluster_role, settings.QUEUES_OWNER)
        return [
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRole",
                "name": role.metadata.name,
                "uid": role.metadata.uid,
            }
        ]


def _changed(
    wanted: Mapping[tuple[str, str], Object], there: Mapping[tuple[str, str], Object]
) -> dict[tuple[str, str], Object]:
    """Of what is wanted, that which is not there as it was rendered."""
    return {
        place: manifest
        for place, manifest in wanted.items()
        if _hash_of(there.get(place)) != _hash(manifest)
    }


def _lower(wanted: Object, there: Object) -> Object:
    """The manifest with no quota above what is there now."""
    found = copy.deepcopy(wanted)
    now = _quotas(there)
    for (flavor, name), each in _quotas(found).items():
        has = now.get((flavor, name), {"nominalQuota": "0"})
        each["nominalQuota"] = min(
            each["nominalQuota"], str(has["nominalQuota"]), key=parse_quantity
        )
    return found


def _less(cohort: Object, leaving: list[Object]) -> Object:
    """The cohort without what queues that are leaving still hold; never below nothing."""
    found = copy.deepcopy(cohort)
    quotas = _quotas(found)
    for item in leaving:
        for place, held in _quotas(item).items():
            if place in quotas:
                rest = parse_quantity(quotas[place]["nominalQuota"])
                rest -= parse_quantity(held["nominalQuota"])
                quotas[place]["nominalQuota"] = str(max(int(rest), 0))
    return found


def _quotas(manifest: Object) -> dict[tuple[str, str], Object]:
    """By flavor and resource; of a kind without quotas none."""
    return {
        (flavor["name"], each["name"]): each
        for group in manifest["spec"].get("resourceGroups") or []
        for flavor in group["flavors"]
        for each in flavor["resources"]
    }


def _standing(status: Object, pools: dict[str, str]) -> Standing:
    def amounts(resources: list[Object], of: str) -> Amounts:
        quantity = {each["name"]: parse_quantity(each.get(of, "0")) for each in resources}
        cpus, memory = quantity.pop("cpu", 0), quantity.pop("memory", 0)
        gpus = sum(quantity.values())
        # Rounded up: a share that is touched is in use.
        return Amounts(cpus=-int(-cpus // 1), memory_gib=-int(-memory // _GIB), gpus=int(gpus))

    uses = {
        pools.get(flavor["name"], flavor["name"]): Use(
            used=amounts(flavor["resources"], "total"),
            borrowed=amounts(flavor["resources"], "borrowed"),
        )
        for flavor in status.get("flavorsUsage") or []
    }
    return Standing(
        uses=uses,
        waiting=status.get("pendingWorkloads", 0),
        running=status.get("admittedWorkloads", 0),
    )


def _hash(manifest: Object) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]


def _hash_of(there: Object | None) -> str:
    annotations = there["metadata"].get("annotations") if there else None
    return str((annotations or {}).get(_RENDERED, ""))
