"""The public REST API as the story uses it: patient with a server that restarts, never rude."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx

#: How long the story waits for a platform that went away to come back.
PATIENCE_SECONDS = 120.0


class Refused(Exception):
    """The platform said no, in its own words."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Rest:
    """Calls `/api/v1` with one key; asks again while the platform is away."""

    def __init__(self, url: str, key: str) -> None:
        self._http = httpx.Client(
            base_url=f"{url}/api/v1/", headers={"authorization": f"Bearer {key}"}, timeout=60
        )

    def close(self) -> None:
        """Give its connections back; nothing can be asked afterwards."""
        self._http.close()

    def get(self, path: str, **params: Any) -> Any:
        return self._send("GET", path, params=params)

    def post(self, path: str, body: dict[str, Any] | None = None, *, once: str = "") -> Any:
        """POST; who says the same `once` shares what the first of them made."""
        # The same key on every try: a request whose answer was lost is not carried out twice.
        key = once or uuid.uuid4().hex
        return self._send("POST", path, json=body or {}, headers={"idempotency-key": key})

    def pages(self, path: str, **params: Any) -> Iterator[Any]:
        cursor: dict[str, str] = {}
        while True:
            page = self.get(path, **params, **cursor)
            yield from page["data"]
            if page["next_cursor"] is None:
                return
            cursor = {"cursor": page["next_cursor"]}

    def named(self, path: str, name: str) -> Any:
        """The row called `name` in the list at `path`, or None."""
        return next((row for row in self.pages(path, limit=500) if row["name"] == name), None)

    def make(self, path: str, body: dict[str, Any]) -> Any:
        """POST; if that name is there already, or made at this moment, the one that is there."""
        try:
            return self.post(path, body, once=f"{path} {body['name']}")
        except Refused as error:
            if error.status != 409 or (found := self.named(path, body["name"])) is None:
                raise
            return found

    def post_once(self, path: str, body: dict[str, Any] | None = None) -> None:
        """POST a change of state, which someone else may have asked for a moment ago."""
        try:
            self.post(path, body)
        except Refused as error:
            if error.status != 409:
                raise

    def put(self, address: str, data: bytes) -> None:
        """Send bytes to a signed address; no credential goes along."""
        self._patiently(lambda: httpx.put(address, content=data, timeout=300))

    def wait(
        self,
        path: str,
        *,
        until: Callable[[dict[str, Any]], bool],
        seen: Callable[[dict[str, Any]], None] = lambda _: None,
        seconds: float = 1800,
        every: float = 0.25,
    ) -> dict[str, Any]:
        """Look at `path` until it is as wished; `seen` is shown every look. TimeoutError else."""
        deadline = time.monotonic() + seconds
        while True:
            row: dict[str, Any] = self.get(path)
            seen(row)
            if until(row):
                return row
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{path} did not get there in {seconds:.0f} s; it is {row.get('phase')}: "
                    f"{row.get('reason')}"
                )
            time.sleep(every)

    def _send(self, method: str, path: str, **options: Any) -> Any:
        answer = self._patiently(lambda: self._http.request(method, path, **options))
        return answer.json() if answer.content else None

    def _patiently(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                answer = send()
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
            else:
                if answer.status_code not in (502, 503) or time.monotonic() > deadline:
                    if answer.status_code >= 400:
                        raise _refused(answer)
                    return answer
            time.sleep(0.5)


def _refused(answer: httpx.Response) -> Refused:
    try:
        error = answer.json()["error"]
        text = f"{error['message']} (request {error['request_id']})"
        return Refused(answer.status_code, error["code"], text)
    except (ValueError, KeyError, TypeError):
        return Refused(answer.status_code, "", f"status {answer.status_code}: {answer.text[:200]}")
