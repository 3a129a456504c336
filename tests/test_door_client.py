"""Every method of the `openai` client either is served here or is told, in docs, not to be."""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from door_world import Door, error_of
from openai._resource import SyncAPIResource

from slipway.door.api.document import document

DOCS = (Path(__file__).parent.parent / "docs" / "openai.md").read_text()
#: Conveniences of the client that ask by its other methods, or ask nobody.
OWN = {
    "files.wait_for_processing", "uploads.upload_file_chunked", "chat.completions.parse",
    "chat.completions.stream", "responses.parse", "responses.stream",
    "beta.chat.completions.parse", "beta.chat.completions.stream",
    # Their first step is to upload a file, which is served.
    "vector_stores.files.upload", "vector_stores.files.upload_and_poll",
}  # fmt: skip


class _Asked(Exception):
    """The client has made its request; that is all we wanted to know."""


def methods(resource: Any, *path: str) -> Iterator[tuple[str, Any]]:
    """Every public method of a resource and of those below it, by its dotted name."""
    for name in sorted(dir(type(resource))):
        if name.startswith(("_", "with_")):
            continue
        kind = inspect.getattr_static(type(resource), name)
        if isinstance(kind, functools.cached_property | property):
            below = getattr(resource, name)
            if isinstance(below, SyncAPIResource):
                yield from methods(below, *path, name)
        elif inspect.isfunction(kind) and path:
            yield ".".join((*path, name)), getattr(resource, name)


@functools.cache
def requests() -> dict[str, tuple[str, str] | None]:
    """Method of the client to what it asks of a server; None for what could not be told."""
    seen: list[tuple[str, str]] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append((request.method.lower(), request.url.path.removeprefix("/v1")))
        raise _Asked

    client = openai.OpenAI(
        base_url="http://nowhere/v1", api_key="k", admin_api_key="k", max_retries=0,
        http_client=httpx2.Client(transport=httpx2.MockTransport(handle)),
    )  # fmt: skip
    found: dict[str, tuple[str, str] | None] = {}
    files = {"file", "data", "image", "video", "recording"}
    for name, method in methods(client):
        seen.clear()
        parameters = inspect.signature(method).parameters.values()
        given = {
            p.name: b"x" if p.name in files else "x"
            for p in parameters
            if p.default is p.empty and p.kind is not p.VAR_KEYWORD
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with contextlib.suppress(Exception):
                method(**given)
        found[name] = seen[0] if seen else None
    return found


def unserved() -> list[str]:
    """What the table in docs names: `client.` and a resource or a method of it."""
    section = DOCS.split("\n## What is not served\n")[1].split("\n## ")[0]
    return re.findall(r"`([a-z_.]+)`", section)


def told(name: str) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in unserved())


def served(verb: str, path: str) -> bool:
    return any(
        verb in shown and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", known), path)
        for known, shown in document()["paths"].items()
    )


@pytest.mark.parametrize("name", sorted(requests()))
def test_it_is_served_or_told_not_to_be(name: str, door: Door) -> None:
    asked = requests()[name]
    if asked is None or name in OWN:
        assert told(name) or name in OWN
        return
    verb, path = asked
    if served(verb, path):
        assert not told(name), f"docs say that {name} is not served; {verb} {path} is"
        return
    assert told(name), f"{name} asks {verb} {path}: serve it, or tell it in docs/openai.md"
    who = "acme-admin" if name.startswith("admin.") else "acme-owner"
    refused = door.call(verb.upper(), path.lstrip("/"), who)
    # Where another method of the same path is served, it is the method that is not.
    known = {404: "unknown_url", 405: "method_not_allowed"}
    assert error_of(refused)["code"] == known[refused.status_code]


def test_what_docs_leave_out_is_of_the_client() -> None:
    names = list(requests())
    for each in unserved():
        assert any(name == each or name.startswith(f"{each}.") for name in names), each
