"""Writes what `helm/slipway-deps` takes from KubeRay and Kueue: definitions, rights, webhooks.

PYTHONPATH=tests python -m cluster.vendored. Everything comes from the pinned Go modules, with their
licence beside it; nothing is edited but that webhooks are those of Ray and of Kueue's own kinds.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml

from cluster import modules

CHART = Path(__file__).parents[2] / "helm/slipway-deps"
#: Part of the chart → its Go module, folder of definitions, file of rights, file of webhooks.
SOURCES = {
    "kuberay": (
        "github.com/ray-project/kuberay/ray-operator", "config/crd/bases", "config/rbac/role.yaml",
        None,
    ),
    "kueue": (
        "sigs.k8s.io/kueue", "config/components/crd/bases", "config/components/rbac/role.yaml",
        "config/components/webhook/manifests.yaml",
    ),
}  # fmt: skip


def files() -> dict[Path, str]:
    """Path to content of every file that comes from the modules."""
    found = {}
    for part, (name, definitions, rights, webhooks) in SOURCES.items():
        source, folder = modules.module(name), CHART / "files" / part
        found[folder / "LICENSE"] = (source / "LICENSE").read_text()
        found[folder / "ORIGIN"] = f"{name}@{source.name.rpartition('@')[2]}\n"
        for path in sorted((source / definitions).glob("*.yaml")):
            [definition] = _documents(path)
            title = definition["metadata"]["name"]
            found[folder / "definitions" / f"{title}.json"] = _dense(definition)
        [role] = _documents(source / rights)
        found[folder / "rights.json"] = _dense(role["rules"])
        if webhooks:
            kept = {d["kind"]: _ours(d["webhooks"]) for d in _documents(source / webhooks)}
            found[folder / "webhooks.json"] = _dense(kept)
    return found


def _ours(hooks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    groups = {"ray.io", "kueue.x-k8s.io"}
    return [hook for hook in hooks if groups & set(hook["rules"][0]["apiGroups"])]


def _documents(path: Path) -> list[Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [each for each in yaml.load_all(path.read_text(), Loader=loader) if each]


def _dense(value: Any) -> str:
    """Without blanks: a release with all of it must fit into a Secret of 1 MiB."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False) + "\n"


def main() -> int:
    for part in SOURCES:
        shutil.rmtree(CHART / "files" / part, ignore_errors=True)
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
