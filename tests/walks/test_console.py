"""The console as people use it: by mouse in Chinese, by keyboard alone in English."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import browser
import live
from playwright.sync_api import expect

#: Pages of the system that are looked at, by their title, and the names of their pictures.
SYSTEM = {
    "成员": "system-people",
    "角色与权限": "system-roles",
    "项目": "system-projects",
    "限流": "system-limits",
    "配额": "system-quotas",
    "费用": "system-money",
    "审计日志": "system-audit",
    "许可证": "system-licence",
}
BASE = live.ROOT / "platform/slipway_demo/chart_base"


def rows(faults: bool) -> str:
    """100 labelled rows; with `faults` four of them are broken, on lines 5, 10, 20 and 30."""
    given = [
        {
            "messages": [
                {"role": "user", "content": f"<b>{number}</b>月的销售额,用折线图表示。"},
                {"role": "assistant", "content": '{"chart":"line"}'},
            ],
            "group": ["known", "line", "refuse"][number % 3],
        }
        for number in range(100)
    ]
    # Of these two answers a person says which is better.
    given[3]["answers"] = ['{"chart":"pie"}', '{"chart":"line"}']
    lines = [json.dumps(row, ensure_ascii=False) for row in given]
    if faults:
        lines[4] = lines[4][:-3]
        lines[9] = '{"messages": [{"role": "user", "content": "?"}]}'
        lines[19] = lines[19].replace('"assistant"', '"robot"')
        lines[29] = lines[29].replace('{\\"chart\\":\\"line\\"}', "")
    return "\n".join(lines) + "\n"


def test_by_mouse_in_chinese(platform: live.Live, admin: tuple[str, str], tmp_path: Path) -> None:
    faulty = tmp_path / "sales.jsonl"
    faulty.write_text(rows(faults=True))
    with browser.opened(platform.url, tmp_path, language="zh-CN") as eyes:
        page = eyes.page
        eyes.look("signin")
        page.get_by_label("用户名").fill(admin[0])
        page.get_by_label("密码").fill(admin[1])
        page.get_by_role("button", name="登录").click()
        page.get_by_role("heading", name="首页").wait_for()
        eyes.look("home")

        page.get_by_role("link", name="数据管理").click()
        page.get_by_role("button", name="新建数据集").click()
        page.set_input_files("input[type=file]", faulty)
        assert page.get_by_label("数据集名称").input_value() == "sales"
        page.get_by_label("数据集名称").fill("console-mouse")
        eyes.look("data-new")
        page.get_by_role("button", name="创建并上传").click()
        page.get_by_role("button", name="采用修正后的文件作为新版本").wait_for()
        for line in ("5", "10", "20", "30"):
            page.get_by_role("cell", name=line, exact=True).wait_for()
        eyes.look("data-faults")
        # One line is mended by hand where it stands, the others as the platform proposes.
        page.get_by_role("button", name="修改", exact=True).first.click()
        line = page.get_by_role("dialog").get_by_label("第 5 行")
        line.fill(rows(faults=False).splitlines()[4])
        eyes.look("data-mend")
        page.get_by_role("button", name="保留修改").click()
        page.get_by_role("button", name="用 1 行修改重新校验").click()
        page.get_by_role("cell", name="5", exact=True).wait_for(state="hidden")
        page.get_by_role("cell", name="10", exact=True).wait_for()
        page.get_by_role("button", name="采用修正后的文件作为新版本").click()
        page.get_by_role("heading", name="console-mouse@3").wait_for()
        page.get_by_role("button", name="发布").wait_for()
        page.get_by_role("tab", name="标注").click()
        page.get_by_role("button", name=re.compile("改答案")).wait_for()
        for key in ("1", "2", "e"):
            page.keyboard.press(key)
        page.get_by_label("答案").fill('{"chart":"bar"}')
        eyes.look("data-label")
        # What was typed is kept whatever is pressed next, and forgotten with Escape alone.
        page.get_by_role("button", name=re.compile("^下一行")).click()
        page.get_by_role("button", name="选择第 2 个回答").wait_for()
        page.get_by_role("button", name=re.compile("^上一行")).click()
        page.get_by_role("button", name=re.compile("改答案")).click()
        expect(page.get_by_label("答案")).to_have_value('{"chart":"bar"}')
        page.get_by_label("答案").fill("something else")
        page.keyboard.press("Escape")
        page.get_by_label("答案").wait_for(state="hidden")
        page.get_by_role("button", name="保存 3 行为新版本").wait_for()
        page.keyboard.press("e")
        expect(page.get_by_label("答案")).to_have_value('{"chart":"bar"}')
        page.keyboard.press("Control+Enter")
        page.get_by_role("button", name="选择第 2 个回答").wait_for()
        page.keyboard.press("2")
        page.get_by_role("button", name="保存 4 行为新版本").wait_for()
        # What was labelled outlives a reload, and becomes the next version.
        page.reload()
        page.get_by_role("button", name="保存 4 行为新版本").click()
        page.get_by_role("heading", name="console-mouse@4").wait_for()
        page.get_by_role("button", name="发布").wait_for()
        page.get_by_role("tab", name="对比").click()
        page.locator(".diff li").nth(2).wait_for()
        eyes.look("data-compare")
        page.get_by_role("tab", name="数据行").click()
        page.get_by_role("button", name="发布").click()
        page.get_by_text("已发布", exact=True).wait_for()
        page.get_by_role("list", name="数据行").get_by_role("button").first.click()
        # Markup in a row is text, never markup.
        page.locator(".ant-drawer").get_by_text("<b>0</b>月的销售额").first.wait_for()
        page.keyboard.press("Escape")
        eyes.look("data-rows")
        page.get_by_role("tab", name="统计").click()
        page.locator("canvas").first.wait_for()
        eyes.look("data-statistics")
        page.get_by_role("tab", name="导出与切分").click()
        page.get_by_role("button", name="导出", exact=True).click()
        with page.expect_download() as download:
            page.get_by_role("link", name="下载").click()
        kept = Path(download.value.path()).read_text().splitlines()
        assert len(kept) == 97
        assert sum('"label"' in each for each in kept) == 4
        eyes.look("data-export")

        page.get_by_role("link", name="我的模型").click()
        page.get_by_role("button", name="导入模型").click()
        page.get_by_text("服务器上的目录").click()
        page.get_by_label("服务器上的目录").last.fill(str(BASE))
        page.get_by_label("模型名称").fill("console-base")
        page.get_by_role("button", name="导入", exact=True).click()
        page.get_by_text("就绪", exact=True).wait_for()
        eyes.look("model-version")
        page.get_by_role("tab", name=re.compile("文件")).click()
        page.get_by_text("model.safetensors").wait_for()
        eyes.look("model-files")

        page.get_by_role("link", name="API 密钥").click()
        page.get_by_role("button", name="新建密钥").click()
        page.get_by_label("用途").fill("notebook")
        page.get_by_role("button", name="新建密钥").last.click()
        secret = page.get_by_text(re.compile("^sk-slip-[^…]{40}")).inner_text().strip()
        assert platform.call("GET", "me", headers=_bearer(secret)).status_code == 200
        page.get_by_role("button", name="我已保存").click()
        page.get_by_role("cell", name="notebook").wait_for()
        page.get_by_text(secret).wait_for(state="detached")
        assert secret not in page.content(), "a key's value is shown once"
        eyes.look("system-keys")
        row = page.get_by_role("row", name=re.compile("notebook"))
        row.get_by_role("button", name="吊销").click()
        page.get_by_label("请输入 notebook 以确认").fill("notebook")
        page.get_by_role("dialog").get_by_role("button", name="吊销").click()
        row.get_by_text("已吊销").wait_for()
        assert platform.call("GET", "me", headers=_bearer(secret)).status_code == 401

        page.get_by_role("link", name="用量", exact=True).click()
        page.get_by_role("heading", name="用量").wait_for()
        eyes.look("system-usage")
        page.get_by_role("link", name="运行状况").click()
        page.get_by_text("数据库", exact=True).wait_for()
        eyes.look("system-health")
        for name, picture in SYSTEM.items():
            page.get_by_role("link", name=name, exact=True).click()
            page.get_by_role("heading", name=name, exact=True).wait_for()
            eyes.look(picture)
        page.get_by_role("button", name="深色").click()
        page.get_by_role("link", name="首页").click()
        page.get_by_role("heading", name="首页").wait_for()
        eyes.look("home-dark")


def _bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def _tab_to(page: Any, role: str, name: str | re.Pattern[str], most: int = 90) -> None:
    """Press Tab until this has the focus; fails if the keyboard cannot reach it."""
    wanted = page.get_by_role(role, name=name, exact=True).last
    for _ in range(most):
        if wanted.evaluate("each => each === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach the {role} {name!r} in {most} steps")


def test_by_keyboard_in_english(
    platform: live.Live, admin: tuple[str, str], tmp_path: Path
) -> None:
    good = tmp_path / "rows.jsonl"
    good.write_text(rows(faults=False))
    with browser.opened(platform.url, tmp_path, language="en-US") as eyes:
        page, keys = eyes.page, eyes.page.keyboard
        page.get_by_label("User name").wait_for()
        keys.type(admin[0])
        keys.press("Tab")
        keys.type("wrong")
        # A refusal of the sign-in is an answer with status 401, which the browser logs.
        keys.press("Enter")
        page.get_by_text("User name or password is wrong.").wait_for()
        assert eyes.complaints
        assert all("401" in each for each in eyes.complaints)
        eyes.complaints.clear()
        page.get_by_label("Password").focus()
        keys.press("Control+A")
        keys.type(admin[1])
        keys.press("Enter")
        page.get_by_role("heading", name="Home").wait_for()
        _tab_to(page, "link", "Data")
        keys.press("Enter")
        page.get_by_role("heading", name="Data").wait_for()
        _tab_to(page, "button", "New dataset")
        keys.press("Enter")
        # The dialog takes the focus once it stands.
        page.get_by_role("dialog").wait_for()
        page.locator(".ant-modal :focus").first.wait_for(state="attached")
        _tab_to(page, "button", re.compile("Drop a file here"))
        # The dialog for files belongs to the system, not to the page.
        page.set_input_files("input[type=file]", good)
        _tab_to(page, "textbox", re.compile("Name of the dataset"))
        keys.press("Control+A")
        keys.type("console-keyboard")
        keys.press("Enter")
        page.get_by_role("button", name="Publish").wait_for()
        _tab_to(page, "button", "Publish")
        keys.press("Enter")
        page.get_by_text("Published", exact=True).first.wait_for()
        _tab_to(page, "tab", re.compile("Rows"))
        # Its name has its number in it, too, while it has the focus.
        statistics = page.get_by_role("tab", name=re.compile("Statistics"))
        # Along the tabs, however many stand before it.
        for _ in range(10):
            if statistics.evaluate("each => each === document.activeElement"):
                break
            keys.press("ArrowRight")
        keys.press("Enter")
        page.locator("canvas").first.wait_for()

        # The session ends in the middle: signing in again happens over the page.
        page.context.clear_cookies(name="sessionid")
        # Sent to the tab itself: a list that is just being renewed may have asked first, and
        # then the dialog already lies over the page.
        page.get_by_role("tab", name="Export and split").dispatch_event("click")
        page.get_by_text("Nothing you typed is lost").wait_for()
        page.get_by_label("Password").fill(admin[1])
        page.get_by_label("User name").fill(admin[0])
        keys.press("Enter")
        page.get_by_text("Nothing you typed is lost").wait_for(state="hidden")
        assert page.url.endswith("tab=export")
        eyes.complaints[:] = [each for each in eyes.complaints if "401" not in each]

        _tab_to(page, "button", re.compile(admin[0]))
        keys.press("Enter")
        out = page.get_by_role("menuitem", name="Sign out")
        out.wait_for()
        for _ in range(10):
            if "active" in (out.get_attribute("class") or ""):
                break
            keys.press("ArrowDown")
            page.wait_for_timeout(200)
        keys.press("Enter")
        page.get_by_label("Password").wait_for()


def test_two_people_edit_one_limit(
    platform: live.Live, admin: tuple[str, str], tmp_path: Path
) -> None:
    """What one tab changes the other shows by itself, and does not overwrite unasked."""
    with browser.opened(platform.url, tmp_path, language="en-US") as eyes:
        page = eyes.page
        page.get_by_label("User name").fill(admin[0])
        page.get_by_label("Password").fill(admin[1])
        page.keyboard.press("Enter")
        page.get_by_role("link", name="Rate limits").click()
        page.get_by_role("button", name="Set a limit").click()
        page.get_by_label("Requests a minute").fill("61")
        page.get_by_role("button", name="Set a limit").last.click()
        page.get_by_role("cell", name="61", exact=True).wait_for()
        page.get_by_role("button", name="Edit").click()
        field = page.get_by_label("Requests a minute")
        # The form is filled with what the platform has now.
        expect(field).to_have_value("61")
        field.fill("77")
        limits = platform.call("GET", "limits").json()["data"]
        (found,) = [each for each in limits if each["requests_per_minute"] == 61]
        rates = {"requests_per_minute": 99}
        assert platform.call("PUT", f"limits/{found['id']}", json=rates).status_code == 200
        page.get_by_role("cell", name="99", exact=True).wait_for()
        page.get_by_role("button", name="Save").click()
        page.get_by_text("Nothing of yours was stored").wait_for()
        # A refusal is an answer with status 412, which the browser logs.
        assert all("412" in each for each in eyes.complaints)
        eyes.complaints.clear()
        eyes.look("changed-meanwhile")
        page.get_by_role("button", name="Load how it is now").click()
        expect(field).to_have_value("99")
        field.fill("1000000")
        page.get_by_role("button", name="Save").click()
        page.get_by_role("cell", name="1,000,000", exact=True).wait_for()
        assert platform.call("DELETE", f"limits/{found['id']}").status_code == 204


def test_first_load_is_small(tmp_path: Path) -> None:
    """What sign-in and home need is at most 350 KB of JavaScript, gzipped."""
    dist = live.ROOT / "frontend/dist"
    manifest = json.loads((dist / ".vite/manifest.json").read_text())
    wanted, seen = ["index.html", "src/pages/home/HomePage.tsx"], set()
    while wanted:
        name = wanted.pop()
        if name not in seen:
            seen.add(name)
            wanted += manifest[name].get("imports", [])
    size = sum((dist / f"{manifest[name]['file']}.gz").stat().st_size for name in seen)
    print(f"first load: {size / 1000:.0f} KB")
    assert size <= 350_000
