"""The operator's command line: `python -m slipway_operator run | charts`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import yaml

from slipway_operator import config, crds, rights


def files() -> dict[str, str]:
    """Path below `helm/` to content, of every file that is made and not written."""
    definitions = [*crds.definitions(), crds.peering(wide=False), crds.peering(wide=True)]
    found = {
        f"slipway-crds/files/{definition['metadata']['name']}.yaml": crds.text(definition)
        for definition in definitions
    }
    for account in rights.RIGHTS:
        rules = {"rules": rights.rules(account)}
        found[f"slipway/files/rights-{account}.yaml"] = crds.text(rules)
    return found


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="slipway_operator", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    charts = commands.add_parser("charts", help="write what the charts take from the contracts")
    charts.add_argument("folder", type=Path)
    run = commands.add_parser("run", help="look after runs and served models")
    run.add_argument("--config", type=Path, required=True, help="YAML, as the chart writes it")
    run.add_argument("--all-namespaces", action="store_true", help="needs rights on the cluster")
    run.add_argument("--port", type=int, default=8080, help="of /healthz")
    run.add_argument("--metrics-port", type=int, default=9090)
    run.add_argument("--standalone", action="store_true", help="without a second copy beside it")
    given = parser.parse_args(arguments)
    if given.command == "charts":
        for name, text in files().items():
            (given.folder / name).write_text(text)
        return 0
    try:
        read = config.read(yaml.safe_load(given.config.read_text()))
    except (OSError, yaml.YAMLError, config.BadConfig) as error:
        print(f"{given.config}: {error}", file=sys.stderr)  # noqa: T201 - a command line
        return 2
    from slipway_operator import handlers

    handlers.run(
        read,
        namespace=None if given.all_namespaces else os.environ.get("SLIPWAY_NAMESPACE", "default"),
        port=given.port,
        metrics_port=given.metrics_port,
        peering=None if given.standalone else os.environ.get("SLIPWAY_PEERING", "slipway"),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
