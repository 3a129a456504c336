"""Bodies nobody has a right to send are refused before a byte of them is kept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest


def ask(method: str, path: str, headers: dict[str, str], query: str = "") -> tuple[int, bool]:
    """Status of the answer, and whether the body was read for it."""
    from slipway import asgi

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http",
        "method": method, "path": path, "raw_path": path.encode(), "root_path": "",
        "query_string": query.encode(), "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    sent: list[dict[str, Any]] = []
    read = False

    async def receive() -> dict[str, Any]:
        nonlocal read
        read = True
        return {"type": "http.request", "body": b"x", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(asgi.application(scope, receive, send))
    return sent[0]["status"], read


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/api/v1/datasets", {"content-length": "999999999"}, 413),
        ("POST", "/api/v1/datasets", {"transfer-encoding": "chunked"}, 411),
        ("POST", "/api/v1/datasets", {"content-length": "many"}, 411),
        ("PUT", "/storage/projects/x", {"content-length": "1000"}, 403),
        ("PUT", "/storage/projects/x", {"transfer-encoding": "chunked"}, 411),
        ("PUT", "/storage/projects/x", {"content-length": str(6 * 1024**3)}, 413),
    ],
)
def test_a_body_without_right_or_measure_is_not_read(
    method: str, path: str, headers: dict[str, str], status: int
) -> None:
    assert ask(method, path, headers) == (status, False)
