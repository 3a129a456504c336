"""Every changing operation of both OpenAPI documents: what it writes and its entry are one."""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from tenant_world import Place, Scene, as_documented, client, example, operations, views

from slipway.audit.models import Entry
from slipway.tenancy.permissions import needed
from slipway.tenancy.services import Level

pytestmark = pytest.mark.django_db

_WRITES = re.compile(r'\s*(?:INSERT INTO|UPDATE|DELETE FROM) "(\w+)"', re.IGNORECASE)
#: Notes about the credential, not about what it asked for.
_NO_CHANGES = {"tenancy_apikey:last_used_at", "audit_head", "audit_digest"}
#: What is wanted of these depends on what an example cannot know.
BETTER = {
    ("/api/v1/datasets", "POST"): {"name": "rows", "format": "openai-chat"},
    ("/api/v1/keys", "POST"): {"name": "ci"},
    ("/api/v1/projects", "POST"): {"name": "another"},
    ("/api/v1/models/uploads", "POST"): {"filename": "m.tar", "size_bytes": 100},
    ("/api/v1/dataset-versions/{version_id}/upload", "POST"): {"size_bytes": 100},
    ("/v1/conversations", "POST"): {},
    ("/v1/uploads", "POST"): {
        "filename": "a.jsonl", "purpose": "batch", "bytes": 10, "mime_type": "text/plain"
    },
}  # fmt: skip


class Seen:
    """Tables that were written, each with the outermost transaction of the request it was in."""

    def __init__(self) -> None:
        self.base = len(connection.savepoint_ids)
        self.writes: list[tuple[str, str | None]] = []

    def __call__(self, execute: Any, sql: str, *rest: Any) -> Any:
        if found := _WRITES.match(sql):
            mark = f"{found[1]}:last_used_at"
            table = mark if '"last_used_at"' in sql and mark in _NO_CHANGES else found[1]
            opened = connection.savepoint_ids[self.base :]
            self.writes.append((table, opened[0] if opened else None))
        return execute(sql, *rest)

    def apart(self) -> set[str]:
        """Tables written in another transaction than the last entry."""
        entries = [where for table, where in self.writes if table == "audit_entry"]
        last = entries[-1] if entries else None
        left_out = {"audit_entry", *_NO_CHANGES}
        return {table for table, where in self.writes if table not in left_out and where != last}


@contextlib.contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def scene(owner: Any, stranger: Any, world: Any) -> Iterator[Scene]:
    logging.disable(logging.WARNING)
    yield Scene(owner, stranger)
    logging.disable(logging.NOTSET)


def changing() -> Iterator[Place]:
    kinds = {as_documented(route): kind for route, kind in views()}
    for place in operations():
        if place.method == "GET":
            continue
        kind = kinds.get(place.path)
        asks = needed(kind, place.method) if kind else None
        # Estimates and other looks by POST change nothing.
        if asks and (asks[1] > Level.READ or getattr(kind, "audited", False)):
            yield place


def asked(asking: Any, scene: Scene, place: Place) -> Any:
    body = BETTER.get((place.path, place.method))
    if body is None and place.body:
        body = example(place.body, place.schemas)
    return asking.generic(
        place.method, scene.owner.address(place), json.dumps(body or {}),
        content_type="application/json",
    )  # fmt: skip


def test_every_change_is_one_transaction_with_its_entry(scene: Scene) -> None:
    asking = client(scene.owner.owner, role="admin")
    done, wrong = 0, []
    for place in changing():
        with undone():
            before, seen = Entry.objects.count(), Seen()
            with connection.execute_wrapper(seen):
                answer = asked(asking, scene, place)
            told = f"{place.method} {place.path} ({answer.status_code})"
            if answer.status_code in {401, 404, 405}:
                continue  # a session's own, or a word for a row: nothing was asked for
            well = answer.status_code < 400
            if well and (apart := seen.apart()):
                wrong.append(f"{told} writes {sorted(apart)} apart from its entry")
            if Entry.objects.count() == before:
                wrong.append(f"{told} left no entry")
                continue
            entry = json.loads(Entry.objects.latest("number").body)
            right = {
                "outcome": "done" if well else "refused",
                "status": answer.status_code,
                "actor": scene.owner.owner.user_name,
                "project": str(scene.owner.owner.project_id),
                "request_id": answer["x-request-id"],
            }
            if {name: entry[name] for name in right} != right:
                wrong.append(f"{told}: {entry}")
            done += well
    assert not wrong, "\n".join(wrong)
    assert done >= 75, done


def test_no_change_outlives_an_entry_that_cannot_be_written(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = client(scene.owner.owner, role="admin")
    real = Entry.objects.create

    def broken(**row: Any) -> Any:
        if json.loads(row["body"])["outcome"] == "asked":
            return real(**row)
        raise DatabaseError("disk full")

    monkeypatch.setattr(Entry.objects, "create", broken)
    rows = scene.owner.rows()
    for place in changing():
        with undone():
            answer = asked(asking, scene, place)
            told = f"{place.method} {place.path} ({answer.status_code})"
            assert answer.status_code in {401, 404, 405, 500}, told
            # The entry of a refusal is nobody's part; here it was within this test's transaction.
            transaction.set_rollback(False)
            now = scene.owner.rows()
            assert now == rows, told
