"""Why pods do not start, and why they ended, in words a user can act on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from slipway_operator.status.seen import Object, condition

#: Waiting containers: the word, and what to do about it.
_PULL = (
    "check that the image's name and digest are in your registry and the pull secret may read it"
)
_WAITING = {
    "ImagePullBackOff": ("ImagePull", _PULL),
    "ErrImagePull": ("ImagePull", _PULL),
    "ErrImageNeverPull": ("ImagePull", "the image must be on the node, for its policy is Never"),
    "InvalidImageName": ("ImagePull", "the image's name is not well-formed; correct the values"),
    "RegistryUnavailable": ("ImagePull", "the registry does not answer the node"),
    "CreateContainerConfigError": (
        "BadConfig",
        "a Secret or ConfigMap that the values name is missing in this namespace",
    ),
    "CreateContainerError": ("BadConfig", "the node cannot make the container"),
    "RunContainerError": ("BadConfig", "the node cannot start the container"),
    "CrashLoopBackOff": ("Crashing", "the container ends again and again; read its log"),
}
#: Pods that ended as a whole: the word, and what happened.
_ENDED = {
    "Evicted": ("Evicted", "its node evicted it"),
    "Preempting": ("Preempted", "a pod of higher priority took its place"),
    "Preempted": ("Preempted", "a pod of higher priority took its place"),
    "NodeLost": ("NodeLost", "its node does not answer any more"),
    "NodeShutdown": ("NodeLost", "its node was shut down"),
    "Terminated": ("NodeLost", "its node was shut down"),
    "Shutdown": ("NodeLost", "its node was shut down"),
    "UnexpectedAdmissionError": ("NodeRefused", "its node refused it"),
    "NodeAffinity": ("NodeRefused", "its node's labels do not fit any more"),
    "DeadlineExceeded": ("TooLong", "its time was over"),
}
#: The DisruptionTarget condition tells who took a pod away.
_DISRUPTED = {
    "DeletionByTaintManager": ("NodeLost", "its node was tainted, as one that does not answer is"),
    "DeletionByPodGC": ("NodeLost", "its node is gone"),
    "EvictionByEvictionAPI": ("Evicted", "its node is being drained"),
    "PreemptionByScheduler": ("Preempted", "a pod of higher priority took its place"),
    "TerminationByKubelet": ("Evicted", "its node took it away (shutdown, or short of a resource)"),
}


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """The worst that is true of a workload's pods."""

    word: str
    reason: str
    #: Whether a process was lost by it; otherwise it has only not begun.
    lost: bool


def trouble(pods: Iterable[Object]) -> Trouble | None:
    """What keeps pods from running, or ended them: losses first, then what blocks; or None."""
    found = [each for pod in pods for each in _of(pod)]
    return next((each for each in found if each.lost), found[0] if found else None)


def ready(pods: Iterable[Object]) -> list[Object]:
    """Pods that are Ready and not about to leave."""
    return [pod for pod in pods if _is_ready(pod) and "deletionTimestamp" not in pod["metadata"]]


def _is_ready(pod: Object) -> bool:
    found = condition(pod, "Ready")
    return found is not None and found["status"] == "True"


def is_deserted(pod: Object) -> bool:
    """Whether Kubernetes has given its node up.

    Its controller then says Ready is false, and no more: a kubelet would give a reason, and would
    say it of the containers, too.
    """
    ready, containers = condition(pod, "Ready"), condition(pod, "ContainersReady")
    if ready is None or containers is None:
        return False
    said = ready["status"] == "False" and not ready.get("reason")
    return said and containers["status"] == "True"


def _of(pod: Object) -> Iterator[Trouble]:
    name = pod["metadata"]["name"]
    status = pod.get("status") or {}
    yield from _containers(name, pod, status)
    reason, message = status.get("reason", ""), status.get("message", "")
    disrupted = condition(pod, "DisruptionTarget")
    if disrupted is not None and disrupted["status"] == "True":
        known = ("Evicted", "it was taken away")
        word, what = _DISRUPTED.get(disrupted["reason"], known)
        yield _lost(word, name, what, message or disrupted.get("message", ""))
    elif status.get("phase") == "Failed" and reason:
        word, what = _ENDED.get(reason, ("PodFailed", f"it failed ({reason})"))
        if reason.startswith("OutOf"):
            word, what = "NodeRefused", f"its node had too little left ({reason})"
        yield _lost(word, name, what, message)
    if is_deserted(pod):
        yield _lost("NodeLost", name, "its node does not answer", "")
    scheduled = condition(pod, "PodScheduled")
    if scheduled is not None and scheduled["status"] == "False":
        yield _unscheduled(name, scheduled)


def _containers(name: str, pod: Object, status: Object) -> Iterator[Trouble]:
    listed = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    for container in listed:
        # A container that was started again remembers its last end.
        now, before = container.get("state") or {}, container.get("lastState") or {}
        ended = now.get("terminated") or (before.get("terminated") if now.get("waiting") else None)
        if ended and ended.get("reason") == "OOMKilled":
            limit = _memory_limit(pod, container["name"])
            text = (
                f"out of memory: pod {name} was killed at its limit of {limit}; "
                "a smaller batch or shorter sequences need less, or ask for more memory"
            )
            yield Trouble(word="OutOfMemory", reason=text, lost=True)
        elif ended and ended.get("exitCode"):
            code = ended["exitCode"]
            how = f"signal {code - 128}" if code > 128 else f"exit status {code}"
            said = _last_line(ended.get("message", ""))
            yield _lost("ContainerFailed", name, f"its container ended with {how}", said)
        elif (waits := now.get("waiting")) and waits.get("reason") in _WAITING:
            word, fix = _WAITING[waits["reason"]]
            said = _last_line(waits.get("message", ""))
            text = f"pod {name}: {waits['reason']} for image {container.get('image', '?')}"
            if word != "ImagePull":
                text = f"pod {name}: {waits['reason']}"
            yield Trouble(
                word=word, reason=f"{text}: {said}; {fix}".replace(": ;", ";"), lost=False
            )


def _unscheduled(name: str, scheduled: Object) -> Trouble:
    message = scheduled.get("message", "")
    if scheduled.get("reason") == "SchedulingGated":
        text = f"pod {name} is held back by a scheduling gate"
        return Trouble(word="Gated", reason=text, lost=False)
    text = (
        f"no node can take pod {name} now: {message or 'the scheduler gives no reason'}; "
        "it starts when one has room, or ask for less"
    )
    return Trouble(word="Unschedulable", reason=text, lost=False)


def _lost(word: str, name: str, what: str, message: str) -> Trouble:
    text = f"pod {name} was lost: {what}"
    return Trouble(word=word, reason=f"{text} ({message.strip()})" if message else text, lost=True)


def _memory_limit(pod: Object, container: str) -> str:
    for each in (pod.get("spec") or {}).get("containers", []):
        if each["name"] == container:
            return str((each.get("resources") or {}).get("limits", {}).get("memory", "the node"))
    return "the node"


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip()[:500] if lines else ""
