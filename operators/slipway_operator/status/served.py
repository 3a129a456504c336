"""What a RayService's status and its pods mean for the ServedModel they were made for."""

from __future__ import annotations

from slipway_contracts.workload import State
from slipway_operator.render.pods import ENGINE_PORT
from slipway_operator.render.served import APPLICATION
from slipway_operator.status import pods, queue
from slipway_operator.status.seen import Object, Seen, Verdict, failed, waiting


def verdict(seen: Seen, *, replicas: int) -> Verdict:
    """RUNNING as soon as one copy answers; its addresses are the pods that are Ready.

    A pod is Ready when its engine has generated a token, so Ray Serve's own view decides only
    what is said while none is.
    """
    if seen.made is None:
        return waiting("Sending", "being handed to KubeRay")
    copies = [pod for pod in seen.pods if _is_copy(pod)]
    found = pods.trouble(seen.pods)
    endpoints = tuple(
        sorted(
            f"http://{_host(pod['status']['podIP'])}:{ENGINE_PORT}"
            for pod in pods.ready(copies)
            if pod["status"].get("podIP")
        )
    )
    if endpoints:
        missing = replicas - len(endpoints)
        reason = ""
        if missing > 0:
            doing = found.reason if found else "the others are starting"
            reason = f"{len(endpoints)} of {replicas} copies answer; {doing}"
        return Verdict(
            state=State.RUNNING, word="Serving", reason=reason, endpoints=endpoints
        )  # fmt: skip
    if seen.queued is not None and (held := queue.verdict(seen.queued, seen.place)) is not None:
        return held
    application = _application(seen.made)
    if application.get("status") == "DEPLOY_FAILED":
        return failed("DeployFailed", _last_words(application))
    if found is not None:
        return waiting(found.word, found.reason)
    if application.get("status") == "UNHEALTHY":
        return waiting("Unhealthy", f"no copy answers: {_last_words(application)}")
    return waiting("Starting", _starting(seen, application))


def _starting(seen: Seen, application: Object) -> str:
    up = sum((pod.get("status") or {}).get("phase") == "Running" for pod in seen.pods)
    if not seen.pods:
        return "handed to KubeRay, which has made no pods yet"
    if application.get("status") in {"DEPLOYING", "RUNNING"}:
        return "its pods run; loading the model and generating the first token"
    return f"starting Ray: {up} of {len(seen.pods)} pods run"


def _application(made: Object) -> Object:
    """Ray Serve's word on our application, from the newer cluster if there are two."""
    status = made.get("status") or {}
    for place in ("pendingServiceStatus", "activeServiceStatus"):
        found = (status.get(place) or {}).get("applicationStatuses") or {}
        if APPLICATION in found:
            return found[APPLICATION]
    return {}


def _last_words(application: Object) -> str:
    """The message of the exception, which Ray prints last."""
    deployments = (application.get("serveDeploymentStatuses") or {}).values()
    texts = [each.get("message", "") for each in deployments] + [application.get("message", "")]
    text = next((text for text in texts if text.strip()), "its copies could not start")
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return lines[-1][:1000]


def _is_copy(pod: Object) -> bool:
    return (pod["metadata"].get("labels") or {}).get("ray.io/node-type") != "head"


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
