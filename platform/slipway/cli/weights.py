"""`slipway models`: bring models in, look at versions and lineage, take weights away."""

from __future__ import annotations

import pathlib
import tarfile
import tempfile
from typing import Any

import click

from slipway.cli import follow, refs, transfer
from slipway.cli.client import Client, Problem
from slipway.cli.output import show

VERSION_COLUMNS = "id reference kind phase reason architecture parameters size_bytes created_at"


@click.group()
def models() -> None:
    """Import, list and export models."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True)
def list_models(as_json: bool) -> None:
    """List models with their newest version."""
    show(list(Client().pages("models")), as_json=as_json, columns="id name versions aliases")


@models.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True)
def versions(model: str, as_json: bool) -> None:
    """List a model's versions."""
    client = Client()
    found = list(client.pages(f"models/{refs.model(client, model)['id']}/versions"))
    show(found, as_json=as_json, columns=VERSION_COLUMNS)


@models.command("show")
@click.argument("version")
@click.option("--json", "as_json", is_flag=True)
def show_version(version: str, as_json: bool) -> None:
    """Show a version (name, name@number or id): files, hashes, where it came from."""
    client = Client()
    show(client.get(f"model-versions/{refs.version(client, version)}"), as_json=as_json)


@models.command()
@click.argument("version")
@click.option("--json", "as_json", is_flag=True)
def lineage(version: str, as_json: bool) -> None:
    """Show what a version was made from: job, dataset version and its hash, MLflow run."""
    client = Client()
    show(client.get(f"model-versions/{refs.version(client, version)}/lineage"), as_json=as_json)


@models.command("import")
@click.argument("name")
@click.argument("source", type=click.Path(exists=True, path_type=pathlib.Path))
@click.option("--base", default="", help="For a LoRA adapter: the version it belongs to.")
@click.option("--json", "as_json", is_flag=True)
def import_model(name: str, source: pathlib.Path, base: str, as_json: bool) -> None:
    """Import SOURCE (a safetensors directory, .tar, .tar.gz or .zip) as a version of NAME."""
    client = Client()
    body: dict[str, Any] = {"name": name}
    if base:
        body["base"] = refs.version(client, base)
    with tempfile.TemporaryDirectory() as scratch:
        archive = source
        if source.is_dir():
            archive = pathlib.Path(scratch) / f"{name}.tar"
            with tarfile.open(archive, "w") as tar:
                for path in sorted(source.iterdir()):
                    tar.add(path, arcname=path.name)
        upload = client.post(
            "models/uploads", {"filename": archive.name, "size_bytes": archive.stat().st_size}
        )
        where = f"models/uploads/{upload['id']}"
        transfer.send(
            archive,
            part_bytes=upload["part_bytes"],
            parts=upload["parts"],
            address=lambda number: client.get(f"{where}/parts/{number}")["address"],
        )
        client.post(f"{where}/finish")
    version = client.post("models/import", body | {"upload": upload["id"]})
    version = follow.until(
        client, f"model-versions/{version['id']}", lambda row: row["phase"] != "importing"
    )
    if version["phase"] != "ready":
        faults = "".join(f"\n  {f['field']}: {f['rule']} → {f['fix']}" for f in version["faults"])
        raise Problem(f"{name} was refused: {version['reason']}{faults}")
    show(version, as_json=as_json, columns=VERSION_COLUMNS)


@models.command()
@click.argument("version")
@click.argument("target", type=click.Path(path_type=pathlib.Path))
@click.option("--form", default="as_is", show_default=True, help="as_is, or merged into the base.")
@click.option("--json", "as_json", is_flag=True)
def export(version: str, target: pathlib.Path, form: str, as_json: bool) -> None:
    """Write a version's weights with hashes and lineage to TARGET, a tar file."""
    client = Client()
    made = client.post(f"model-versions/{refs.version(client, version)}/exports", {"form": form})
    made = follow.until(client, f"model-exports/{made['id']}", lambda row: bool(row["address"]))
    transfer.fetch(client, made["address"], target)
    show(made | {"file": str(target)}, as_json=as_json, columns="file form phase")


@models.command()
@click.argument("version")
def delete(version: str) -> None:
    """Delete a version; refused while something needs it."""
    client = Client()
    client.delete(f"model-versions/{refs.version(client, version)}")
    click.echo("deleted")
