"""What a RayJob's status means for the Run it was made for."""

from __future__ import annotations

from collections.abc import Callable

from slipway_contracts.workload import State
from slipway_operator.status import pods, queue
from slipway_operator.status.seen import Seen, Verdict, failed, waiting

_FAILED_BECAUSE = {
    "SubmissionFailed": ("SubmissionFailed", "it could not be handed to Ray"),
    "DeadlineExceeded": ("TooLong", "its time was over"),
    "AppFailed": ("RunFailed", "the run ended with an error"),
    "JobDeploymentStatusTransitionGracePeriodExceeded": (
        "RayLost",
        "Ray did not say how the run ended; its head was probably lost",
    ),
    "ValidationFailed": ("Refused", "KubeRay refuses the manifest"),
}


def verdict(seen: Seen) -> Verdict:
    """Every deployment status that KubeRay knows, and any it may learn, has its meaning here."""
    if seen.made is None:
        return waiting("Sending", "being handed to KubeRay")
    deployment = seen.status.get("jobDeploymentStatus", "")
    reader = _READERS.get(deployment)
    if reader is None:
        reason = (
            f"KubeRay reports a status that is not known here: {deployment!r} (another version?)"
        )
        return waiting("Unknown", reason)
    return reader(seen)


def _new(seen: Seen) -> Verdict:
    if (held := _held(seen)) is not None:
        return held
    return waiting("Sent", "handed to KubeRay, whose operator has not looked at it yet")


def _held(seen: Seen) -> Verdict | None:
    made = seen.made or {}
    if seen.queued is not None:
        return queue.verdict(seen.queued, seen.place)
    name = made["metadata"].get("labels", {}).get("kueue.x-k8s.io/queue-name")
    if name and made["spec"].get("suspend"):
        reason = (
            f"queue {name}: Kueue has not taken it in yet (is Kueue running, with RayJob enabled?)"
        )
        return waiting("Queued", reason)
    if made["spec"].get("suspend"):
        return waiting("Suspended", "suspended by hand: spec.suspend of the RayJob is true")
    return None


def _initializing(seen: Seen) -> Verdict:
    found = pods.trouble(seen.pods)
    if found is not None:
        return waiting(found.word, found.reason)
    ready = len(pods.ready(seen.pods))
    return waiting("Starting", f"starting Ray: {ready} of {max(len(seen.pods), 1)} pods are ready")


def _running(seen: Seen) -> Verdict:
    found = pods.trouble(seen.pods)
    if found is not None and found.lost:
        # KubeRay would wait for minutes, or start a new head that knows nothing of the run.
        return failed(found.word, found.reason)
    if seen.status.get("jobStatus", "") in {"", "PENDING"}:
        return waiting("Submitting", "Ray is up; the run is being handed to it")
    return Verdict(state=State.RUNNING, word="Running")


def _complete(seen: Seen) -> Verdict:
    ended = seen.status.get("jobStatus", "")
    if ended == "SUCCEEDED":
        return Verdict(state=State.SUCCEEDED, word="Succeeded")
    if ended == "STOPPED":
        return failed("Stopped", "it was stopped in Ray by hand")
    return _failed(seen)


def _failed(seen: Seen) -> Verdict:
    # What happened to the pods says more than KubeRay's own message.
    found = pods.trouble(seen.pods)
    if found is not None and found.word != "ContainerFailed":
        return failed(found.word, found.reason)
    word, what = _FAILED_BECAUSE.get(
        seen.status.get("reason", ""), ("RunFailed", "the run ended with an error")
    )
    message = " ".join(seen.status.get("message", "").split())
    text = f"{what}: {message[:1000]}" if message else what
    return failed(word, f"{text} ({found.reason})" if found else text)


def _suspending(seen: Seen) -> Verdict:
    held = _held(seen)
    if held is not None and held.word == "Preempted":
        return held
    return waiting("Suspending", "being taken out of its place; its pods are being removed")


def _suspended(seen: Seen) -> Verdict:
    return _held(seen) or waiting("Resuming", "admitted; KubeRay is about to start it")


def _retrying(_: Seen) -> Verdict:
    return waiting("Retrying", "KubeRay starts it once more")


def _interactive(_: Seen) -> Verdict:
    return waiting("Waiting", "Ray is up and waits for the run to be handed to it")


_READERS: dict[str, Callable[[Seen], Verdict]] = {
    "": _new,
    "Initializing": _initializing,
    "Running": _running,
    "Complete": _complete,
    "Failed": _failed,
    "ValidationFailed": _failed,
    "Suspending": _suspending,
    "Suspended": _suspended,
    "Retrying": _retrying,
    "Waiting": _interactive,
}
