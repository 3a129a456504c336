"""Lists in the order asked for: page by page, both ways, over ties, and only one's own."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from slipway.core.http import Keyset, Named
from slipway.datasets.models import Dataset
from slipway.tenancy.models import ApiKey
from slipway.training.services import jobs

KEYS, DATASETS = "/api/v1/keys", "/api/v1/datasets"


def pages(api: Any, path: str, **asked: Any) -> Iterator[list[dict[str, Any]]]:
    cursor = None
    while True:
        answer = api.get(path, {**asked, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200, answer.content
        yield answer.json()["data"]
        if (cursor := answer.json()["next_cursor"]) is None:
            return


def refused(api: Any, path: str, **asked: Any) -> dict[str, Any]:
    answer = api.get(path, asked)
    assert answer.status_code == 422, answer.content
    error: dict[str, Any] = answer.json()["error"]
    return error


#: The same in every process, since it names tests.
KEY = "0190b5f2-3a5c-7e21-9d10-5f0c2b7a9e44"


def forged(*parts: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def dataset(project_id: Any, name: str, **fields: Any) -> Dataset:
    made: Dataset = Dataset.objects.create(project_id=project_id, name=name, **fields)
    return made


@pytest.mark.parametrize("order", ["created", "-created", "name", "-name"])
def test_pages_of_every_order_hold_each_row_once_over_ties(api: Any, order: str) -> None:
    mine = ApiKey.objects.get()
    at = timezone.now()
    for number in range(11):
        key = ApiKey.objects.get(pk=mine.pk)
        key.pk, key.digest, key._state.adding = uuid4(), f"d{number}", True
        # Three to a time and four to a name, so that ties lie across the edges of pages.
        key.created_at, key.name = at + timedelta(seconds=number // 3), f"n{number % 3}"
        key.save()
    seen = [row for page in pages(api, KEYS, order=order, limit=2) for row in page]
    assert len(seen) == 12
    field = {"created": "created_at", "name": "name"}[order.removeprefix("-")]
    ranked = sorted(seen, key=lambda row: (row[field], row["id"]), reverse=order.startswith("-"))
    assert [row["id"] for row in seen] == [row["id"] for row in ranked]
    assert len({row["id"] for row in seen}) == 12


def test_rows_that_come_meanwhile_neither_repeat_nor_hide(api: Any, owner: Any) -> None:
    for name in ("b", "d", "f"):
        dataset(owner.project_id, name)
    walk = pages(api, DATASETS, order="name", limit=2)
    assert [row["name"] for row in next(walk)] == ["b", "d"]
    for name in ("a", "e"):
        dataset(owner.project_id, name)
    assert [row["name"] for row in next(walk)] == ["e", "f"]


def test_newest_first_is_what_nobody_asked_for(api: Any, owner: Any) -> None:
    at = timezone.now()
    for number, name in enumerate("bca"):
        dataset(owner.project_id, name, created_at=at + timedelta(seconds=number))
    told = {
        order: "".join(row["name"] for page in pages(api, DATASETS, **order_of) for row in page)
        for order, order_of in {"": {}, **{o: {"order": o} for o in Named().orders}}.items()
    }
    assert told == {"": "acb", "-created": "acb", "created": "bca", "-name": "cba", "name": "abc"}


def test_another_tenants_rows_are_in_no_order(
    api: Any, api_for: Any, owner: Any, stranger: Any
) -> None:
    for name in ("a", "b", "c"):
        dataset(owner.project_id, f"mine-{name}")
        dataset(stranger.project_id, f"theirs-{name}")
    theirs = api_for(stranger)
    for order in Named().orders:
        cursor = api.get(DATASETS, {"order": order, "limit": 1}).json()["next_cursor"]
        found = theirs.get(DATASETS, {"order": order, "cursor": cursor}).json()["data"]
        assert all(row["name"].startswith("theirs-") for row in found)
        every = [row["name"] for page in pages(api, DATASETS, order=order, limit=2) for row in page]
        assert sorted(every) == ["mine-a", "mine-b", "mine-c"]


def test_an_unknown_order_names_those_there_are(api: Any) -> None:
    told = refused(api, "/api/v1/jobs", order="name")
    assert told["details"][0]["rule"] == "one of -created, created"
    assert "one of -created, created, -name, name" in refused(api, KEYS, order="size")["message"]
    assert refused(api, KEYS, order="")["details"][0]["field"] == "order"


def test_a_cursor_goes_on_in_its_own_order_only(api: Any, owner: Any) -> None:
    for name in ("a", "b"):
        dataset(owner.project_id, name)
    cursor = api.get(DATASETS, {"order": "name", "limit": 1}).json()["next_cursor"]
    for other in ({}, {"order": "-name"}, {"order": "created"}):
        told = refused(api, DATASETS, cursor=cursor, **other)
        assert "order=name" in told["message"]
        assert told["details"][0]["field"] == "cursor"


@pytest.mark.parametrize(
    "cursor",
    [
        "x", "é", forged(), forged("2026-01-01", KEY), forged("name", "a", "b"),
        forged("name", 1, KEY), forged("name", "a\0", KEY),
        forged("name", "\ud800", KEY), forged("created", "a", KEY),
        forged(["name"], "a", KEY), forged(None, None, None),
        base64.urlsafe_b64encode(b"[" * 3000).decode(),
    ],
)  # fmt: skip
def test_a_cursor_that_was_never_given_out_is_refused(api: Any, cursor: str) -> None:
    for order in ("name", "created"):
        refused(api, DATASETS, cursor=cursor, order=order)


def test_the_document_says_which_orders_a_list_has(api: Any) -> None:
    paths = api.get("/api/v1/schema", HTTP_ACCEPT="application/vnd.oai.openapi+json").json()[
        "paths"
    ]
    told = {
        path: next(
            p["schema"]["enum"] for p in paths[path]["get"]["parameters"] if p["name"] == "order"
        )
        for path in ("/api/v1/jobs", DATASETS)
    }
    assert told == {"/api/v1/jobs": Keyset().orders, DATASETS: Named().orders}
    assert not any(p["name"] == "order" for p in paths[DATASETS]["post"].get("parameters", []))


@pytest.mark.parametrize("way", ["", "-"])
def test_oldest_first_is_found_by_the_index_of_newest_first(owner: Any, way: str) -> None:
    found = jobs(project_id=owner.project_id).order_by(f"{way}created_at", f"{way}pk")[:51]
    plan = found.explain()
    assert "USING INDEX trainingjob_listed" in plan, plan
    assert "TEMP B-TREE" not in plan, plan
