"""Rows shown without a serializer, and JSON without the stock renderer, come out the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.utils.translation import gettext_lazy
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer

from slipway.core.rendering import Json
from slipway.core.shapes import shape
from slipway.training.api.shapes import JobOut

AT = datetime(2026, 11, 23, 9, 30, 0, 120_000, tzinfo=UTC)
ELSEWHERE = datetime(2026, 11, 23, 17, 30, tzinfo=timezone(timedelta(hours=8)))
WHOLE = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
ID = UUID(int=7)
ESTIMATE = {
    "rows": 100, "tokens": 2000, "steps": 30, "seconds": 12, "seconds_low": 6.5,
    "seconds_high": 20.25, "basis": "一些", "trainable_parameters": 5, "memory_bytes": 2**40,
    "memory_parts": {"weights": 5}, "price": "0.1", "currency": "CNY", "starts_in_seconds": 0,
    "starts_reason": "", "of_an_older_release": True,
}  # fmt: skip
REF = {"version_id": ID, "name": "a@1", "sha256": "ab"}
FULL: dict[str, Any] = {
    "id": ID, "name": "名", "phase": "running", "reason": "", "position": 0, "attempt": 1,
    "recoverable": False, "priority": 3, "made_by": "ada", "created_at": AT,
    "queued_at": WHOLE, "started_at": AT, "first_step_at": None, "finished_at": None,
    "progress": {
        "stage": "train", "step": 2, "total_steps": 9, "epoch": 1, "percent": 22.22,
        "eta": {"seconds": 1, "seconds_low": 0.5, "seconds_high": 2.0, "finish_at": AT},
    },
    "seconds": {"queued": 0, "preparing": None, "running": 1.5, "total": None},
    "base": REF, "dataset": REF, "held_out": None, "model": "m", "method": "grpo",
    "scale": "lora", "grader": {"type": "multi", "graders": {"a": [1, None, "x"]}},
    "given": {"epochs": 3}, "hyperparameters": {"learning_rate": 2e-4, "packing": None},
    "why": {"epochs": {"zh": "由数据决定", "en": "from the rows"}}, "seed": 1, "workers": 1,
    "gpus": 0, "estimate": ESTIMATE,
    "compared": {"price": {"estimate": 1, "actual": None}}, "metrics": {"loss": None, "eval": 1},
    "price": Decimal("1.5"), "result_version_id": ID, "tracking_run": "",
}  # fmt: skip
BARE = FULL | {
    "progress": FULL["progress"] | {"eta": None}, "held_out": REF, "grader": None, "given": {},
    "why": {}, "compared": None, "metrics": {}, "price": None, "result_version_id": None,
    "finished_at": AT,
}  # fmt: skip


@pytest.mark.parametrize("row", [FULL, BARE], ids=["full", "bare"])
def test_a_job_is_shown_as_its_serializer_shows_it(row: dict[str, Any]) -> None:
    by_serializer = dict(JobOut(row).data)
    shown = shape(JobOut)(row)
    # As numbers: what is whole may be written without its point.
    assert json.loads(Json().render(shown)) == json.loads(JSONRenderer().render(by_serializer))


def test_a_field_of_any_sort_is_shown_as_its_serializer_shows_it() -> None:
    class Inner(serializers.Serializer[Any]):
        many = serializers.ListField(child=serializers.DateTimeField())

    class Outer(serializers.Serializer[Any]):
        text = serializers.CharField()
        choice = serializers.ChoiceField(["a", "b"])
        yes = serializers.BooleanField()
        amount = serializers.DecimalField(max_digits=9, decimal_places=2)
        inner = Inner(many=True)
        day = serializers.DateField()

    row = {
        "text": "5", "choice": "a", "yes": True, "amount": "3", "day": AT.date(),
        "inner": [{"many": [AT, WHOLE]}, {"many": []}],
    }  # fmt: skip
    assert Json().render(shape(Outer)(row)) == JSONRenderer().render(Outer(row).data)


def test_a_serializer_whose_fields_may_be_missing_is_refused() -> None:
    class Optional(serializers.Serializer[Any]):
        name = serializers.CharField(required=False)

    with pytest.raises(TypeError, match=r"Optional\.name"):
        shape(Optional)


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, 2.5, True, None, "文\n\"'\\\x01"], 5: "a number as name"},
        {"at": AT, "elsewhere": ELSEWHERE, "day": AT.date(), "took": timedelta(seconds=90)},
        {"id": ID, "price": Decimal("1.50"), "raw": b"text"},
        {"beyond 64 bits": 2**70, "half a pair": "\ud83d"},
        {"text": gettext_lazy("name"), "rows": (each for each in (1, 2))},
        [],
        None,
    ],
    ids=["plain", "times", "ids", "large", "lazy", "empty", "nothing"],
)
def test_json_is_what_the_stock_renderer_writes(value: Any) -> None:
    def render(by: JSONRenderer) -> Any:
        try:
            # A generator is read once.
            given = value | {"rows": iter([1, 2])} if value and "rows" in value else value
            return by.render(given)
        except UnicodeEncodeError as error:
            return str(error)

    assert render(Json()) == render(JSONRenderer())


def test_json_is_indented_where_that_is_asked_for() -> None:
    asked = "application/json; indent=4"
    assert Json().render({"a": 1}, asked) == JSONRenderer().render({"a": 1}, asked)


def test_what_is_no_number_in_json_is_null() -> None:
    assert Json().render({"loss": float("nan"), "most": float("inf")}) == (
        b'{"loss":null,"most":null}'
    )
