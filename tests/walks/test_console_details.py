"""What the console tells beside the story: sorted prices, bars of tokens, a pause."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser
import live
import pytest
from playwright.sync_api import Page, expect

from slipway.cli.env import read_env
from slipway_demo import rows
from slipway_demo.story import BASE

#: As a budget without room pauses an evaluation: what it says is the platform's own sentence.
PAUSE = """
import django, sys; django.setup()
from django.utils import timezone
from slipway.core.lifecycle import subject_of
from slipway.core.models import Event
from slipway.evaluation.models import EvaluationRun
# Whoever reads its events later must see that it went on after its end.
subject = subject_of(EvaluationRun.objects.get(pk=sys.argv[1]))
Event.objects.create(subject=subject, source="succeeded", target="paused", at=timezone.now())
EvaluationRun.objects.filter(pk=sys.argv[1]).update(phase="paused", look_at=None, finished_at=None,
    reason="paused: the project's budget of 5 CNY has 0.02 left. Resume it once there is room.")
"""


def first(platform: live.Live, path: str) -> dict[str, Any]:
    found: dict[str, Any] = platform.call("GET", path).json()["data"][0]
    return found


@pytest.fixture(scope="module")
def stocked(platform: live.Live, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A base that is ready and published rows; ids by what they are."""
    written = rows.write_rows(tmp_path_factory.mktemp("rows"), seed=7, held_out_count=10)
    for arguments in (
        ("models", "import", "walk-detail-base", str(BASE)),
        ("datasets", "upload", "walk-detail-rows", str(written.held_out), "--publish"),
    ):
        done = platform.slipway(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    model = first(platform, "models?name=walk-detail-base")
    dataset = first(platform, "datasets?name=walk-detail-rows")
    return {
        "base": first(platform, f"models/{model['id']}/versions")["id"],
        "dataset": dataset["id"],
        "rows": first(platform, f"datasets/{dataset['id']}/versions")["id"],
    }


@pytest.fixture
def page(platform: live.Live, tmp_path: Path) -> Iterator[Page]:
    known = read_env(platform.home / "demo.env")
    with browser.opened(platform.url, tmp_path, language="en-US") as eyes:
        eyes.page.get_by_label("User name").fill(known["SLIPWAY_ADMIN_USER"])
        eyes.page.get_by_label("Password").fill(known["SLIPWAY_ADMIN_PASSWORD"])
        eyes.page.get_by_role("button", name="Sign in").click()
        eyes.page.get_by_role("heading", name="Home", exact=True).wait_for()
        yield eyes.page
        eyes.look("left")


def test_price_books_are_sorted_where_the_address_says_so(platform: live.Live, page: Page) -> None:
    price = {"kind": "requests", "model": "", "amount": "0.01", "per": 1}
    for name, year in (("walk-a", 2098), ("walk-b", 2099)):
        # Long after these walks, so that nothing costs anything meanwhile.
        book = {"name": name, "valid_from": f"{year}-01-01T00:00:00Z", "prices": [price]}
        made = platform.call("POST", "price-books", json=book)
        assert made.status_code == 201, made.text
    page.goto(f"{platform.url}/system/money?tab=prices")
    books = page.get_by_role("region", name="Price books").locator("tbody tr[data-row-key]")
    expect(books.first).to_contain_text("walk-b")
    expect(books.first).to_contain_text("requests · any model · CN¥0.01 per 1")
    page.get_by_role("columnheader", name="Name").click()
    expect(page).to_have_url(re.compile("order=name"))
    expect(books.first).not_to_contain_text("walk-b")
    names = [each.split("\t")[0] for each in books.all_inner_texts()]
    assert names == sorted(names)
    # The audit log says who did it in words, with the name of what was made.
    page.goto(f"{platform.url}/system/audit?action=price-books")
    entry = page.get_by_role("row").filter(has_text="walk-b")
    expect(entry.get_by_role("cell", name="Made price book")).to_be_visible()
    expect(entry.get_by_text("done", exact=True)).to_be_in_viewport()


def test_a_bar_of_tokens_shows_its_rows(
    platform: live.Live, stocked: dict[str, Any], page: Page
) -> None:
    asked = f"base={stocked['base']}&dataset={stocked['rows']}"
    bars = platform.call("GET", f"training/token-lengths?{asked}").json()["bars"]
    version = f"{platform.url}/data/{stocked['dataset']}/versions/{stocked['rows']}"
    page.goto(f"{version}?tab=statistics&base={stocked['base']}")
    chart = page.get_by_role("region", name="Length in tokens").locator("canvas").first
    chart.wait_for()
    place = chart.bounding_box()
    assert place is not None
    chart.scroll_into_view_if_needed()
    # Just above the axis, across the chart: where there is a bar, a click takes it.
    for step in range(60):
        if "tokens_at_least" in page.url:
            break
        chart.click(position={"x": place["width"] * step / 60 + 1, "y": place["height"] - 32})
        page.wait_for_timeout(50)
    found = re.search(r"tokens_at_least=(\d+)&tokens_at_most=(\d+)", page.url)
    assert found is not None, page.url
    low, high = int(found[1]), int(found[2])
    (count,) = [bar["rows"] for bar in bars if (bar["low"], bar["high"]) == (low, high)]
    page.get_by_text(f"{low}–{high} tokens").wait_for()
    expect(page.get_by_role("list", name="Rows").get_by_role("button")).to_have_count(count)
    # The address alone shows the same.
    page.reload()
    expect(page.get_by_role("list", name="Rows").get_by_role("button")).to_have_count(count)
    page.get_by_role("button", name="Show rows of any length").click()
    page.get_by_text(f"{low}–{high} tokens").wait_for(state="detached")


def test_an_evaluation_that_its_budget_paused_says_so_and_goes_on(
    platform: live.Live, stocked: dict[str, Any], page: Page
) -> None:
    asked = {
        "name": "walk-paused",
        "candidates": [stocked["base"]],
        "dataset": stocked["rows"],
    }
    made = platform.call("POST", "evals", json=asked)
    assert made.status_code == 201, made.text
    path = f"evals/{made.json()['id']}"
    live.wait_for(
        "the evaluation",
        lambda: platform.call("GET", path).json()["phase"] == "succeeded",
        seconds=300,
    )
    subprocess.run(
        [sys.executable, "-c", PAUSE, made.json()["id"]], env=platform.environment, check=True
    )
    page.goto(f"{platform.url}/evaluation/{made.json()['id']}")
    page.get_by_text("Paused: its budget has no room").wait_for()
    page.get_by_text("has 0.02 left. Resume it once there is room.").wait_for()
    expect(page.get_by_role("link", name="See the quotas")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("tooltip").get_by_role("button", name="Resume").click()
    page.locator(".page-lead").get_by_text("Succeeded").wait_for(timeout=300_000)
    expect(page.get_by_text("Paused: its budget has no room")).to_have_count(0)
    assert platform.call("GET", path).json()["phase"] == "succeeded"


def test_who_is_invited_is_told_what_a_password_must_be_in_their_language(
    platform: live.Live, tmp_path: Path
) -> None:
    asked = {"email": "invited@example.com", "role": "reader"}
    token = platform.call("POST", "invites", json=asked).json()["token"]
    with browser.opened(f"{platform.url}/invite#{token}", tmp_path, language="zh-CN") as eyes:
        page = eyes.page
        page.get_by_text("新账号的密码至少 8 个字符").wait_for()
        page.get_by_label("用户名").fill("walk-invited")
        page.get_by_label("密码").fill("abc")
        page.get_by_role("button", name="进入").click()
        page.get_by_text("不合要求。密码至少 8 个字符").wait_for()
        expect(page.get_by_text("too short")).to_have_count(0)
        eyes.look("invited")
        page.get_by_label("密码").fill("Rain-on-7-roofs!")
        page.get_by_role("button", name="进入").click()
        page.get_by_role("heading", name="首页", exact=True).wait_for()
        # A refusal is an answer that the browser logs.
        eyes.complaints[:] = [each for each in eyes.complaints if "422" not in each]
