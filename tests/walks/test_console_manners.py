"""How the console behaves when things go wrong: no platform, another person, a narrow screen."""

from __future__ import annotations

import json
import re
from pathlib import Path

import browser
import httpx
import live
from playwright.sync_api import expect


def test_a_platform_that_goes_away_is_told_and_comes_back(
    platform: live.Live, admin: tuple[str, str], tmp_path: Path
) -> None:
    with browser.opened(platform.url, tmp_path, language="en-US") as eyes:
        page = eyes.page
        browser.sign_in(page, admin)
        page.get_by_role("heading", name="Home", exact=True).wait_for()
        page.route("**/api/v1/**", lambda route: route.abort())
        page.get_by_role("link", name="Data", exact=True).click()
        page.get_by_text("The platform does not answer").first.wait_for()
        eyes.look("platform-away")
        page.unroute("**/api/v1/**")
        page.get_by_role("button", name="Try again").first.click()
        page.get_by_text("The platform does not answer").wait_for(state="detached")
        eyes.complaints[:] = [each for each in eyes.complaints if "ERR_FAILED" not in each]


def test_who_signs_in_over_the_page_sees_nothing_of_who_was_there(
    platform: live.Live, admin: tuple[str, str], tmp_path: Path
) -> None:
    other = ("walk-guest", "walk-guest-Passw0rd!")
    invite = platform.call("POST", "invites", json={"email": "guest@example.com", "role": "reader"})
    assert invite.status_code == 201, invite.text
    token = invite.json()["token"]
    with httpx.Client(base_url=f"{platform.url}/api/v1/") as guest:
        given = {"token": token, "user": other[0], "password": other[1]}
        joined = guest.post("invites/accept", json=given)
        assert joined.status_code in {200, 201, 204}, joined.text
    with browser.opened(platform.url, tmp_path, language="en-US") as eyes:
        page = eyes.page
        browser.sign_in(page, admin)
        page.get_by_role("link", name="API keys", exact=True).click()
        page.get_by_role("heading", name="API keys", exact=True).wait_for()
        page.context.clear_cookies(name="sessionid")
        # Sent to the link itself: the dialog may already lie over the page.
        page.get_by_role("link", name="Tuning", exact=True).dispatch_event("click")
        page.get_by_text("Nothing you typed is lost").wait_for()
        browser.sign_in(page, other)
        page.get_by_role("button", name=re.compile(other[0])).wait_for()
        page.get_by_role("heading", name="Home", exact=True).wait_for()
        assert page.url == platform.url + "/"
        expect(page.get_by_role("dialog")).to_have_count(0)
        eyes.complaints[:] = [each for each in eyes.complaints if "401" not in each]


def test_a_reader_is_shown_no_button_that_they_may_not_press(
    platform: live.Live, tmp_path: Path
) -> None:
    reader = ("walk-reader", "walk-reader-Passw0rd!")
    asked = {"email": "reader@example.com", "role": "reader"}
    token = platform.call("POST", "invites", json=asked).json()["token"]
    given = {"token": token, "user": reader[0], "password": reader[1]}
    joined = httpx.post(f"{platform.url}/api/v1/invites/accept", json=given, timeout=30)
    assert joined.is_success, joined.text

    file = tmp_path / "seen.jsonl"
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]
    file.write_text("".join(json.dumps({"messages": turns, "n": n}) + "\n" for n in (1, 2)))
    done = platform.slipway("datasets", "upload", "walk-seen", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    dataset = platform.call("GET", "datasets?name=walk-seen").json()["data"][0]
    here = f"/data/{dataset['id']}"
    rows = f"{here}/versions/{dataset['latest']['id']}"
    pages = ["/data", here, f"{rows}?tab=faults", f"{rows}?tab=export", f"{rows}?tab=leaks"]
    pages += ["/models", "/plaza", "/training", "/evaluation"]
    pages += ["/deployments", "/deployments?tab=rules", "/deployments?tab=externals"]
    #: What a reader may press: looking further, and copying.
    harmless = re.compile("^(|Bin|Copy.*|Previous page|Next page|Show.*|Download.*|CSV)$")
    with browser.opened(platform.url, tmp_path, language="en-US") as eyes:
        page = eyes.page
        browser.sign_in(page, reader)
        page.get_by_role("heading", name="Home", exact=True).wait_for()
        pressed = {}
        for path in pages:
            page.goto(platform.url + path)
            page.get_by_role("heading", level=1).wait_for()
            eyes.settle()
            named = page.locator("main button:visible").all_inner_texts()
            if wrong := [each for each in named if not harmless.match(each.strip())]:
                pressed[path] = wrong
            if page.locator("main input[type=file]").count():
                pressed.setdefault(path, []).append("a place to drop a file")
        assert not pressed
        for form in ("training", "evaluation", "deployments"):
            page.goto(f"{platform.url}/{form}/new")
            page.get_by_text("Your role in this project may not").wait_for()
            expect(page.locator("main button[type=submit]")).to_be_disabled()


def test_a_phone_shows_pages_without_scrolling_sideways(
    platform: live.Live, admin: tuple[str, str], tmp_path: Path
) -> None:
    with browser.opened(platform.url, tmp_path, language="zh-CN") as eyes:
        page = eyes.page
        page.set_viewport_size({"width": 390, "height": 844})
        browser.sign_in(page, admin)
        page.get_by_role("heading", name="首页", exact=True).wait_for()
        wide = []
        for path in ("", "data", "models", "plaza", "training", "deployments", "playground"):
            page.goto(f"{platform.url}/{path}")
            page.get_by_role("heading", level=1).wait_for()
            eyes.look(f"phone-{path or 'home'}")
            if page.evaluate("document.documentElement.scrollWidth") > 390:
                wide.append(path)
        assert not wide
