"""The console in bad weather: slow lines, ended sessions, two tabs, names made of markup."""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path
from typing import Any

import browser
import httpx
import live
from playwright.sync_api import Page, expect

#: What a page must show as it was typed, and never do.
MARKUP = "<b>bold</b><img src=x onerror=window.hit=1>"


def signed_in(eyes: browser.Eyes, who: tuple[str, str]) -> Page:
    browser.sign_in(eyes.page, who)
    eyes.page.get_by_role("heading", name="Home", exact=True).wait_for()
    return eyes.page


def answered(eyes: browser.Eyes, status: int) -> None:
    """A refusal is an answer that the browser logs; nothing else may have been logged."""
    assert all(str(status) in each for each in eyes.complaints), eyes.complaints
    eyes.complaints.clear()


def keys_named(platform: live.Live, name: str) -> list[dict[str, Any]]:
    found = platform.call("GET", "keys?limit=500").json()["data"]
    return [each for each in found if each["name"] == name]


def test_a_slow_line_shows_that_it_waits_and_sends_once(
    platform: live.Live, admin: tuple[str, str], tmp_path: Path
) -> None:
    with browser.opened(platform.url, tmp_path, language="en-US") as eyes:
        page = signed_in(eyes, admin)
        eyes.settle()
        line = page.context.new_cdp_session(page)
        slow = {"offline": False, "latency": 1_500, "downloadThroughput": -1}
        slow["uploadThroughput"] = -1
        line.send("Network.emulateNetworkConditions", slow)
        page.get_by_role("link", name="API keys", exact=True).click()
        page.get_by_role("heading", name="API keys", exact=True).wait_for()
        page.locator(".ant-spin-spinning").first.wait_for()
        page.get_by_role("button", name="New key").click()
        purpose = page.get_by_label("What it is for")
        purpose.fill(MARKUP)
        # Impatient by keyboard and by mouse.
        for _ in range(3):
            purpose.press("Enter")
        page.locator(".ant-modal .ant-btn-primary.ant-btn-loading").wait_for()
        page.get_by_role("button", name="I have saved it").wait_for()
        line.send("Network.emulateNetworkConditions", slow | {"latency": 0})
        made = keys_named(platform, MARKUP)
        assert len(made) == 1, "sent once, however often Enter was pressed"
        page.get_by_role("button", name="I have saved it").click()
        # A name made of markup is text, and does nothing.
        page.get_by_role("cell", name=MARKUP).wait_for()
        assert page.locator("main b, main img").count() == 0
        assert page.evaluate("window.hit") is None
        assert platform.call("DELETE", f"keys/{made[0]['id']}").status_code == 204


def test_a_session_that_ends_under_a_form_loses_nothing_typed(
    platform: live.Live, admin: tuple[str, str], tmp_path: Path
) -> None:
    with browser.opened(platform.url, tmp_path, language="en-US") as eyes:
        page = signed_in(eyes, admin)
        page.get_by_role("link", name="API keys", exact=True).click()
        page.get_by_role("button", name="New key").click()
        purpose = page.get_by_label("What it is for")
        purpose.fill("typed before the session ended")
        page.context.clear_cookies(name="sessionid")
        purpose.press("Enter")
        page.get_by_text("Nothing you typed is lost").wait_for()
        browser.sign_in(page, admin)
        page.get_by_text("Nothing you typed is lost").wait_for(state="hidden")
        expect(purpose).to_have_value("typed before the session ended")
        assert keys_named(platform, "typed before the session ended") == []
        answered(eyes, 401)
        purpose.press("Enter")
        page.get_by_role("button", name="I have saved it").click()
        (made,) = keys_named(platform, "typed before the session ended")
        assert platform.call("DELETE", f"keys/{made['id']}").status_code == 204


def test_a_conflict_is_told_in_the_form_and_keeps_what_was_typed(
    platform: live.Live, admin: tuple[str, str], tmp_path: Path
) -> None:
    with browser.opened(platform.url, tmp_path, language="en-US") as eyes:
        page = signed_in(eyes, admin)
        taken = platform.call("GET", "projects").json()["data"][0]["name"]
        page.get_by_role("link", name="Projects", exact=True).click()
        page.get_by_role("button", name="New project").click()
        name = page.get_by_role("dialog").get_by_role("textbox").first
        name.fill(taken)
        name.press("Enter")
        alert = page.get_by_role("dialog").get_by_role("alert")
        alert.get_by_text(re.compile("req_")).wait_for()
        expect(name).to_have_value(taken)
        answered(eyes, 409)


