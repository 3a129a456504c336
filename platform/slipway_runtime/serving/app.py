"""The Ray Serve application of one deployment: a thin replica around each engine process.

The replica itself imports neither torch nor transformers. It starts the engine as a child,
tells Serve whether it is well, and ends with it; requests go to the engine's socket directly.
`deploy`, `observe` and `delete` are called in a process that is a Ray driver already.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import os
import pathlib
import threading
import time
from typing import Any

from slipway_contracts.workload import Observation, State, Workload, to_json
from slipway_runtime import places
from slipway_runtime.serving import launch, sockets

_DEPLOYMENT = "engine"
#: Time for running answers to end when a replica is stopped; the process gets a little more.
GRACE_SECONDS = 30.0


class _Statuses:
    """Serve's own status, shared by all who look at once: it takes Serve 20 ms to say it."""

    SECONDS = 0.5

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, Any] = {}
        self._good_until = 0.0

    def get(self) -> dict[str, Any]:
        """Applications by name, at most SECONDS old and never from before `forget`."""
        from ray import serve

        with self._lock:
            if time.monotonic() > self._good_until:
                self._known = serve.status().applications
                self._good_until = time.monotonic() + self.SECONDS
            return self._known

    def forget(self) -> None:
        """Something was changed: what is known is old."""
        with self._lock:
            self._good_until = 0.0


_statuses = _Statuses()


class EngineFailed(Exception):
    """The engine's process could not start or has ended."""


class Replica:
    """One copy of the model, as Ray Serve sees it."""

    # Serve awaits it; Python itself would not.
    async def __init__(  # type: ignore[misc]
        self, order: dict[str, Any], run_dir: str, log_path: str
    ) -> None:
        from ray import serve

        replica = serve.get_replica_context().replica_id.unique_id
        self._place = sockets.Place(pathlib.Path(run_dir), order["name"], replica.lower())
        self._stopping = False
        self._place.say("starting the engine's libraries")
        threads = int(order["settings"].get("threads", 1))
        self._process = await launch.launch(
            pathlib.Path(run_dir), pathlib.Path(log_path), threads=threads
        )
        self._process.order({"socket": str(self._place.socket), "workload": order})
        try:
            await self._until_ready()
        except EngineFailed:
            await self._end(0)
            raise
        finally:
            self._place.say("")
        self._place.recovered()
        self._watcher = asyncio.create_task(self._watch())

    async def check_health(self) -> None:
        """Raise when this copy should be replaced."""
        status, answer = await asyncio.to_thread(sockets.get, self._place.socket, "/health")
        # vLLM's answer has no body; ours says what is wrong.
        if status != 200 and not self._stopping:
            raise EngineFailed(f"the engine is not well: {answer}")

    async def __del__(self) -> None:
        """Stop taking requests, let running answers end, then end the engine."""
        self._stopping = True
        await self._end(GRACE_SECONDS + 5)

    async def _until_ready(self) -> None:
        while line := await self._process.lines.readline():
            said = json.loads(line)
            if "stage" in said:
                self._place.say(said["stage"])
            if "ready" in said:
                return
            if "error" in said:
                self._place.fail(said["error"], permanent=said["permanent"])
                raise EngineFailed(said["error"])
        raise EngineFailed(self._died(await self._process.wait()))

    async def _watch(self) -> None:
        """When the engine ends by itself, end with it: Serve then starts a new replica."""
        how = await self._process.wait()
        if not self._stopping:
            self._died(how)
            self._place.socket.unlink(missing_ok=True)
            os._exit(1)

    def _died(self, how: str) -> str:
        error = f"the engine's process {how}; its last words are in the deployment's log"
        self._place.fail(error, permanent=False)
        return error

    async def _end(self, grace_seconds: float) -> None:
        self._process.end_input()
        try:
            await asyncio.wait_for(self._process.wait(), grace_seconds)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        self._place.socket.unlink(missing_ok=True)


def start() -> None:
    """Start Serve without its HTTP proxies; does nothing when it runs already."""
    from ray import serve

    serve.start(proxy_location="Disabled")


def deploy(workload: Workload, run_dir: pathlib.Path) -> None:
    """Make `workload.replicas` copies run; again with another number scales. Does not wait."""
    from ray import serve

    start()
    order = dataclasses.asdict(dataclasses.replace(workload, replicas=1))
    target: Any = serve.deployment(
        Replica,
        name=_DEPLOYMENT,
        num_replicas=workload.replicas,
        ray_actor_options={"num_cpus": 0, "num_gpus": workload.gpus},
        health_check_period_s=2,
        health_check_timeout_s=30,
        graceful_shutdown_wait_loop_s=0.1,
        graceful_shutdown_timeout_s=GRACE_SECONDS + 10,
        max_constructor_retry_count=3,
    )
    # The same content is the same version: applying again or scaling leaves running copies
    # alone. Left to itself Serve takes every call for a new version and restarts them all.
    version = hashlib.sha256(to_json(Workload(**order)).encode()).hexdigest()[:16]
    target = target.options(version=version, _internal=True)
    application = target.bind(order, str(run_dir), str(places.log_file(workload.name)))
    serve.run_many(
        [serve.RunTarget(application, name=workload.name, route_prefix=None)],
        wait_for_ingress_deployment_creation=False,
        wait_for_applications_running=False,
    )
    _statuses.forget()


def observe(name: str, run_dir: pathlib.Path) -> Observation:
    """What is there of the deployment now; endpoints are `unix:` paths that are ready."""
    from ray.serve.schema import ApplicationStatus

    application = _statuses.get().get(name)
    if application is None:
        return Observation(state=State.ABSENT)
    seen = sockets.look(run_dir, name)
    endpoints = tuple(f"unix:{path}" for path in seen.ready)
    engine = application.deployments.get(_DEPLOYMENT)
    wanted = sum(engine.replica_states.values()) if engine else 0
    again = f"; it ended {seen.times} times of late, last: {seen.error}" if seen.error else ""
    doing = (seen.stage or "starting a process for the model") + again
    if endpoints:
        missing = wanted - len(endpoints)
        reason = f"{len(endpoints)} of {wanted} copies answer; {doing}" if missing > 0 else ""
        return Observation(state=State.RUNNING, reason=reason, endpoints=endpoints)
    if application.status == ApplicationStatus.DELETING:
        return Observation(state=State.WAITING, reason="stopping: letting running answers end")
    if seen.permanent:
        return Observation(state=State.FAILED, reason=seen.error)
    if application.status == ApplicationStatus.DEPLOY_FAILED:
        message = seen.error or (engine.message if engine else application.message)
        return Observation(state=State.FAILED, reason=message)
    return Observation(state=State.WAITING, reason=doing)


def delete(name: str, run_dir: pathlib.Path) -> None:
    """Make the deployment not exist. Does not wait for running answers; they may end."""
    from ray import serve

    if name in serve.status().applications:
        serve.delete(name, _blocking=False)
        _statuses.forget()
    else:
        sockets.forget(run_dir, name)
