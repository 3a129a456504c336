"""What the console costs in a browser: `python tests/bench/console.py [PART …] [--minutes 10]`.

Starts a platform of its own and Debian's Chromium, and prints tables: `load` (JavaScript of the
first load, time to interactive), `calls` (API calls page by page), `rows` (a table of a million
rows is scrolled), `curves` (a job with 100,000 points), `memory` (a live page over time). Without
a part, all but `memory`. Frames are the distances between animation frames; a long task is one of
the page's own that held the main thread for more than 50 ms, as the browser itself reports them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "platform")]

import browser  # noqa: E402 -- found by the line above
import live  # noqa: E402
from servers import chromium  # noqa: E402

from slipway.cli.env import read_env  # noqa: E402
from slipway_demo import rows as demo_rows  # noqa: E402
from slipway_demo.story import BASE  # noqa: E402

ROWS, POINTS = 1_000_000, 100_000
#: Notes long tasks, frames and strokes of drawings from the first moment of a page.
WATCH = """
window.seen = {tasks: [], strokes: [], frames: []};
new PerformanceObserver(list => seen.tasks.push(...list.getEntries().map(
  each => [each.startTime, each.duration]))).observe({type: 'longtask', buffered: true});
const stroke = CanvasRenderingContext2D.prototype.stroke;
CanvasRenderingContext2D.prototype.stroke = function (...given) {
  const done = stroke.apply(this, given); seen.strokes.push(performance.now()); return done; };
const frame = now => { if (seen.counting) seen.frames.push(now); requestAnimationFrame(frame); };
requestAnimationFrame(frame);
"""


@contextmanager
def opened_browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield opened
        opened.close()


def tab(opened: Any, platform: live.Live, *, signed_in: bool = True) -> Any:
    """A tab with an empty cache; signed in without having shown a page."""
    context = opened.new_context(locale="en-US", viewport={"width": 1280, "height": 860})
    context.add_init_script(WATCH)
    if signed_in:
        known = read_env(platform.home / "demo.env")
        given = {
            "user": known["SLIPWAY_ADMIN_USER"],
            "password": known["SLIPWAY_ADMIN_PASSWORD"],
        }
        answer = context.request.post(f"{platform.url}/api/v1/session", data=given)
        assert answer.ok, answer.text()
    page = context.new_page()
    page.set_default_timeout(120_000)
    return page


def cpu_of(page: Any) -> Callable[[], float]:
    """Tells how many milliseconds of CPU the page's main thread has used, whoever else is busy."""
    probe = page.context.new_cdp_session(page)
    probe.send("Performance.enable")

    def used() -> float:
        found = probe.send("Performance.getMetrics")["metrics"]
        return 1000 * sum(each["value"] for each in found if each["name"] == "ThreadTime")

    return used


def load(opened: Any, platform: live.Live) -> None:
    """First load of the sign-in form and of the home page, each with an empty cache."""
    print(f"{'first load':10} {'JS gzip':>9} {'drawn':>9} {'interactive':>12}   five loads, median")
    for name, signed_in in (("sign-in", False), ("home", True)):
        drawn, interactive, size = [], [], 0
        for _ in range(5):
            page = tab(opened, platform, signed_in=signed_in)
            page.goto(platform.url, wait_until="networkidle" if not signed_in else "load")
            # As Lighthouse has it: five seconds without a long task after the last one.
            page.wait_for_timeout(5_500)
            told = page.evaluate("""() => ({
              tasks: seen.tasks,
              drawn: performance.getEntriesByName('first-contentful-paint')[0].startTime,
              ready: performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd,
              size: performance.getEntriesByType('resource').filter(e => /\\.js$/.test(e.name))
                .reduce((all, each) => all + each.encodedBodySize, 0)})""")
            last = max((at + long for at, long in told["tasks"]), default=0)
            drawn.append(told["drawn"])
            interactive.append(max(told["drawn"], told["ready"], last))
            size = told["size"]
            page.context.close()
        print(
            f"{name:10} {size / 1000:6.0f} KB {statistics.median(drawn):6.0f} ms "
            f"{statistics.median(interactive):9.0f} ms   {[round(each) for each in interactive]}"
        )


