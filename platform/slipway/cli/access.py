"""`slipway access`: members, invites, keys, roles, projects, and why somebody may not."""

from __future__ import annotations

from typing import Any

import click

from slipway.cli.client import Client
from slipway.cli.output import show


@click.group()
def access() -> None:
    """Say who may do what."""


def _levels(pairs: tuple[str, ...]) -> dict[str, str]:
    """`training=read` and so on, as the API takes it."""
    found = {}
    for pair in pairs:
        module, equals, level = pair.partition("=")
        if not equals:
            raise click.UsageError(f"{pair!r} is not module=level, such as training=read")
        found[module] = level
    return found


def _list(path: str, columns: str) -> Any:
    @click.option("--json", "as_json", is_flag=True)
    def command(as_json: bool) -> None:
        show(Client().get(path)["data"], as_json=as_json, columns=columns)

    return command


@access.command()
@click.option("--json", "as_json", is_flag=True)
def me(as_json: bool) -> None:
    """Show who this key is and what it may do."""
    show(Client().get("me"), as_json=as_json)


for name, path, columns, text in (
    ("modules", "access/modules", "name about presets", "List what rights are given for."),
    ("members", "members", "id user group role everywhere", "List who has a role here."),
    ("invites", "invites", "id email role expires_at", "List invites nobody accepted yet."),
    ("keys", "keys", "id name role redacted made_by expires_at revoked_at last_used_at",
     "List the keys of this project."),
    ("accounts", "service-accounts", "id name role", "List service accounts."),
    ("projects", "projects", "id name organisation archived_at", "List projects."),
    ("groups", "groups", "id name people", "List groups."),
    ("roles", "roles", "id name levels", "List roles of one's own."),
):  # fmt: skip
    access.command(name, help=text)(_list(path, columns))


@access.command("explain")
@click.argument("module")
@click.argument("level")
@click.option("--user", default=None)
@click.option("--key", default=None, help="Id of a key.")
@click.option("--json", "as_json", is_flag=True)
def explain(module: str, level: str, user: str | None, key: str | None, as_json: bool) -> None:
    """Tell why somebody can, or cannot, do things of LEVEL in MODULE."""
    told = Client().get("access/explain", module=module, level=level, user=user, key=key)
    if as_json:
        show(told, as_json=True)
        return
    can = "can" if told["allowed"] else "cannot"
    click.echo(f"{told['who']} {can} {level} {module} (has {told['has']}):")
    for reason in told["because"]:
        click.echo(f"  {reason}")
    if told["fix"]:
        click.echo(f"To change that: {told['fix']}")


@access.command("invite")
@click.argument("email")
@click.argument("role")
def invite(email: str, role: str) -> None:
    """Invite somebody into this project; prints the link to send them."""
    click.echo(Client().post("invites", {"email": email, "role": role})["link"])


@access.command("add")
@click.argument("user")
@click.argument("role")
@click.option("--everywhere", is_flag=True, help="In all projects of the organisation.")
def add(user: str, role: str, everywhere: bool) -> None:
    """Give a person of this organisation a role here."""
    body = {"user": user, "role": role, "everywhere": everywhere}
    click.echo(Client().post("members", body)["id"])


@access.command("remove")
@click.argument("member")
def remove(member: str) -> None:
    """Take a role away, by its id in `slipway access members`."""
    Client().delete(f"members/{member}")
    click.echo("removed")


@access.command("create-key")
@click.argument("name")
@click.option("--role", default="operator", show_default=True)
@click.option("--scope", "scopes", multiple=True, help="module=level; instead of a role.")
@click.option("--network", "networks", multiple=True, help="Only from there (10.0.0.0/8).")
@click.option("--expires-at", default=None, help="Such as 2027-01-31T00:00:00Z.")
@click.option("--account", type=int, default=None, help="Id of a service account to act as.")
def create_key(
    name: str,
    role: str,
    scopes: tuple[str, ...],
    networks: tuple[str, ...],
    expires_at: str | None,
    account: int | None,
) -> None:
    """Make a key and print its secret, this once."""
    body: dict[str, Any] = {"name": name, "networks": list(networks), "expires_at": expires_at}
    body |= {"scopes": _levels(scopes)} if scopes else {"role": role}
    click.echo(Client().post("keys", body | {"service_account_id": account})["secret"])


@access.command("rotate-key")
@click.argument("key")
@click.option("--overlap", type=int, default=86400, show_default=True, help="Seconds.")
def rotate_key(key: str, overlap: int) -> None:
    """Make a new secret for a key; the old one works for a while longer."""
    made = Client().post(f"keys/{key}/rotate", {"overlap_seconds": overlap})
    click.echo(made["secret"])


@access.command("revoke-key")
@click.argument("key")
def revoke_key(key: str) -> None:
    """End a key at once."""
    Client().delete(f"keys/{key}")
    click.echo("revoked")


@access.command("create-role")
@click.argument("name")
@click.argument("levels", nargs=-1, required=True)
def create_role(name: str, levels: tuple[str, ...]) -> None:
    """Make a role: `slipway access create-role curator datasets=operate training=read`."""
    click.echo(Client().post("roles", {"name": name, "levels": _levels(levels)})["id"])


@access.command("create-group")
@click.argument("name")
@click.argument("people", nargs=-1)
def create_group(name: str, people: tuple[str, ...]) -> None:
    """Make a group of people."""
    click.echo(Client().post("groups", {"name": name, "people": list(people)})["id"])


@access.command("create-account")
@click.argument("name")
@click.argument("role")
def create_account(name: str, role: str) -> None:
    """Make a service account."""
    click.echo(Client().post("service-accounts", {"name": name, "role": role})["id"])


@access.command("create-project")
@click.argument("name")
def create_project(name: str) -> None:
    """Make a project in this organisation."""
    click.echo(Client().post("projects", {"name": name})["id"])


@access.command("archive-project")
@click.argument("project")
def archive_project(project: str) -> None:
    """Put a project into the bin; nothing in it is deleted."""
    Client().delete(f"projects/{project}")
    click.echo(f"in the bin; `slipway access restore-project {project}` takes it out again")


@access.command("restore-project")
@click.argument("project")
def restore_project(project: str) -> None:
    """Take a project out of the bin."""
    Client().post(f"projects/{project}/restore")
    click.echo("restored")
