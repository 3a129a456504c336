"""Somebody signs up in a browser and answers a real letter; of many at once few get their turn."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import browser
import httpx
import letters
import pytest
import servers
from door_world import running_door, until
from playwright.sync_api import expect

PASSWORD = "a long way down"


@pytest.fixture(scope="module")
def cloud() -> Iterator[tuple[str, Any]]:
    """A web process with its worker, open to who signs up; its address and its letters."""
    with (
        letters.post_office() as made,
        running_door(
            SLIPWAY_SMTP_URL=f"smtp://127.0.0.1:{made.port}?tls=0", SLIPWAY_TRIAL_CREDIT="12.5"
        ) as door,
    ):
        yield f"http://127.0.0.1:{door.port}", made


def link_to(post: Any, email: str, path: str) -> str:
    """The link to a page in the letter to an address, once it has come."""

    def come() -> str:
        for to, letter in list(post.got):
            text = letter.get_payload(decode=True).decode()
            found = re.search(rf"http\S+/{path}#\S+", text)
            if to == [email] and found:
                return found[0].replace("localhost", "127.0.0.1")
        return ""

    return str(until(f"a letter to {email}", come, seconds=60))


@pytest.mark.parametrize("language", ["zh-CN", "en-US"])
def test_one_signs_up_by_a_letter_and_comes_back_by_another_with_the_password_forgotten(
    cloud: tuple[str, Any], tmp_path: Path, language: str
) -> None:
    url, post = cloud
    email = f"ada-{language.lower()}@example.com"
    with browser.opened(url, tmp_path, language=language) as eyes:
        page = eyes.page
        page.locator("a[href='/sign-up']").click()
        page.locator("input[type=email]").fill(email)
        page.locator("input[autocomplete=organization]").fill(f"difference-{language[:2]}")
        page.locator("input[type=password]").fill(f"{email} again")
        page.locator("button[type=submit]").click()
        expect(page.locator(".ant-form-item-explain-error")).to_contain_text(
            "不合要求" if language == "zh-CN" else "That will not do"
        )
        # The browser itself tells of the refusal; that is what was walked into.
        refusals = [each for each in eyes.complaints if "422" in each]
        assert refusals == eyes.complaints
        eyes.complaints.clear()
        eyes.look(f"sign-up-{language}")
        page.locator("input[type=password]").fill(PASSWORD)
        page.locator("button[type=submit]").click()
        expect(page.get_by_text(email)).to_be_visible()
        page.goto(link_to(post, email, "sign-up"))
        page.reload()
        page.locator("input[type=password]").wait_for()
        eyes.look(f"verify-{language}")
        page.locator("input[type=password]").fill(PASSWORD)
        page.locator("button[type=submit]").click()
        home = "首页" if language == "zh-CN" else "Home"
        page.get_by_role("heading", name=home, exact=True).wait_for()
        expect(page.get_by_role("button", name=re.compile(email))).to_be_visible()

        page.goto(f"{url}/account")
        expect(page.get_by_text(email, exact=True)).to_have_count(2)
        eyes.look(f"account-{language}")
        page.context.clear_cookies()
        page.goto(url)
        page.locator("a[href='/forgotten']").click()
        page.locator("input[type=email]").fill(email)
        eyes.look(f"forgotten-{language}")
        page.locator("button[type=submit]").click()
        expect(page.get_by_text(email)).to_be_visible()
        page.goto(link_to(post, email, "new-password"))
        page.reload()
        page.locator("input[type=password]").fill("short")
        page.locator("button[type=submit]").click()
        expect(page.locator(".ant-form-item-explain-error")).to_be_visible()
        # As above; and the page asked who is signed in, which nobody is.
        eyes.complaints[:] = [each for each in eyes.complaints if not re.search("422|401", each)]
        page.locator("input[type=password]").fill("another way down")
        eyes.look(f"new-password-{language}")
        page.locator("button[type=submit]").click()
        page.get_by_role("link", name="去登录" if language == "zh-CN" else "Sign in").click()
        browser.sign_in(page, (email, "another way down"))
        page.get_by_role("heading", name=home, exact=True).wait_for()


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_of_many_at_once_as_many_pass_as_a_mailbox_may_ask(database: str) -> None:
    settings = {"SLIPWAY_SMTP_URL": "smtp://127.0.0.1:1", "SLIPWAY_TRIAL_CREDIT": "0"}
    if database == "postgres":
        settings["SLIPWAY_DATABASE_URL"] = servers.postgres().fresh()

    def ask(number: int) -> int:
        given = {
            "email": f"bob+{number}@example.com", "password": PASSWORD, "organisation": "bobs",
        }  # fmt: skip
        answer = httpx.post(f"http://127.0.0.1:{door.port}/api/v1/sign-up", json=given, timeout=120)
        return answer.status_code

    with running_door("0", **settings) as door, ThreadPoolExecutor(12) as pool:
        letters.away_from_the_turn_of_the_hour()
        codes = Counter(pool.map(ask, range(12)))
    assert codes == {202: 3, 429: 9}
