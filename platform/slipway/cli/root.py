"""All commands of `slipway`, by group."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from slipway.cli import (
    access,
    answers,
    audit,
    bill,
    bundle,
    chat,
    data,
    doctor,
    importing,
    judge,
    licence,
    lifecycle,
    limits,
    logs,
    money,
    notices,
    organisation,
    people,
    plans,
    quotas,
    reset,
    serve,
    signon,
    story,
    support,
    traffic,
    train,
    weights,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="slipway")
def root() -> None:
    """Train, host and manage large language models.

    The platform is found by SLIPWAY_URL and SLIPWAY_API_KEY, or in .slipway of this directory.
    """


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a completion script: `source <(slipway completion bash)`."""
    kind = get_completion_class(shell)
    if kind is None:  # pragma: no cover - click knows all three
        raise click.UsageError(f"no completion for {shell}")
    click.echo(kind(root, {}, "slipway", "_SLIPWAY_COMPLETE").source())


for command in (
    lifecycle.up,
    lifecycle.down,
    lifecycle.status,
    doctor.doctor,
    support.support,
    bundle.bundle,
    story.demo,
    data.datasets,
    weights.models,
    train.jobs,
    judge.evals,
    importing.importing,
    serve.deployments,
    traffic.traffic,
    traffic.externals,
    chat.chat,
    answers.requests,
    logs.logs,
    access.access,
    signon.sign_on,
    notices.notices,
    people.people,
    organisation.organisation,
    limits.limits,
    money.money,
    bill.bill,
    plans.plans,
    quotas.quotas,
    audit.audit,
    licence.licence,
    reset.factory_reset,
    completion,
):
    root.add_command(command)
