"""Clients of others against a real platform: the scenarios of each, in the versions locked here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import engine_models
import live
import pytest

SCENARIOS = live.ROOT / "tests" / "clients"
LOCKED = live.ROOT / ".venv" / "clients"
#: What an older client has no methods for. Everything else must pass with every version.
LACKING = {"openai-1": {"responses.input_tokens", "responses.compact", "admin.organization"}}


@dataclass(frozen=True)
class Client:
    """A package, the scenarios it must play at least, and where `make setup-test` put it."""

    package: str
    least: int
    #: None is the environment's own.
    folder: Path | None = None

    def command(self) -> list[str]:
        if self.package == "openai-node":
            script = SCENARIOS / "node" / "run.mjs"
            return [str(live.ROOT / "frontend" / "with-node"), "node", str(script)]
        return [sys.executable, str(SCENARIOS / "run.py"), self.package]


CLIENTS = {
    "openai-1": Client("openai", 30, LOCKED / "openai-1"),
    "openai-2": Client("openai", 30, LOCKED / "openai-2"),
    "openai-3": Client("openai", 30),
    "langchain-openai-1": Client("langchain-openai", 10, LOCKED / "langchain"),
    "llama-index-llms-openai-like-0": Client(
        "llama-index-llms-openai-like", 7, LOCKED / "llama-index"
    ),
    "openai-node-7": Client("openai-node", 13, SCENARIOS / "node" / "node_modules"),
}


@pytest.fixture(scope="module")
def keys(platform: live.Live, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a client, on a platform that serves what the scenarios ask."""
    base = live.ROOT / "platform" / "slipway_demo" / "chart_base"
    words = engine_models.encoder(tmp_path_factory.mktemp("words"))
    for name, source in (("chart-base", base), ("words", words)):
        for command in (("models", "import", name, str(source)), ("deployments", "create", name)):
            done = platform.slipway(*command)
            assert done.returncode == 0 or "already" in done.stderr, done.stderr
    made = {}
    for role in ("owner", "admin"):
        done = platform.slipway("access", "create-key", f"client-{role}", "--role", role)
        assert done.returncode == 0, done.stderr
        made[role] = done.stdout.split()[-1]
    keep = {k: v for k, v in os.environ.items() if not k.startswith("OPENAI_")}
    return keep | {
        "OPENAI_BASE_URL": f"{platform.url}/v1",
        "OPENAI_API_KEY": made["owner"],
        "OPENAI_ADMIN_KEY": made["admin"],
    }


def play(keys: dict[str, str], client: Client) -> Iterator[dict[str, Any]]:
    path = {"PYTHONPATH": str(client.folder)} if client.folder else {}
    try:
        done = subprocess.run(
            client.command(), env=keys | path, capture_output=True, text=True, timeout=600
        )
    except subprocess.TimeoutExpired as late:
        pytest.fail(
            f"not through after {late.timeout} s, but told:\n{(late.stdout or b'').decode()}"
        )
    assert done.returncode == 0, done.stderr[-3000:]
    return (json.loads(line) for line in done.stdout.splitlines())


@pytest.mark.parametrize("name", sorted(CLIENTS))
def test_the_client_plays_its_scenarios(name: str, keys: dict[str, str]) -> None:
    client = CLIENTS[name]
    folder = client.folder
    assert folder is None or folder.is_dir(), f"{folder} is missing: run `make setup-test`"
    who, *told = play(keys, client)
    assert f"{who['client']}-{who['version'].split('.')[0]}" == name
    assert len(told) >= client.least
    failed = [f"{each['name']}\n{each['why']}" for each in told if each["outcome"] == "failed"]
    assert not failed, "\n\n".join(failed)
    lacking = {each["needs"] for each in told if each["outcome"] == "lacking"}
    strange = [need for need in lacking
               if not any(need.startswith(known) for known in LACKING.get(name, ()))]  # fmt: skip
    assert not strange, f"{name} {who['version']} was to have {strange}"
