"""Run pytest, and what failed of it once more and alone: to tell the broken from the merely late.

Three thousand tests drive real processes, browsers and sockets on whatever machine there is; one
that waits for another process can be late on a full one. A second failure fails the run, and so
does more than a handful of first ones. What passes the second time only is named on the last
lines: it leans on timing, and that is a defect of the test or of what it tests.
"""

import json
import subprocess
import sys
from pathlib import Path

#: More failures than this are no accident.
A_HANDFUL = 3
LAST_FAILED = Path(".pytest_cache/v/cache/lastfailed")


def main(arguments: list[str]) -> int:
    """The exit status of pytest with `arguments`, or of its failed tests' second run."""
    status = _pytest("--cache-clear", *arguments)
    failed = sorted(json.loads(LAST_FAILED.read_text())) if LAST_FAILED.exists() else []
    # 1: some tests failed. Anything else (an interrupt, no tests, an error of pytest) is final.
    if status != 1 or not 0 < len(failed) <= A_HANDFUL:
        return status
    print(f"\nOnce more, alone: {', '.join(failed)}", flush=True)
    if status := _pytest(*failed):
        return status
    print("\nFailed among the others, and passed alone:", *failed, sep="\n  ", flush=True)
    return 0


def _pytest(*arguments: str) -> int:
    return subprocess.call([sys.executable, "-m", "pytest", *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