def stocked(platform: live.Live) -> dict[str, str]:
    """One of each thing that has a page, made by the command line; ids by what they are."""
    with tempfile.TemporaryDirectory() as folder:
        written = demo_rows.write_rows(Path(folder), seed=7, held_out_count=5)
        for arguments in (
            ("models", "import", "bench-base", str(BASE)),
            ("datasets", "upload", "bench-rows", str(written.train), "--publish"),
            ("datasets", "upload", "bench-held-out", str(written.held_out), "--publish"),
            ("deployments", "create", "bench-base"),
        ):
            done = platform.slipway(*arguments)
            assert done.returncode == 0, done.stdout + done.stderr

    def only(path: str) -> dict[str, Any]:
        found: dict[str, Any] = platform.call("GET", path).json()["data"][0]
        return found

    model, dataset = only("models?name=bench-base"), only("datasets?name=bench-rows")
    version = only(f"models/{model['id']}/versions")
    row = only(f"datasets/{dataset['id']}/versions")
    asked = {
        "name": "bench-job", "model": "bench-tuned", "base": version["id"], "dataset": row["id"],
        "method": "sft", "scale": "lora", "hyperparameters": {"epochs": 1},
    }  # fmt: skip
    job = platform.call("POST", "jobs", json=asked)
    assert job.status_code == 201, job.text
    judged = {"name": "bench-eval", "candidates": [version["id"]], "dataset": row["id"]}
    run = platform.call("POST", "evals", json=judged)
    assert run.status_code == 201, run.text
    for kind, made in (("jobs", job), ("evals", run)):
        path = f"{kind}/{made.json()['id']}"
        live.wait_for(
            path,
            lambda path=path: platform.call("GET", path).json()["phase"] in ("succeeded", "failed"),  # type: ignore[misc]
            seconds=300,
        )
    served = only("deployments?name=bench-base")
    chat = {"model": "bench-base", "messages": [{"role": "user", "content": "?"}]}
    import httpx

    bearer = {"authorization": f"Bearer {platform.key}"}
    completions = f"{platform.url}/v1/chat/completions"
    said = httpx.post(completions, json=chat, headers=bearer, timeout=60).headers["x-request-id"]
    live.wait_for(
        "the ledger",
        lambda: platform.call("GET", f"requests/{said}").status_code == 200,
        seconds=60,
    )
    return {
        "data": dataset["id"], "data/versions": row["id"], "models": model["id"],
        "models/versions": version["id"], "training": job.json()["id"],
        "evaluation": run.json()["id"], "deployments": served["id"], "requests": said,
    }  # fmt: skip


def calls(opened: Any, platform: live.Live) -> None:
    """Asks of the API until a page has stood still, by address and inside the console."""
    ids = stocked(platform)
    page = tab(opened, platform)
    asked: list[str] = []

    def note(request: Any) -> None:
        path = request.url.removeprefix(platform.url)
        if path.startswith(("/api/", "/v1/")) and path != "/api/v1/changes":
            asked.append(f"{request.method} {path.removeprefix('/api/v1/')}")

    page.on("request", note)
    go = "to => { history.pushState({}, '', to); dispatchEvent(new PopStateEvent('popstate')); }"

    def settled(act: Callable[[], Any]) -> list[str]:
        asked.clear()
        act()
        page.get_by_role("heading", level=1).first.wait_for()
        page.wait_for_timeout(2_500)
        return list(asked)

    print(f"{'page':34} {'by address':>10} {'inside':>7}   asked for inside; repeated twice: !")
    for path in browser.paths(ids):
        whole = settled(lambda path=path: page.goto(platform.url + path))  # type: ignore[misc]
        page.evaluate(go, "/system/health")
        page.wait_for_timeout(3_000)
        inside = settled(lambda path=path: page.evaluate(go, path))  # type: ignore[misc]
        short = re.sub(r"[0-9a-f-]{36}|chatcmpl-\w+", "…", path)
        names = [re.sub(r"[0-9a-f-]{36}", "…", each).removeprefix("GET ") for each in inside]
        twice = {each for each, n in Counter(inside).items() if n > 1}
        told = ", ".join(
            name + ("!" if each in twice else "") for name, each in zip(names, inside, strict=True)
        )
        print(f"{short:34} {len(whole):10} {len(inside):7}   {told}", flush=True)
    page.context.close()


