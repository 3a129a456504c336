"""What people call things (name, name@number, id) to the ids the API takes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from slipway.cli.client import Client, Problem


def _is_id(word: str) -> bool:
    try:
        UUID(word)
    except ValueError:
        return False
    return True


def _named(client: Client, path: str, name: str, what: str) -> Any:
    """The row of that name or id in the list at `path`."""
    if _is_id(name):
        return client.get(f"{path}/{name}")
    found = [row for row in client.pages(path, limit=500) if row["name"] == name]
    if len(found) > 1:
        ids = ", ".join(f"{row['id']} ({row['created_at']})" for row in found)
        raise Problem(f"{len(found)} are called {name!r}; say which by its id: {ids}")
    if found:
        return found[0]
    raise Problem(f"There is no {what} named {name!r}. See: slipway {path} list")


def model(client: Client, word: str) -> Any:
    return _named(client, "models", word, "model")


def dataset(client: Client, word: str) -> Any:
    return _named(client, "datasets", word, "dataset")


def deployment(client: Client, word: str) -> Any:
    return _named(client, "deployments", word, "deployment")


def external(client: Client, word: str) -> Any:
    return _named(client, "externals", word, "external model")


def job(client: Client, word: str) -> str:
    return str(_named(client, "jobs", word, "job")["id"])


def evaluation(client: Client, word: str) -> str:
    return str(_named(client, "evals", word, "evaluation")["id"])


def version(client: Client, word: str) -> str:
    """Id of a model version: the id itself, `name@number`, or the newest of `name`."""
    return _version(client, word, parent=model, path="models", what="model")


def dataset_version(client: Client, word: str) -> str:
    """Id of a dataset version: the id itself, `name@number`, or the newest of `name`."""
    return _version(client, word, parent=dataset, path="datasets", what="dataset")


def _version(client: Client, word: str, *, parent: Any, path: str, what: str) -> str:
    if _is_id(word):
        return word
    name, _, number = word.partition("@")
    row = parent(client, name)
    versions = list(client.pages(f"{path}/{row['id']}/versions", limit=500))
    if number:
        versions = [v for v in versions if str(v["number"]) == number]
    if not versions:
        wanted = f"version {number}" if number else "version yet"
        raise Problem(f"The {what} {name!r} has no {wanted}.")
    return str(max(versions, key=lambda v: v["number"])["id"])
