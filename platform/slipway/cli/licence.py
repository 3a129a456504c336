"""`slipway licence`: install and see one; for the vendor: make keys and licences."""

from __future__ import annotations

import json
import os
import uuid
from datetime import UTC, datetime
from pathlib import Path

import click

from slipway.cli import home, lifecycle
from slipway.cli.client import Client, Problem
from slipway.cli.output import show
from slipway.editions.rules import hardware, policy
from slipway.editions.rules import licence as licences
from slipway.leaving.rules import proof as proofs


@click.group()
def licence() -> None:
    """Install a licence, see how it stands, or make one."""


@licence.command("show")
@click.option("--json", "as_json", is_flag=True)
def show_licence(as_json: bool) -> None:
    """Show edition, state and terms."""
    show(Client().get("licence"), as_json=as_json)


@licence.command()
@click.argument("file", type=click.Path(exists=True, path_type=Path))
def install(file: Path) -> None:
    """Take the licence in FILE into use."""
    click.echo(Client().call("PUT", "licence", json={"file": file.read_text()})["reason"])


@licence.command("hardware")
def show_hardware() -> None:
    """Print this machine's parts, hashed, to send to the vendor of an appliance."""
    click.echo(json.dumps(hardware.parts(), indent=2))


@licence.command("make-keys")
@click.argument("directory", type=click.Path(path_type=Path))
def make_keys(directory: Path) -> None:
    """For the vendor: make a key pair; the private half never leaves DIRECTORY."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    private = directory / "licence-private-key"
    key = Ed25519PrivateKey.generate()
    try:
        handle = os.open(private, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError as error:
        raise Problem(f"{private} is there already and is not overwritten.") from error
    with os.fdopen(handle, "w") as file:
        file.write(key.private_bytes_raw().hex() + "\n")
    public = key.public_key().public_bytes_raw().hex()
    (directory / "licence-public-key").write_text(public + "\n")
    click.echo(f"SLIPWAY_LICENCE_PUBLIC_KEY={public}")


@licence.command()
@click.argument("private_key", type=click.Path(exists=True, path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--customer", required=True)
@click.option("--form", type=click.Choice(policy.FORMS), default="licence", show_default=True)
@click.option("--seats", type=click.IntRange(min=0), default=0, help="0: without limit.")
@click.option("--gpus", type=click.IntRange(min=0), default=0)
@click.option("--nodes", type=click.IntRange(min=0), default=0)
@click.option("--feature", "features", multiple=True)
@click.option("--starts", type=click.DateTime(["%Y-%m-%d"]), default=None, help="Default: now.")
@click.option("--ends", type=click.DateTime(["%Y-%m-%d"]), required=True)
@click.option("--hardware", "machine", type=click.Path(exists=True, path_type=Path),
              help="What `slipway licence hardware` printed there.")  # fmt: skip
def issue(
    private_key: Path,
    output: Path,
    customer: str,
    form: str,
    seats: int,
    gpus: int,
    nodes: int,
    features: tuple[str, ...],
    starts: datetime | None,
    ends: datetime,
    machine: Path | None,
) -> None:
    """For the vendor: write a signed licence to OUTPUT."""
    parts = json.loads(machine.read_text()) if machine else {}
    if (form == "appliance") != bool(parts):
        raise click.UsageError("an appliance needs --hardware, and only an appliance has it")
    begins = starts.replace(tzinfo=UTC) if starts else datetime.now(UTC)
    terms = licences.Terms(
        id=str(uuid.uuid4()),
        customer=customer,
        edition="private",
        form=form,
        seats=seats,
        gpus=gpus,
        nodes=nodes,
        features=features,
        starts_at=begins,
        ends_at=ends.replace(tzinfo=UTC),
        hardware=parts,
    )
    output.write_bytes(licences.sign(terms, bytes.fromhex(private_key.read_text().strip())))
    click.echo(f"{output}: {terms.form} for {customer} until {terms.ends_at:%Y-%m-%d}")


@licence.command()
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.argument("public_key")
def check(file: Path, public_key: str) -> None:
    """Check offline that a licence is the vendor's, and print its terms."""
    try:
        terms = licences.read(file.read_bytes(), bytes.fromhex(public_key))
    except (licences.BadLicence, ValueError) as error:
        raise Problem(f"{file}: {error}") from error
    show({"customer": terms.customer, "form": terms.form, "seats": terms.seats,
          "gpus": terms.gpus, "nodes": terms.nodes, "features": list(terms.features),
          "starts": f"{terms.starts_at:%Y-%m-%d}", "ends": f"{terms.ends_at:%Y-%m-%d}"},
         as_json=False)  # fmt: skip


@licence.command("return")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--stop", is_flag=True, help="Stop the platform, and whatever runs on it, first.")
@click.option("--customer", prompt="The licence's customer, to wipe everything",
              help="Whose licence it is: everything of theirs is wiped.")  # fmt: skip
def give_back(directory: Path, stop: bool, customer: str) -> None:
    """Export everything to DIRECTORY, wipe this installation, and write a signed proof.

    Broken off, it goes on where it was when it is called again.
    """
    if home.running() is not None:
        if not stop:
            raise Problem("The platform runs. Stop it with `slipway down`, or say --stop here.")
        lifecycle.stop()
    lock = home.claim()
    if lock is None:
        raise Problem("The platform was started meanwhile; stop it with `slipway down`.")
    with lock:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "slipway.settings")
        import django

        django.setup()
        from slipway.core.errors import Refused
        from slipway.leaving.services.returning import Return

        try:
            done = Return(directory, click.echo, customer=customer).carry_out()
        except Refused as error:
            raise Problem(str(error)) from error
    click.echo(f"wiped. Send {done} to the vendor, and keep the archives beside it.")


@licence.command("check-return")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.argument("public_key")
@click.option("--installation-key", default="", help="Hex; as kept at the handover.")
def check_return(file: Path, public_key: str, installation_key: str) -> None:
    """For the vendor: check offline that a proof of return is whole, and print what it says.

    PUBLIC_KEY is the vendor's. Without --installation-key the key in the proof is trusted.
    """
    try:
        own = bytes.fromhex(installation_key) if installation_key else None
        found = proofs.read(
            file.read_bytes(), vendor_key=bytes.fromhex(public_key), installation_key=own
        )
    except (proofs.BadProof, ValueError) as error:
        raise Problem(f"{file}: {error}") from error
    said = found.fields
    show({"customer": found.terms.customer, "licence": found.terms.id, "form": found.terms.form,
          "begun": said["begun_at"], "ended": said["ended_at"], "rows": sum(said["rows"].values()),
          "objects": said["objects"]["count"], "object_bytes": said["objects"]["bytes"],
          "files": said["files"]["count"], "archives": len(said["archives"]),
          "signed_by": said["public_key"]}, as_json=False)  # fmt: skip
