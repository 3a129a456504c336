"""The public REST API as the command line sees it: one credential, one error shape."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import httpx

from slipway.cli import home
from slipway.cli.env import read_env


class Problem(Exception):
    """What went wrong, in words for the terminal; `status` is the HTTP status or 0."""

    def __init__(self, message: str, *, status: int = 0, body: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class Client:
    """Calls /api/v1 with the key from the environment, or with this home's first key."""

    def __init__(self, url: str = "", key: str = "") -> None:
        known = read_env(home.home() / "demo.env")
        self.url = (url or os.environ.get("SLIPWAY_URL") or known.get("SLIPWAY_URL", "")).rstrip(
            "/"
        )
        self.key = key or os.environ.get("SLIPWAY_API_KEY") or known.get("SLIPWAY_API_KEY", "")
        if not self.url or not self.key:
            raise Problem(
                "No platform is known here. Start one with `slipway up`, or set SLIPWAY_URL and "
                "SLIPWAY_API_KEY."
            )
        self._http = httpx.Client(timeout=60, headers={"authorization": f"Bearer {self.key}"})

    def call(self, method: str, path: str, **options: Any) -> Any:
        """JSON of the answer; Problem with the platform's own words where it refuses."""
        answer = self._ask(method, path, **options)
        return answer.json() if answer.content else None

    def text(self, path: str, **params: Any) -> str:
        """The answer as text, for what is no JSON document."""
        return self._ask("GET", path, params=params).text

    def raw(self, path: str, **params: Any) -> bytes:
        """The answer as bytes."""
        return self._ask("GET", path, params=params).content

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, f"{self.url}/api/v1/{path}", **options)
        except httpx.TransportError as error:
            raise Problem(
                f"{self.url} does not answer ({error}). Is the platform up? `slipway status`"
            ) from error
        if answer.status_code >= 400:
            raise _problem(answer)
        return answer

    def get(self, path: str, **params: Any) -> Any:
        return self.call("GET", path, params={k: v for k, v in params.items() if v is not None})

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        return self.call("POST", path, json=body if body is not None else {}, **options)

    def delete(self, path: str) -> Any:
        return self.call("DELETE", path)

    def pages(self, path: str, **params: Any) -> Iterator[Any]:
        """Every row of a list, page by page."""
        cursor = None
        while True:
            page = self.get(path, cursor=cursor, **params)
            yield from page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def download(self, url: str) -> Iterator[bytes]:
        """Bytes behind a signed address; no credential is sent there."""
        with httpx.stream("GET", url, timeout=60, follow_redirects=False) as answer:
            if answer.status_code >= 400:
                answer.read()
                raise Problem(f"download failed with status {answer.status_code}")
            yield from answer.iter_bytes()


def _problem(answer: httpx.Response) -> Problem:
    try:
        body = answer.json()
        error = body["error"]
    except (ValueError, KeyError, TypeError):
        return Problem(
            f"status {answer.status_code}: {answer.text[:300]}", status=answer.status_code
        )
    lines = [error["message"]]
    for detail in error.get("details", []):
        where = f"{detail['field']}: " if detail["field"] else ""
        fix = f" → {detail['fix']}" if detail["fix"] else ""
        line = f"  {where}{detail['rule']}{fix}"
        if detail["rule"] not in error["message"] or fix:
            lines.append(line)
    lines.append(f"  (request {error['request_id']})")
    return Problem("\n".join(lines), status=answer.status_code, body=body)
