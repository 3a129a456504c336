"""`slipway demo`: start the platform if it does not run, then tell the story on it."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import click

from slipway.cli import home, lifecycle
from slipway.cli.env import read_env


@click.command()
@click.option("--seed", type=int, default=7, show_default=True, help="Of the 100 labelled rows.")
@click.option("--port", type=int, help="Port on 127.0.0.1 (default: PORT, the last one, or 8000).")
def demo(seed: int, port: int | None) -> None:
    """Fine-tune, judge, deploy and call a model, end to end, through the public API only."""
    began = time.monotonic()
    running = lifecycle.start(port=port, tell=lambda text: click.echo(f"Slipway is {text} …"))
    click.echo(f"Slipway answers at {running.url} ({time.monotonic() - began:.1f} s)")
    # The story is a client of its own: it gets an address and a key, as any program would.
    environment = os.environ | read_env(home.home() / "demo.env")
    story = subprocess.Popen(
        [sys.executable, "-m", "slipway_demo", "--seed", str(seed), "--home", str(home.home())],
        env=environment,
    )
    try:
        status = story.wait()
    except KeyboardInterrupt:
        # The terminal sent the story the same signal; let it say what it was doing.
        status = story.wait()
    if status == 0:
        click.echo(f"\nAll of it took {time.monotonic() - began:.0f} s. The platform stays up:")
        click.echo(f"  console        {running.url}/  (user and password are in demo.env)")
        click.echo(f"  API and docs   {running.url}/api/v1/docs")
        click.echo(f"  your shell     source {home.home() / 'demo.env'}")
        click.echo("  then           slipway models list; slipway chat chart-base-line '…'")
        where = f"SLIPWAY_HOME={home.home()} " if "SLIPWAY_HOME" in os.environ else ""
        click.echo(
            f"  stop it with   {where}make stop   (all data stays; make start brings it back)"
        )
    # Ended by a signal, a shell calls it 128 and the signal's number.
    sys.exit(128 - status if status < 0 else status)
