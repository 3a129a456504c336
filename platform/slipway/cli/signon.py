"""`slipway sign-on`: identity providers of the organisation, and what it asks of sessions."""

from __future__ import annotations

from typing import Any

import click

from slipway.cli.client import Client
from slipway.cli.output import show


@click.group("sign-on")
def sign_on() -> None:
    """Say who answers for people of this organisation."""


def _pairs(given: tuple[str, ...], what: str) -> dict[str, str]:
    found = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.UsageError(f"{pair!r} is not {what}")
        found[name] = value
    return found


def _settings(given: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = dict(_pairs(given, "name=value, such as issuer=https://id.example.com"))
    if "scopes" in found:
        found["scopes"] = found["scopes"].split()
    return {name: _file(value) for name, value in found.items()}


def _file(value: Any) -> Any:
    """`@path` stands for what the file holds, as certificates are long."""
    if isinstance(value, str) and value.startswith("@"):
        with click.open_file(value[1:]) as file:
            return file.read()
    return value


@sign_on.command("list")
@click.option("--json", "as_json", is_flag=True)
def list_(as_json: bool) -> None:
    """List identity providers."""
    rows = Client().get("identity-providers")["data"]
    show(rows, as_json=as_json, columns="id name kind domains enabled redirect_uri entity_id")


@sign_on.command()
@click.argument("name")
@click.argument("kind", type=click.Choice(["oidc", "ldap", "saml"]))
@click.option("--set", "settings", multiple=True, help="issuer=https://…; @file for a file's text.")
@click.option("--secret", default="", help="Client secret or bind password; - asks for it.")
@click.option("--domain", "domains", multiple=True, help="Mail domain whose people it knows.")
@click.option("--group", "groups", multiple=True, help="Its name of a group=id of the one here.")
@click.option("--default-role", default="", help="In the whole organisation, for new people.")
def create(
    name: str,
    kind: str,
    settings: tuple[str, ...],
    secret: str,
    domains: tuple[str, ...],
    groups: tuple[str, ...],
    default_role: str,
) -> None:
    """Connect an identity provider; prints its id and where it may send browsers back to."""
    if secret == "-":  # noqa: S105 - not a password, but where to ask for it
        secret = click.prompt("Secret", hide_input=True)
    body = {
        "name": name,
        "kind": kind,
        "settings": _settings(settings),
        "secret": secret,
        "domains": list(domains),
        "groups": _pairs(groups, "name=id"),
        "default_role": default_role,
    }
    made = Client().post("identity-providers", body)
    click.echo(f"{made['id']} {made['redirect_uri']}".strip())


@sign_on.command()
@click.argument("provider")
def check(provider: str) -> None:
    """Ask a provider whether it is there; exit status 1 if something is wrong."""
    trouble = Client().post(f"identity-providers/{provider}/check")["trouble"]
    click.echo(trouble or "it answers as it should")
    raise SystemExit(bool(trouble))


@sign_on.command()
@click.argument("provider")
@click.option("--check", "look", is_flag=True, help="Look for the records now.")
@click.option("--json", "as_json", is_flag=True)
def domains(provider: str, look: bool, as_json: bool) -> None:
    """Show the mail domains of a provider, and the TXT records that prove them."""
    client, path = Client(), f"identity-providers/{provider}/domains"
    rows = (client.post(path) if look else client.get(path))["data"]
    show(rows, as_json=as_json, columns="name proved_at record value trouble")


@sign_on.command()
@click.argument("provider")
def remove(provider: str) -> None:
    """Disconnect a provider; nobody comes in through it any more."""
    Client().delete(f"identity-providers/{provider}")
    click.echo("removed")


@sign_on.command()
@click.option("--sign-on/--no-sign-on", "requires_sign_on", default=None)
@click.option("--second-factor/--no-second-factor", "requires_second_factor", default=None)
def rules(requires_sign_on: bool | None, requires_second_factor: bool | None) -> None:
    """Show or change what the organisation asks of everybody who comes in by a browser."""
    client = Client()
    now = client.get("sign-in-rules")
    wanted = {
        "requires_sign_on": requires_sign_on,
        "requires_second_factor": requires_second_factor,
    }
    given = {name: value for name, value in wanted.items() if value is not None}
    if given:
        now = client.call("PUT", "sign-in-rules", json=now | given)
    show(now, as_json=False)


@sign_on.command()
@click.option("--json", "as_json", is_flag=True)
def directories(as_json: bool) -> None:
    """List tokens by which directories provision people and groups (SCIM)."""
    rows = Client().get("scim-tokens")["data"]
    show(rows, as_json=as_json, columns="id name redacted expires_at last_used_at")


@sign_on.command("create-directory")
@click.argument("name")
@click.option("--expires-at", default=None, help="Such as 2027-01-31T00:00:00Z.")
def create_directory(name: str, expires_at: str | None) -> None:
    """Let a directory provision people and groups; prints address and token, this once."""
    made = Client().post("scim-tokens", {"name": name, "expires_at": expires_at})
    click.echo(f"{made['base_url']} {made['secret']}")


@sign_on.command("remove-directory")
@click.argument("token")
def remove_directory(token: str) -> None:
    """End a directory's token at once."""
    Client().delete(f"scim-tokens/{token}")
    click.echo("removed")


@sign_on.command("forget-factors")
@click.argument("user")
def forget_factors(user: str) -> None:
    """Take all second factors of somebody who lost them; their password stays."""
    Client().delete(f"people/{user}/factors")
    click.echo("removed; their password alone lets them in again")
