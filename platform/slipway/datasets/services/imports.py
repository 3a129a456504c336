"""Fill a version from a path, an address or another version, and check what came."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, BinaryIO
from uuid import UUID

from slipway import backends
from slipway.core import nudge, together
from slipway.core.errors import Conflict, Detail, Invalid
from slipway.core.lifecycle import advance
from slipway.datasets.models import Phase, Version
from slipway.datasets.services import catalogue, checking, edits, fetch, split
from slipway.datasets.services.checking import Progress
from slipway.datasets.services.facts import version_of

_CHUNK = 1024 * 1024


def start(
    *, project_id: UUID, version_id: UUID, now: datetime, path: str = "", url: str = ""
) -> Version:
    """Let the worker fetch the rows from an allowed path or address; Invalid if it is not."""
    if bool(path) == bool(url):
        raise Invalid(
            "Name either a path or a URL.", Detail(field="path", rule="exactly one of path, url")
        )
    if path:
        fetch.check_path(path)
        source = {"kind": "path", "path": path}
    else:
        fetch.check_url(url)
        source = {"kind": "url", "url": url}
    version = version_of(project_id=project_id, version_id=version_id)
    if version.phase != Phase.DRAFT:
        raise Conflict(
            f"This version has its rows already (it is {version.phase}); add another version.",
            Detail(field="phase", rule="draft", value=version.phase),
        )
    if version.upload_id:
        raise Conflict(
            "An upload is under way for this version.",
            Detail(field="upload", rule="none", fix=f"DELETE …/{version.pk}/upload first"),
        )
    together.begin()
    reason = catalogue.waiting_for(source)
    advance(version, Phase.IMPORTING, now=now, reason=reason, source=source)
    nudge.soon(Version)
    return version


def corrected(*, project_id: UUID, version_id: UUID, now: datetime, made_by: str = "") -> Version:
    """A new version of the dataset from the corrected file of an invalid one."""
    old = version_of(project_id=project_id, version_id=version_id)
    if old.phase != Phase.INVALID or not old.rows:
        raise Conflict(
            "Only an invalid version with rows that could be kept has a corrected file.",
            Detail(field="phase", rule="invalid, rows > 0", value=old.phase),
        )
    label = f"{old.dataset.name}@{old.number}"
    source = {"kind": "corrected", "of": str(old.pk), "of_label": label}
    version = catalogue.create_version(
        project_id=project_id,
        dataset_id=old.dataset_id,
        now=now,
        source=source,
        note=f"{label}, corrected",
        made_by=made_by,
    )
    nudge.soon(Version)
    return version


def fetch_source(version: Version, progress: Progress) -> str:
    """Store the bytes that the version's source names; returns their key, or FetchFailed."""
    store = backends.objects()
    # The name is new each time: a worker that lost its lease cannot spoil what another wrote.
    key = f"{catalogue.folder_of(version)}source-{secrets.token_hex(6)}"
    source: dict[str, Any] = version.source
    if source["kind"] in {"split", "corrected", "edited"}:
        parent = Version.objects.filter(pk=source["of"], project_id=version.project_id).first()
        if parent is None:
            raise fetch.FetchFailed(f"{source['of_label']} was deleted meanwhile")
        if source["kind"] == "corrected":
            store.copy(parent.canonical_key, key)
            return key
        with store.create(key) as out:
            if source["kind"] == "edited":
                edits.write(version, parent, out, progress)
            else:
                split.write_part(parent, source, out, progress)
        return key
    opened: AbstractContextManager[BinaryIO] = (
        fetch.open_path(source["path"])
        if source["kind"] == "path"
        else fetch.open_url(source["url"])
    )
    with opened as body, store.create(key) as out:
        done = 0
        while data := body.read(_CHUNK):
            out.write(data)
            done += len(data)
            progress(done, 0)
    return key


def check(version: Version, progress: Progress) -> tuple[checking.Outcome, dict[str, str]]:
    """Read every row; returns what was found and the keys of the objects it wrote.

    Nothing points at those objects until the caller stores the keys, so a check that is cut
    short leaves nothing that anyone could see.
    """
    store = backends.objects()
    token = secrets.token_hex(6)
    folder = catalogue.folder_of(version)
    keys = {
        "canonical_key": f"{folder}{token}/rows.jsonl",
        "index_key": f"{folder}{token}/rows.index",
        "faults_key": f"{folder}{token}/faults.jsonl",
    }
    open_source: Callable[[], BinaryIO] = lambda: store.open(version.source_key)  # noqa: E731
    with (
        store.create(keys["canonical_key"]) as canonical,
        store.create(keys["faults_key"]) as faults,
    ):
        outcome = checking.check_file(
            open_source,
            given=version.format,
            canonical=canonical,
            faults=faults,
            progress=progress,
        )
    if outcome.verbatim:
        store.copy(version.source_key, keys["canonical_key"])
    store.put(keys["index_key"], outcome.index.tobytes())
    return outcome, keys
