"""The workers host: one run as a group of Ray Train workers that compute together.

A Ray actor per run drives `TorchTrainer`; stopping the run kills that actor, and Ray ends what
it owns. A worker that dies is a fault of the machine: the group starts again and resumes from
the run's newest whole checkpoint.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from slipway_contracts.workload import (
    Failure,
    Workload,
    failure_from_json,
    failure_name,
    to_json,
    workload_from_json,
)
from slipway_runtime import files, places, run
from slipway_runtime.hosts import output

#: How often a group is started again before the run has failed.
GROUP_RESTARTS = 3
FAILURE_POLL_SECONDS = 1.0


class Groups:
    """The groups that run on this node, for a process that is a Ray driver."""

    def __init__(self, ended: Callable[[str, str], None], *, threads: int) -> None:
        """`ended(name, reason)` is called once per run, from a thread; no reason is success."""
        self._ended = ended
        self._threads = threads
        self._drivers: dict[str, Any] = {}

    def start(self, workload: Workload) -> None:
        import ray

        remote: Any = ray.remote(GroupDriver)
        driver = remote.options(num_cpus=0, max_restarts=0).remote()
        self._drivers[workload.name] = driver
        threads = max(1, self._threads // workload.workers)
        result = driver.fit.remote(to_json(workload), threads=threads)
        threading.Thread(target=self._await, args=(workload.name, result), daemon=True).start()

    def stop(self, name: str) -> bool:
        """Kill the group; False if there is none of this name. Its end is told as usual."""
        import ray

        driver = self._drivers.get(name)
        if driver is not None:
            ray.kill(driver)
        return driver is not None

    def _await(self, name: str, result: Any) -> None:
        import ray

        try:
            reason = ray.get(result)
        except ray.exceptions.RayError as error:
            reason = f"the group's driver ended: {error}"
        # Also after a normal return: what the group still runs ends with its driver.
        ray.kill(self._drivers.pop(name))
        if not self._drivers:
            _end_coordinator()
        shutil.rmtree(_storage(name), ignore_errors=True)
        self._ended(name, reason)


class GroupDriver:
    """A Ray actor: fits one run and returns the reason of its failure, empty for success."""

    def fit(self, text: str, *, threads: int) -> str:
        import ray.train
        from ray.train.torch import TorchConfig, TorchTrainer

        workload = workload_from_json(text)
        trainer = TorchTrainer(
            carry_out_rank,
            train_loop_config={"workload": text, "threads": threads},
            torch_config=TorchConfig(backend="nccl" if workload.gpus else "gloo"),
            scaling_config=ray.train.ScalingConfig(
                num_workers=workload.workers,
                use_gpu=workload.gpus > 0,
                # Ray's CPUs are only counted here; threads are what we set.
                resources_per_worker={"CPU": 1} | ({"GPU": 1} if workload.gpus else {}),
            ),
            run_config=ray.train.RunConfig(
                name=workload.name,
                storage_path=str(_storage(workload.name)),
                failure_config=ray.train.FailureConfig(max_failures=GROUP_RESTARTS),
            ),
        )
        trouble: list[BaseException] = []
        thread = threading.Thread(target=_fit, args=(trainer, trouble), daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(FAILURE_POLL_SECONDS)
            failure = _failure(workload)
            if failure is not None:
                # A fault of the request: starting the group again would only repeat it. Returning
                # is enough, since this actor is then killed and with it all that it owns.
                return failure.reason
        return str(trouble[0])[:2000] if trouble else ""


def carry_out_rank(config: dict[str, Any]) -> None:
    """What every worker of the group does."""
    import ray.train
    import torch

    workload = workload_from_json(config["workload"])
    output.print_to_log(workload.name)
    torch.set_num_threads(config["threads"])
    place = ray.train.get_context()
    failure = run.carry_out(
        workload,
        rank=place.get_world_rank(),
        world_size=place.get_world_size(),
        started_again=True,
    )
    if failure is not None:
        raise RuntimeError(failure.reason)


def _fit(trainer: Any, trouble: list[BaseException]) -> None:
    try:
        trainer.fit()
    except Exception as error:  # noqa: BLE001 - told by the driver
        trouble.append(error)


def _end_coordinator() -> None:
    """End the actor that Ray Train leaves behind for autoscaling; it is made anew when needed."""
    import ray

    with suppress(ValueError):
        ray.kill(ray.get_actor("AutoscalingCoordinator", namespace="AutoscalingCoordinator"))


def _storage(name: str) -> Path:
    """Where Ray Train keeps its own notes; nothing of ours."""
    return places.run_dir() / "train" / name


def _failure(workload: Workload) -> Failure | None:
    uri = files.join(workload.output_uri, failure_name(workload.attempt))
    try:
        return failure_from_json(files.read(uri))
    except files.Missing:
        return None
