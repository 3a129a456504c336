"""Every route declares who may use it, and the OpenAPI document names every route."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from rest_framework.permissions import AllowAny
from rest_framework.test import APIClient
from tenant_world import (
    HOUSES,
    METHODS,
    PUBLIC,
    Tenant,
    as_documented,
    client,
    document,
    operations,
    views,
)

from slipway.tenancy.permissions import needed

pytestmark = pytest.mark.django_db


def undocumented() -> Iterator[tuple[str, str]]:
    """Routes that leave themselves out of both documents (SCIM has a standard), by method."""
    for route, kind in views():
        ours = kind.__module__.startswith("slipway.") and not route.startswith("/v1/")
        if kind.schema is None and ours and route not in PUBLIC:
            plain = re.sub(r"<uuid:\w+>", str(uuid.uuid4()), route)
            plain = re.sub(r"<int:\w+>", "1", re.sub(r"<(str:)?\w+>", "x", plain))
            for method in METHODS:
                if hasattr(kind, method.lower()):
                    yield plain, method


def test_every_route_declares_a_permission() -> None:
    seen = 0
    for route, kind in views():
        if not kind.__module__.startswith("slipway."):
            continue  # the document itself and the pages that draw it
        seen += 1
        open_to_all = AllowAny in kind.permission_classes or not kind.permission_classes
        assert open_to_all == (route in PUBLIC), f"{route}: is it meant to be open to anybody?"
        for method in () if open_to_all else METHODS:
            assert needed(kind, method), f"{route}: {kind.__module__} belongs to no module"
    assert seen > 50


def test_the_document_names_every_route() -> None:
    documented = set(document()["paths"])
    for route, kind in views():
        if kind.__module__.startswith("slipway.") and kind.schema is not None:
            assert as_documented(route) in documented, f"{route} is not in the OpenAPI document"


def test_what_no_document_names_lets_nobody_in_without_its_own_credential(owner: Any) -> None:
    asked = 0
    for address, method in undocumented():
        for asking in (APIClient(), client(owner)):
            answer = asking.generic(method, address, "{}", content_type="application/json")
            assert answer.status_code == 401, f"{method} {address}"
            asked += 1
    assert asked > 10


def test_lists_show_only_ones_own(owner: Any, stranger: Any, world: Any) -> None:
    theirs, own = Tenant(owner, "acmes-own-"), Tenant(stranger, "rivals-own-")
    asking = client(own.owner, role="admin")
    # Pools and plans are the house's: everybody works on them, and sees which there are.
    shared = {str(theirs.owned[label].pk) for label in HOUSES}
    secrets = {value for value in theirs.ids.values() if len(value) >= 32} - shared
    for place in operations():
        if place.method == "GET":
            answer = asking.get(own.address(place))
            if getattr(answer, "is_async", False):
                continue  # does not end; tests/test_live.py asks what it tells to whom
            text = b"".join(answer.streaming_content) if answer.streaming else answer.content
            leaked = {s for s in secrets if s in text.decode()}
            assert not leaked, f"{place.path} shows {leaked}"
