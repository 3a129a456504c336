"""`python -m slipway_operator crds DIRECTORY`: write the custom resource definitions."""

from __future__ import annotations

import sys
from pathlib import Path

from slipway_operator import crds


def main(arguments: list[str]) -> int:
    match arguments:
        case ["crds", folder]:
            for definition in crds.definitions():
                path = Path(folder) / f"{definition['metadata']['name']}.yaml"
                path.write_text(crds.text(definition))
            return 0
        case _:
            print(__doc__, file=sys.stderr)  # noqa: T201 - a command line
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
