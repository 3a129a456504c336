"""`slipway factory-reset`: as on the first boot, but for the data."""

from __future__ import annotations

import os

import click

from slipway.cli import home
from slipway.cli.client import Problem


@click.command("factory-reset")
@click.option("--yes", is_flag=True, help="Do not ask.")
def factory_reset(yes: bool) -> None:
    """Forget people, keys, ways in, notices and the licence; data, models and books stay.

    The platform must be stopped; the next start makes a first owner with a new password.
    """
    lock = home.claim()
    if lock is None:
        raise Problem("The platform runs. Stop it with `slipway down` first.")
    with lock:
        if not yes:
            click.confirm("Forget everybody, all keys and the licence?", abort=True)
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "slipway.settings")
        import django

        django.setup()
        from django.utils import timezone

        from slipway.leaving.services.resetting import reset

        gone = reset(now=timezone.now())
    click.echo(f"forgotten: {gone['tenancy.User']} people, {gone['tenancy.ApiKey']} keys")
    click.echo("`slipway up` starts as on the first boot; demo.env then has the new password")
