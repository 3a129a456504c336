"""A running door for tests: the real web process, a worker beside it, a scripted engine behind."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
from gateway_world import Engine
from live import ROOT, environment_of, free_port, wait_for


class Door:
    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder, self.home = folder, folder / "home"
        #: Of the environment, beside the usual ones.
        self.settings = settings
        self.engine = Engine(folder)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self.keys: dict[str, str] = {}
        self.processes: list[subprocess.Popen[str]] = []
        # One for all: making one reads the certificates of the world.
        self.http = httpx.Client(timeout=90)

    def start(self, worker: str = "1") -> subprocess.Popen[str]:
        """Start the process (`worker`: 1 with it, 0 without, only it); waits until it answers."""
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "door_process.py"), str(self.home),
             str(self.port), self.engine.address],
            env=environment_of(self.home, self.port, DOOR_WORKER=worker, **self.settings),
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.processes.append(process)
        assert process.stdout is not None
        said = json.loads(process.stdout.readline() or "{}")
        if worker != "only":
            self.keys = said
            wait_for("the door", self._answers, seconds=240)
        return process

    def _answers(self) -> bool:
        return self.http.get(f"{self.url}/models").status_code == 401

    def client(self, who: str = "acme-owner", **options: Any) -> openai.OpenAI:
        return openai.OpenAI(
            base_url=self.url, api_key=self.keys[who], http_client=self.http,
            **{"max_retries": 0} | options,
        )  # fmt: skip

    def call(self, method: str, path: str, who: str = "acme-owner", **options: Any) -> Any:
        headers = {"authorization": f"Bearer {self.keys[who]}"} | options.pop("headers", {})
        return self.http.request(method, f"{self.url}/{path}", headers=headers, **options)

    def close(self) -> None:
        self.http.close()
        for process in self.processes:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self.engine.close()


@contextlib.contextmanager
def running_door(worker: str = "1", **settings: str) -> Iterator[Door]:
    # Unix socket paths are short; a test's own folder may not be.
    with tempfile.TemporaryDirectory(prefix="door-") as folder:
        door = Door(Path(folder), **settings)
        try:
            door.start(worker)
            yield door
        finally:
            door.close()


def error_of(response: httpx.Response) -> dict[str, Any]:
    """The error object, which must be whole wherever it comes from."""
    assert response.headers["content-type"] == "application/json", response.text
    assert response.headers["x-request-id"].startswith("req_")
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return dict(body["error"])


def until(what: str, look: Callable[[], Any], *, seconds: float = 20) -> Any:
    return wait_for(what, look, seconds=seconds)


def rows_of(count: int) -> bytes:
    """Lines of chats that a model can be tuned with."""
    return b"".join(
        json.dumps(
            {"messages": [{"role": "user", "content": f"what is {n} and {n}"},
                          {"role": "assistant", "content": str(2 * n)}]}
        ).encode() + b"\n"
        for n in range(count)
    )  # fmt: skip
