"""Helm 4 makes of the charts what Helm 3 makes of them, and refuses what it refuses."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import test_charts
import yaml
from cluster import modules


def rendered(program: Path, profile: str | None, values: dict[str, Any]) -> Any:
    command = [str(program), "template", "slipway", "slipway", *test_charts.arguments(profile)]
    command += ["--kube-version", "1.34.0", "--include-crds", "--values", "-"]
    done = subprocess.run(
        command, input=json.dumps(values), capture_output=True, text=True, cwd=test_charts.HELM
    )
    if done.returncode:
        return done.stderr
    return sorted(filter(None, yaml.safe_load_all(done.stdout)), key=json.dumps)


@pytest.mark.parametrize("name", list(test_charts.PROFILES))
def test_both_make_the_same(name: str) -> None:
    profile, values = test_charts.PROFILES[name]
    three, four = (rendered(each, profile, values) for each in (modules.helm(), modules.helm4()))
    assert isinstance(three, list), three
    assert len(three) > 10
    assert four == three


def test_helm_4_refuses_what_is_misspelt_or_missing() -> None:
    misspelt = rendered(modules.helm4(), None, test_charts.NEEDED | {"gatway": {}})
    assert "gatway" in misspelt
    missing = rendered(modules.helm4(), None, {"url": ""})
    assert isinstance(missing, str)
