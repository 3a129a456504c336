"""Every place of every route of both OpenAPI documents, with what is another's in it.

An id of another tenant, or of another project, must be answered exactly as one that never was:
the same status, the same words; and nothing of the other's may change.
"""

from __future__ import annotations

import json
import logging
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.apps import apps
from django.db import connection, transaction
from tenant_world import (
    HOUSES,
    TABLES,
    Place,
    Scene,
    as_documented,
    client,
    dead,
    example,
    operations,
    shape_of,
    texts,
    views,
    with_text,
    written,
)

from slipway.tenancy import services
from slipway.tenancy.permissions import needed
from slipway.tenancy.services import Level

pytestmark = pytest.mark.django_db

#: How many were asked, by what they tried; the last test asks for their number.
asked: Counter[str] = Counter()


@pytest.fixture
def scene(
    owner: Any, stranger: Any, world: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    """Two tenants. Whoever is let in is found out once: that keys are checked is asked elsewhere,
    and each of these tests asks thousands of times."""
    made, real, known = Scene(owner, stranger), services.check_key, {}

    def check(*, secret: str, **rest: Any) -> Any:
        if secret not in known:
            known[secret] = real(secret=secret, **rest)
        return known[secret]

    monkeypatch.setattr(services, "check_key", check)
    logging.disable(logging.WARNING)
    yield made
    logging.disable(logging.NOTSET)


#: What differs between any two answers: names of requests, ids, times, new secrets.
_OWN_TO_EACH = re.compile(
    r'"(secret|redacted\w*|link|value|url|request_id)":\s*"[^"]*"'
    r"|[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}"
    r"|\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)|\b1[6-9]\d{8}\b"
)


class Said:
    """An answer, as far as it may not differ between what is another's and what is not there."""

    def __init__(self, answer: Any, given: str) -> None:
        self.status = answer.status_code
        streaming = answer.streaming and not getattr(answer, "is_async", False)
        data = b"".join(answer.streaming_content) if streaming else b""
        self.text = (data if answer.streaming else answer.content).decode(errors="replace")
        self.same = _OWN_TO_EACH.sub("", self.text.replace(given, "ID"))

    def beside(self, nothing: Said) -> str:
        texts = self.text[:200], nothing.text[:200]
        return f"{self.status} {texts[0]}\n      nothing there: {nothing.status} {texts[1]}"


def ask(asking: Any, method: str, address: str, body: Any = None, *, why: str) -> Any:
    asked[why] += 1
    given = json.dumps({} if body is None else body)
    if method == "GET":
        return asking.get(address, body)
    return asking.generic(method, address, given, content_type="application/json")


def module_of(place: Place) -> tuple[str, Level]:
    kinds = {as_documented(route): kind for route, kind in views()}
    return needed(kinds[place.path], place.method) or ("", Level.FULL)


def foreign(owner: Any, key: str) -> Iterator[str]:
    """Ids of the owner to be tried where `key` belongs: the right one, then other kinds'."""
    if key in owner.ids:
        yield owner.ids[key]
    # As this place writes them: the rows of other kinds, some of them.
    rows = sorted(
        {row.pk for row in owner.owned.values() if isinstance(getattr(row, "pk", 0), UUID)}
    )
    yield from (written(key, row) for row in random.Random(key).sample(rows, 8))


def test_who_is_not_let_in_is_told_so_everywhere(scene: Scene) -> None:
    nobody = dead(scene.owner.owner)
    reader = client(scene.owner.owner, role="reader")
    narrow = client(scene.owner.owner, scopes={"usage": "read"})
    limited = ((reader, services.levels_of_role("reader")), (narrow, {"usage": Level.READ}))
    refused = 0
    for place in operations():
        address = scene.owner.address(place)
        for asking in nobody:
            answer = ask(asking, place.method, address, why="no credential")
            assert answer.status_code == 401, f"{place.method} {place.path}"
        module, level = module_of(place)
        for asking, has in limited:
            if has.get(module, Level.NONE) < level:
                answer = ask(asking, place.method, address, why="lower role")
                assert answer.status_code == 403, f"{place.method} {place.path}: {answer.content}"
                refused += 1
    assert refused > 300, refused


@pytest.mark.parametrize("who", ["another tenant", "another project"])
def test_an_id_in_a_path_is_as_if_it_never_was(scene: Scene, who: str) -> None:
    owner = scene.owner
    others = {"another tenant": scene.stranger.owner, "another project": scene.neighbour}
    asking = client(others[who], role="admin" if who == "another tenant" else "owner")
    before, wrong = owner.rows(), []
    for place in operations():
        body = example(place.body, place.schemas) if place.body else None
        for name in place.parameters:
            key = place.key(name)
            if key not in TABLES:
                continue
            # All others are one's own: what nests inside is another's, or the other way round.
            mine = scene.stranger if who == "another tenant" else owner
            nothing = written(key)
            expected = Said(
                ask(asking, place.method, mine.address(place, **{name: nothing}), body, why=who),
                nothing,
            )
            for one in foreign(owner, key):
                answer = ask(
                    asking, place.method, mine.address(place, **{name: one}), body, why=who
                )
                said = Said(answer, one)
                if said.same != expected.same or not 400 <= said.status < 500:
                    wrong.append(
                        f"{place.method} {place.path} {name}={one}: {said.beside(expected)}"
                    )
    assert not wrong, "\n".join(wrong)
    assert owner.rows() == before


def written_like(place: Place, name: str) -> Callable[[UUID], str]:
    """How the document writes ids of the sort that a parameter of a query takes."""
    key = f"/v1 {name.rstrip('s').replace('api_', '')}"
    if not place.path.startswith("/v1") or key not in TABLES:
        return str
    return lambda row: written(key, row)


def test_an_id_in_a_query_is_as_if_it_never_was(scene: Scene) -> None:
    asking, wrong = client(scene.stranger.owner, role="admin"), []
    for place in operations():
        address = scene.stranger.address(place)
        for name in place.queries if place.method == "GET" else []:
            more = {"start_time": "1"} if "start_time" in place.queries else {}
            for form in {written_like(place, name), str}:
                nothing = form(uuid4())
                answer = ask(asking, "GET", address, more | {name: nothing}, why="query")
                expected = Said(answer, nothing)
                for one in random.Random(name).sample(uuids(scene.owner), 5):
                    given = form(one)
                    answer = ask(asking, "GET", address, more | {name: given}, why="query")
                    found = Said(answer, given)
                    if found.same != expected.same or scene.owner.text in found.text:
                        wrong.append(f"{place.path}?{name}={given}: {found.beside(expected)}")
    assert not wrong, "\n".join(wrong)


#: Fields of bodies that hold any text, though they are called like ids, each for a reason.
FREE = {
    ("/v1/moderations/policy", "model"): "looked up in the asker's project when a text is judged",
    ("/api/v1/feedback", "request_id"): "a word of the asker's project; nothing is looked up by it",
    ("/api/v1/feedback", "model"): "as above",
}
_ID = re.compile(
    r"(^|_)ids?$|^(model|base|dataset|project|account|key|version|conversation)$|_file$"
)


def test_an_id_in_a_body_is_as_if_it_never_was(scene: Scene) -> None:
    asking, wrong = client(scene.stranger.owner, role="admin"), []
    before = scene.owner.rows()
    for place in operations():
        if place.body is None:
            continue
        address = scene.stranger.address(place)
        body = example(place.body, place.schemas)
        for way in texts(body):
            name = next(str(part) for part in reversed(way) if isinstance(part, str))
            said = {}
            prefix = "file-" if name.endswith(("file_id", "_file")) else ""
            ids = [uuid4(), *random.Random(str(way)).sample(uuids(scene.owner), 5)]
            for one in ids:
                given = f"{prefix}{one.hex}" if prefix else str(one)
                with transaction.atomic():
                    answer = ask(
                        asking, place.method, address, with_text(body, way, given), why="body"
                    )
                    said[one] = Said(answer, given)
                    transaction.set_rollback(True)
            nothing = said.pop(ids[0])
            for one, found in said.items():
                taken = found.status < 300 and _ID.search(name)
                taken = taken and (place.path, name) not in FREE
                if found.same != nothing.same or taken or found.status >= 500:
                    wrong.append(
                        f"{place.method} {place.path} {way}={one}: {found.beside(nothing)}"
                    )
    assert not wrong, "\n".join(wrong)
    assert scene.owner.rows() == before


def uuids(tenant: Any) -> list[UUID]:
    own = [row for label, row in tenant.owned.items() if label not in HOUSES]
    found = (getattr(row, "pk", None) for row in own)
    return sorted({one for one in found if isinstance(one, UUID)})


#: Columns that say whose a row is, how it stands and what it costs: never a body's to say, except
#: where the table below names the route and the reason.
OURS = {
    "id", "pk", "project_id", "project", "organisation_id", "organisation", "tenant", "tenant_id",
    "owner", "owner_id", "user_id", "made_by", "made_by_id", "created_at", "updated_at", "phase",
    "state", "reason", "look_at", "price", "cost", "spent", "reserved", "digest", "hash",
    "is_superuser", "is_staff", "is_active", "last_used_at", "revoked_at", "archived_at",
    "finished_at", "key_id", "attempt",
}  # fmt: skip
SAID = {
    ("PUT", "/api/v1/limits", "key_id"): "a key of this project, which is looked up",
    ("POST", "/v1/organization/projects/{project_id}/users", "user_id"): "one of the organisation",
    ("POST", "/v1/organization/groups/{group_id}/users", "user_id"): "one of the organisation",
    ("POST", "/api/v1/price-books", "organisation_id"): "administrators' prices for a customer",
    ("POST", "/api/v1/credit", "organisation_id"): "administrators' credit for a customer",
}


def test_no_body_names_what_is_not_its_own_to_say() -> None:
    """In the documents: what a body takes is what is listed there, nothing else is read."""
    named = {
        (place.method, place.path, field)
        for place in operations()
        if place.body is not None
        for field in shape_of(place.body, place.schemas).get("properties", {})
        if field in OURS
    }
    assert named == set(SAID), named ^ set(SAID)


class Writes:
    """What SQL writes, but for the audit log, which keeps what was asked."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def __call__(self, execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
        if sql.startswith(("INSERT", "UPDATE")) and '"audit_' not in sql:
            self.seen.append((sql, repr(params)))
        return execute(sql, params, many, context)


def planted() -> dict[str, Any]:
    """Every column of every table of ours, with a value that cannot be mistaken for another."""
    found: dict[str, Any] = {}
    for model in apps.get_models():
        if not model.__module__.startswith("slipway."):
            continue
        for column in model._meta.concrete_fields:
            kind = column.get_internal_type()
            number = 700_000_000 + len(found)
            value: Any = f"planted{number}"
            if kind == "UUIDField" or column.is_relation:
                value = str(UUID(int=number))
            elif "Integer" in kind or kind in {"FloatField", "DecimalField", "BigAutoField"}:
                value = number
            elif kind == "DateTimeField":
                value = f"1999-01-01T{len(found) // 60 % 24:02}:{len(found) % 60:02}:17Z"
            found[column.attname] = value
            found.setdefault(column.name, value)
    return found


def test_no_body_sets_a_column_that_it_does_not_list(scene: Scene) -> None:
    """Mass assignment: every column of every table beside a body that is well taken without."""
    asking = client(scene.stranger.owner, role="admin")
    columns, wrong, taken = planted(), [], Counter()
    for place in operations():
        if place.method == "GET":
            continue
        body = example(place.body, place.schemas) if place.body else {}
        listed = shape_of(place.body, place.schemas).get("properties", {}) if place.body else {}
        more = {name: value for name, value in columns.items() if name not in listed}
        # All at once, and in parts, for what refuses one of them must not hide the others.
        names = sorted(more)
        for part in (names, *(names[start::8] for start in range(8))):
            writes = Writes()
            with transaction.atomic():
                with connection.execute_wrapper(writes):
                    given = body | {name: more[name] for name in part}
                    answer = ask(
                        asking, place.method, scene.stranger.address(place), given, why="mass"
                    )
                transaction.set_rollback(True)
            taken[answer.status_code < 300] += 1
            if answer.status_code >= 500:
                wrong.append(f"{place.method} {place.path}: {answer.content}")
            for name in part:
                sign = str(more[name]).replace("-", "").removesuffix("Z")
                for sql, params in writes.seen:
                    if sign in params.replace("-", "").replace(" ", "T"):
                        wrong.append(f"{place.method} {place.path} sets {name}: {sql[:120]}")
    assert not wrong, "\n".join(wrong)
    assert taken[True] > 300, taken


def test_there_were_enough() -> None:
    assert sum(asked.values()) >= 10_000 or not asked, asked
