"""What kopf calls: every change of ours, of KubeRay's, of Kueue's or of a pod asks for a look."""

from __future__ import annotations

import random
from typing import Any

import kopf
from prometheus_client import start_http_server

from slipway_contracts.resources import GROUP, LABEL, VERSION
from slipway_operator import reconcile
from slipway_operator.cluster import Cluster
from slipway_operator.config import Config
from slipway_operator.queue import Key, Queue

THREADS = 8
#: Everything is looked at this often even if no event came: watches lose events.
RESYNC_SECONDS = 60.0
#: Of one workload several pods change at once; a moment later one look sees them all.
SETTLE_SECONDS = 0.2


def run(
    config: Config,
    *,
    namespace: str | None,
    peering: str | None,
    port: int,
    metrics_port: int,
) -> None:
    """Look after one namespace (None: all) until told to stop.

    Copies that share a peering agree by priority who works; equal ones would all stand by.
    """
    cluster = Cluster()

    def look(key: Key) -> float | None:
        return reconcile.look(cluster, config, key.plural, key.namespace, key.name)

    queue = Queue(look, threads=THREADS, resync=RESYNC_SECONDS)
    # Quiet: that a handler was called is nothing to tell.
    kopf.configure(quiet=True, log_format=kopf.LogFormat.FULL)
    start_http_server(metrics_port)
    queue.start()
    try:
        kopf.run(
            registry=registry(queue, wide=namespace is None),
            namespaces=[namespace] if namespace else [],
            clusterwide=namespace is None,
            peering_name=peering,
            standalone=peering is None,
            priority=random.randint(1, 2**31 - 1),
            liveness_endpoint=f"http://0.0.0.0:{port}/healthz",
        )
    finally:
        queue.stop()


def registry(queue: Queue, *, wide: bool) -> kopf.OperatorRegistry:
    """Handlers of all kinds that matter; each only says what to look at."""
    found = kopf.OperatorRegistry()

    @kopf.on.login(registry=found)
    def log_in(**asked: Any) -> Any:
        return kopf.login_with_service_account(**asked) or kopf.login_with_kubeconfig(**asked)

    @kopf.on.startup(registry=found)
    def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        # We write conditions and metrics; kopf's own events and annotations say nothing more.
        settings.posting.enabled = False
        # A watch that an idle balancer has cut without a word is noticed by this.
        settings.watching.server_timeout = 300
        settings.watching.client_timeout = 330
        # Namespaces and definitions are the cluster's; with a Role alone kopf would ask for them
        # in vain for a minute. What is installed later is found by the resync.
        settings.scanning.disabled = not wide

    @kopf.on.event(GROUP, VERSION, kopf.EVERYTHING, registry=found)
    def ours(event: Any, resource: Any, namespace: str, name: str, **_: Any) -> None:
        key = Key(resource.plural, namespace, name)
        if event["type"] != "DELETED" and key.plural in reconcile.KINDS:
            queue.ask(key)

    for plural, kind in reconcile.KINDS.items():
        group, version, made = kind.made

        @kopf.on.event(group, version, made, labels={LABEL: kopf.PRESENT}, registry=found, id=made)
        def theirs(namespace: str, name: str, owner: str = plural, **_: Any) -> None:
            queue.ask(Key(owner, namespace, name), after=SETTLE_SECONDS)

    @kopf.on.event("kueue.x-k8s.io", "v1beta1", "workloads", registry=found)
    @kopf.on.event("", "v1", "pods", labels={LABEL: kopf.PRESENT}, registry=found)
    def parts(body: Any, namespace: str, **_: Any) -> None:
        if (found := reconcile.subject(body)) is not None:
            queue.ask(Key(found[0], namespace, found[1]), after=SETTLE_SECONDS)

    return found
