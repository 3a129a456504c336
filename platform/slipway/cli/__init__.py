"""The command line: starts the platform, and talks to it as any client does."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of `slipway`; every refusal ends as one message and exit status 1."""
    import click

    from slipway.cli.client import Problem

    try:
        from slipway.cli.root import root

        root(standalone_mode=False)
    except Problem as problem:
        click.echo(f"slipway: {problem}", err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("\nslipway: interrupted; what the platform accepted goes on.", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
