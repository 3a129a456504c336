"""What a replica leaves in the run directory: its socket, the stage it is at, its last error."""

from __future__ import annotations

import http.client
import json
import pathlib
import re
import socket
import time
from dataclasses import dataclass
from typing import Any

#: Failures further apart than this are not counted together.
_FORGIVEN_AFTER_SECONDS = 600.0
#: A socket nobody listens on is left by a killed process; younger ones may be about to listen.
_STALE_AFTER_SECONDS = 5.0


@dataclass(frozen=True)
class Place:
    """Files of one replica, `engines/<workload>-<replica>.*` below the run directory."""

    run_dir: pathlib.Path
    workload: str
    replica: str

    @property
    def _stem(self) -> str:
        return f"{self.workload}-{self.replica}"

    @property
    def socket(self) -> pathlib.Path:
        return _folder(self.run_dir) / f"{self._stem}.sock"

    def say(self, stage: str) -> None:
        """Note what the replica is doing while it starts; empty when it is done starting."""
        path = _folder(self.run_dir) / f"{self._stem}.stage"
        if stage:
            _write(path, stage)
        else:
            path.unlink(missing_ok=True)

    def fail(self, error: str, *, permanent: bool) -> None:
        """Note why a replica of this workload ended; `permanent` if another try would end alike."""
        now, before = time.time(), _failure(self.run_dir, self.workload)
        recent = now - before.get("at", 0.0) < _FORGIVEN_AFTER_SECONDS
        value = {
            "error": error,
            "permanent": permanent,
            "times": before.get("times", 0) + 1 if recent else 1,
            "at": now,
        }
        _write(_error_path(self.run_dir, self.workload), json.dumps(value, ensure_ascii=False))

    def recovered(self) -> None:
        """Note that a replica answers: what failed before was not permanent."""
        if before := _failure(self.run_dir, self.workload):
            path = _error_path(self.run_dir, self.workload)
            _write(path, json.dumps(before | {"permanent": False}, ensure_ascii=False))


@dataclass(frozen=True)
class Seen:
    """What the run directory tells about one workload."""

    #: Sockets that answer and are ready.
    ready: tuple[pathlib.Path, ...]
    #: What the replica that spoke last is doing; empty when none is starting.
    stage: str
    #: Why a replica ended, and how often that happened of late.
    error: str
    times: int
    permanent: bool


def look(run_dir: pathlib.Path, workload: str) -> Seen:
    """Ask every replica of the workload for its health; drops sockets of dead processes."""
    ready = []
    for path in _own(run_dir, workload, "sock"):
        if _answers(path):
            ready.append(path)
    stages = _own(run_dir, workload, "stage")
    newest = max(stages, key=_changed_at, default=None)
    failure = _failure(run_dir, workload)
    return Seen(
        ready=tuple(ready),
        stage=_read(newest) if newest else "",
        error=failure.get("error", ""),
        times=failure.get("times", 0),
        permanent=failure.get("permanent", False),
    )


def forget(run_dir: pathlib.Path, workload: str) -> None:
    """Remove what is left of a workload that is gone."""
    for kind in ("sock", "stage"):
        for path in _own(run_dir, workload, kind):
            path.unlink(missing_ok=True)
    _error_path(run_dir, workload).unlink(missing_ok=True)


def get(path: pathlib.Path, url: str, *, timeout_seconds: float = 5.0) -> tuple[int, Any]:
    """GET a JSON document from a Unix socket; status and value. Raises OSError."""
    return request(path, "GET", url, None, timeout_seconds=timeout_seconds)


def request(
    path: pathlib.Path, method: str, url: str, body: Any, *, timeout_seconds: float = 5.0
) -> tuple[int, Any]:
    """Send a JSON request to a Unix socket; status and value. Raises OSError."""
    connection = _Connection(path, timeout_seconds)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, url, data, {"content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(f"{path}: no sensible answer: {error}") from error
    finally:
        connection.close()


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: pathlib.Path, timeout_seconds: float) -> None:
        super().__init__("engine", timeout=timeout_seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _answers(path: pathlib.Path) -> bool:
    try:
        return get(path, "/health")[0] == 200
    except ConnectionRefusedError:
        if time.time() - _changed_at(path) > _STALE_AFTER_SECONDS:
            path.unlink(missing_ok=True)
        return False
    except OSError:
        return False


def _folder(run_dir: pathlib.Path) -> pathlib.Path:
    folder = run_dir / "engines"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _own(run_dir: pathlib.Path, workload: str, kind: str) -> list[pathlib.Path]:
    # A replica's id holds no dash, so `a-1` never takes the files of `a-1-b` for its own.
    pattern = re.compile(rf"{re.escape(workload)}-[a-z0-9]+\.{kind}")
    folder = _folder(run_dir)
    return sorted(path for path in folder.iterdir() if pattern.fullmatch(path.name))


def _error_path(run_dir: pathlib.Path, workload: str) -> pathlib.Path:
    return _folder(run_dir) / f"{workload}.error"


def _failure(run_dir: pathlib.Path, workload: str) -> dict[str, Any]:
    try:
        return json.loads(_error_path(run_dir, workload).read_text())
    except (FileNotFoundError, ValueError):
        return {}


def _changed_at(path: pathlib.Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _read(path: pathlib.Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _write(path: pathlib.Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    part.replace(path)
