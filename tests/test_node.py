"""The node agent, with a real Ray: runs, the queue, and what a `kill -9` of each part does."""

from __future__ import annotations

import itertools
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slipway.backends.compute import ComputeUnavailable
from slipway.backends.compute.local import Local
from slipway_contracts.workload import (
    Kind,
    Observation,
    State,
    Workload,
    report_from_json,
    report_name,
)
from slipway_runtime import files
from slipway_runtime.node import board, leftovers

TESTS = Path(__file__).parent
ENDED = (State.SUCCEEDED, State.FAILED)
numbers = itertools.count(1)


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
    return value


class Node:
    """An agent of our own, in its own SLIPWAY_HOME."""

    #: What runs do; None: the real recipes.
    recipes = {"train": "recipe_for_tests:run", "evaluate": "recipe_for_tests:run"}

    def __init__(self, home):
        self.home = home
        home.mkdir()
        self.compute = Local(home / "run" / "node.sock")
        self.start()

    def start(self):
        recipes = {"SLIPWAY_RECIPES": json.dumps(self.recipes)} if self.recipes else {}
        self.output = self.home.with_suffix(".log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "slipway_runtime", "node"],
            stdout=self.output,
            stderr=self.output,
            env=os.environ
            | recipes
            | {
                "SLIPWAY_HOME": str(self.home),
                "PYTHONPATH": f"{TESTS.parent}/platform:{TESTS}",
            },
        )
        self.started_at = time.monotonic()

    def ready(self):
        wait_for(lambda: self.compute.readiness().ready)
        return self

    def stop(self):
        self.process.terminate()
        status = self.process.wait(15)
        self.output.close()
        return status

    def processes(self):
        return {pid: command(pid) for pid in leftovers.find(self.home)}

    def find(self, word):
        return [pid for pid, line in self.processes().items() if word in line]

    def workload(self, **fields):
        settings = fields.pop("settings", {})
        name = fields.pop("name", f"train-{next(numbers):04d}-1")
        return Workload(
            name=name,
            kind=Kind.TRAIN,
            settings={"mark": str(self.mark(name))} | settings,
            output_uri=f"file://{self.home}/objects/{name}",
            submitted_at=time.time(),
            **fields,
        )

    def mark(self, name):
        return self.home / f"{name}.pid"

    def sleeping(self, **fields):
        """A run that sleeps; returns it with its process id once it does."""
        asked = self.workload(settings={"end": "sleep", "steps": 3}, **fields)
        self.compute.apply(asked)
        text = wait_for(
            lambda: self.mark(asked.name).exists() and self.mark(asked.name).read_text()
        )
        return asked, int(text)

    def end_of(self, name):
        wait_for(lambda: self.compute.observe(name).state in ENDED)
        return self.compute.observe(name)


def command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    node = Node(tmp_path_factory.mktemp("n") / "h")
    yield node.ready()
    node.stop()
    assert node.processes() == {}


def test_it_answers_at_once_and_says_what_it_still_does(tmp_path):
    node = Node(tmp_path / "h")
    try:
        wait_for((node.home / "run" / "node.sock").exists)
        seconds = time.monotonic() - node.started_at
        first = node.compute.readiness()
        asked = node.workload()
        node.compute.apply(asked)
        seen = node.compute.observe(asked.name)
        assert not first.ready
        assert "Ray" in first.reason
        assert seen.state is State.WAITING
        assert "until this machine is warm: starting Ray" in seen.reason
        assert stat.S_IMODE((node.home / "run" / "node.sock").stat().st_mode) == 0o600
        # The bound is loose: other processes of the machine may be in the way.
        assert seconds < 5, seconds
        # Stopped in the middle of the start, it leaves nothing.
        assert node.stop() == 0
    finally:
        node.process.kill()
    wait_for(lambda: node.processes() == {})


def test_a_run_succeeds_is_remembered_and_forgotten_when_deleted(node):
    asked = node.workload(settings={"steps": 2})
    node.compute.apply(asked)
    node.compute.apply(asked)
    assert node.end_of(asked.name) == Observation(state=State.SUCCEEDED)
    report = report_from_json(files.read(f"{asked.output_uri}/{report_name(1)}"))
    assert report.details == {"first_step": 1}
    assert list(node.compute.logs(asked.name)) == ["begun"]
    assert asked.name in node.compute.names()
    node.compute.delete(asked.name)
    node.compute.delete(asked.name)
    assert node.compute.observe(asked.name).state is State.ABSENT
    assert asked.name not in node.compute.names()


def test_a_failed_run_tells_its_reason(node):
    asked = node.workload(settings={"end": "bad input"})
    node.compute.apply(asked)
    seen = node.end_of(asked.name)
    assert (seen.state, seen.reason) == (State.FAILED, "row 7 has no answer; add one")
    node.compute.delete(asked.name)


def test_a_cancelled_run_is_gone_only_when_its_process_is(node):
    asked, pid = node.sleeping()
    node.compute.delete(asked.name)
    wait_for(lambda: node.compute.observe(asked.name).state is State.ABSENT)
    assert gone(pid)


