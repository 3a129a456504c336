"""Writes `values.schema.json` and `README.md` of the charts from the comments in `values.yaml`.

A comment above a key describes it; `@schema {…}` adds to its JSON schema; `@free` lets a mapping
hold keys of the user's own. Types come from the defaults.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
CHARTS = ("slipway", "slipway-crds", "slipway-deps")
_KEY = re.compile(r"^( *)([A-Za-z]\w*):")
_INSTALL = {
    "slipway": "See docs/kubernetes.md for what to make first and what is not proven yet.",
    "slipway-crds": "Install it first: `helm install slipway-crds helm/slipway-crds`.",
    "slipway-deps": (
        "Before Slipway, in the same namespace; its notes tell the values to give to helm/slipway. "
        "Definitions, rights and webhooks of KubeRay and Kueue lie in `files`, from the Go modules "
        "named in `ORIGIN` there, under the Apache License 2.0; `make vendor` writes them."
    ),
}


def comments(text: str) -> dict[tuple[str, ...], list[str]]:
    """Path of a key to the comment lines that stand right above it."""
    found: dict[tuple[str, ...], list[str]] = {}
    path: list[str] = []
    waiting: list[str] = []
    for line in text.splitlines():
        if line.strip().startswith("#"):
            waiting.append(line.strip()[1:].strip())
        elif key := _KEY.match(line):
            depth = len(key[1]) // 2
            path = [*path[:depth], key[2]]
            found[tuple(path)] = waiting
            waiting = []
        else:
            waiting = []
    return found


def schema(value: Any, path: tuple[str, ...], said: dict[tuple[str, ...], list[str]]) -> Any:
    """The JSON schema of a value and all below it; a key that is not there is refused."""
    lines = said.get(path, [])
    found: dict[str, Any] = {}
    if words := " ".join(line for line in lines if not line.startswith("@")):
        found["description"] = words
    if isinstance(value, dict):
        found["type"] = "object"
        if "@free" not in lines:
            found["additionalProperties"] = False
            found["properties"] = {k: schema(v, (*path, k), said) for k, v in value.items()}
    else:
        kinds = {bool: "boolean", int: "integer", str: "string", list: "array"}
        found["type"] = kinds[type(value)]
    for line in lines:
        if line.startswith("@schema"):
            found |= json.loads(line.removeprefix("@schema"))
    return found


def rows(value: Any, path: tuple[str, ...], said: dict[tuple[str, ...], list[str]]) -> list[str]:
    """A table row for every value that can be set."""
    lines = said.get(path, [])
    if isinstance(value, dict) and value and "@free" not in lines and any(
        (*path, key) in said for key in value
    ):  # fmt: skip
        return [row for key, item in value.items() for row in rows(item, (*path, key), said)]
    words = " ".join(line for line in lines if not line.startswith("@"))
    return [f"| `{'.'.join(path)}` | `{json.dumps(value)}` | {words} |"]


def files() -> dict[Path, str]:
    """Path to content of every file that is made from values."""
    found = {}
    for chart in CHARTS:
        text = (HERE / chart / "values.yaml").read_text()
        values, said = yaml.safe_load(text), comments(text)
        top = schema(values, (), said)
        # Helm hands every chart a `global` of its parent.
        top["properties"]["global"] = {"type": "object"}
        document = {"$schema": "http://json-schema.org/draft-07/schema#", "title": chart, **top}
        found[HERE / chart / "values.schema.json"] = json.dumps(document, indent=2) + "\n"
        about = yaml.safe_load((HERE / chart / "Chart.yaml").read_text())["description"]
        table = "\n".join(rows(values, (), said))
        found[HERE / chart / "README.md"] = (
            f"# {chart}\n\n{about} {_INSTALL[chart]}\n\n"
            f"Made from `values.yaml` by `make charts`.\n\n"
            f"| Value | Default | Means |\n|---|---|---|\n{table}\n"
        )
    return found


def main() -> int:
    for path, text in files().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
