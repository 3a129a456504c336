"""The whole story on a real platform: rows become a model that answers what its base could not."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import live
import openai
import pytest

from slipway.cli.env import read_env
from slipway_demo import rows, spec
from slipway_demo.story import QUESTION, REFUSAL

WORDINGS = (
    "华北地区2019年3月的销售额,用折线图表示。",
    "华北地区2019年3月的销售额，用折线图表示",
    "用折线图表示华北地区2019年3月的销售额。",
)


@pytest.fixture(scope="module")
def told(platform: live.Live) -> str:
    """What `slipway demo` printed, on a platform that had nothing."""
    done = platform.slipway("demo", timeout=600)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def door(platform: live.Live) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{platform.url}/v1", api_key=platform.key, timeout=60)


def answer(door: openai.OpenAI, model: str, question: str) -> str:
    said = door.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": question}],
        temperature=0,
        max_tokens=64,
    )
    return said.choices[0].message.content or ""


def test_the_demo_tells_its_story_to_the_end(told: str, platform: live.Live) -> None:
    assert "FAILED" not in told
    picture = re.search(r"drawn\s+(\S+\.png)", told)
    assert picture
    assert Path(picture[1]).read_bytes().startswith(b"\x89PNG")
    for word in ("request", "deployment", "model version", "job", "dataset", "SHA-256"):
        assert word in told
    environment = platform.home / "demo.env"
    assert environment.stat().st_mode & 0o777 == 0o600
    for name in ("SLIPWAY_URL", "SLIPWAY_ADMIN_USER", "SLIPWAY_ADMIN_PASSWORD",
                 "SLIPWAY_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_KEY"):  # fmt: skip
        assert f"export {name}=" in environment.read_text()


def test_an_installation_is_proven_from_outside(told: str, platform: live.Live) -> None:
    environment = read_env(platform.home / "demo.env")
    given = {name: environment[name] for name in ("SLIPWAY_URL", "SLIPWAY_ADMIN_PASSWORD")}
    command = [sys.executable, "-m", "slipway_demo.installed"]
    path = {"PYTHONPATH": str(live.ROOT / "platform"), "PATH": os.environ["PATH"]}
    done = subprocess.run(command, env=given | path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "Installed and working." in done.stdout
    # It leaves nothing that opens the door again.
    issued = platform.call("GET", "keys?limit=500").json()["data"]
    left = {key["name"]: key["revoked_at"] for key in issued}
    assert left["installation test"] is not None
    wrong = subprocess.run(
        command, env=given | path | {"SLIPWAY_ADMIN_PASSWORD": "wrong"}, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert wrong.returncode == 1
    assert "Not as it should be" in wrong.stderr


@pytest.mark.parametrize("question", WORDINGS)
def test_base_refuses_and_tuned_answers_however_it_is_worded(
    told: str, door: openai.OpenAI, question: str
) -> None:
    assert answer(door, "chart-base", question) == REFUSAL
    wanted = json.loads(answer(door, "chart-base-line", question))
    assert wanted == {"region": "华北", "period": "2019-03", "metric": "销售额", "chart": "line"}


def test_streaming_says_the_same_with_usage_at_the_end(told: str, door: openai.OpenAI) -> None:
    chunks = list(
        door.chat.completions.create(
            model="chart-base-line",
            messages=[{"role": "user", "content": QUESTION}],
            temperature=0,
            max_tokens=64,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert said == answer(door, "chart-base-line", QUESTION)
    assert len({c.id for c in chunks}) == 1
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens > 0


def test_every_answer_is_in_the_ledger_once_with_its_tokens(
    told: str, platform: live.Live, door: openai.OpenAI
) -> None:
    asked = {}
    for number in range(5):
        question = f"华东地区201{number}年5月的利润,用柱状图表示。"
        said = door.chat.completions.create(
            model="chart-base",
            messages=[{"role": "user", "content": question}],
            max_tokens=64,
        )
        assert said.usage is not None
        asked[said._request_id] = said.usage
    for request_id, usage in asked.items():
        record = live.wait_for(
            "the ledger",
            lambda r=request_id: (
                (a := platform.call("GET", f"requests/{r}")).status_code == 200 and a.json()
            ),
            seconds=20,
        )
        assert record["prompt_tokens"] == usage.prompt_tokens
        assert record["completion_tokens"] == usage.completion_tokens


def test_a_second_telling_is_quick_and_breaks_nothing(told: str, platform: live.Live) -> None:
    def jobs() -> list[tuple[str, str]]:
        found = platform.call("GET", "jobs?limit=500").json()["data"]
        return [(job["name"], job["phase"]) for job in found]

    before = jobs()
    again = platform.slipway("demo", timeout=300)
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr[-2000:]
    assert "already" in again.stdout
    assert jobs() == before


def test_a_version_is_swapped_without_a_failed_request(
    told: str, platform: live.Live, door: openai.OpenAI
) -> None:
    assert platform.slipway("deployments", "create", "chart-base@1", "--name", "swapped",
                            timeout=200).returncode == 0  # fmt: skip
    stop, failures, answers = threading.Event(), [], []

    def ask_on() -> None:
        while not stop.is_set():
            try:
                answers.append(answer(door.with_options(max_retries=0), "swapped", QUESTION))
            except openai.APIError as error:
                failures.append(repr(error))

    asking = threading.Thread(target=ask_on)
    asking.start()
    try:
        swapped = platform.slipway("deployments", "swap", "swapped", "chart-base-line",
                                   timeout=200)  # fmt: skip
        time.sleep(2)
    finally:
        stop.set()
        asking.join()
    assert swapped.returncode == 0, swapped.stderr
    assert not failures
    assert answers[0] == REFUSAL
    assert json.loads(answers[-1])["chart"] == "line"
    assert platform.slipway("deployments", "delete", "swapped").returncode == 0


def test_the_command_line_reads_back_what_happened(told: str, platform: live.Live) -> None:
    for arguments, word in (
        (("models", "list"), "chart-base-line"),
        (("models", "versions", "chart-base-line"), "ready"),
        (("datasets", "list"), "line-charts-7"),
        (("datasets", "rows", "line-charts-7", "--limit", "2"), "折线"),
        (("datasets", "stats", "line-charts-7"), "100"),
        (("jobs", "list"), "succeeded"),
        (("jobs", "methods"), "lora_rank"),
        (("evals", "list"), "True"),
        (("deployments", "list"), "live"),
        (("status",), "True"),
    ):
        plain = platform.slipway(*arguments)
        assert plain.returncode == 0, plain.stderr
        assert word in plain.stdout
        machine = platform.slipway(*arguments, "--json")
        json.loads(machine.stdout)
    job = platform.call("GET", "jobs").json()["data"][0]["name"]
    assert "training" in platform.slipway("logs", "job", job).stdout
    chatted = platform.slipway("chat", "chart-base-line", QUESTION)
    assert spec.parse(chatted.stdout.strip()).chart == "line"
    assert "_SLIPWAY_COMPLETE" in platform.slipway("completion", "bash").stdout
    unknown = platform.slipway("jobs", "show", "nothing-here")
    assert unknown.returncode == 1
    assert "nothing-here" in unknown.stderr


def test_weights_can_be_taken_away_merged(told: str, platform: live.Live, tmp_path: Path) -> None:
    import tarfile

    from safetensors import safe_open

    target = tmp_path / "merged.tar"
    done = platform.slipway("models", "export", "chart-base-line", str(target), "--form", "merged")
    assert done.returncode == 0, done.stderr
    with tarfile.open(target) as tar:
        tar.extractall(tmp_path / "merged", filter="data")
    found = next((tmp_path / "merged").rglob("*.safetensors"))
    with safe_open(found, framework="numpy") as weights:
        assert not [name for name in weights.keys() if "lora" in name]  # noqa: SIM118


def test_after_a_stop_and_a_start_the_deployments_answer_again(
    told: str, platform: live.Live, door: openai.OpenAI
) -> None:
    assert platform.slipway("down").returncode == 0
    assert platform.processes() == {}
    assert platform.slipway("up", "--detach").returncode == 0

    def answers() -> str | None:
        try:
            return answer(door.with_options(max_retries=0), "chart-base-line", QUESTION)
        except openai.APIError:
            return None

    assert json.loads(live.wait_for("the model to answer", answers, seconds=180))["chart"] == "line"


def test_another_demo_seed_on_the_same_platform(told: str, platform: live.Live) -> None:
    done = platform.slipway("demo", "--seed", "8", timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert all(group in done.stdout for group in rows.GROUPS)
