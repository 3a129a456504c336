"""/v1/organization/usage/… and costs: what was used, in buckets of time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.door.api import paging
from slipway.door.api.organization.base import OrganizationView, many
from slipway.door.services import org_shapes, words
from slipway.door.services.words import Bad
from slipway.metering import services as metering
from slipway.tenancy import services as tenancy
from slipway.tenancy.services import directory

#: What is asked about, to the endpoints whose requests it counts.
KINDS = {
    "completions": ("/v1/chat/completions", "/v1/completions", "/v1/responses"),
    "embeddings": ("/v1/embeddings",),
    "moderations": ("/v1/moderations",),
}
#: Width of a bucket to its seconds, its name in the ledger, and how many a page has and may have.
_WIDTHS = {
    "1m": (60, "minute", 60, 1440),
    "1h": (3600, "hour", 24, 168),
    "1d": (86400, "day", 7, 31),
}
_USAGE_GROUPS = ("project_id", "user_id", "api_key_id", "model")
_COST_GROUPS = ("project_id", "line_item", "api_key_id")
_PAGE = "page_"
_Cells = dict[datetime, list[dict[str, Any]]]


class _Buckets(OrganizationView):
    """Reads the span of time asked for, and answers a page of buckets, empty ones too."""

    def page(
        self,
        request: Request,
        widths: dict[str, tuple[int, str, int, int]],
        cells: Callable[[datetime, datetime, str], _Cells],
    ) -> Response:
        width = request.query_params.get("bucket_width", "1d")
        if width not in widths:
            raise Bad(f"bucket_width is one of {', '.join(widths)}.", param="bucket_width")
        seconds, name, default, most = widths[width]
        limit = paging.limit_of(request, default, most)
        start = self._time(request, "start_time", None)
        end = self._time(request, "end_time", int(timezone.now().timestamp()) + 1)
        if end <= start:
            raise Bad("end_time must be after start_time.", param="end_time")
        first = start - start % seconds
        if page := request.query_params.get("page"):
            text = page.removeprefix(_PAGE)
            if not (text.isascii() and text.isdecimal() and len(text) < 12) or (
                first > int(text) or int(text) >= end or (int(text) - first) % seconds
            ):
                raise Bad(f"page: there is no {page[:50]!r} here.", param="page")
            first = int(text)
        last = min(first + limit * seconds, end)
        begin = datetime.fromtimestamp(max(first, start), UTC)
        found = cells(begin, datetime.fromtimestamp(last, UTC), name)
        data = [
            {
                "object": "bucket",
                "start_time": at,
                "end_time": at + seconds,
                "results": found.get(datetime.fromtimestamp(at, UTC), []),
            }
            for at in range(first, last, seconds)
        ]
        more = first + limit * seconds < end
        return Response(
            {
                "object": "page",
                "data": data,
                "has_more": more,
                "next_page": f"{_PAGE}{first + limit * seconds}" if more else None,
            }
        )

    def _time(self, request: Request, name: str, default: int | None) -> int:
        raw = request.query_params.get(name)
        if raw is None and default is not None:
            return default
        if raw is None or not (raw.isascii() and raw.isdecimal() and len(raw) < 11):
            raise Bad(f"{name} is a time in Unix seconds.", param=name)
        return int(raw)

    def groups(self, request: Request, known: tuple[str, ...]) -> list[str]:
        wanted = many(request, "group_by")
        for name in wanted:
            if name not in known:
                raise Bad(
                    f"group_by: {name[:40]!r} is none of {', '.join(known)}.", param="group_by"
                )
        return wanted

    def projects(self, request: Request) -> list[UUID]:
        """Projects of the organisation, of which the query may name some."""
        own = tenancy.projects_of_organisation(organisation_id=self.organisation_id)
        mine = [fact.id for fact in own]
        if wanted := many(request, "project_ids"):
            return [key for key in map(self.project, wanted) if key in mine]
        return mine

    def keys(self, request: Request) -> set[UUID] | None:
        """Keys the query names; None for all."""
        wanted = many(request, "api_key_ids")
        if not wanted:
            return None
        return {
            words.row_id(org_shapes.KEY, given, what="API key", param="api_key_ids")
            for given in wanted
        }


class UsageView(_Buckets):
    kind = "completions"

    def get(self, request: Request) -> Response:
        groups = self.groups(request, _USAGE_GROUPS)
        projects, keys = self.projects(request), self.keys(request)
        models, users = many(request, "models"), many(request, "user_ids")
        people = {
            org_shapes.numbered(org_shapes.USER, given, what="user", param="user_ids")
            for given in users
        }

        def cells(begin: datetime, end: datetime, bucket: str) -> _Cells:
            totals = metering.requests_of(
                project_ids=projects, endpoints=KINDS[self.kind], since=begin, until=end,
                bucket=bucket, models=models, key_ids=keys,
            )  # fmt: skip
            owners = directory.users_of_keys(key_ids=(t.group["key_id"] for t in totals))
            if people:
                totals = [t for t in totals if owners.get(t.group["key_id"]) in people]
            return self._summed(totals, groups, owners)

        return self.page(request, _WIDTHS, cells)

    def _summed(
        self, totals: list[metering.Total], groups: list[str], owners: dict[UUID, int]
    ) -> _Cells:
        sums: dict[datetime, dict[tuple[Any, ...], list[int]]] = defaultdict(dict)
        for total in totals:
            key = total.group["key_id"]
            facts = {
                "project_id": words.public_id(org_shapes.PROJECT, total.group["project_id"]),
                "api_key_id": words.public_id(org_shapes.KEY, key),
                "user_id": f"{org_shapes.USER}{owners[key]}" if key in owners else None,
                "model": total.group["model"],
            }
            place = tuple(facts[name] for name in groups)
            numbers = sums[total.start].setdefault(place, [0, 0, 0])
            more = (total.prompt_tokens, total.completion_tokens, total.requests)
            for index, number in enumerate(more):
                numbers[index] += number
        return {
            start: [self._result(dict(zip(groups, place, strict=True)), *numbers)
                    for place, numbers in found.items()]
            for start, found in sums.items()
        }  # fmt: skip

    def _result(
        self, group: dict[str, Any], asked: int, said: int, requests: int
    ) -> dict[str, Any]:
        told: dict[str, Any] = {
            "object": f"organization.usage.{self.kind}.result",
            "input_tokens": asked,
            "num_model_requests": requests,
            **dict.fromkeys(_USAGE_GROUPS),
        }
        if self.kind == "completions":
            told |= {"output_tokens": said, "batch": None, "service_tier": None}
        return told | group


class CostsView(_Buckets):
    """Amounts by the price books, in the installation's currency."""

    def get(self, request: Request) -> Response:
        self.principal.check_reach("money", tenancy.Level.READ)
        groups = self.groups(request, _COST_GROUPS)
        projects, keys = self.projects(request), self.keys(request)
        items = many(request, "line_items")

        def cells(begin: datetime, end: datetime, bucket: str) -> _Cells:
            since = begin.replace(minute=0, second=0)
            rows = metering.lines(
                organisation_id=self.organisation_id, since=since, until=end,
                project_ids=projects, bucket=bucket,
            )  # fmt: skip
            sums: dict[datetime, dict[tuple[Any, ...], Decimal]] = defaultdict(dict)
            for line in rows:
                item = f"{line.model}, {line.kind.replace('_', ' ')}"
                if (keys is not None and line.key_id not in keys) or (items and item not in items):
                    continue
                facts = {
                    "project_id": words.public_id(org_shapes.PROJECT, line.project_id),
                    "line_item": item,
                    "api_key_id": words.public_id(org_shapes.KEY, line.key_id)
                    if line.key_id.int
                    else None,
                }
                place = tuple(facts[name] for name in groups)
                before = sums[line.start].get(place, Decimal(0))
                sums[line.start][place] = before + line.cost
            return {
                start: [_cost(dict(zip(groups, place, strict=True)), value)
                        for place, value in found.items()]
                for start, found in sums.items()
            }  # fmt: skip

        widths = {"1d": (86400, "day", 7, 180)}
        return self.page(request, widths, cells)


def _cost(group: dict[str, Any], value: Decimal) -> dict[str, Any]:
    return {
        "object": "organization.costs.result",
        "amount": {"value": float(value), "currency": settings.CURRENCY.lower()},
        **dict.fromkeys(_COST_GROUPS),
    } | group
