"""An organisation takes everything away and asks for its end: in a browser, on a command line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import browser
import pytest
from door_world import Door, running_door
from live import ROOT, environment_of
from playwright.sync_api import expect

#: Language to whose organisation it is, and what is read and pressed.
TOLD = {
    "zh-CN": ("acme", "首页", "打包整个组织", "可以下载", "下载",
              "注销组织", "组织将被删除", "撤回"),
    "en-US": ("rival", "Home", "Pack the whole organisation", "ready", "Download",
              "End the organisation", "The organisation will be removed on", "Take it back"),
}  # fmt: skip


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with running_door() as made:
        yield made


def slipway(door: Door, key: str, *words: str) -> subprocess.CompletedProcess[str]:
    known = {"SLIPWAY_URL": door.url.removesuffix("/v1"), "SLIPWAY_API_KEY": key}
    return subprocess.run(
        [sys.executable, "-m", "slipway.cli", *words], cwd=ROOT, capture_output=True, text=True,
        env=environment_of(door.folder / "elsewhere", door.port, **known),
    )  # fmt: skip


@pytest.mark.parametrize("language", ["zh-CN", "en-US"])
def test_everything_is_taken_away_and_the_end_asked_for_and_taken_back(
    door: Door, tmp_path: Path, language: str
) -> None:
    name, home, pack, ready, fetch, end, waits, undo = TOLD[language]
    key = door.keys[f"{name}-admin"]
    mine, fetched = tmp_path / "mine.tar", tmp_path / "fetched.tar"
    exported = slipway(door, key, "organisation", "export", str(mine))
    assert exported.returncode == 0, exported.stderr
    url = door.url.removesuffix("/v1")
    with browser.opened(url, tmp_path, language=language) as eyes:
        page = eyes.page
        browser.sign_in(page, (name, "x"))
        page.get_by_role("heading", name=home, exact=True).wait_for()
        page.goto(f"{url}/system/projects")
        done = page.get_by_role("row").filter(has_text=ready)
        expect(done).to_have_count(1)
        page.get_by_role("button", name=pack).click()
        expect(done).to_have_count(2)
        eyes.look(f"leaving-{language}")
        with page.expect_download() as download:
            done.first.get_by_text(fetch, exact=True).click()
        download.value.save_as(fetched)
        page.get_by_role("button", name=end).click()
        page.locator("#danger-name").fill(name)
        page.get_by_role("dialog").get_by_role("button", name=end).click()
        expect(page.get_by_text(waits)).to_be_visible()
        refused = slipway(door, key, "organisation", "export", str(tmp_path / "late.tar"))
        assert refused.returncode != 0, "keys end at once"
        eyes.look(f"leaving-ends-{language}")
        page.get_by_role("button", name=undo).click()
        page.get_by_role("tooltip").get_by_role("button", name=undo).click()
        expect(page.get_by_role("button", name=end)).to_be_visible()
    for archive in (mine, fetched):
        verified = slipway(door, key, "organisation", "verify", str(archive))
        assert verified.returncode == 0, verified.stderr
        assert "are whole" in verified.stdout
