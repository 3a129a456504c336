"""`python -m slipway_operator charts DIRECTORY`: write what the charts take from the contracts."""

from __future__ import annotations

import sys
from pathlib import Path

from slipway_operator import crds, rights


def files() -> dict[str, str]:
    """Path below `helm/` to content, of every file that is made and not written."""
    found = {
        f"slipway-crds/files/{definition['metadata']['name']}.yaml": crds.text(definition)
        for definition in [*crds.definitions(), crds.PEERING]
    }
    for account in rights.RIGHTS:
        rules = {"rules": rights.rules(account)}
        found[f"slipway/files/rights-{account}.yaml"] = crds.text(rules)
    return found


def main(arguments: list[str]) -> int:
    match arguments:
        case ["charts", folder]:
            for name, text in files().items():
                (Path(folder) / name).write_text(text)
            return 0
        case _:
            print(__doc__, file=sys.stderr)  # noqa: T201 - a command line
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