def rows(opened: Any, platform: live.Live) -> None:
    """A dataset of a million rows comes in, and its table is scrolled."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "million.jsonl"
        with file.open("w") as out:
            for number in range(ROWS):
                turns = [
                    {
                        "role": "user",
                        "content": f"What does item {number} cost in region {number % 97}?",
                    },
                    {"role": "assistant", "content": f"It costs {number % 1009} yuan."},
                ]
                out.write(json.dumps({"messages": turns}) + "\n")
        began = time.monotonic()
        done = platform.slipway("datasets", "upload", "million", str(file), timeout=900)
        assert done.returncode == 0, done.stdout + done.stderr
        size, took = file.stat().st_size / 1e6, time.monotonic() - began
        print(f"{ROWS:,} rows, {size:.0f} MB: uploaded and checked in {took:.0f} s")
    dataset = platform.call("GET", "datasets?name=million").json()["data"][0]["id"]
    version = platform.call("GET", f"datasets/{dataset}/versions").json()["data"][0]["id"]
    page = tab(opened, platform)
    page.goto(f"{platform.url}/data/{dataset}/versions/{version}")
    table = page.get_by_role("list", name="Rows")
    table.get_by_text("What does item 0 cost").wait_for()
    table.hover()
    head = ("frames", "p50", "p99", "longest", "over 50 ms", "CPU a frame", "long tasks")
    print(f"{'scrolled':18}" + "".join(f"{each:>12}" for each in head))

    used = cpu_of(page)

    def counted(name: str, act: Callable[[], None]) -> None:
        page.evaluate("() => { seen.frames = []; seen.tasks = []; seen.counting = true; }")
        before = used()
        act()
        cpu = used() - before
        frames, tasks = page.evaluate("() => (seen.counting = false, [seen.frames, seen.tasks])")
        gaps = sorted(b - a for a, b in pairwise(frames))
        told = [gaps[len(gaps) // 2], gaps[int(len(gaps) * 0.99)], gaps[-1]]
        over = sum(each > 50 for each in gaps)
        print(
            f"{name:18}{len(gaps):12}"
            + "".join(f"{each:9.1f} ms" for each in told)
            + f"{over:12}{cpu / len(gaps):9.1f} ms{len(tasks):12}"
            + f" {[round(each) for _, each in tasks] or ''}"
        )

    def wheel(by: int, times: int) -> Callable[[], None]:
        def act() -> None:
            for _ in range(times):
                page.mouse.wheel(0, by)
                page.wait_for_timeout(16)

        return act

    def dragged() -> None:
        # As fast as a person draws the bar: from the top to the end in four seconds.
        page.evaluate("""async () => {
          const box = document.querySelector('.rows'), room = box.scrollHeight - box.clientHeight;
          const began = performance.now();
          for (let t = 0; t < 1; ) {
            t = Math.min(1, (performance.now() - began) / 4000);
            box.scrollTop = t * room;
            await new Promise(requestAnimationFrame);
          }}""")

    counted("wheel, slowly", wheel(120, 150))
    counted("wheel, fast", wheel(4_000, 150))
    counted("bar, all in 4 s", dragged)
    table.get_by_text(f"What does item {ROWS - 1} cost").wait_for()
    began = time.monotonic()
    page.evaluate("document.querySelector('.rows').scrollTop /= 2")
    table.get_by_text(re.compile(r"What does item (499|500)\d{3} cost")).first.wait_for()
    print(f"a jump to the middle shows its rows after {1000 * (time.monotonic() - began):.0f} ms")
    page.context.close()


WRITER = """
import django, math, sys; django.setup()
from django.utils import timezone
from slipway.core.models import Event
from slipway.training.models import MetricPoint, TrainingJob
job = TrainingJob.objects.get(pk=sys.argv[1])
TrainingJob.objects.filter(pk=job.pk).update(phase="running", look_at=None)
for line in sys.stdin:
    first, last = map(int, line.split())
    MetricPoint.objects.filter(job=job, step__gte=first).delete()
    MetricPoint.objects.bulk_create((MetricPoint(job=job, name="loss", step=step,
        value=2 / (1 + step / 5000) + math.sin(step * 12.9898) * 0.05, at=timezone.now())
        for step in range(first, last)), batch_size=5000)
    Event.objects.create(subject=f"training.TrainingJob:{job.pk}", kind="stage", at=timezone.now())
    print("written", flush=True)
"""


@contextmanager
def points_of(platform: live.Live, job: str) -> Iterator[Callable[[int, int], None]]:
    """Writes points of a job that runs where the notes of a run end, and tells of them."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, job],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=platform.environment,
    )  # fmt: skip

    def add(first: int, last: int) -> None:
        assert writer.stdin is not None
        assert writer.stdout is not None
        print(first, last, file=writer.stdin, flush=True)
        assert writer.stdout.readline() == "written\n"

    try:
        yield add
    finally:
        writer.terminate()
        writer.wait()


def curves(opened: Any, platform: live.Live) -> None:
    """A job with 100,000 points: how long they are on their way, are drawn, and follow."""
    with points_of(platform, a_job(platform)) as add:
        _curves(opened, platform, a_job(platform), add)


