"""Compute on this machine: asks the node agent over its Unix socket."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.conf import settings

from slipway.backends.compute import ComputeUnavailable, Readiness, Room
from slipway_contracts.workload import Observation, Workload, observation_from_json, to_json

#: The agent answers at once or not at all; engines are asked for their health meanwhile.
TIMEOUT_SECONDS = 10.0
#: The driver shows a folder here for each GPU.
NVIDIA = Path("/proc/driver/nvidia/gpus")


class Local:
    """`Compute` by the agent that `slipway up` keeps running beside the control plane."""

    def __init__(self, socket_path: Path | None = None) -> None:
        self._path = socket_path or settings.NODE_SOCKET

    def apply(self, workload: Workload) -> None:
        self._ask("PUT", _address(workload.name), to_json(workload).encode())

    def observe(self, name: str) -> Observation:
        return observation_from_json(self._ask("GET", _address(name))[0])

    def delete(self, name: str) -> None:
        self._ask("DELETE", _address(name))

    def logs(self, name: str) -> Iterator[str]:
        offset = 0
        while True:
            text, headers = self._ask("GET", f"{_address(name)}/logs?offset={offset}")
            if not text:
                return
            yield from text.decode(errors="replace").splitlines()
            offset = int(headers["X-Next-Offset"])

    def readiness(self) -> Readiness:
        try:
            answer = json.loads(self._ask("GET", "/readiness")[0])
        except ComputeUnavailable as error:
            return Readiness(ready=False, reason=str(error))
        return Readiness(ready=answer["ready"], reason=answer["reason"])

    def room(self) -> Room:
        return Room(
            cpus=len(os.sched_getaffinity(0)),
            gpus=len(list(NVIDIA.glob("*"))),
            memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        )

    def names(self) -> list[str]:
        return json.loads(self._ask("GET", "/workloads")[0])["names"]

    def _ask(
        self, method: str, url: str, body: bytes | None = None
    ) -> tuple[bytes, http.client.HTTPMessage]:
        connection = _UnixConnection(self._path)
        try:
            connection.request(method, url, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise ComputeUnavailable(
                f"the node agent does not answer at {self._path} ({error}); it is started again"
                " by `slipway up`, see `slipway status`"
            ) from error
        finally:
            connection.close()
        if answer.status == 400:
            raise ValueError(_error(data))
        if answer.status >= 300:
            raise ComputeUnavailable(f"the node agent cannot do this now: {_error(data)}")
        return data, answer.headers


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("node", timeout=TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock: Any = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _address(name: str) -> str:
    return f"/workloads/{quote(name, safe='')}"


def _error(data: bytes) -> str:
    try:
        return json.loads(data)["error"]
    except (ValueError, KeyError):
        return data[:200].decode(errors="replace")
