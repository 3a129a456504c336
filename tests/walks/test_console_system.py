"""One's own account, how people come in, who is told, what is kept, the bin; in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser
import httpx
import live
import pytest
from playwright.sync_api import Page, expect

PASSWORD = "walk-owner-Passw0rd!"


@pytest.fixture(scope="module")
def person(platform: live.Live) -> tuple[str, str]:
    """Somebody who is here for these walks alone: whose password and factors may change."""
    name = "walk-own"
    asked = {"email": "own@example.com", "role": "owner"}
    invite = platform.call("POST", "invites", json=asked)
    assert invite.status_code == 201, invite.text
    with httpx.Client(base_url=f"{platform.url}/api/v1/") as guest:
        given = {"token": invite.json()["token"], "user": name, "password": PASSWORD}
        joined = guest.post("invites/accept", json=given)
        assert joined.status_code == 201, joined.text
    return name, PASSWORD


def sign_in(page: Page, who: tuple[str, str], home: str = "Home") -> None:
    browser.sign_in(page, who)
    page.get_by_role("heading", name=home, exact=True).wait_for()


@pytest.fixture
def eyes(platform: live.Live, admin: tuple[str, str], tmp_path: Path) -> Iterator[browser.Eyes]:
    with browser.opened(platform.url, tmp_path, language="en-US") as eyes:
        sign_in(eyes.page, admin)
        yield eyes


def test_a_password_is_changed_and_other_browsers_are_out(
    platform: live.Live, person: tuple[str, str], tmp_path: Path
) -> None:
    with browser.opened(platform.url, tmp_path, language="en-US") as eyes:
        page = eyes.page
        sign_in(page, person)
        with httpx.Client(base_url=f"{platform.url}/api/v1/") as other:
            body = {"user": person[0], "password": person[1]}
            assert other.post("session", json=body).status_code == 200
            page.goto(f"{platform.url}/account")
            expect(page.get_by_role("row").filter(has_text="this browser")).to_have_count(1)
            page.get_by_role("button", name="End all other sessions").click()
            page.get_by_role("tooltip").get_by_role("button", name="End all").click()
            expect(page.get_by_role("button", name="End all other sessions")).to_have_count(0)
            assert other.get("datasets").status_code == 401
        eyes.look("account")
        page.get_by_role("button", name="Change password").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Password of now").fill(person[1])
        dialog.get_by_label("New password", exact=True).fill(person[1] + "2")
        dialog.get_by_label("New password again").fill(person[1] + "2")
        dialog.get_by_role("button", name="Change password").click()
        expect(dialog).to_have_count(0)
        with httpx.Client(base_url=f"{platform.url}/api/v1/") as other:
            body = {"user": person[0], "password": person[1] + "2"}
            assert other.post("session", json=body).status_code == 200


def test_a_directory_gets_a_token_shown_once(platform: live.Live, eyes: browser.Eyes) -> None:
    page = eyes.page
    page.goto(f"{platform.url}/system/sign-in?tab=directories")
    page.get_by_role("button", name="New token").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("walk-entra")
    dialog.get_by_role("button", name="New token").click()
    page.get_by_text(re.compile("scim-slip-")).first.wait_for()
    page.get_by_role("button", name="I have saved it").click()
    page.get_by_role("row").filter(has_text="walk-entra").wait_for()
    eyes.look("sign-in-directories")


def test_what_must_be_proved_goes_on_by_itself_after_the_proof(
    platform: live.Live, eyes: browser.Eyes, admin: tuple[str, str]
) -> None:
    page, refused = eyes.page, []

    def as_if_long_ago(route: Any) -> None:
        # Ten minutes are not waited for: the first try is answered as it would be after them.
        if route.request.method == "POST" and not refused:
            refused.append(route.request.url)
            error = {"code": "proof_required", "message": "Show it.", "details": []}
            route.fulfill(status=403, json={"error": error | {"request_id": "req_walk"}})
        else:
            route.continue_()

    page.route("**/api/v1/scim-tokens", as_if_long_ago)
    page.goto(f"{platform.url}/system/sign-in?tab=directories")
    page.get_by_role("button", name="New token").click()
    page.get_by_role("dialog").get_by_label("Name").fill("walk-proved")
    page.get_by_role("dialog").get_by_role("button", name="New token").click()
    proof = page.get_by_role("dialog", name="Show that it is you")
    proof.get_by_label("Password").fill(admin[1])
    proof.get_by_role("button", name="Confirm").click()
    page.get_by_text(re.compile("scim-slip-")).first.wait_for()
    page.get_by_role("button", name="I have saved it").click()
    page.get_by_role("row").filter(has_text="walk-proved").wait_for()
    assert len(refused) == 1
    eyes.complaints[:] = [each for each in eyes.complaints if "403" not in each]


def test_a_webhook_is_added_and_its_deliveries_are_seen(
    platform: live.Live, eyes: browser.Eyes
) -> None:
    page = eyes.page
    page.goto(f"{platform.url}/system/notices")
    page.get_by_role("button", name="Add a target").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Address").fill("https://example.com/hooks/walk")
    dialog.get_by_role("button", name="Add a target").click()
    page.get_by_text(re.compile("whsec_")).first.wait_for()
    page.get_by_role("button", name="I have saved it").click()
    row = page.get_by_role("row").filter(has_text="example.com/hooks/walk")
    row.get_by_role("button", name="Deliveries").click()
    page.get_by_text("Nothing was sent yet").wait_for()
    eyes.look("notices")


def test_prompts_are_kept_only_after_somebody_says_so(
    platform: live.Live, eyes: browser.Eyes
) -> None:
    page = eyes.page
    page.goto(f"{platform.url}/system/prompts")
    page.get_by_text("Prompts of this project are not kept.").wait_for()
    page.get_by_role("button", name="Keep prompts").click()
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    page.get_by_text("7 days").wait_for()
    eyes.look("prompts")
    page.get_by_role("button", name="Keep no more").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox").fill("What is kept")
    dialog.get_by_role("button", name="Keep no more").click()
    page.get_by_text("Prompts of this project are not kept.").wait_for()


def test_a_deleted_dataset_comes_back_by_undo_and_from_the_bin(
    platform: live.Live, eyes: browser.Eyes
) -> None:
    page = eyes.page
    made = platform.call("POST", "datasets", json={"name": "walk-bin"})
    assert made.status_code == 201, made.text
    page.goto(f"{platform.url}/data/{made.json()['id']}")
    for bring_back in ("undo", "bin"):
        page.get_by_role("button", name="Into the bin").click()
        page.get_by_role("tooltip").get_by_role("button", name="Into the bin").click()
        page.get_by_role("heading", name="Data", exact=True).wait_for()
        if bring_back == "undo":
            page.get_by_role("button", name="Undo").click()
        else:
            page.get_by_role("button", name="Bin", exact=True).click()
            row = page.get_by_role("row").filter(has_text="walk-bin")
            row.get_by_role("button", name="Restore").click()
            page.get_by_role("tooltip").get_by_role("button", name="Restore").click()
            page.get_by_role("button", name="Leave the bin").click()
        page.get_by_role("link", name="walk-bin").click()
        page.get_by_role("heading", name="walk-bin", exact=True).wait_for()
    eyes.look("dataset-back")


def test_more_is_asked_of_a_limit_and_somebody_answers(
    platform: live.Live, eyes: browser.Eyes
) -> None:
    page = eyes.page
    # A limit of a model that nobody calls holds up no other walk.
    limit = {"model": "walk-nobody", "requests_per_minute": 60}
    made = platform.call("PUT", "limits", json=limit)
    assert made.status_code == 200, made.text
    page.goto(f"{platform.url}/system/quotas")
    over = page.get_by_role("region", name="Quotas", exact=True)
    row = over.get_by_role("row").filter(has_text="walk-nobody")
    row.get_by_role("button", name="Ask for more").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Requests a minute").fill("120")
    dialog.get_by_label("What for").fill("a fair")
    dialog.get_by_label("Until").fill("2099-01-31T12:00")
    dialog.get_by_role("button", name="Ask for more").click()
    row.get_by_text("waits for an answer").wait_for()
    told = page.get_by_role("region", name="Requests", exact=True)
    asked = told.get_by_role("row").filter(has_text="a fair")
    eyes.look("quotas-asked")
    asked.get_by_role("button", name="Grant").click()
    dialog = page.get_by_role("dialog", name="Grant what")
    expect(dialog.get_by_label("Requests a minute")).to_have_value("120")
    expect(dialog.get_by_label("Until")).to_have_value("2099-01-31T12:00")
    dialog.get_by_label("Requests a minute").fill("100")
    dialog.get_by_role("button", name="Grant").click()
    asked.get_by_text("granted", exact=True).wait_for()
    asked.get_by_text("then Requests a minute 60 again").wait_for()
    row.get_by_text("Requests a minute 100").wait_for()
    eyes.look("quotas-granted")
    now = platform.call("GET", f"limits/{made.json()['id']}").json()
    assert now["requests_per_minute"] == 100
    assert platform.call("DELETE", f"limits/{made.json()['id']}").status_code == 204


def test_a_plan_is_offered_taken_changed_and_withdrawn(
    platform: live.Live, eyes: browser.Eyes
) -> None:
    page = eyes.page
    page.goto(f"{platform.url}/system/money?tab=plans")

    def offer(name: str, fill: dict[str, str], *, everybody: bool = False) -> None:
        page.get_by_role("button", name="New plan").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Name", exact=True).fill(name)
        dialog.get_by_label("For the name").fill("walk-planned")
        if everybody:
            dialog.get_by_role("switch", name="Every project has it").click()
        for label, value in fill.items():
            dialog.get_by_label(label).fill(value)
        dialog.get_by_role("button", name="New plan").click()
        expect(dialog).to_have_count(0)

    offer("walk-base", {"Tokens a minute": "100"}, everybody=True)
    # Free, so that the books of the platform stay as they were.
    offer("walk-fast", {"Tokens a minute": "500", "Fee": "0", "Most units of a project": "3"})
    fast = page.get_by_role("row").filter(has_text="walk-fast")
    expect(fast).to_contain_text("+500 tokens a minute")
    fast.get_by_role("button", name="Take").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Units").fill("2")
    expect(dialog).to_contain_text("and the same every month")
    eyes.look("plan-taken")
    dialog.get_by_role("button", name="Take", exact=True).click()
    expect(dialog).to_have_count(0)
    mine = page.get_by_label("What this project has").get_by_role("row").filter(has_text="walk-f")
    expect(mine).to_contain_text("active")
    page.goto(f"{platform.url}/system/quotas")
    limit = page.get_by_role("row").filter(has_text="walk-planned")
    expect(limit).to_contain_text("1,100")
    limit.get_by_role("link", name="See the plans").click()
    mine.get_by_role("button", name="Change units").click()
    dialog.get_by_label("Units").fill("1")
    dialog.get_by_role("button", name="Save").click()
    expect(mine).to_contain_text("1 from the next term on")
    mine.get_by_role("button", name="Do not renew").click()
    page.get_by_role("tooltip").get_by_role("button", name="Do not renew").click()
    expect(mine).to_contain_text("not renewed")
    mine.get_by_role("button", name="Renew again").click()
    expect(mine).not_to_contain_text("not renewed")
    page.get_by_role("button", name="中文").click()
    theirs = page.get_by_role("row").filter(has_text="walk-fast")
    expect(theirs.filter(has_text="生效中")).to_have_count(1)
    expect(theirs.filter(has_text="+500 词元/分钟")).to_have_count(1)
    eyes.look("plans-zh")
    page.get_by_role("button", name="English").click()
    for name in ("walk-base", "walk-fast"):
        withdraw = page.get_by_role("button", name="Withdraw")
        row = page.get_by_role("row").filter(has_text=name).filter(has=withdraw)
        row.get_by_role("button", name="Withdraw").click()
        page.get_by_role("tooltip").get_by_role("button", name="Withdraw").click()
        expect(row).to_have_count(0)
    eyes.look("plans")
