"""What kopf calls: every change of ours, of KubeRay's, of Kueue's or of a pod asks for a look."""

from __future__ import annotations

import logging
import random
import threading
from typing import Any

import kopf
from prometheus_client import start_http_server

from slipway_contracts.resources import LABEL
from slipway_operator import reconcile
from slipway_operator.cluster import Again, Cluster
from slipway_operator.config import Config
from slipway_operator.mirror import ALL, OF_OURS, RUNS, SERVED, Mirror, concerned
from slipway_operator.queue import Key, Queue

logger = logging.getLogger(__name__)

THREADS = 8
#: What the watches told is compared this often with what there is: watches lose events.
COMPARE_SECONDS = 60.0
#: And everything is looked at this often, whatever else is forgotten.
RESYNC_SECONDS = 900.0
SETTLE_SECONDS = 0.5


class _NoProgress(kopf.ProgressStorage):
    """Our looks say themselves how far they are: kopf keeps nothing on the objects."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        pass

    def purge(self, **_: Any) -> None:
        pass

    def touch(self, **_: Any) -> None:
        pass

    def clear(self, *, essence: Any) -> Any:
        return essence


class _NoDifferences(kopf.DiffBaseStorage):
    """No handler asks what changed; by default kopf copies each object three times to know it."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        pass


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
    mirror = Mirror(Cluster())

    def look(key: Key) -> float | None:
        return reconcile.look(mirror, config, key.plural, key.namespace, key.name)

    queue = Queue(look, threads=THREADS, resync=RESYNC_SECONDS)
    # Quiet: that a handler was called is nothing to tell.
    kopf.configure(quiet=True, log_format=kopf.LogFormat.FULL)
    start_http_server(metrics_port)
    queue.start()
    over = threading.Event()
    comparing = threading.Thread(target=_compare, args=(mirror, queue, namespace, over))
    comparing.start()
    try:
        kopf.run(
            registry=registry(queue, mirror, wide=namespace is None),
            namespaces=[namespace] if namespace else [],
            clusterwide=namespace is None,
            peering_name=peering,
            standalone=peering is None,
            priority=random.randint(1, 2**31 - 1),
            liveness_endpoint=f"http://0.0.0.0:{port}/healthz",
        )
    finally:
        over.set()
        queue.stop()
        comparing.join(20)


def _compare(mirror: Mirror, queue: Queue, namespace: str | None, over: threading.Event) -> None:
    while not over.wait(COMPARE_SECONDS):
        try:
            for key in mirror.compare(namespace):
                queue.ask(Key(*key))
        except Again as error:
            logger.warning("what the watches told could not be compared: %s", error)
        except Exception:
            logger.exception("what the watches told could not be compared")


def registry(queue: Queue, mirror: Mirror, *, wide: bool) -> kopf.OperatorRegistry:
    """Handlers of all kinds that matter; each only says what to look at."""
    found = kopf.OperatorRegistry()

    @kopf.on.login(registry=found)
    def log_in(**asked: Any) -> Any:
        return kopf.login_with_service_account(**asked) or kopf.login_with_kubeconfig(**asked)

    @kopf.on.startup(registry=found)
    def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        # We write conditions and metrics; kopf's own events and annotations say nothing more.
        settings.posting.enabled = False
        settings.persistence.progress_storage = _NoProgress()
        settings.persistence.diffbase_storage = _NoDifferences()
        # A watch that an idle balancer has cut without a word is noticed by this.
        settings.watching.server_timeout = 300
        settings.watching.client_timeout = 330
        # Namespaces and definitions are the cluster's; with a Role alone kopf would ask for them
        # in vain for a minute. What is installed later is found by the resync.
        settings.scanning.disabled = not wide

    # On kopf's own thread: what it does is short, and a pool of threads would cost more.
    async def told(event: Any, resource: Any, body: Any, **_: Any) -> None:
        kind = (resource.group, resource.version, resource.plural)
        mirror.take(kind, event["type"], event["object"])
        # Of one workload several things change at once; a moment later one look sees them all.
        after = 0.0 if kind in (RUNS, SERVED) else SETTLE_SECONDS
        for key in concerned(kind, body):
            queue.ask(Key(*key), after=after)

    for kind in ALL:
        labels = {LABEL: kopf.PRESENT} if kind in OF_OURS else None
        kopf.on.event(*kind, labels=labels, registry=found, id="/".join(kind))(told)
    return found
