"""The story page of the console's parts opens, in both languages and themes, without a platform."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import browser
import httpx
import live
import pytest
from playwright.sync_api import expect

FRONTEND = browser.ROOT / "frontend"


@pytest.fixture
def stories(tmp_path: Path) -> Iterator[str]:
    """The address of the development server that shows them, which is all that does."""
    port = live.free_port()
    command = ["./with-node", "npx", "vite", "--host", "127.0.0.1", "--strictPort"]
    log = tmp_path / "vite.log"
    with log.open("w") as out:
        server = subprocess.Popen(
            [*command, "--port", str(port)],
            cwd=FRONTEND, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip

    def answers() -> bool:
        assert server.poll() is None, f"the development server ended:\n{log.read_text()}"
        return httpx.get(f"http://127.0.0.1:{port}/stories.html").is_success

    try:
        live.wait_for("the development server", answers, seconds=120)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def test_every_part_is_shown_in_both_languages_and_themes(stories: str, tmp_path: Path) -> None:
    written = (FRONTEND / "src/stories/Stories.tsx").read_text()
    parts = re.findall(r"^  (\w+): \(\) =>", written, re.MULTILINE)
    assert len(parts) > 15, "the parts are listed otherwise now"
    with browser.opened(f"{stories}/stories.html", tmp_path, language="en-US") as eyes:
        page = eyes.page
        # What the server has not bundled yet it bundles now, on whatever machine this is.
        page.set_default_timeout(180_000)
        for language, theme in (("zh", "light"), ("en", "light"), ("zh", "dark"), ("en", "dark")):
            frame = page.frame_locator(f'iframe[title="{language}, {theme}"]')
            frame.get_by_role("region", name=parts[-1], exact=True).wait_for()
        for language, theme in (("zh", "light"), ("en", "dark")):
            page.goto(f"{stories}/stories.html?language={language}&theme={theme}")
            for part in parts:
                page.get_by_role("region", name=part, exact=True).wait_for()
            again = {"zh": "重试", "en": "Try again"}[language]
            expect(page.get_by_role("button", name=again).first).to_be_visible()
            page.get_by_role("region", name="Chart").locator("canvas").first.wait_for()
            # What was sent as markup is text, here as everywhere.
            expect(page.locator("main b, main img[src=x]")).to_have_count(0)
            eyes.look(f"parts-{theme}")
