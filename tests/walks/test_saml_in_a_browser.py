"""Signing on by SAML with a real provider on another site, from connecting it to being in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import browser
import httpx
import live
import pytest
from playwright.sync_api import expect
from servers import Server
from servers.identity import saml

PASSWORD = "walk-saml-Passw0rd!"
MAIL = "ada@walk-saml.example"


@pytest.fixture
def provider() -> Iterator[Server]:
    made = saml({"ada": {"password": PASSWORD, "email": MAIL, "common_name": "Ada"}})
    yield made
    made.stop()


def test_a_provider_is_connected_and_its_people_come_in(
    platform: live.Live, admin: tuple[str, str], provider: Server, tmp_path: Path
) -> None:
    with browser.opened(platform.url, tmp_path, language="en-US") as eyes:
        page = eyes.page
        browser.sign_in(page, admin)
        page.get_by_role("heading", name="Home", exact=True).wait_for()
        page.goto(f"{platform.url}/system/sign-in")
        page.get_by_role("button", name="Connect a provider").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Kind").click()
        page.get_by_title("SAML 2.0").click()
        expect(dialog.get_by_text("Save first")).to_be_visible()
        expect(dialog.get_by_label("Client secret")).to_have_count(0)
        dialog.get_by_label("Name", exact=True).fill("partner")
        dialog.get_by_label("Metadata (XML)").fill("<not/>")
        domains = dialog.get_by_label("Mail domains")
        domains.fill("walk-saml.example")
        domains.press("Enter")
        dialog.get_by_label("Role of who comes in first").click()
        page.get_by_title("Reader", exact=False).last.click()
        dialog.get_by_role("button", name="Connect a provider").click()
        expect(dialog.get_by_text("no metadata of an identity provider")).to_be_visible()
        assert all("422" in each for each in eyes.complaints), eyes.complaints
        eyes.complaints.clear()
        eyes.look("saml-refused")
        dialog.get_by_label("Metadata (XML)").fill(httpx.get(provider.fresh()).text)
        dialog.get_by_role("button", name="Connect a provider").click()
        expect(dialog).to_have_count(0)
        row = page.get_by_role("row").filter(has_text="partner")
        ours = row.get_by_text("/api/v1/sign-on/saml/").first.inner_text()
        eyes.look("saml-connected")
    # What the provider's own people would do with what the list shows.
    metadata = httpx.get(ours)
    assert metadata.status_code == 200
    there = provider.fresh().replace("/metadata", "/services/slipway")
    httpx.put(there, content=metadata.content).raise_for_status()

    with browser.opened(platform.url, tmp_path, language="en-US") as eyes:
        page = eyes.page
        page.get_by_label("User name").fill(MAIL)
        page.get_by_label("User name").press("Tab")
        page.get_by_role("button", name="partner").click()
        page.locator("input[name=user]").fill("ada")
        page.locator("input[name=password]").fill(PASSWORD)
        page.locator("input[type=submit]").click()
        # The provider's page sends its answer by a script, or by hand where there is none.
        page.get_by_role("heading", name="Home", exact=True).wait_for()
        expect(page.get_by_role("button", name=MAIL)).to_be_visible()
        # It is another site, which the console itself never asks.
        eyes.complaints[:] = [each for each in eyes.complaints if "localhost" not in each]
    (made,) = (
        each
        for each in platform.call("GET", "identity-providers").json()["data"]
        if each["name"] == "partner"
    )
    assert platform.call("DELETE", f"identity-providers/{made['id']}").status_code == 204
