"""One look at one custom resource: read everything, do what is missing, write what is seen.

What is read is what the watches told, and the API server's own word before anything is made or
given up. Every step may be repeated, so a look may be interrupted anywhere, come twice, or be done
by two operators at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from slipway_contracts.resources import GROUP, RUN, SERVED_MODEL, VERSION, Resource
from slipway_contracts.workload import State
from slipway_operator.cluster import Object, Refused, Unknown
from slipway_operator.config import Config
from slipway_operator.mirror import RAY_JOBS, RAY_SERVICES, Mirror
from slipway_operator.render import owner, runs, served
from slipway_operator.status import runs as run_status
from slipway_operator.status import served as served_status
from slipway_operator.status import write
from slipway_operator.status.seen import Seen, Verdict, failed, waiting

FINALIZER = f"{GROUP}/operator"
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
        made=RAY_JOBS,
        render=runs.render,
        verdict=lambda seen, _: run_status.verdict(seen),
        lasting=False,
    ),
    SERVED_MODEL.plural: Kind(
        ours=SERVED_MODEL,
        made=RAY_SERVICES,
        render=served.render,
        verdict=lambda seen, model: served_status.verdict(
            seen, replicas=model["spec"].get("replicas", 1)
        ),
        lasting=True,
    ),
}


def look(mirror: Mirror, config: Config, plural: str, namespace: str, name: str) -> float | None:
    """Bring one resource a step further; seconds until it wants another look.

    None: not before something happens. Infinity: it is gone, and nobody need look any more.
    Raises Again when the API server cannot do its part now.
    """
    kind = KINDS[plural]
    resource = mirror.get(kind.address, namespace, name)
    if resource is None:
        return math.inf
    if "deletionTimestamp" in resource["metadata"]:
        return _take_down(mirror, kind, resource)
    if (resource.get("status") or {}).get("state") in write.FINAL:
        _tidy(mirror, kind, resource)
        return None
    try:
        resource = _hold(mirror, kind, resource)
        was_there = mirror.told(kind.made, namespace, name) is not None
        verdict = _make(mirror, config, kind, resource)
    except Unknown:
        verdict = waiting(
            NOT_INSTALLED, "the cluster does not know ray.io/v1 RayJob; install KubeRay's operator"
        )
    except Refused as error:
        verdict = failed("Refused", f"the API server refuses it: {error}")
    else:
        if not was_there and verdict.state is State.WAITING and not resource.get("status"):
            # In a moment there is more to say than that it was sent; others wait to be sent.
            return SOON_SECONDS
    wanted = write.status(verdict, resource, now=datetime.now(UTC))
    if wanted != resource.get("status"):
        mirror.apply_status(resource, plural, wanted)
    if verdict.word == NOT_INSTALLED:
        return SOON_SECONDS
    # Its place changes when others leave, of which it gets no event; near the front that matters.
    return SOON_SECONDS * verdict.position if verdict.position else None


def _hold(mirror: Mirror, kind: Kind, resource: Object) -> Object:
    """Our finalizer first: what is made after it is taken down before the resource is gone."""
    if FINALIZER in resource["metadata"].get("finalizers", []):
        return resource
    return mirror.apply(kind.address, _finalizers(resource, [FINALIZER]))


def _finalizers(resource: Object, finalizers: list[str]) -> Object:
    meta = {key: resource["metadata"][key] for key in ("name", "namespace", "uid")}
    return {
        "apiVersion": resource["apiVersion"],
        "kind": resource["kind"],
        "metadata": meta | {"finalizers": finalizers},
    }


def _make(mirror: Mirror, config: Config, kind: Kind, resource: Object) -> Verdict:
    namespace, name = resource["metadata"]["namespace"], resource["metadata"]["name"]
    made = mirror.get(kind.made, namespace, name)
    if made is not None and not _is_ours(made, resource):
        return failed("NameTaken", f"a {made.get('kind')} of this name is there that is not ours")
    was_there = _was_made(resource) or mirror.was_lost(namespace, name)
    if made is None and not kind.lasting and was_there:
        return failed("Deleted", "its RayJob was deleted under it")
    if made is None or _is_older(made, resource):
        for manifest in kind.render(resource, config):
            made = mirror.apply(kind.made, manifest)
    if made is not None and "deletionTimestamp" in made["metadata"] and not kind.lasting:
        return failed("Deleted", "its RayJob was deleted under it")
    queued, place = mirror.queued(namespace, kind.ours.plural, name)
    pods = tuple(mirror.pods(namespace, name))
    seen = Seen(made=made, queued=queued, place=place, pods=pods)
    return kind.verdict(seen, resource)


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


def _tidy(mirror: Mirror, kind: Kind, resource: Object) -> None:
    """What is over holds no machine, whatever KubeRay believes of it."""
    meta = resource["metadata"]
    made = mirror.told(kind.made, meta["namespace"], meta["name"])
    if made is None or "deletionTimestamp" in made["metadata"] or not _is_ours(made, resource):
        return
    deployment = (made.get("status") or {}).get("jobDeploymentStatus")
    if deployment not in {"Complete", "Failed", "ValidationFailed"}:
        mirror.delete(kind.made, meta["namespace"], meta["name"])


def _take_down(mirror: Mirror, kind: Kind, resource: Object) -> float | None:
    """Gone is what has no pod left that can be ended: only then may the next attempt begin."""
    meta = resource["metadata"]
    if FINALIZER not in meta.get("finalizers", []):
        return None
    try:
        made = mirror.get(kind.made, meta["namespace"], meta["name"])
    except Unknown:
        made = None
    if made is not None and _is_ours(made, resource):
        if "deletionTimestamp" not in made["metadata"]:
            mirror.delete(kind.made, meta["namespace"], meta["name"])
        return SOON_SECONDS
    if mirror.pods_left(meta["namespace"], meta["name"]):
        return SOON_SECONDS
    mirror.apply(kind.address, _finalizers(resource, []))
    return None
