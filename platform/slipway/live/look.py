"""What counts as news: rows that moved, and acts that the audit log recorded."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from django.urls import URLPattern, URLResolver, get_resolver

from slipway.audit import services as audit
from slipway.core import changes
from slipway.live.hub import Look, News
from slipway.tenancy.permissions import module_of, needed

#: What is shared by all projects of an organisation.
_OF_ORGANISATION = {"projects", "groups", "roles", "members", "budgets", "price-books", "credit"}


def begin() -> Look:
    """A look that tells what is new since the one before, starting now."""
    watch, last = changes.Watch(), audit.last_number()

    def look() -> Iterator[News]:
        nonlocal last
        for moved in watch.look():
            module = module_of(moved.kind.partition(".")[0])
            yield News(module, moved.kind, moved.id, project_id=moved.project_id)
        for act in audit.acts_since(number=last):
            last = act.number
            _, _, route = act.action.partition(" api/v1/")
            kind = route.partition("/")[0]
            module = _modules().get(kind, "")
            wide = kind in _OF_ORGANISATION
            project_id = None if wide else act.project_id
            yield News(module, kind, act.subject, project_id, act.organisation_id)

    return look


@cache
def _modules() -> dict[str, str]:
    """First word of a route below /api/v1 to the module that its views belong to."""
    found: dict[str, str] = {}

    def visit(patterns: list[URLPattern | URLResolver], before: str) -> None:
        for pattern in patterns:
            route = before + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                visit(pattern.url_patterns, route)
            elif (view := getattr(pattern.callback, "cls", None)) and (
                asked := needed(view, "GET")
            ):
                found.setdefault(route.removeprefix("api/v1/").partition("/")[0], asked[0])

    visit(get_resolver().url_patterns, "")
    return found
