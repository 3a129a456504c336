"""A browser that looks at the console: what it complains of, where it asks, who can use it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servers import chromium

ROOT = Path(__file__).parent.parent
AXE = ROOT / "frontend/node_modules/axe-core/axe.min.js"
#: Pictures for the documentation are taken anew with `make pictures`.
PICTURES = os.environ.get("SLIPWAY_PICTURES")


#: Spinners turn for ever and are not waited for.
STILL = """() => document.getAnimations().every(each =>
  each.playState !== "running" || each.effect.getComputedTiming().iterations === Infinity)"""


@dataclass
class Eyes:
    """One tab, and everything about it that a user must never meet."""

    page: Any
    origin: str
    folder: Path
    complaints: list[str] = field(default_factory=list)
    asking: set[Any] = field(default_factory=set)

    def watch(self) -> None:
        def heard(message: Any) -> None:
            if message.type in {"error", "warning"}:
                self.complaints.append(f"{self.page.url}: console {message.type}: {message.text}")

        def asked(request: Any) -> None:
            if not request.url.startswith((self.origin + "/", "data:", "blob:" + self.origin)):
                self.complaints.append(f"{self.page.url}: asked {request.url}")
            # The stream of changes never ends by itself.
            if not request.url.endswith("/api/v1/changes"):
                self.asking.add(request)

        def answered(request: Any) -> None:
            self.asking.discard(request)

        self.page.on("console", heard)
        self.page.on("request", asked)
        self.page.on("requestfinished", answered)
        self.page.on("requestfailed", answered)
        self.page.on("pageerror", lambda e: self.complaints.append(f"{self.page.url}: {e}"))

    def settle(self) -> None:
        """Wait until nothing was asked for half a second."""
        quiet = 0
        for _ in range(600):
            quiet = 0 if self.asking else quiet + 1
            if quiet == 5:
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"still asking: {[each.url for each in self.asking]}")

    def still(self) -> None:
        """Wait until nothing fades or slides: colours on their way are no contrast to judge."""
        self.page.wait_for_timeout(400)
        self.page.wait_for_function(STILL)

    def look(self, name: str) -> None:
        """Take a picture, and note what axe-core finds serious."""
        self.settle()
        self.still()
        self.page.screenshot(path=self.folder / f"{name}.png")
        self.judge(name)

    def judge(self, name: str) -> None:
        """Note what axe-core finds serious."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        for each in found["violations"]:
            if each["impact"] in {"serious", "critical"}:
                where = [node["html"][:200] for node in each["nodes"]]
                self.complaints.append(f"{name}: {each['id']}: {where}")


def sign_in(page: Any, who: tuple[str, str]) -> None:
    """Name and password into the form that lies on top, and off."""
    page.locator("input[autocomplete^=username]").last.fill(who[0])
    password = page.locator("input[type=password]").last
    password.fill(who[1])
    # To the field, not to whatever a dialog that is opening gives the focus to meanwhile.
    password.press("Enter")


@contextmanager
def opened(url: str, tmp: Path, *, language: str, **options: Any) -> Iterator[Eyes]:
    """A browser at the console of `url`; fails in the end if there was anything to complain of."""
    from playwright.sync_api import expect, sync_playwright

    folder = ROOT / PICTURES if PICTURES else tmp
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--force-prefers-reduced-motion"]
        )
        context = browser.new_context(
            locale=language, viewport={"width": 1280, "height": 860}, **options
        )
        page = context.new_page()
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        eyes = Eyes(page=page, origin="/".join(url.split("/")[:3]), folder=folder)
        eyes.watch()
        page.goto(url)
        yield eyes
        browser.close()
    assert not eyes.complaints, "\n".join(eyes.complaints)


def paths(ids: dict[str, str]) -> list[str]:
    """The address of every page that the console lists, with `ids` where one names a thing.

    `ids` holds an id for each area (`data`, `models` …) and, as `data/versions`, of its versions.
    """
    files = (ROOT / "frontend/src/pages").glob("*.tsx")
    listed = [
        path
        for file in sorted(files)
        for path in re.findall(r'path: "([^"]+)", load:', file.read_text())
    ]
    assert len(listed) > 20, "the list of pages is written otherwise now"
    filled = []
    for path in dict.fromkeys(listed):
        area = path.strip("/").partition("/")[0]
        whole = path.replace(":id", ids.get(area, ":id"))
        filled.append(whole.replace(":version", ids.get(f"{area}/versions", ":version")))
        assert ":" not in filled[-1], f"no id is known for {path}"
    return filled
