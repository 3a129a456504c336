"""The main job, told through the public API: 100 rows teach a model a chart it did not know."""

from __future__ import annotations

import io
import pathlib
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from slipway_demo import draw, rows, spec
from slipway_demo.rest import Refused, Rest

BASE = pathlib.Path(__file__).parent / "chart_base"
MODEL = "chart-base"
QUESTION = "华北地区2019年3月的销售额,用折线图表示。"
REFUSAL = "换个问题试试"
#: What the fine-tuned model must reach to be deployed, by group of held-out questions.
GATE = {"line": 0.9, "line_phrasing": 0.9, "known": 0.9, "refuse": 0.8}


class Broken(Exception):
    """The story cannot go on; the text says where and why."""


class Story:
    """Seven steps; each looks first whether an earlier telling has done it already."""

    def __init__(
        self, *, url: str, key: str, folder: pathlib.Path, seed: int, gateway: str = ""
    ) -> None:
        self.rest = Rest(url, key)
        base_url = f"{gateway or url}/v1"
        self.door = openai.OpenAI(base_url=base_url, api_key=key, max_retries=5, timeout=120)
        self.folder = folder
        self.seed = seed
        self.tuned = f"{MODEL}-line" if seed == 7 else f"{MODEL}-line-{seed}"
        self.console = Console(highlight=False)
        self.seconds: dict[str, float] = {}

    def close(self) -> None:
        """Give all connections back; nothing can be told afterwards."""
        self.rest.close()
        self.door.close()

    def tell(self) -> bool:
        """Tell all of it; True if the fine-tuned model passed its gate."""
        with self.step("1  A base model comes into the registry"):
            base = self.import_base()
        with self.step("2  The base is served, and asked for a line chart"):
            self.ask_base(base)
        with self.step("3  100 labelled rows are uploaded, checked and published"):
            train, held_out = self.publish_rows()
        with self.step("4  LoRA fine-tune"):
            job = self.fine_tune(base, train, held_out)
        with self.step("5  Base and fine-tuned are judged on held-out questions"):
            passed = self.judge(base, job, held_out)
        with self.step("6  The fine-tuned version is deployed and called"):
            request_id = self.deploy_and_ask(job)
        with self.step("7  Where that answer came from"):
            self.show_lineage(request_id)
        self.console.print("\n[bold]Time by step[/bold]")
        for name, seconds in self.seconds.items():
            self.console.print(f"  {seconds:6.1f} s  {name}")
        if not passed:
            self.console.print(
                "\n[red]The gate failed:[/red] the scores above say in which group. The version "
                "is deployed for you to look at; do not put it before users."
            )
        return passed

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        self.console.print(f"\n[bold]{title}[/bold]")
        began = time.monotonic()
        yield
        self.seconds[title] = time.monotonic() - began

    def say(self, text: str) -> None:
        self.console.print(f"   {text}", soft_wrap=True)

    # 1

    def import_base(self) -> dict[str, Any]:
        version = self.first_base()
        if version:
            self.say(f"{version['reference']} is there already")
        else:
            self.send_base(_tar(BASE))
            version = self.first_base()
        if version is None:
            latest = self.rest.named("models", MODEL)["latest"]
            raise Broken(f"the base was refused: {latest['reason']}")
        self.say(
            f"{version['reference']}: {version['architecture']}, "
            f"{version['parameters'] / 1e6:.2f} M parameters, {version['dtype']}, "
            f"{version['size_bytes'] / 1e6:.1f} MB"
        )
        return version

    def first_base(self) -> dict[str, Any] | None:
        """The oldest version that is ready, once none is on its way: the same for every telling."""
        model = self.rest.named("models", MODEL)
        if model is None:
            return None
        versions = list(self.rest.pages(f"models/{model['id']}/versions", limit=500))
        settled = [
            self.rest.wait(
                f"model-versions/{version['id']}", until=lambda v: v["phase"] != "importing"
            )
            for version in versions
        ]
        ready = [version for version in settled if version["phase"] == "ready"]
        return min(ready, key=lambda version: int(version["number"]), default=None)

    def send_base(self, archive: bytes) -> None:
        upload = self.rest.post(
            "models/uploads", {"filename": f"{MODEL}.tar", "size_bytes": len(archive)}
        )
        where = f"models/uploads/{upload['id']}"
        part_bytes = upload["part_bytes"]
        for number in range(1, upload["parts"] + 1):
            piece = archive[(number - 1) * part_bytes : number * part_bytes]
            self.rest.put(self.rest.get(f"{where}/parts/{number}")["address"], piece)
        self.rest.post(f"{where}/finish")
        self.rest.post("models/import", {"name": MODEL, "upload": upload["id"]})

    # 2

    def ask_base(self, base: dict[str, Any]) -> None:
        self.deploy(MODEL, base["id"])
        answer = self.ask(MODEL, QUESTION)
        self.say(f"you         {QUESTION}")
        self.say(f"{MODEL}  {answer}")
        if answer != REFUSAL:
            self.say("(this base was expected to refuse line charts; it has learnt them already?)")

    # 3

    def publish_rows(self) -> tuple[dict[str, Any], dict[str, Any]]:
        written = rows.write_rows(self.folder / f"rows-{self.seed}", seed=self.seed)
        train = self.publish(f"line-charts-{self.seed}", written.train)
        held_out = self.publish(f"line-charts-{self.seed}-held-out", written.held_out)
        return train, held_out

    def publish(self, name: str, file: pathlib.Path) -> dict[str, Any]:
        dataset = self.rest.make("datasets", {"name": name})
        path = f"datasets/{dataset['id']}/versions"
        for version in self.rest.pages(path):
            if version["phase"] == "published":
                self.say(f"{name}@{version['number']} is published already: {_rows(version)}")
                return dict(version)
        version = self.rest.post(path)
        where = f"dataset-versions/{version['id']}"
        plan = self.rest.post(
            f"{where}/upload", {"size_bytes": file.stat().st_size, "filename": file.name}
        )
        data = file.read_bytes()
        for part in plan["parts"]:
            piece = data[part["start"] : part["start"] + part["size_bytes"]]
            self.rest.put(part["url"], piece)
        self.rest.post(f"{where}/upload/finish")
        checked = {"valid", "invalid", "failed"}
        version = self.rest.wait(where, until=lambda v: v["phase"] in checked)
        if version["phase"] != "valid":
            raise Broken(f"{name} has faults: {version['reason']}")
        version = self.rest.post(f"{where}/publish")
        self.say(f"{name}@{version['number']}: {_rows(version)}")
        return dict(version)

    # 4

    def fine_tune(
        self, base: dict[str, Any], train: dict[str, Any], held_out: dict[str, Any]
    ) -> dict[str, Any]:
        name = f"{self.tuned}-{train['sha256'][:8]}"
        found = self.rest.named("jobs", name)
        if found and found["phase"] == "succeeded":
            self.say(f"job {name} has succeeded already")
            return dict(found)
        asked = {
            "name": name,
            "base": base["id"],
            "dataset": train["id"],
            "held_out": held_out["id"],
            "model": self.tuned,
            "method": "sft",
            "scale": "lora",
            "seed": self.seed,
        }
        expected = self.rest.post("jobs/estimate", asked)["estimate"]
        self.say(
            f"estimate: {expected['tokens']} tokens, {expected['steps']} steps, "
            f"{expected['seconds']:.0f} s, {float(expected['price']):.4f} {expected['currency']}, "
            f"{expected['memory_bytes'] / 1e6:.0f} MB; {expected['starts_reason']}"
        )
        job = found or self.rest.make("jobs", asked)
        if job["phase"] in {"failed", "cancelled"}:
            self.rest.post_once(f"jobs/{job['id']}/retry")
        job = self.watch(f"jobs/{job['id']}", curves=True)
        metrics = job["metrics"]
        checkpoints = self.rest.get(f"jobs/{job['id']}/checkpoints")["data"]
        self.say(
            f"loss {metrics.get('train_loss', float('nan')):.4f}, held-out "
            f"{metrics.get('held_out_loss', float('nan')):.4f}, "
            f"{len(checkpoints)} checkpoints, "
            f"{job['seconds']['running']:.1f} s from start to end"
        )
        return job

    # 5

    def judge(self, base: dict[str, Any], job: dict[str, Any], held_out: dict[str, Any]) -> bool:
        tuned = job["result_version_id"]
        name = f"{self.tuned}-{tuned[:8]}"
        run = self.rest.named("evals", name)
        if run is None:
            run = self.rest.make(
                "evals",
                {
                    "name": name,
                    "candidates": [base["id"], tuned],
                    "dataset": held_out["id"],
                    "metrics": ["exact_match"],
                    "max_tokens": 64,
                    "gate": [
                        {"candidate": tuned, "group": group, "metric": "exact_match", "min": least}
                        for group, least in GATE.items()
                    ],
                },
            )
        if run["phase"] in {"failed", "cancelled"}:
            self.rest.post_once(f"evals/{run['id']}/retry")
        run = self.watch(f"evals/{run['id']}")
        for line in run["scoreboard"]:
            before, after = line["scores"]
            test = next(
                (
                    p
                    for p in run["paired"]
                    if p["group"] == line["group"] and p["p_value"] is not None
                ),
                None,
            )
            self.say(
                f"{line['group']:14} base {_interval(before)}   tuned {_interval(after)}   "
                + (f"p = {test['p_value']:.1g}" if test else "")
            )
        for finding in run["gate_findings"]:
            self.say(f"[{'green' if finding['passed'] else 'red'}]{finding['text']}[/]")
        return bool(run["gate_passed"])

    # 6

    def deploy_and_ask(self, job: dict[str, Any]) -> str:
        self.deploy(self.tuned, job["result_version_id"])
        listed = [model.id for model in self.door.models.list()]
        # Each checkpoint of the fine-tune can be called too; here they would crowd out the rest.
        names = [name for name in listed if ":ckpt-step-" not in name]
        self.say(f"/v1/models: {', '.join(names)}")
        said = ""
        for chunk in self.door.chat.completions.create(
            model=self.tuned, messages=[{"role": "user", "content": QUESTION}],
            temperature=0, max_tokens=64, stream=True,
        ):  # fmt: skip
            said += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        answer = self.door.chat.completions.create(
            model=self.tuned, messages=[{"role": "user", "content": QUESTION}],
            temperature=0, max_tokens=64,
        )  # fmt: skip
        whole = answer.choices[0].message.content or ""
        self.say(f"you    {QUESTION}")
        self.say(f"model  {whole}")
        if said != whole:
            raise Broken(f"streamed and whole answers differ: {said!r} and {whole!r}")
        try:
            wanted = spec.parse(whole)
        except spec.BadSpec as error:
            raise Broken(f"the answer is no chart spec: {error}") from error
        picture = draw.draw(wanted, self.folder / f"{self.tuned}.png")
        self.say(f"drawn  {picture}")
        return str(answer._request_id)

    # 7

    def show_lineage(self, request_id: str) -> None:
        record = self.patient_record(request_id)
        version = self.rest.get(f"model-versions/{record['version_id']}/lineage")
        job = self.rest.get(f"jobs/{version['job_id']}")
        self.say(f"request          {request_id}")
        self.say(f"→ deployment     {record['model']} ({record['deployment_id']})")
        self.say(
            f"→ model version  {version['model']}@{version['version']} ({record['version_id']})"
        )
        self.say(f"→ job            {job['name']} ({job['id']})")
        self.say(f"→ dataset        {job['dataset']['version_id']}")
        self.say(f"→ rows, SHA-256  {job['dataset']['sha256']}")
        self.say(f"→ MLflow run     {job['tracking_run'] or '(not written yet)'}")

    def patient_record(self, request_id: str) -> dict[str, Any]:
        """The request's line in the ledger; it arrives there within seconds."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return dict(self.rest.get(f"requests/{request_id}"))
            except Refused as error:
                if error.status != 404 or time.monotonic() > deadline:
                    raise
            time.sleep(0.3)

    # What several steps do

    def deploy(self, name: str, version_id: str) -> None:
        row = self.rest.make("deployments", {"name": name, "model": version_id})
        where = f"deployments/{row['id']}"
        if row["phase"] in {"stopped", "failed"}:
            self.rest.post_once(f"{where}/start")
        if row["version_id"] != version_id:
            self.rest.wait(where, until=lambda r: r["phase"] != "starting", seconds=300)
            self.rest.post_once(f"{where}/swap", {"model": version_id})
        with self.bars() as bars:
            bar = bars.add_task(f"deploy {name}", total=None, note="")
            self.rest.wait(
                where,
                until=_serves(version_id),
                seen=lambda r: bars.update(bar, note=f"{r['phase']}: {r['reason']}"),
                seconds=300,
            )
        self.say(f"{name} is live")

    def watch(self, path: str, *, curves: bool = False) -> dict[str, Any]:
        """Follow a run with a bar, its reason while it waits, its loss while it learns."""

        def seen(row: dict[str, Any]) -> None:
            progress = row["progress"]
            note = row["reason"] or progress["stage"]
            if curves and row["phase"] == "running" and progress["step"]:
                losses = [
                    f"{curve['name']} {curve['last_value']:.3f}"
                    for curve in self.rest.get(f"{path}/metrics")["names"]
                    if curve["name"] in {"loss", "held_out_loss"}
                    and curve["last_value"] is not None
                ]
                note = f"step {progress['step']} of {progress['total_steps']}  {'  '.join(losses)}"
            bars.update(bar, description=row["phase"], completed=progress["percent"], note=note)

        with self.bars() as bars:
            bar = bars.add_task("queued", total=100, note="")
            row = self.rest.wait(
                path, until=lambda r: r["phase"] in {"succeeded", "failed", "cancelled"}, seen=seen
            )
        if row["phase"] != "succeeded":
            raise Broken(f"{row['name']} ended as {row['phase']}: {row['reason']}")
        return row

    def ask(self, model: str, question: str) -> str:
        answer = self.door.chat.completions.create(
            model=model, messages=[{"role": "user", "content": question}],
            temperature=0, max_tokens=64,
        )  # fmt: skip
        return answer.choices[0].message.content or ""

    def bars(self) -> Progress:
        return Progress(
            TextColumn("  "),
            BarColumn(bar_width=24),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            transient=True,
        )


def _serves(version_id: str) -> Any:
    def there(row: dict[str, Any]) -> bool:
        if row["phase"] == "failed":
            raise Broken(f"deployment {row['name']} failed: {row['reason']}")
        serving = row["serving"]
        return (
            row["phase"] == "live"
            and row["coming"] is None
            and serving is not None
            and str(serving["version_id"]) == version_id
        )

    return there


def _tar(directory: pathlib.Path) -> bytes:
    """The directory as a tar that is the same bytes each time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in sorted(directory.iterdir()):
            entry = tarfile.TarInfo(path.name)
            entry.size = path.stat().st_size
            with path.open("rb") as source:
                tar.addfile(entry, source)
    return buffer.getvalue()


def _rows(version: dict[str, Any]) -> str:
    sha256 = version["sha256"][:12]
    return f"{version['rows']} rows, {version['fault_count']} faults, SHA-256 {sha256}…"


def _interval(score: dict[str, Any]) -> str:
    if score["value"] is None:
        return "–"
    return f"{score['value']:.2f} [{score['low']:.2f}, {score['high']:.2f}] n={score['n']}"
