"""What is done to a run by one word, for `slipway jobs` and `slipway evals` alike."""

from __future__ import annotations

from collections.abc import Callable

import click

from slipway.cli.client import Client
from slipway.cli.output import show


def add(
    group: click.Group, name: str, *, find: Callable[[Client, str], str], what: str, text: str
) -> None:
    """A command `name` of the group, which posts that verb to the run that `find` finds.

    `what` is the run's name in the usage line, `text` what the help says.
    """

    @group.command(name, help=text)
    @click.argument("word", metavar=what)
    @click.option("--json", "as_json", is_flag=True)
    def verb(word: str, as_json: bool) -> None:
        client = Client()
        done = client.post(f"{group.name}/{find(client, word)}/{name}")
        show(done, as_json=as_json, columns="id name phase reason attempt")
