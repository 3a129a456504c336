"""Work with models in the console: tune, judge, serve, ask; by mouse and by keyboard alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import browser
import httpx
import live
import pytest
from playwright.sync_api import Page, expect

from slipway_demo import rows
from slipway_demo.story import BASE, QUESTION, REFUSAL

ASKED = {"region": "华北", "period": "2019-03", "metric": "销售额", "chart": "line"}


@pytest.fixture(scope="module")
def stocked(platform: live.Live, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A base that is served, 100 published rows, and held-out questions."""
    written = rows.write_rows(tmp_path_factory.mktemp("rows"), seed=7, held_out_count=10)
    for arguments in (
        ("models", "import", "walk-base", str(BASE)),
        ("datasets", "upload", "walk-rows", str(written.train), "--publish"),
        ("datasets", "upload", "walk-held-out", str(written.held_out), "--publish"),
        ("deployments", "create", "walk-base"),
    ):
        done = platform.slipway(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr


def signed_in(eyes: browser.Eyes, admin: tuple[str, str], home: str) -> Page:
    page = eyes.page
    browser.sign_in(page, admin)
    page.get_by_role("heading", name=home, exact=True).wait_for()
    return page


def visit(page: Page, name: str, *, then: str = "") -> None:
    """Open a page by the menu, and from it the form that its first button opens."""
    page.get_by_role("navigation").first.get_by_role("link", name=name, exact=True).click()
    page.get_by_role("heading", name=name, exact=True, level=1).wait_for()
    if then:
        page.get_by_role("link", name=then).first.click()
        page.get_by_role("heading", name=name, exact=True, level=1).wait_for(state="detached")


def pick(page: Page, label: str | re.Pattern[str], *texts: str) -> None:
    """Choose in a list, typing what one looks for where the list can be searched."""
    field = page.get_by_role("combobox", name=label)
    field.click()
    for text in texts:
        if field.is_editable():
            field.fill(text)
        page.locator(
            ".ant-select-dropdown:visible .ant-select-item-option", has_text=text
        ).first.click()
    page.keyboard.press("Escape")


def figures(page: Page, label: str | re.Pattern[str]) -> list[list[str]]:
    """Rows of the table that stands below a chart, header first."""
    chart = page.get_by_role("img", name=label)
    details = chart.locator("xpath=following-sibling::details[1]")
    if details.get_attribute("open") is None:
        details.locator("summary").click()
    details.locator("tbody tr").first.wait_for()
    return [row.locator("th,td").all_inner_texts() for row in details.locator("tr").all()]


def number(text: str) -> float | None:
    return None if text == "–" else float(text)


def test_by_mouse_in_chinese(
    platform: live.Live, stocked: None, admin: tuple[str, str], tmp_path: Path
) -> None:
    with browser.opened(platform.url, tmp_path, language="zh-CN") as eyes:
        page = signed_in(eyes, admin, "首页")
        tune(page, eyes, platform)
        judge(page, eyes, platform)
        serve(page, eyes, platform)
        converse(page, eyes, platform)
        ask_a_table(page, eyes, platform)


def tune(page: Page, eyes: browser.Eyes, platform: live.Live) -> None:
    visit(page, "模型调优", then="新建任务")
    page.get_by_label("任务名称").fill("walk-line")
    pick(page, "基础模型", "walk-base@1")
    pick(page, "训练数据: 数据集", "walk-rows")
    pick(page, "训练数据: 版本", "walk-rows@1")
    pick(page, re.compile("留出集.*: 数据集"), "walk-held-out")
    pick(page, re.compile("留出集.*: 版本"), "walk-held-out@1")
    page.locator(".estimate-time").wait_for()
    eyes.look("training-new")
    page.get_by_role("button", name=re.compile("^超参数")).click()
    page.get_by_label(re.compile("epochs")).fill("8")
    eyes.look("training-parameters")
    page.get_by_role("button", name="开始训练").click()
    page.get_by_role("heading", name="walk-line").wait_for()
    learn(page, eyes, platform)


def learn(page: Page, eyes: browser.Eyes, platform: live.Live) -> None:
    # It learns before one's eyes: the curve grows without a reload.
    page.get_by_role("img", name="损失 随步数的变化").wait_for()
    eyes.look("training-running")
    page.locator(".page-lead").get_by_text("成功").wait_for(timeout=300_000)
    job = platform.call("GET", "jobs?name=walk-line").json()["data"][0]
    points = platform.call("GET", f"jobs/{job['id']}/metrics?name=loss").json()["data"]
    told = [[p["step"], p["value"]] for p in points if p["name"] == "loss"]
    page.get_by_text(re.compile("结果模型")).wait_for()
    eyes.settle()
    head, *shown = figures(page, "损失 随步数的变化")
    column = head.index("训练")
    drawn = [[int(r[0]), number(r[column])] for r in shown if number(r[column]) is not None]
    # At most 200 steps are listed, the last one always.
    assert drawn[-1] == [told[-1][0], pytest.approx(told[-1][1], rel=1e-4)]
    assert all([at, pytest.approx(value, rel=1e-4)] in drawn for at, value in told[:3])
    page.get_by_text("图中数据").click()
    eyes.look("training-job")
    page.get_by_role("tab", name="检查点").click()
    page.get_by_role("link", name="对话").first.wait_for()
    eyes.look("training-checkpoints")
    for tab in ("超参数", "资源", "事件", "日志", "代码"):
        page.get_by_role("tab", name=tab).click()
        page.get_by_role("tabpanel", name=tab, exact=True).wait_for()
    eyes.look("training-code")


def judge(page: Page, eyes: browser.Eyes, platform: live.Live) -> None:
    visit(page, "模型评估", then="新建评估")
    page.get_by_label("名称", exact=True).fill("walk-judged")
    pick(page, re.compile("模型版本"), "walk-base@1", "walk-base-walk-line@1")
    pick(page, "评估数据: 数据集", "walk-held-out")
    pick(page, "评估数据: 版本", "walk-held-out@1")
    page.get_by_role("button", name="添加条件").click()
    eyes.look("evaluation-new")
    page.get_by_role("button", name="开始评估").click()
    page.get_by_role("heading", name="walk-judged").wait_for()
    page.get_by_text("准入结论").wait_for()
    run = next(
        each
        for each in platform.call("GET", "evals").json()["data"]
        if each["name"] == "walk-judged"
    )
    board = {each["group"]: each["scores"] for each in run["scoreboard"]}
    _, *shown = figures(page, re.compile("exact_match"))
    for group, *values in shown:
        scores = board["all" if group == "全部" else group]
        assert [number(v) for v in values] == [
            pytest.approx(each["value"], rel=1e-4) for each in scores
        ]
    page.get_by_text("图中数据").click()
    eyes.look("evaluation-board")
    page.get_by_role("tab", name="逐行").click()
    page.get_by_label("只看得分不同的行").check()
    page.locator(".eval-row mark").first.wait_for()
    eyes.look("evaluation-rows")
    # A person rates an answer without knowing whose it is; the board shows it beside the scores.
    page.get_by_label("人工评分").click()
    expect(page.get_by_label("人工评分")).to_be_checked()
    stars = page.get_by_role("group", name="为 回答 1 评分").first.get_by_role("radio")
    stars.nth(3).click()
    rated = f"evals/{run['id']}/ratings"
    live.wait_for("the rating", lambda: platform.call("GET", rated).json()["mine"], seconds=30)
    eyes.look("evaluation-rating")
    page.get_by_role("tab", name="得分").click()
    page.get_by_role("heading", name="人工评分").wait_for()
    page.get_by_text(re.compile("1 行 · 1 人")).first.wait_for()


def serve(page: Page, eyes: browser.Eyes, platform: live.Live) -> None:
    visit(page, "模型服务", then="部署模型")
    pick(page, "模型版本", "walk-base-walk-line@1")
    page.get_by_label("服务名称").fill("walk-line")
    eyes.look("deployment-new")
    page.get_by_role("button", name="部署", exact=True).click()
    page.get_by_role("heading", name="walk-line").wait_for()
    page.locator(".page-lead").get_by_text("服务中").wait_for()
    page.get_by_label("问它点什么").fill(QUESTION)
    page.get_by_role("button", name="发送").click()
    page.get_by_text("首字").wait_for()
    assert json.loads(page.locator(".deploy-test .bubble").inner_text()) == ASKED
    eyes.look("deployment")
    page.get_by_role("button", name="修改", exact=True).click()
    page.get_by_label("排队上限").fill("64")
    page.get_by_label("闲置多少秒后休眠").fill("3600")
    page.get_by_role("dialog").get_by_role("button", name="保存").click()
    page.get_by_text("闲置 1 小时 0 分后").wait_for()
    page.get_by_role("button", name="设置分流").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("比例 1").fill("90")
    dialog.get_by_text("还差 10 %").wait_for()
    dialog.get_by_role("button", name="再加一个").click()
    dialog.get_by_label("模型 2").fill("walk-base")
    page.keyboard.press("Escape")
    dialog.get_by_text("还差").wait_for(state="detached")
    eyes.look("traffic-rule")
    dialog.get_by_role("button", name="保存").click()
    page.get_by_text("10 % walk-base").wait_for()
    (rule,) = platform.call("GET", "traffic?name=walk-line").json()["data"]
    assert {each["model"]: each["percent"] for each in rule["targets"]} == {
        "walk-line": 90,
        "walk-base": 10,
    }
    visit(page, "模型服务")
    page.get_by_role("tab", name="分流").click()
    page.get_by_role("cell", name="walk-line", exact=True).wait_for()
    eyes.look("traffic")
    page.get_by_role("button", name="撤销").click()
    page.get_by_role("tooltip").get_by_role("button", name="撤销").click()
    page.get_by_text("没有分流规则").wait_for()
    page.get_by_role("tab", name="外部模型").click()
    page.get_by_role("button", name="添加外部模型").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("名称", exact=True).fill("walk-far")
    dialog.get_by_label("地址").fill("https://models.invalid/v1")
    dialog.get_by_label("凭证").fill("sk-theirs-0123456789")
    dialog.get_by_role("button", name="添加外部模型").click()
    page.get_by_role("cell", name="walk-far", exact=True).first.wait_for()
    page.get_by_text("…6789").wait_for()
    dialog.wait_for(state="detached")
    assert "sk-theirs-0123456789" not in page.content()
    eyes.look("externals")
    page.get_by_role("button", name="检查").click()
    page.get_by_text("有问题").wait_for()


def converse(page: Page, eyes: browser.Eyes, platform: live.Live) -> None:
    visit(page, "体验中心")
    page.goto(page.url.split("?")[0] + "?models=walk-base,walk-line&temperature=0")
    question = page.get_by_role("textbox", name=re.compile("输入问题"))
    question.fill(QUESTION)
    question.press("Enter")
    page.locator(".play-answer footer", has_text="毫秒").nth(1).wait_for()
    said = page.locator(".play-answer .bubble").all_inner_texts()
    assert said[0].strip() == REFUSAL
    assert json.loads(said[1]) == ASKED
    # What one types is what one sees: markup in a question stays text.
    question.fill("<img src=x onerror=alert(1)><b>粗</b>")
    question.press("Enter")
    page.locator(".play-turn").nth(1).locator("footer", has_text="毫秒").nth(1).wait_for()
    assert page.locator(".play-question").nth(1).inner_text().startswith("<img src=x")
    assert page.locator(".play-turn img, .play-turn b").count() == 0
    eyes.look("playground")
    # A thumb and a word on the tuned answer are found again where a dataset can be made of them.
    answer = page.locator(".play-turn").first.locator(".play-answer").nth(1)
    answer.get_by_role("button", name="好", exact=True).click()
    answer.get_by_role("textbox", name="意见").fill("walk-thumb")
    answer.get_by_role("button", name="提交").click()
    expect(answer.get_by_role("button", name="提交")).to_be_disabled()
    given = platform.call("GET", "feedback?model=walk-line").json()["data"]
    assert [each["comment"] for each in given] == ["walk-thumb"]
    page.get_by_role("button", name="查看代码").click()
    page.get_by_role("dialog").get_by_text("from openai import OpenAI").first.wait_for()
    page.keyboard.press("Escape")
    # Where the tuned model's answer came from, back to the rows.
    origin = page.locator(".play-turn").first.get_by_role("link").nth(1)
    request_id = origin.inner_text()
    live.wait_for(
        "the ledger",
        lambda: platform.call("GET", f"requests/{request_id}").status_code == 200,
        seconds=30,
    )
    origin.click()
    graph = page.get_by_role("region", name="来源与去向")
    for word in ("walk-rows@1", "walk-held-out@1", "walk-base@1", "训练任务 walk-line", request_id):
        graph.get_by_role("listitem").filter(has_text=word).first.wait_for()
    eyes.look("request")
    # Who looks where an answer came from finds the conversation again.
    page.go_back()
    expect(page.locator(".play-answer .bubble")).to_have_count(4)
    expect(page.locator(".play-answer .bubble").nth(1)).to_contain_text("华北")
    expect(question).to_have_value("")
    page.go_forward()
    graph.get_by_role("link", name="模型版本 walk-base-walk-line@1").click()
    page.get_by_role("heading", name="walk-base-walk-line@1").wait_for()
    eyes.look("model-lineage")
    visit(page, "模型广场")
    card = page.get_by_role("article", name="walk-base")
    card.get_by_text("服务中：walk-base").wait_for()
    eyes.look("plaza")
    card.get_by_role("link", name="微调").click()
    page.get_by_role("heading", name="新建调优任务").wait_for()
    page.locator(".ant-select-content", has_text="walk-base@1").wait_for()
    page.get_by_label("GRPO").check()
    page.get_by_role("combobox", name="从一种评分器开始").click()
    page.locator(".ant-select-item-option", has_text="与参考答案的相似度").click()
    expect(page.get_by_label("评分器", exact=True)).to_have_value(re.compile("fuzzy_match"))
    eyes.look("training-grader")
    # Who leaves what was filled in is asked first.
    page.get_by_role("link", name="问数").click()
    page.get_by_role("dialog").get_by_role("button", name="留下").click()
    page.get_by_role("dialog").wait_for(state="detached")
    expect(page.get_by_label("GRPO")).to_be_checked()
    page.get_by_role("link", name="问数").click()
    page.get_by_role("dialog").get_by_role("button", name="离开").click()


def ask_a_table(page: Page, eyes: browser.Eyes, platform: live.Live) -> None:
    visit(page, "问数")
    page.get_by_role("button", name="使用示例销售表").click()
    pick(page, "模型", "walk-line")
    page.get_by_role("button", name="提问").click()
    page.get_by_role("img", name=re.compile("华北.*销售额")).wait_for()
    _, *shown = figures(page, re.compile("华北.*销售额"))
    assert len(shown) == 12
    page.get_by_text("图中数据").click()
    eyes.look("ask")
    page.get_by_role("button", name="改正").click()
    pick_chart = page.get_by_role("combobox", name="图表")
    pick_chart.click()
    page.locator(".ant-select-item-option", has_text="柱状图").click()
    page.get_by_role("button", name="存为标注数据").click()
    page.get_by_text("标注数据（1 行）").wait_for()
    page.get_by_role("combobox", name=re.compile("选择数据集")).fill("walk-corrected")
    page.get_by_role("button", name="加入数据集").click()
    page.get_by_text("walk-corrected", exact=False).first.wait_for()
    live.wait_for(
        "the corrected row to be a version",
        lambda: platform.call("GET", "datasets?name=walk-corrected").json()["data"],
        seconds=20,
    )
    eyes.look("ask-corrected")


def tab_to(page: Page, role: Any, name: str | re.Pattern[str], most: int = 90) -> None:
    """Press Tab until this has the focus; fails if the keyboard cannot reach it."""
    wanted = page.get_by_role(role, name=name, exact=True).last
    wanted.wait_for()
    for _ in range(most):
        if wanted.evaluate("each => each === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach the {role} {name!r} in {most} steps")


def write(page: Page, role: Any, name: str | re.Pattern[str], text: str) -> None:
    """Type into a field that Tab reaches, in place of what stood there."""
    tab_to(page, role, name)
    page.keyboard.press("Control+A")
    page.keyboard.type(text)


def choose(page: Page, name: str | re.Pattern[str], *texts: str) -> None:
    """Choose in a list by keyboard: typing what one looks for where it can be searched."""
    tab_to(page, "combobox", name)
    field = page.get_by_role("combobox", name=name)
    for text in texts:
        if field.is_editable():
            page.keyboard.press("Control+A")
            page.keyboard.type(text)
        else:
            page.keyboard.press("ArrowDown")
        options = page.locator(".ant-select-dropdown:visible .ant-select-item-option")
        options.filter(has_text=text).first.wait_for()
        active = page.locator(
            ".ant-select-dropdown:visible .ant-select-item-option-active", has_text=text
        )
        for _ in range(20):
            if active.count():
                break
            page.keyboard.press("ArrowDown")
            page.wait_for_timeout(50)
        page.keyboard.press("Enter")
    page.keyboard.press("Escape")


def press(page: Page, role: Any, name: str | re.Pattern[str]) -> None:
    tab_to(page, role, name)
    page.keyboard.press("Enter")


def open_form(page: Page, area: str, button: str, title: str) -> None:
    """From wherever one is to the form that a list page opens."""
    press(page, "link", area)
    page.get_by_role("heading", name=area, exact=True, level=1).wait_for()
    press(page, "link", button)
    page.get_by_role("heading", name=title, exact=True, level=1).wait_for()


def test_by_keyboard_in_english(
    platform: live.Live, stocked: None, admin: tuple[str, str], tmp_path: Path
) -> None:
    with browser.opened(platform.url, tmp_path, language="en-US") as eyes:
        page, keys = eyes.page, eyes.page.keyboard
        signed_in(eyes, admin, "Home")
        open_form(page, "Tuning", "New job", "New tuning job")
        write(page, "textbox", re.compile("Job name"), "walk-keys")
        choose(page, re.compile("Base model"), "walk-base@1")
        choose(page, "Training data: Dataset", "walk-rows")
        choose(page, "Training data: Version", "walk-rows@1")
        page.locator(".estimate-time").wait_for()
        press(page, "button", re.compile("^.*Hyper-parameters"))
        write(page, "spinbutton", re.compile("epochs"), "1")
        press(page, "button", "Start training")
        page.get_by_role("heading", name="walk-keys").wait_for()
        page.locator(".page-lead").get_by_text("Succeeded").wait_for(timeout=300_000)

        open_form(page, "Evaluation", "New evaluation", "New evaluation")
        write(page, "textbox", re.compile("Name"), "walk-keys-judged")
        choose(page, re.compile("Model versions"), "walk-base@1", "walk-base-walk-keys@1")
        choose(page, "Judged on: Dataset", "walk-held-out")
        choose(page, "Judged on: Version", "walk-held-out@1")
        press(page, "button", "Start judging")
        page.get_by_role("heading", name="walk-keys-judged").wait_for()
        page.get_by_role("img", name=re.compile("exact_match")).wait_for(timeout=300_000)

        open_form(page, "Deployments", "Deploy a model", "Deploy a model")
        choose(page, re.compile("Model version"), "walk-base-walk-keys@1")
        write(page, "textbox", re.compile("Name"), "walk-keys")
        press(page, "button", "Deploy")
        page.get_by_role("heading", name="walk-keys").wait_for()
        page.locator(".page-lead").get_by_text("Live").wait_for(timeout=300_000)
        press(page, "tab", re.compile("Test"))
        write(page, "textbox", "Ask it something", QUESTION)
        press(page, "button", "Send")
        expect(page.locator(".deploy-test .bubble")).to_have_text(re.compile("."))

        press(page, "link", "Playground")
        page.get_by_role("heading", name="Playground", exact=True, level=1).wait_for()
        # One model is chosen already, and choosing it again would take it away.
        offered = page.locator(".play-wide .ant-select-selection-item").first.inner_text()
        if offered != "walk-base":
            choose(page, re.compile("Models|Choose up to four"), "walk-base")
        write(page, "textbox", re.compile("Ask something"), QUESTION)
        keys.press("Enter")
        page.locator(".play-answer footer", has_text="ms").first.wait_for()
        expect(page.locator(".play-answer .bubble").first).to_have_text(REFUSAL)

        press(page, "link", "Deployments")
        page.get_by_role("heading", name="Deployments", exact=True).wait_for()
        press(page, "link", "walk-base")
        eyes.settle()
        tab_to(page, "tab", re.compile("Test"))
        for _ in range(2):
            keys.press("ArrowRight")
        keys.press("Enter")
        page.get_by_role("img", name=re.compile("Latency of the last")).wait_for()
        eyes.look("deployment-traffic")


def test_every_page_can_be_read_in_light_and_in_dark(
    platform: live.Live, stocked: None, admin: tuple[str, str], tmp_path: Path
) -> None:
    def first(path: str) -> dict[str, Any]:
        found: dict[str, Any] = platform.call("GET", path).json()["data"][0]
        return found

    dataset, model = first("datasets?name=walk-rows"), first("models?name=walk-base")
    rows_of, base = (
        first(f"datasets/{dataset['id']}/versions"),
        first(f"models/{model['id']}/versions"),
    )
    asked = {"name": "walk-looked-at", "base": base["id"], "dataset": rows_of["id"]}
    job = platform.call("POST", "jobs", json=asked | {"method": "sft", "scale": "lora"}).json()
    judged = {"name": "walk-looked-at", "candidates": [base["id"]], "dataset": rows_of["id"]}
    run = platform.call("POST", "evals", json=judged).json()
    chat = {"model": "walk-base", "messages": [{"role": "user", "content": "?"}], "max_tokens": 2}
    bearer = {"authorization": f"Bearer {platform.key}"}
    completions = f"{platform.url}/v1/chat/completions"
    said = httpx.post(completions, json=chat, headers=bearer, timeout=60)
    request_id = said.headers["x-request-id"]
    live.wait_for(
        "the ledger",
        lambda: platform.call("GET", f"requests/{request_id}").status_code == 200,
        seconds=60,
    )
    ids = {
        "data": dataset["id"], "data/versions": rows_of["id"], "models": model["id"],
        "models/versions": base["id"], "training": job["id"], "evaluation": run["id"],
        "deployments": first("deployments?name=walk-base")["id"], "requests": request_id,
    }  # fmt: skip
    with browser.opened(platform.url, tmp_path, language="en-US") as eyes:
        page = signed_in(eyes, admin, "Home")
        for path in browser.paths(ids):
            page.goto(platform.url + path)
            page.get_by_role("heading", level=1).first.wait_for()
            eyes.settle()
            for theme in ("Dark", "Light"):
                eyes.still()
                eyes.judge(f"{path} before {theme}")
                page.get_by_role("button", name=theme, exact=True).click()
            # A phone shows it without scrolling sideways.
            page.set_viewport_size({"width": 390, "height": 844})
            eyes.still()
            if page.evaluate("document.documentElement.scrollWidth") > 390:
                eyes.complaints.append(f"{path} is wider than a phone")
            page.set_viewport_size({"width": 1280, "height": 860})