def _curves(opened: Any, platform: live.Live, job: str, add: Callable[[int, int], None]) -> None:
    add(1_000, POINTS + 1_000)
    page = tab(opened, platform)
    used = cpu_of(page)
    # The points are held back until all else is drawn, so that what they cost stands alone.
    held: list[Any] = []

    def hold(route: Any) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    page.route("**/metrics?*", hold)
    page.goto(f"{platform.url}/training/{job}")
    page.get_by_role("heading", level=1).wait_for()
    while not held:
        page.wait_for_timeout(50)
    page.wait_for_timeout(3_000)
    before, began = used(), time.monotonic()
    answer = held[0].fetch()
    answered = 1000 * (time.monotonic() - began)
    began = time.monotonic()
    held[0].fulfill(response=answer)
    while not page.evaluate("seen.strokes.length"):
        page.wait_for_timeout(10)
    drawn = 1000 * (time.monotonic() - began)
    page.wait_for_timeout(1_500)
    print(
        f"{POINTS:,} points: answered in {answered:.0f} ms ({len(answer.body()) / 1e6:.2f} MB), "
        f"drawn {drawn:.0f} ms later, for {used() - before:.0f} ms of the page's CPU"
    )
    for turn in range(3):
        page.evaluate("() => { seen.strokes = []; seen.tasks = []; }")
        first = POINTS + 1_000 + turn * 20
        before = used()
        add(first, first + 20)
        written = time.monotonic()
        while not page.evaluate("seen.strokes.length"):
            page.wait_for_timeout(20)
        shown = time.monotonic() - written
        page.wait_for_timeout(800)
        cost = used() - before
        print(f"20 more points: shown {shown:.2f} s after they were written, for {cost:.0f} ms")
    page.context.close()


def a_job(platform: live.Live) -> str:
    """A finished job of the demonstration's rows, made once."""
    found = platform.call("GET", "jobs?name=bench-job").json()["data"]
    return str(found[0]["id"]) if found else stocked(platform)["training"]


def memory(opened: Any, platform: live.Live, minutes: float) -> None:
    """A job page that hears of new points every two seconds: its heap after collections."""
    job = a_job(platform)
    with points_of(platform, job) as add:
        _memory(opened, platform, job, add, minutes)


def _memory(
    opened: Any, platform: live.Live, job: str, add: Callable[[int, int], None], minutes: float
) -> None:
    add(1_000, 6_000)
    page = tab(opened, platform)
    page.goto(f"{platform.url}/training/{job}")
    page.locator(".chart canvas").first.wait_for()
    probe = page.context.new_cdp_session(page)
    probe.send("Performance.enable")
    step, began, told = 6_000, time.monotonic(), []
    print(f"{'minute':>7} {'heap':>9} {'nodes':>7} {'listeners':>10}")
    while (spent := time.monotonic() - began) < minutes * 60:
        if len(told) <= spent / 30:
            probe.send("HeapProfiler.collectGarbage")
            found = {e["name"]: e["value"] for e in probe.send("Performance.getMetrics")["metrics"]}
            told.append((spent / 60, found["JSHeapUsedSize"] / 1e6))
            print(
                f"{spent / 60:7.1f} {told[-1][1]:6.1f} MB {found['Nodes']:7.0f} "
                f"{found['JSEventListeners']:10.0f}",
                flush=True,
            )
        add(step, step + 10)
        step += 10
        page.wait_for_timeout(2_000)
    late = told[len(told) // 5 :]
    slope = statistics.linear_regression([at for at, _ in late], [mb for _, mb in late]).slope
    over, points = late[-1][0] - late[0][0], step - 6_000
    print(f"slope {slope * 60:+.1f} MB an hour, over {over:.0f} minutes; {points} points came")
    page.context.close()


PARTS = {"load": load, "calls": calls, "rows": rows, "curves": curves}


def main() -> None:
    asking = argparse.ArgumentParser(description=__doc__)
    asking.add_argument("parts", nargs="*", choices=[*PARTS, "memory", []])
    asking.add_argument("--minutes", type=float, default=10)
    given = asking.parse_args()
    os.environ.pop("SLIPWAY_HOME", None)
    with tempfile.TemporaryDirectory() as home, live.platform(Path(home)) as platform:
        for part in given.parts or PARTS:
            with opened_browser() as opened:
                print(f"\n{part}", flush=True)
                if part == "memory":
                    memory(opened, platform, given.minutes)
                else:
                    PARTS[part](opened, platform)


if __name__ == "__main__":
    main()