def test_the_queue_has_an_order_and_says_behind_what(node):
    running, _ = node.sleeping()
    low, early, late, high = (
        node.workload(priority=-1),
        node.workload(),
        node.workload(),
        node.workload(priority=5),
    )
    for asked in (late, low, high, early):
        node.compute.apply(asked)
    queue = [high, early, late, low]
    seen = [node.compute.observe(asked.name) for asked in queue]
    assert [s.position for s in seen] == [1, 2, 3, 4]
    assert seen[0].reason == (f"first in the queue, behind {running.name}, which is at step 1 of 3")
    assert seen[2].reason.startswith(f"third in the queue, behind {early.name}; running now: ")
    node.compute.delete(early.name)
    assert node.compute.observe(late.name).position == 2
    node.compute.delete(running.name)
    for asked in (high, late, low):
        assert node.end_of(asked.name).state is State.SUCCEEDED
        node.compute.delete(asked.name)
    reported = [f"{asked.output_uri}/{report_name(1)}" for asked in (high, late, low)]
    times = [Path(uri.removeprefix("file://")).stat().st_mtime for uri in reported]
    assert times == sorted(times)


@pytest.mark.parametrize("name", ["../x", "UPPER", "a" * 64, "-a", "a b"])
def test_a_name_that_is_no_label_is_refused(node, name):
    with pytest.raises(ValueError, match="no workload's name"):
        node.compute.apply(node.workload(name=name))


def test_no_agent_is_said_with_what_to_do(tmp_path):
    nobody = Local(tmp_path / "node.sock")
    with pytest.raises(ComputeUnavailable, match="slipway up"):
        nobody.observe("train-1")
    assert not nobody.readiness().ready


def test_ray_listens_on_this_machine_only(node):
    inodes = {
        str(link.readlink()).removeprefix("socket:[").removesuffix("]")
        for pid in [node.process.pid, *node.processes()]
        for link in Path(f"/proc/{pid}/fd").glob("*")
        if link.is_symlink() and str(link.readlink()).startswith("socket:")
    }
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                listening.append(fields[1].rpartition(":")[0])
    loopback = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
    assert listening
    assert set(listening) <= loopback


# kill -9, from the inside out.


def test_a_killed_run_fails_with_its_reason_and_the_next_one_starts(node):
    asked, pid = node.sleeping()
    following = node.workload()
    node.compute.apply(following)
    os.kill(pid, signal.SIGKILL)
    seen = node.end_of(asked.name)
    assert (seen.state, "killed by signal 9" in seen.reason) == (State.FAILED, True)
    assert node.end_of(following.name).state is State.SUCCEEDED


def test_a_killed_zygote_takes_its_run_along_and_is_warm_again(node):
    asked, pid = node.sleeping()
    (zygote,) = [p for p in node.find("hosts.zygote") if p != pid]
    os.kill(zygote, signal.SIGKILL)
    seen = node.end_of(asked.name)
    assert (seen.state, "warm parent" in seen.reason) == (State.FAILED, True)
    wait_for(lambda: gone(pid))
    after = node.workload()
    node.compute.apply(after)
    assert node.end_of(after.name).state is State.SUCCEEDED


def test_a_killed_host_is_started_again_by_ray(node):
    asked, pid = node.sleeping()
    (actor,) = node.find("WarmedHost")
    os.kill(actor, signal.SIGKILL)
    seen = node.end_of(asked.name)
    assert (seen.state, "host died" in seen.reason) == (State.FAILED, True)
    wait_for(lambda: gone(pid))
    after = node.workload()
    node.compute.apply(after)
    assert node.end_of(after.name).state is State.SUCCEEDED


def test_a_second_agent_for_the_same_home_refuses(node):
    second = subprocess.run(
        [sys.executable, "-m", "slipway_runtime", "node"],
        capture_output=True,
        text=True,
        timeout=30,
        env=os.environ | {"SLIPWAY_HOME": str(node.home), "PYTHONPATH": f"{TESTS.parent}/platform"},
    )
    assert second.returncode == 73
    assert "another node agent runs" in second.stderr
    assert node.compute.readiness().ready


@pytest.mark.parametrize("part", ["gcs_server", "raylet/raylet", "agent"])
def test_when_ray_or_the_agent_dies_all_goes_and_the_next_agent_starts_clean(node, part):
    asked, pid = node.sleeping()
    before = node.processes()
    victim = node.process.pid if part == "agent" else node.find(part)[0]
    os.kill(victim, signal.SIGKILL)
    status = node.process.wait(20)
    assert status == (-signal.SIGKILL if part == "agent" else 70)
    node.output.close()
    node.start()
    node.ready()
    wait_for(lambda: gone(pid))
    assert not [p for p in before if not gone(p)]
    assert node.compute.observe(asked.name).state is State.ABSENT
    node.compute.apply(asked_again := node.workload())
    assert node.end_of(asked_again.name).state is State.SUCCEEDED


def test_waiting_reasons_before_anything_runs():
    empty = board.Board(slots=1)
    first, second = (
        Workload(name=name, kind=Kind.TRAIN, submitted_at=at)
        for name, at in (("a-1", 1.0), ("b-1", 2.0))
    )
    empty.place(second)
    empty.place(first)
    assert empty.observe("b-1", warming="importing torch").reason == (
        "waiting until this machine is warm: importing torch (second in the queue)"
    )
    assert empty.next().workload is first
    empty.start(empty.next(), life="x")
    assert empty.next() is None
    assert "has been running for" in empty.observe("b-1", warming="").reason
