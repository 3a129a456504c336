"""`python -m slipway_demo`: tell the story on a running platform named by the environment."""

from __future__ import annotations

import argparse
import os
import pathlib
import signal
import sys


def main() -> int:
    """Exit status 0 when the gate passed, 3 when it failed, 1 when the story broke off."""
    signal.signal(signal.SIGINT, _interrupted)
    return _told()


def _interrupted(*_: object) -> None:
    """End at once, with nothing to tidy here; an exception could be lost in a library's import."""
    show_cursor = b"\x1b[?25h" if sys.stdout.isatty() else b""
    said = b"\nInterrupted. What was accepted goes on; run it again to pick up the story.\n"
    os.write(1, show_cursor + said)
    os._exit(130)


def _told() -> int:
    # Imported here, so that an interruption while they load is met like any other.
    import httpx
    import openai

    from slipway_demo import rest, story

    parser = argparse.ArgumentParser(prog="python -m slipway_demo", description=__doc__)
    parser.add_argument("--seed", type=int, default=7, help="of the 100 labelled rows")
    parser.add_argument("--home", type=pathlib.Path, default=pathlib.Path(".slipway"))
    options = parser.parse_args()
    try:
        told = story.Story(
            url=os.environ["SLIPWAY_URL"],
            key=os.environ["SLIPWAY_API_KEY"],
            folder=options.home.resolve() / "demo",
            seed=options.seed,
        )
        return 0 if told.tell() else 3
    except KeyError as missing:
        print(f"{missing} is not set: source .slipway/demo.env first", file=sys.stderr)
    except (rest.Refused, story.Broken, TimeoutError) as error:
        print(f"\nThe story broke off: {error}", file=sys.stderr)
    except (httpx.TransportError, openai.APIError) as error:
        print(
            f"\nThe platform does not answer ({error}). Look with `slipway doctor`, then run this "
            "again: it goes on where it was.",
            file=sys.stderr,
        )
    return 1


if __name__ == "__main__":
    sys.exit(main())
