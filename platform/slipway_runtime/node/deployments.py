"""SERVE workloads of this node: Ray Serve applications, made and removed one after the other."""

from __future__ import annotations

import logging
import threading
import time

from slipway_contracts.workload import Observation, State, Workload
from slipway_runtime import places

logger = logging.getLogger(__name__)

RETRY_SECONDS = 2.0


class Deployments:
    """What should be served; a thread makes it so, because Serve's own calls take seconds."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._wanted: dict[str, Workload] = {}
        self._deployed: dict[str, Workload] = {}
        self._ending: set[str] = set()
        self._trouble: dict[str, str] = {}
        self._ray_is_there = False

    def place(self, workload: Workload) -> None:
        """Serve this; the same name with another number of replicas scales."""
        with self._changed:
            self._wanted[workload.name] = workload
            self._changed.notify_all()

    def delete(self, name: str) -> None:
        with self._changed:
            self._wanted.pop(name, None)
            self._changed.notify_all()

    def has(self, name: str) -> bool:
        return name in self._wanted or name in self._deployed

    def names(self) -> list[str]:
        with self._changed:
            return sorted(self._wanted.keys() | self._deployed.keys())

    def observe(self, name: str, *, warming: str) -> Observation:
        from slipway_runtime.serving import app

        with self._changed:
            deployed = name in self._deployed
            trouble = self._trouble.get(name, "")
        if deployed:
            seen = app.observe(name, places.run_dir())
            if seen.state is not State.ABSENT or name not in self._wanted:
                return seen
        if name not in self._wanted:
            return Observation(state=State.ABSENT)
        stage = "starting Ray Serve" if self._ray_is_there else warming
        return Observation(state=State.WAITING, reason=trouble or stage)

    def ray_is_there(self) -> None:
        """Ray has started: from now on make it so."""
        self._ray_is_there = True
        threading.Thread(target=self._keep, name="deployments", daemon=True).start()

    def _keep(self) -> None:
        while True:
            with self._changed:
                pause = RETRY_SECONDS if self._ending else None
                self._changed.wait_for(lambda: self._next() is not None, timeout=pause)
                name, workload = self._next() or ("", None)
            try:
                if name:
                    self._make_so(name, workload)
                self._notice_ended()
            except Exception as error:
                logger.exception("could not change deployment %s", name)
                with self._changed:
                    self._trouble[name] = f"trying again: {type(error).__name__}: {error}"
                time.sleep(RETRY_SECONDS)

    def _next(self) -> tuple[str, Workload | None] | None:
        """A deployment that differs from what is wanted; None as its workload removes it."""
        for name, workload in self._wanted.items():
            if self._deployed.get(name) != workload and name not in self._ending:
                return name, workload
        for name in self._deployed:
            if name not in self._wanted and name not in self._ending:
                return name, None
        return None

    def _make_so(self, name: str, workload: Workload | None) -> None:
        from slipway_runtime.serving import app

        if workload is None:
            app.delete(name, places.run_dir())
            with self._changed:
                self._ending.add(name)
            return
        app.deploy(workload, places.run_dir())
        with self._changed:
            self._deployed[name] = workload
            self._trouble.pop(name, None)

    def _notice_ended(self) -> None:
        """A deployment is gone only when its replicas are; until then it is seen as stopping."""
        from slipway_runtime.serving import app

        for name in list(self._ending):
            if app.observe(name, places.run_dir()).state is State.ABSENT:
                # Once more: now it removes the files that the replicas left.
                app.delete(name, places.run_dir())
                with self._changed:
                    self._ending.discard(name)
                    self._deployed.pop(name, None)
                    self._trouble.pop(name, None)
