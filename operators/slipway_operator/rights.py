"""Who may do what, in one table; the chart's roles are made from it and hold nothing else."""

from __future__ import annotations

from typing import Any

from slipway_contracts.resources import GROUP, RESOURCES

_OURS = sorted(resource.plural for resource in RESOURCES)
_KUEUE = "kueue.x-k8s.io"
#: Service account → rules: groups, resources, verbs. `queues` is what the control plane gets
#: besides where it keeps Kueue's queues; it alone is for the whole cluster, as they are.
RIGHTS: dict[str, list[tuple[str, list[str], list[str]]]] = {
    "control-plane": [
        # A server-side apply that makes an object needs `create` besides `patch`.
        (GROUP, _OURS, ["create", "delete", "get", "list", "patch"]),
        ("", ["pods"], ["get", "list"]),
        ("", ["pods/log"], ["get"]),
    ],
    "queues": [
        (
            _KUEUE,
            ["clusterqueues", "cohorts", "localqueues", "resourceflavors"],
            ["create", "delete", "get", "list", "patch"],
        ),
        # The queues are owned by this very role, so that they go with the chart.
        ("rbac.authorization.k8s.io", ["clusterroles"], ["get"]),
    ],
    "operator": [
        (GROUP, _OURS, ["get", "list", "patch", "watch"]),
        (GROUP, [f"{plural}/status" for plural in _OURS], ["patch"]),
        # Where owner references may block a deletion, they need the right to finalizers.
        (GROUP, [f"{plural}/finalizers" for plural in _OURS], ["update"]),
        (
            "ray.io",
            ["rayjobs", "rayservices"],
            ["create", "delete", "get", "list", "patch", "watch"],
        ),
        (_KUEUE, ["workloads"], ["get", "list", "watch"]),
        ("", ["pods"], ["get", "list", "watch"]),
        ("", ["events"], ["create", "patch"]),
        # By this resource the operator's copies agree who works.
        ("kopf.dev", ["clusterkopfpeerings", "kopfpeerings"], ["get", "list", "patch", "watch"]),
    ],
}


def rules(account: str) -> list[dict[str, Any]]:
    """The rules of a Role, as Kubernetes has them."""
    return [
        {"apiGroups": [group], "resources": resources, "verbs": verbs}
        for group, resources, verbs in RIGHTS[account]
    ]
