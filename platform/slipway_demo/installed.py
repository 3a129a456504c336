"""`python -m slipway_demo.installed`: prove an installation from outside, as `helm test` does.

Signs in as the first owner, makes a key, tells the story with it, is refused over a limit, and
takes the key away again. Reads SLIPWAY_URL, SLIPWAY_ADMIN_PASSWORD, and SLIPWAY_GATEWAY where
/v1 is answered at another address.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
import tempfile
from typing import Any

import httpx
import openai

from slipway_demo import rest, story

#: Of the key that is made for this; a limit of one a minute is met by the second request.
_NAME = "installation test"


class Failed(Exception):
    """What an installation must do, and this one does not."""


def main() -> int:
    """Exit status 0 when everything was as it should be, 1 else; says what was not."""
    try:
        url, password = os.environ["SLIPWAY_URL"], os.environ["SLIPWAY_ADMIN_PASSWORD"]
        prove(url, password, gateway=os.environ.get("SLIPWAY_GATEWAY", url))
    except KeyError as missing:
        print(f"{missing} is not set", file=sys.stderr)
    except (Failed, rest.Refused, story.Broken, TimeoutError) as error:
        print(f"Not as it should be: {error}", file=sys.stderr)
    except (httpx.HTTPError, openai.APIError) as error:
        print(f"The platform does not answer: {error}", file=sys.stderr)
    else:
        print("Installed and working.")
        return 0
    return 1


def prove(url: str, password: str, *, gateway: str) -> None:
    """Raises Failed, or what the client raises, at the first thing that is not as it should be."""
    with httpx.Client(base_url=url, timeout=60) as browser:
        _done(browser.post("/api/v1/session", json={"user": "admin", "password": password}))
        browser.headers["x-csrftoken"] = browser.cookies[_csrf(browser)]
        browser.headers["referer"] = url
        key = _done(browser.post("/api/v1/keys", json={"name": _NAME, "role": "owner"}))
        try:
            _tell(url, gateway, key["secret"])
            _refused_over_limit(browser, gateway, key)
        finally:
            _done(browser.delete(f"/api/v1/keys/{key['id']}"))


def _tell(url: str, gateway: str, secret: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        told = story.Story(
            url=url, gateway=gateway, key=secret, folder=pathlib.Path(folder), seed=7
        )
        with contextlib.closing(told):
            if not told.tell():
                raise Failed("the fine-tuned model did not pass its gate")


def _refused_over_limit(browser: httpx.Client, gateway: str, key: dict[str, Any]) -> None:
    limit = {"key_id": key["id"], "requests_per_minute": 1}
    made = _done(browser.put("/api/v1/limits", json=limit))
    try:
        door = openai.OpenAI(base_url=f"{gateway}/v1", api_key=key["secret"], max_retries=0)
        # A new limit is in force within 5 s; more requests than the minute allows come by then.
        for _ in range(100):
            try:
                door.chat.completions.create(
                    model=story.MODEL,
                    messages=[{"role": "user", "content": story.QUESTION}],
                    max_tokens=8,
                )
            except openai.RateLimitError:
                return
        raise Failed("100 requests came through a limit of one a minute")
    finally:
        _done(browser.delete(f"/api/v1/limits/{made['id']}"))


def _csrf(browser: httpx.Client) -> str:
    return next(name for name in browser.cookies if name.endswith("csrftoken"))


def _done(answer: httpx.Response) -> Any:
    if answer.is_error:
        raise Failed(f"{answer.request.method} {answer.request.url}: {answer.text[:300]}")
    return answer.json() if answer.content else None


if __name__ == "__main__":
    sys.exit(main())
