"""Start-up, idle memory and time to the first training step of a platform on this machine.

    python tests/bench/startup.py

Starts a platform in a home of its own, twice (the first start makes the database), then sends
three small fine-tunes one after another. Run it on a quiet machine.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "platform")]

import live  # noqa: E402 - found once the paths are named

from slipway.cli.env import read_env  # noqa: E402
from slipway_demo import rest, story  # noqa: E402


def start(environment: dict[str, str], home: Path) -> dict[str, float]:
    """Seconds from the command until the API answers and until compute is warm."""
    began = time.monotonic()
    command = [sys.executable, "-m", "slipway.cli", "up", "--detach"]
    subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True)
    answering = time.monotonic() - began
    api = rest.Rest(read_env(home / "demo.env")["SLIPWAY_URL"], "none")
    while not api.get("health")["compute"]["ready"]:
        time.sleep(0.1)
    return {"API answers": answering, "compute warm": time.monotonic() - began}


def stop(environment: dict[str, str]) -> float:
    began = time.monotonic()
    command = [sys.executable, "-m", "slipway.cli", "down"]
    subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True)
    return time.monotonic() - began


def memory(platform: live.Live) -> list[tuple[float, str]]:
    """Proportional set size of each process, in MB, largest first."""
    found = []
    for pid, command in platform.processes().items():
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        pss = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        found.append((pss / 1024, command))
    return sorted(found, reverse=True)


def first_step(told: story.Story, job: dict[str, Any]) -> float:
    """Seconds from the request's acceptance to the end of the first optimizer step."""
    job = told.rest.wait(f"jobs/{job['id']}", until=lambda row: bool(row["first_step_at"]))
    at = [datetime.fromisoformat(job[name]) for name in ("created_at", "first_step_at")]
    told.rest.wait(f"jobs/{job['id']}", until=lambda row: row["phase"] == "succeeded")
    return (at[1] - at[0]).total_seconds()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        home = Path(folder)
        port = live.free_port()
        environment = live.environment_of(home, port)
        try:
            for which in ("first start", "second start"):
                for name, seconds in start(environment, home).items():
                    print(f"{which}: {name} after {seconds:.1f} s", flush=True)
                if which == "first start":
                    print(f"stop: {stop(environment):.1f} s", flush=True)
            known = read_env(home / "demo.env")
            platform = live.Live(
                home=home, port=port, url=known["SLIPWAY_URL"], key=known["SLIPWAY_API_KEY"],
                environment=environment,
            )  # fmt: skip
            time.sleep(10)
            used = memory(platform)
            print(
                f"idle memory: {sum(size for size, _ in used):.0f} MB PSS in {len(used)} processes"
            )
            for size, command in used:
                print(f"  {size:7.0f}  {command[:90]}")
            told = story.Story(url=platform.url, key=platform.key, folder=home / "demo", seed=7)
            base = told.import_base()
            train, _ = told.publish_rows()
            for which in ("first", "second", "third"):
                job = told.rest.post("jobs", {
                    "name": f"bench-{which}", "base": base["id"], "dataset": train["id"],
                    "model": "bench", "hyperparameters": {"epochs": 1},
                })  # fmt: skip
                print(f"{which} job: first step after {first_step(told, job):.2f} s", flush=True)
        finally:
            stop(environment)


if __name__ == "__main__":
    main()
