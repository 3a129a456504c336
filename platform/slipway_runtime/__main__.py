"""`python -m slipway_runtime node`: the node agent of this machine."""

from __future__ import annotations

import sys

from slipway_runtime.node import life


def main() -> int:
    if sys.argv[1:] != ["node"]:
        print("usage: python -m slipway_runtime node", file=sys.stderr)  # noqa: T201
        return 2
    return life.live()


if __name__ == "__main__":
    sys.exit(main())
