"""`slipway datasets`: upload rows, see every fault, publish, look, split, take away."""

from __future__ import annotations

import pathlib
from typing import Any

import click

from slipway.cli import follow, refs, transfer
from slipway.cli.client import Client, Problem
from slipway.cli.output import console, show

VERSION_COLUMNS = "id dataset number phase reason format rows fault_count sha256"


@click.group()
def datasets() -> None:
    """Bring rows in, check and publish them."""


@datasets.command("list")
@click.option("--json", "as_json", is_flag=True)
def list_datasets(as_json: bool) -> None:
    """List datasets, newest first."""
    show(
        list(Client().pages("datasets")), as_json=as_json, columns="id name description created_at"
    )


@datasets.command()
@click.argument("dataset")
@click.option("--json", "as_json", is_flag=True)
def versions(dataset: str, as_json: bool) -> None:
    """List a dataset's versions."""
    client = Client()
    found = list(client.pages(f"datasets/{refs.dataset(client, dataset)['id']}/versions"))
    show(found, as_json=as_json, columns=VERSION_COLUMNS)


@datasets.command()
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path))
@click.option("--format", "file_format", default="", help="Detected if left out.")
@click.option("--publish", is_flag=True, help="Publish it if every row is right.")
@click.option("--json", "as_json", is_flag=True)
def upload(name: str, file: pathlib.Path, file_format: str, publish: bool, as_json: bool) -> None:
    """Upload FILE as the next version of the dataset NAME, and check every row.

    An upload that broke off goes on where it was when the same command is run again.
    """
    client = Client()
    version = _draft(client, name, file, file_format)
    plan = client.post(
        f"dataset-versions/{version['id']}/upload",
        {"size_bytes": file.stat().st_size, "filename": file.name},
    )
    urls = {part["number"]: part["url"] for part in plan["parts"]}
    transfer.send(
        file,
        part_bytes=plan["part_size_bytes"],
        parts=len(plan["parts"]),
        address=urls.__getitem__,
        received=frozenset(part["number"] for part in plan["parts"] if part["received"]),
    )
    version = client.post(f"dataset-versions/{version['id']}/upload/finish")
    version = follow.until(
        client,
        f"dataset-versions/{version['id']}",
        lambda row: row["phase"] in {"valid", "invalid", "failed"},
    )
    if version["phase"] != "valid":
        _complain(client, version)
    if publish:
        version = client.post(f"dataset-versions/{version['id']}/publish")
    show(version, as_json=as_json, columns=VERSION_COLUMNS)


def _draft(client: Client, name: str, file: pathlib.Path, file_format: str) -> dict[str, Any]:
    """The version to fill: one whose upload of this very file broke off, or a new one."""
    try:
        dataset = refs.dataset(client, name)
    except Problem:
        dataset = client.post("datasets", {"name": name})
    newest = next(iter(client.pages(f"datasets/{dataset['id']}/versions")), None)
    if newest and newest["phase"] == "draft" and newest["source"].get("filename") == file.name:
        return dict(newest)
    body = {"format": file_format}
    return dict(client.post(f"datasets/{dataset['id']}/versions", body))


def _complain(client: Client, version: dict[str, Any]) -> None:
    lines = [f"{version['dataset']}@{version['number']} is {version['phase']}: {version['reason']}"]
    for fault in client.get(f"dataset-versions/{version['id']}/faults", limit=20)["data"]:
        lines.append(
            f"  line {fault['line']} {fault['path']}: {fault['text']} "
            f"(found {fault['value']!r}) → {fault['fix']}"
        )
    name = f"{version['dataset']}@{version['number']}"
    lines.append(f"All faults: slipway datasets faults {name}")
    if version["phase"] == "invalid" and version["rows"]:
        lines.append(f"What can be mended, mended: slipway datasets corrected {name} FILE")
    raise Problem("\n".join(lines))


@datasets.command("show")
@click.argument("version")
@click.option("--json", "as_json", is_flag=True)
def show_version(version: str, as_json: bool) -> None:
    """Show a version (name, name@number or id)."""
    client = Client()
    show(client.get(f"dataset-versions/{refs.dataset_version(client, version)}"), as_json=as_json)


@datasets.command()
@click.argument("version")
@click.option("--json", "as_json", is_flag=True)
def faults(version: str, as_json: bool) -> None:
    """List every fault: line, path, rule, value, fix."""
    client = Client()
    path = f"dataset-versions/{refs.dataset_version(client, version)}/faults"
    found = list(client.pages(path, limit=1000))
    show(found, as_json=as_json, columns="line path rule value fix")


