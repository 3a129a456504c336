"""Clicks and seconds from nothing to a deployed model: `python tests/bench/console_story.py`.

One person's way through the console by mouse, in English, on a fresh platform with the
demonstration's base model and rows: clicks, fields typed into and seconds of each step, as the
browser counts them. Seconds are of a hand that never waits to think; waiting for the platform
is told apart.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "platform")]

import browser  # noqa: E402 -- found by the line above
import live  # noqa: E402

from slipway.cli.env import read_env  # noqa: E402
from slipway_demo import rows  # noqa: E402
from slipway_demo.story import BASE, QUESTION  # noqa: E402

#: Counts in the page what a hand does: clicks, and fields that something was typed into.
COUNT = """
const kept = JSON.parse(sessionStorage.getItem('counted') ?? '{"clicks": 0, "fields": 0}');
const add = what => { kept[what]++; sessionStorage.setItem('counted', JSON.stringify(kept)); };
const typed = 'textarea, input:not([type=radio], [type=checkbox], [type=file], [role=combobox])';
let field = null;
addEventListener('click', each => each.isTrusted && each.detail && add('clicks'), true);
addEventListener('focusin', each => { field = each.target.matches(typed) ? each.target : null; });
addEventListener('input', each => {
  if (field !== each.target) return;
  field = null;
  add('fields');
}, true);
"""


class Story:
    """The page, and what was done on it so far."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.waited = 0.0
        self.before = (0, 0, time.monotonic())
        self.all = [0, 0, 0.0, 0.0]

    def wait(self, what: Any, **options: Any) -> None:
        """Wait for the platform's work, not for a page to be drawn."""
        began = time.monotonic()
        what.wait_for(timeout=600_000, **options)
        self.waited += time.monotonic() - began

    def told(self, step: str) -> None:
        seen = self.page.evaluate("JSON.parse(sessionStorage.getItem('counted'))")
        clicks, fields, now = seen["clicks"], seen["fields"], time.monotonic()
        spent = now - self.before[2] - self.waited
        line = [clicks - self.before[0], fields - self.before[1], spent, self.waited]
        self.all = [a + b for a, b in zip(self.all, line, strict=True)]
        self.print(step, line)
        self.before, self.waited = (clicks, fields, now), 0.0

    @staticmethod
    def print(step: str, line: list[Any]) -> None:
        print(f"{step:44}{line[0]:7}{line[1]:7}{line[2]:9.1f} s{line[3]:9.1f} s", flush=True)

    def pick(self, label: str | re.Pattern[str], *texts: str) -> None:
        self.page.get_by_role("combobox", name=label).click()
        for text in texts:
            self.page.locator(
                ".ant-select-dropdown:visible .ant-select-item-option", has_text=text
            ).first.click()
        self.page.keyboard.press("Escape")

    def visit(self, name: str, then: str) -> None:
        self.page.get_by_role("navigation").first.get_by_role("link", name=name, exact=True).click()
        self.page.get_by_role("heading", name=name, exact=True, level=1).wait_for()
        self.page.locator("main").get_by_text(then, exact=True).first.click()


def tell(story: Story, platform: live.Live, folder: Path) -> None:
    page = story.page
    written = rows.write_rows(folder, seed=7, held_out_count=20)
    known = read_env(platform.home / "demo.env")
    page.get_by_label("User name").fill(known["SLIPWAY_ADMIN_USER"])
    page.get_by_label("Password").fill(known["SLIPWAY_ADMIN_PASSWORD"])
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Home").wait_for()
    story.told("sign in")

    story.visit("My models", "Import a model")
    page.get_by_text("Directory on the server").click()
    page.get_by_label("Directory on the server").last.fill(str(BASE))
    page.get_by_label("Name of the model").fill("base")
    page.get_by_role("button", name="Import", exact=True).click()
    story.wait(page.get_by_text("Ready", exact=True))
    story.told("a base model comes in")

    for file, name in ((written.train, "train"), (written.held_out, "held-out")):
        story.visit("Data", "New dataset")
        page.set_input_files("input[type=file]", file)
        page.get_by_label("Name of the dataset").fill(name)
        page.get_by_role("button", name="Create and upload").click()
        story.wait(page.get_by_role("button", name="Publish"))
        page.get_by_role("button", name="Publish").click()
        page.get_by_text("Published", exact=True).first.wait_for()
        story.told(f"rows are uploaded, checked, published: {name}")

    story.visit("Tuning", "New job")
    page.get_by_label("Job name").fill("line")
    story.pick("Base model", "base@1")
    story.pick("Training data: Dataset", "train")
    story.pick("Training data: Version", "train@1")
    story.pick(re.compile("Held-out data.*: Dataset"), "held-out")
    story.pick(re.compile("Held-out data.*: Version"), "held-out@1")
    page.get_by_role("button", name="Start training").click()
    page.get_by_role("heading", name="line", exact=True).wait_for()
    story.wait(page.locator(".page-lead").get_by_text("Succeeded"))
    story.told("fine-tuned")

    story.visit("Evaluation", "New evaluation")
    page.get_by_label("Name", exact=True).fill("judged")
    story.pick(re.compile("Model versions"), "base@1", "base-line@1")
    story.pick("Judged on: Dataset", "held-out")
    story.pick("Judged on: Version", "held-out@1")
    page.get_by_role("button", name="Start judging").click()
    story.wait(page.get_by_role("img", name=re.compile("exact_match")))
    story.told("judged beside its base")

    story.visit("Deployments", "Deploy a model")
    story.pick("Model version", "base-line@1")
    page.get_by_role("button", name="Deploy", exact=True).click()
    story.wait(page.locator(".page-lead").get_by_text("Live"))
    story.told("deployed")
    page.get_by_label("Ask it something").fill(QUESTION)
    page.get_by_role("button", name="Send").click()
    story.wait(page.get_by_text(re.compile("first words after")))
    story.told("asked")
    story.print("all", story.all)


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as home,
        tempfile.TemporaryDirectory() as folder,
        live.platform(Path(home)) as platform,
        browser.opened(platform.url, Path(folder), language="en-US") as eyes,
    ):
        eyes.page.context.add_init_script(COUNT)
        eyes.page.reload()
        print(f"{'':44}{'clicks':>7}{'fields':>7}{'by hand':>11}{'waited':>11}")
        tell(Story(eyes.page), platform, Path(folder))


if __name__ == "__main__":
    main()
