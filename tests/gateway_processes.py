"""Engines and gateways as processes of their own, and clients that count what they see."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway_world import SECRET, wait_until

HERE = Path(__file__).parent


class Processes:
    """Engines and gateways as processes of their own, all of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.spool = folder, folder / "spool"
        self._made: list[subprocess.Popen[bytes]] = []

    def _begin(self, *command: str, **env: str) -> subprocess.Popen[bytes]:
        paths = os.pathsep.join([str(HERE), *sys.path])
        made = subprocess.Popen(
            [sys.executable, *command], cwd=HERE, env=os.environ | env | {"PYTHONPATH": paths}
        )
        self._made.append(made)
        return made

    def address(self, name: str) -> str:
        return f"unix:{self.folder / name}.sock"

    def engine(self, name: str) -> subprocess.Popen[bytes]:
        path = self.folder / f"{name}.sock"
        made = self._begin("gateway_engine.py", str(path))
        wait_until(path.exists, seconds=30)
        return made

    def gateway(self, *engines: str, **env: str) -> tuple[subprocess.Popen[bytes], int]:
        """The process, and its port."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        made = self._begin(
            *("-m", "uvicorn", "gateway_process:app", "--port", str(port), "--loop", "uvloop"),
            *("--log-level", "error", "--interface", "asgi3", "--http", "gateway_process:Protocol"),
            ENGINE=",".join(map(self.address, engines)),
            SPOOL=str(self.spool),
            **env,
        )

        def listens() -> bool:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except ConnectionRefusedError:
                return False
            return True

        wait_until(listens, seconds=30)
        return made, port

    def records(self) -> dict[str, dict[str, Any]]:
        """What is spooled, by request id, each once as the ledger has it."""
        lines = [
            json.loads(line)
            for path in sorted(self.spool.glob("*.jsonl"))
            for line in path.read_text().splitlines()
        ]
        return {line["request_id"]: line for line in reversed(lines)}

    def end(self) -> None:
        for made in self._made:
            made.kill()
            made.wait()


@contextlib.contextmanager
def running() -> Iterator[Processes]:
    """Ended, all of them, at the end."""
    # Unix socket paths are short; a test's own folder may not be.
    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        made = Processes(Path(folder))
        try:
            yield made
        finally:
            made.end()


class Asker:
    """One client and its one stream."""

    def __init__(self, port: int, user: str, secret: str = SECRET) -> None:
        self._port, self._user, self._secret = port, user, secret
        self.got = b""
        self.ended = False

    @property
    def request(self) -> bytes:
        asked = {"model": "m", "stream": True, "messages": [], "user": self._user}
        body = json.dumps(asked).encode()
        return (
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\n"
            b"content-length: %d\r\n\r\n%b" % (self._secret.encode(), len(body), body)
        )

    async def run(self) -> None:
        """Until its answer has ended."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(self.request)
        try:
            while not self._whole() and (piece := await reader.read(65536)):
                self.got += piece
        except ConnectionResetError:
            pass
        finally:
            writer.transport.abort()
        self.ended = True

    def _whole(self) -> bool:
        head, blank, body = self.got.partition(b"\r\n\r\n")
        _, told, length = head.partition(b"content-length: ")
        if told:
            return bool(blank) and len(body) == int(length.partition(b"\r\n")[0])
        return body.endswith(b"\r\n0\r\n\r\n")

    @property
    def events(self) -> int:
        """Tokens that were seen."""
        return self.got.count(b'"content"')

    @property
    def id(self) -> str:
        return self.got.partition(b"x-request-id: ")[2].partition(b"\r\n")[0].decode()