def test_two_tabs_are_one_person_in_projects_of_their_own(
    platform: live.Live, admin: tuple[str, str], tmp_path: Path
) -> None:
    second = f"walk-{secrets.token_hex(3)}"
    other = platform.call("POST", "projects", json={"name": second})
    assert other.status_code == 201, other.text
    first = platform.call("GET", "me").json()["project"]["name"]
    with browser.opened(platform.url, tmp_path, language="en-US") as eyes:
        page = signed_in(eyes, admin)
        tab = page.context.new_page()
        tab.set_default_timeout(60_000)
        tab.goto(platform.url)
        tab.get_by_role("heading", name="Home", exact=True).wait_for()
        tab.get_by_role("button", name=re.compile(f". {first}")).click()
        with tab.expect_navigation():
            tab.get_by_role("menuitem", name=re.compile(second)).click()
        tab.get_by_role("button", name=re.compile(second)).wait_for()
        # What the first tab reads and does stays in the project that it shows.
        with page.expect_request(re.compile("/api/v1/datasets")) as asked:
            page.get_by_role("link", name="Data", exact=True).click()
        page.get_by_role("button", name=re.compile(f". {first}")).wait_for()
        sent = asked.value.headers["x-slipway-project"]
        assert sent == platform.call("GET", "me").json()["project"]["id"]
        # Out of one is out of both, and nothing stays to be seen.
        tab.get_by_role("button", name=re.compile(admin[0])).click()
        tab.get_by_role("menuitem", name="Sign out").click()
        tab.get_by_label("Password").wait_for()
        page.get_by_label("Password").wait_for()
        expect(page.get_by_role("link", name="Data", exact=True)).to_have_count(0)
        answered(eyes, 401)
    assert platform.call("DELETE", f"projects/{other.json()['id']}").status_code in {200, 202, 204}


def test_what_one_person_left_unsent_is_not_there_for_the_next(
    platform: live.Live, admin: tuple[str, str], tmp_path: Path
) -> None:
    guest = (f"walk-{secrets.token_hex(3)}", "walk-next-Passw0rd!")
    asked = {"email": f"{guest[0]}@example.com", "role": "operator"}
    invite = platform.call("POST", "invites", json=asked)
    given = {"token": invite.json()["token"], "user": guest[0], "password": guest[1]}
    joined = httpx.post(f"{platform.url}/api/v1/invites/accept", json=given, timeout=30)
    assert joined.is_success, joined.text
    file = tmp_path / "left.jsonl"
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": MARKUP}]
    file.write_text("".join(json.dumps({"messages": turns, "n": n}) + "\n" for n in (1, 2)))
    done = platform.slipway("datasets", "upload", "walk-left", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    dataset = platform.call("GET", "datasets?name=walk-left").json()["data"][0]["id"]
    version = platform.call("GET", f"datasets/{dataset}/versions").json()["data"][0]["id"]
    address = f"{platform.url}/data/{dataset}/versions/{version}"
    with browser.opened(platform.url, tmp_path, language="en-US") as eyes:
        page = signed_in(eyes, admin)
        page.goto(address)
        page.get_by_role("tab", name="Label", exact=True).click()
        page.get_by_role("button", name=re.compile("Edit the answer")).wait_for()
        # An answer made of markup is text.
        page.get_by_text(MARKUP).first.wait_for()
        page.keyboard.press("1")
        page.get_by_role("button", name=re.compile("^Save 1 rows")).wait_for()
        page.get_by_role("button", name=re.compile(admin[0])).click()
        page.get_by_role("menuitem", name="Sign out").click()
        page.get_by_label("Password").wait_for()
        browser.sign_in(page, guest)
        page.get_by_role("button", name=re.compile(guest[0])).wait_for()
        page.goto(address)
        page.get_by_role("tab", name="Label", exact=True).click()
        page.get_by_role("button", name=re.compile("Edit the answer")).wait_for()
        expect(page.get_by_role("button", name=re.compile("^Save 1 rows"))).to_have_count(0)
        assert page.evaluate("window.hit") is None
        answered(eyes, 401)
