"""`slipway up | down | status | doctor`: run the platform on this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import click
import httpx

from slipway.cli import home, supervise
from slipway.cli.client import Problem
from slipway.cli.output import show

DEFAULT_PORT = 8000


def free_port(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def wanted_port(given: int | None) -> int:
    """The port asked for, by option or PORT; else the one of the last start, else 8000."""
    named = os.environ.get("PORT", "")
    if given is None and named and not (named.isdecimal() and 0 < int(named) < 65536):
        raise Problem(f"PORT is {named!r}; give a number from 1 to 65535, such as PORT=8001.")
    return given or int(named or 0) or home.remembered_port() or DEFAULT_PORT


def health(url: str) -> dict[str, Any] | None:
    """What the platform says of itself; None while it does not answer."""
    try:
        answer = httpx.get(f"{url}/api/v1/health", timeout=3)
    except httpx.TransportError:
        return None
    return answer.json() if answer.status_code == 200 else None


def start(*, port: int | None, tell: Callable[[str], None]) -> home.Running:
    """The running platform, started in the background if none runs; waits until it answers."""
    running = home.running()
    if running is None:
        wanted = wanted_port(port)
        if not free_port(wanted):
            raise Problem(
                f"Port {wanted} is taken by another program. Choose another: PORT={wanted + 1} "
                "(with make, or before slipway)."
            )
        with home.log_path("supervisor").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "slipway.cli.supervise"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PORT": str(wanted)},
                start_new_session=True,
            )
        tell(f"starting on http://127.0.0.1:{wanted}")
    else:
        process = None
        if port and port != running.port:
            tell(f"it already runs on port {running.port}; `slipway down` first to move it")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        running = home.running()
        if running and health(running.url):
            return running
        if process is not None and process.poll() is not None and not running:
            break
        time.sleep(0.1)
    raise Problem(
        "The platform did not answer. The last lines of its log:\n"
        + last_lines("web")
        + f"\nAll logs: {home.log_path('web').parent}"
    )


def last_lines(child: str, count: int = 8) -> str:
    path = home.log_path(child)
    if not path.exists():
        return f"  ({path} is not there)"
    return "\n".join(f"  {line}" for line in path.read_text(errors="replace").splitlines()[-count:])


def stop() -> bool:
    """End the platform of this home and wait for it; False if none ran."""
    running = home.running()
    if running is None:
        return False
    os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (lock := home.claim()) is not None:
            lock.close()
            return True
        time.sleep(0.1)
    raise Problem(f"The supervisor (pid {running.pid}) did not stop within a minute; see its log.")


@click.command()
@click.option("--detach", is_flag=True, help="Run in the background and return once it answers.")
@click.option("--port", type=int, help="Port on 127.0.0.1 (default: PORT, the last one, or 8000).")
def up(detach: bool, port: int | None) -> None:
    """Start the platform on this machine."""
    if detach:
        began = time.monotonic()
        running = start(port=port, tell=click.echo)
        click.echo(f"Slipway is up at {running.url} ({time.monotonic() - began:.1f} s)")
        if code := home.setup_code():
            click.echo(f"It waits to be set up: open {running.url}/set-up, the code is {code}")
        return
    wanted = wanted_port(port)
    if home.running() is None and not free_port(wanted):
        raise Problem(f"Port {wanted} is taken by another program. Try --port {wanted + 1}.")
    sys.exit(supervise.supervise(port=wanted))


@click.command()
def down() -> None:
    """Stop the platform of this home; its data stays."""
    click.echo("Slipway is stopped; its data stays." if stop() else "Slipway was not running.")


@click.command()
@click.option("--json", "as_json", is_flag=True)
def status(as_json: bool) -> None:
    """Say whether the platform runs, where, and what it is still doing."""
    running = home.running()
    said = health(running.url) if running else None
    facts = {
        "running": running is not None,
        "url": running.url if running else None,
        "answers": said is not None,
        "compute_ready": bool(said and said["compute"]["ready"]),
        "compute": said["compute"]["reason"] if said else None,
        "home": str(home.home()),
    }
    show(facts, as_json=as_json)
    if not facts["answers"]:
        sys.exit(1)
