"""`python -m slipway_runtime node`: the node agent; `… run`: one run, in a cluster of its own."""

from __future__ import annotations

import sys


def main() -> int:
    match sys.argv[1:]:
        case ["node"]:
            from slipway_runtime.node import life

            return life.live()
        case ["run"]:
            from slipway_runtime.hosts import cluster

            return cluster.main()
    print("usage: python -m slipway_runtime node | run", file=sys.stderr)  # noqa: T201
    return 2


if __name__ == "__main__":
    sys.exit(main())
