"""OpenAI's cursor pages: `after` an id, `limit`, `order`; `has_more` is always there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet, TextField
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from rest_framework.request import Request

from slipway.door.services.words import Bad


def page(
    rows: QuerySet[Any],
    request: Request,
    *,
    find: Callable[[str], UUID],
    shown: Callable[[Any], dict[str, Any]],
    default: int = 20,
    most: int = 100,
    order: str = "desc",
    by: str = "created_at",
) -> dict[str, Any]:
    """One page of rows by (`by`, id). `find` gives the row id of a public one."""
    rising = order_of(request, order) == "asc"
    limit = limit_of(request, default, most)
    if after := request.query_params.get("after"):
        last = rows.filter(pk=_found(find, after)).first()
        if last is None:
            raise unknown(after)
        at, beyond = getattr(last, by), "gt" if rising else "lt"
        further = Q((f"{by}__{beyond}", at)) | Q((by, at), (f"pk__{beyond}", last.pk))
        rows = rows.filter(further)
    sign = "" if rising else "-"
    found = list(rows.order_by(f"{sign}{by}", f"{sign}pk")[: limit + 1])
    return body([shown(row) for row in found[:limit]], has_more=len(found) > limit)


def page_of(
    items: Sequence[dict[str, Any]], request: Request, *, default: int = 20, most: int = 100
) -> dict[str, Any]:
    """One page of things that are all at hand, in their order, known by their `id`: the first
    ones `after` an id, or, with `before` alone, the last ones before it."""
    limit = limit_of(request, default, most)
    after, before = (request.query_params.get(name) for name in ("after", "before"))
    known = {item["id"]: place for place, item in enumerate(items)}
    for given, name in ((after, "after"), (before, "before")):
        if given and given not in known:
            raise unknown(given, name)
    start = known[after] + 1 if after else 0
    found = items[start : known[before] if before else None]
    some = found[-limit:] if before and not after else found[:limit]
    return body(list(some), has_more=len(found) > limit)


def next_page_of(
    items: Sequence[dict[str, Any]], request: Request, *, default: int = 20, most: int = 1000
) -> dict[str, Any]:
    """The same for lists whose next page is asked for by what `next` says."""
    made = page_of(items, request, default=default, most=most)
    return made | {"next": made["last_id"] if made["has_more"] else None}


def body(data: list[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": has_more,
    }


def limit_of(request: Request, default: int, most: int) -> int:
    raw = request.query_params.get("limit", str(default))
    if not (raw.isascii() and raw.isdecimal()) or len(raw) > 9 or not 1 <= int(raw) <= most:
        raise Bad(
            f"limit must be a whole number from 1 to {most}, not {raw[:50]!r}.", param="limit"
        )
    return int(raw)


def order_of(request: Request, default: str) -> str:
    raw = request.query_params.get("order", default)
    if raw not in {"asc", "desc"}:
        raise Bad(f"order must be asc or desc, not {raw[:50]!r}.", param="order")
    return str(raw)


def with_metadata(rows: QuerySet[Any], request: Request) -> QuerySet[Any]:
    """Those that have what `?metadata[k]=v` asks for."""
    wanted = [
        (name[9:-1], str(value))
        for name, value in request.query_params.items()
        if name.startswith("metadata[") and name.endswith("]")
    ]
    for number, (key, value) in enumerate(wanted[:16]):
        # As text on both sides: a JSON lookup would read the value as JSON.
        text = Cast(KeyTextTransform(key, "metadata"), TextField())
        rows = rows.alias(**{f"wanted_{number}": text}).filter(**{f"wanted_{number}": value})
    return rows


def _found(find: Callable[[str], UUID], after: str) -> UUID:
    try:
        return find(after)
    except Exception as error:
        raise unknown(after) from error


def unknown(given: str, name: str = "after") -> Bad:
    """`after` or `before` names nothing that is listed here."""
    return Bad(f"{name}: there is no {given[:100]!r} in this list.", param=name)
