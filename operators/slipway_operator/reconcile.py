"""One look at one custom resource: read everything, do what is missing, write what is seen.

Nothing is remembered between looks and every step may be repeated, so a look may be interrupted
anywhere, come twice, or be done by two operators at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from slipway_contracts.resources import GROUP, LABEL, RUN, SERVED_MODEL, VERSION, Resource
from slipway_operator.cluster import Cluster, Object, Refused, Unknown
from slipway_operator.config import Config
from slipway_operator.render import owner, runs, served
from slipway_operator.render.pods import ROLE
from slipway_operator.status import runs as run_status
from slipway_operator.status import served as served_status
from slipway_operator.status import write
from slipway_operator.status.seen import Seen, Verdict, failed, waiting

FINALIZER = f"{GROUP}/operator"
QUEUED = ("kueue.x-k8s.io", "v1beta1", "workloads")
_PLURALS = {"run": RUN.plural, "served": SERVED_MODEL.plural}
NOT_INSTALLED = "NoKubeRay"
#: How soon to look again at what is about to change without an event of its own.
SOON_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of ours, and KubeRay's kind that is made for it."""

    ours: Resource
    made: tuple[str, str, str]
    render: Callable[[Object, Config], list[Object]]
    verdict: Callable[[Seen, Object], Verdict]
    #: Whether it is made again when it vanishes; a run is not: another try is another attempt.
    lasting: bool

    @property
    def address(self) -> tuple[str, str, str]:
        return (GROUP, VERSION, self.ours.plural)


KINDS = {
    RUN.plural: Kind(
        ours=RUN,
        made=("ray.io", "v1", "rayjobs"),
        render=runs.render,
        verdict=lambda seen, _: run_status.verdict(seen),
        lasting=False,
    ),
    SERVED_MODEL.plural: Kind(
        ours=SERVED_MODEL,
        made=("ray.io", "v1", "rayservices"),
        render=served.render,
        verdict=lambda seen, model: served_status.verdict(
            seen, replicas=model["spec"].get("replicas", 1)
        ),
        lasting=True,
    ),
}


def look(cluster: Cluster, config: Config, plural: str, namespace: str, name: str) -> float | None:
    """Bring one resource a step further; seconds until it wants another look.

    None: not before something happens. Infinity: it is gone, and nobody need look any more.
    Raises Again when the API server cannot do its part now.
    """
    kind = KINDS[plural]
    resource = cluster.get(kind.address, namespace, name)
    if resource is None:
        return math.inf
    if "deletionTimestamp" in resource["metadata"]:
        return _take_down(cluster, kind, resource)
    if (resource.get("status") or {}).get("state") in write.FINAL:
        _tidy(cluster, kind, resource)
        return None
    try:
        _hold(cluster, kind, resource)
        verdict = _make(cluster, config, kind, resource)
    except Unknown:
        verdict = waiting(
            NOT_INSTALLED, "the cluster does not know ray.io/v1 RayJob; install KubeRay's operator"
        )
    except Refused as error:
        verdict = failed("Refused", f"the API server refuses it: {error}")
    wanted = write.status(verdict, resource, now=datetime.now(UTC))
    if wanted != resource.get("status"):
        cluster.apply_status(resource, plural, wanted)
    if verdict.word == NOT_INSTALLED:
        return SOON_SECONDS
    # Its place changes when others leave, of which it gets no event; near the front that matters.
    return SOON_SECONDS * verdict.position if verdict.position else None


def _hold(cluster: Cluster, kind: Kind, resource: Object) -> None:
    """Our finalizer first: what is made after it is taken down before the resource is gone."""
    if FINALIZER not in resource["metadata"].get("finalizers", []):
        cluster.apply(kind.address, _finalizers(resource, [FINALIZER]))


def _finalizers(resource: Object, finalizers: list[str]) -> Object:
    meta = {key: resource["metadata"][key] for key in ("name", "namespace", "uid")}
    return {
        "apiVersion": resource["apiVersion"],
        "kind": resource["kind"],
        "metadata": meta | {"finalizers": finalizers},
    }


def _make(cluster: Cluster, config: Config, kind: Kind, resource: Object) -> Verdict:
    namespace, name = resource["metadata"]["namespace"], resource["metadata"]["name"]
    made = cluster.get(kind.made, namespace, name)
    if made is not None and not _is_ours(made, resource):
        return failed("NameTaken", f"a {made.get('kind')} of this name is there that is not ours")
    if made is None and not kind.lasting and _was_made(resource):
        return failed("Deleted", "its RayJob was deleted under it")
    if made is None or _is_older(made, resource):
        for manifest in kind.render(resource, config):
            made = cluster.apply(kind.made, manifest)
    if made is not None and "deletionTimestamp" in made["metadata"] and not kind.lasting:
        return failed("Deleted", "its RayJob was deleted under it")
    queued, rivals = _queue(cluster, made, namespace, kind.ours.plural, name)
    seen = Seen(
        made=made,
        queued=queued,
        rivals=rivals,
        pods=tuple(cluster.pods(namespace, name)),
    )
    return kind.verdict(seen, resource)


def _queue(
    cluster: Cluster, made: Object | None, namespace: str, plural: str, name: str
) -> tuple[Object | None, tuple[Object, ...]]:
    """Kueue's Workload for it, and its rivals; nothing where no queue is asked for."""
    labels = (made or {"metadata": {}})["metadata"].get("labels") or {}
    if "kueue.x-k8s.io/queue-name" not in labels:
        return None, ()
    try:
        rivals = tuple(cluster.listed(QUEUED, namespace))
    except Unknown:
        return None, ()
    return next((each for each in rivals if subject(each) == (plural, name)), None), rivals


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


def _was_made(resource: Object) -> bool:
    """Whether its RayJob has been there: nothing is said of a run before that but this one word."""
    said = (resource.get("status") or {}).get("conditions", [])
    return bool(said) and said[0]["reason"] != NOT_INSTALLED


def _is_ours(made: Object, resource: Object) -> bool:
    owners = made["metadata"].get("ownerReferences") or []
    return any(each.get("uid") == resource["metadata"]["uid"] for each in owners)


def _is_older(made: Object, resource: Object) -> bool:
    said = (made["metadata"].get("annotations") or {}).get(owner.GENERATION, "0")
    return int(said) < resource["metadata"]["generation"]


def _tidy(cluster: Cluster, kind: Kind, resource: Object) -> None:
    """What is over holds no machine, whatever KubeRay believes of it."""
    meta = resource["metadata"]
    made = cluster.get(kind.made, meta["namespace"], meta["name"])
    if made is None or "deletionTimestamp" in made["metadata"] or not _is_ours(made, resource):
        return
    deployment = (made.get("status") or {}).get("jobDeploymentStatus")
    if deployment not in {"Complete", "Failed", "ValidationFailed"}:
        cluster.delete(kind.made, meta["namespace"], meta["name"])


def _take_down(cluster: Cluster, kind: Kind, resource: Object) -> float | None:
    """Gone is what has no pod left: only then may the next attempt begin."""
    meta = resource["metadata"]
    if FINALIZER not in meta.get("finalizers", []):
        return None
    try:
        made = cluster.get(kind.made, meta["namespace"], meta["name"])
    except Unknown:
        made = None
    if made is not None and _is_ours(made, resource):
        if "deletionTimestamp" not in made["metadata"]:
            cluster.delete(kind.made, meta["namespace"], meta["name"])
        return SOON_SECONDS
    if cluster.pods(meta["namespace"], meta["name"]):
        return SOON_SECONDS
    cluster.apply(kind.address, _finalizers(resource, []))
    return None
