"""What identity providers publish of themselves, asked for only where users may send us."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from slipway.core import outward
from slipway.core.errors import Invalid
from slipway.tenancy.services.signon.seen import ProviderDown

KEPT_SECONDS = 300


def ask(method: str, url: str, **given: Any) -> outward.Answer:
    """What a provider's server says; ProviderDown where it does not, or sends us elsewhere."""
    try:
        answer = outward.ask(method, url, **given)
    except outward.NoAnswer as error:
        raise ProviderDown(str(error)) from error
    except Invalid as error:
        raise ProviderDown(f"{url[:200]}: {error.message}") from error
    if answer.status >= 500 or 300 <= answer.status < 400:
        raise ProviderDown(f"{url[:200]} answers with status {answer.status}")
    return answer


def json_object(answer: outward.Answer, url: str) -> dict[str, Any]:
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        found = None
    if answer.status != 200 or not isinstance(found, dict):
        raise ProviderDown(f"{url[:200]} answers with status {answer.status} and no JSON object")
    return found


class _Kept:
    """What was read from an URL, kept for minutes; one for the process, safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, Any]] = {}

    def get(
        self,
        url: str,
        *,
        younger_than_seconds: float = KEPT_SECONDS,
        read: Callable[[outward.Answer, str], Any] = json_object,
    ) -> Any:
        """What `read` makes of the answer of an URL. ProviderDown where there is none."""
        with self._lock:
            at, found = self._seen.get(url, (0.0, None))
        if found and time.monotonic() - at < younger_than_seconds:
            return found
        found = read(ask("GET", url), url)
        with self._lock:
            self._seen[url] = (time.monotonic(), found)
        return found

    def forget(self) -> None:
        with self._lock:
            self._seen.clear()


kept = _Kept()