@datasets.command()
@click.argument("version")
@click.argument("target", type=click.Path(dir_okay=False, path_type=pathlib.Path))
def corrected(version: str, target: pathlib.Path) -> None:
    """Fetch the corrected rows of a faulty version to TARGET."""
    client = Client()
    where = f"dataset-versions/{refs.dataset_version(client, version)}/corrected"
    transfer.fetch(client, client.get(where)["url"], target)
    console.print(str(target))


@datasets.command()
@click.argument("version")
@click.option("--json", "as_json", is_flag=True)
def publish(version: str, as_json: bool) -> None:
    """Publish a valid version: from then on it never changes."""
    client = Client()
    done = client.post(f"dataset-versions/{refs.dataset_version(client, version)}/publish")
    show(done, as_json=as_json, columns=VERSION_COLUMNS)


@datasets.command()
@click.argument("version")
@click.option("--limit", type=int, default=20, show_default=True)
@click.option("--from", "first", type=int, default=0, show_default=True)
@click.option("--group", help="Only rows of this group.")
@click.option("--json", "as_json", is_flag=True)
def rows(version: str, limit: int, first: int, group: str | None, as_json: bool) -> None:
    """Show rows of a version."""
    client = Client()
    where = f"dataset-versions/{refs.dataset_version(client, version)}/rows"
    found = client.get(where, limit=limit, cursor=str(first), group=group)["data"]
    show(found, as_json=as_json, columns="number row")


@datasets.command()
@click.argument("version")
@click.option("--json", "as_json", is_flag=True)
def stats(version: str, as_json: bool) -> None:
    """Show lengths, duplicates and groups of a version."""
    client = Client()
    where = f"dataset-versions/{refs.dataset_version(client, version)}/statistics"
    show(client.get(where), as_json=as_json)


@datasets.command()
@click.argument("version")
@click.option("--ratio", type=float, help="Share held out, 0 to 1.")
@click.option("--count", type=int, help="Rows held out.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--publish", is_flag=True, help="Publish both parts.")
@click.option("--json", "as_json", is_flag=True)
def split(
    version: str,
    ratio: float | None,
    count: int | None,
    seed: int,
    publish: bool,
    as_json: bool,
) -> None:
    """Split into train and held-out versions, and look for leaks between them."""
    client = Client()
    where = f"dataset-versions/{refs.dataset_version(client, version)}/split"
    made = client.post(where, {"ratio": ratio, "count": count, "seed": seed})
    for part in ("train", "held_out"):
        path = f"dataset-versions/{made[part]['id']}"
        made[part] = follow.until(
            client, path, lambda row: row["phase"] in {"valid", "invalid", "failed"}
        )
        if made[part]["phase"] != "valid":
            _complain(client, made[part])
        if publish:
            made[part] = client.post(f"{path}/publish")
    path = f"dataset-leaks/{made['leaks']['id']}"
    made["leaks"] = follow.until(client, path, lambda row: row["phase"] in {"done", "failed"})
    if as_json:
        show(made, as_json=True)
        return
    for part, words in (("train", "train"), ("held_out", "held out")):
        row = made[part]
        click.echo(f"{row['dataset']}@{row['number']}  {row['rows']} rows, {words}, {row['phase']}")
    leaks = made["leaks"]
    click.echo(f"{leaks['leaking_rows']} held-out rows are also, or nearly, in the training part")
    for pair in leaks["pairs"][:10]:
        click.echo(f"  {pair}")


@datasets.command()
@click.argument("version")
@click.argument("target", type=click.Path(dir_okay=False, path_type=pathlib.Path))
@click.option("--format", "target_format", default="openai", show_default=True)
def export(version: str, target: pathlib.Path, target_format: str) -> None:
    """Write a version to TARGET in a format of your choice."""
    client = Client()
    where = f"dataset-versions/{refs.dataset_version(client, version)}/export"
    made = client.post(where, {"format": target_format})
    made = follow.until(client, f"dataset-exports/{made['id']}", lambda row: bool(row["download"]))
    transfer.fetch(client, made["download"]["url"], target)
    console.print(str(target))


@datasets.command()
@click.argument("dataset")
def delete(dataset: str) -> None:
    """Delete a dataset with all its versions; refused while something uses one."""
    client = Client()
    client.delete(f"datasets/{refs.dataset(client, dataset)['id']}")
    click.echo("deleted")
