"""Reads the chart spec a model answers with, and looks up in the sales table what it asks for."""

from __future__ import annotations

import csv
import json
import pathlib
import re
from dataclasses import dataclass

from slipway_demo import words

SALES_TABLE = pathlib.Path(__file__).parent / "data" / "sales.csv"
FIELDS = ("region", "period", "metric", "chart")
CHARTS = ("bar", "pie", "table", "line")
PERIOD = re.compile(r"\d{4}(-(Q[1-4]|0[1-9]|1[0-2]))?", re.ASCII)


class BadSpec(ValueError):
    """An answer is no chart spec, or asks for what the sales table lacks; the text says where."""


@dataclass(frozen=True)
class Spec:
    """A checked chart spec. `period` is `2019`, `2019-Q1` or `2019-03`; `chart` one of `CHARTS`."""

    region: words.Word
    period: str
    metric: words.Word
    chart: str

    @property
    def year(self) -> str:
        """The four digits of the year."""
        return self.period[:4]

    @property
    def months(self) -> range:
        """The months asked for, 1 to 12."""
        part = self.period[5:]
        if not part:
            return range(1, 13)
        if part.startswith("Q"):
            last = 3 * int(part[1])
            return range(last - 2, last + 1)
        return range(int(part), int(part) + 1)


def parse(answer: str) -> Spec:
    """The spec in a model's answer; `BadSpec` names the field, the value and what is allowed."""
    try:
        fields = json.loads(answer)
    except json.JSONDecodeError as error:
        raise BadSpec(
            f"The answer is no JSON (column {error.colno}: {error.msg}): {answer!r}. "
            f"Ask a model that answers with the fields {', '.join(FIELDS)}."
        ) from error
    if not isinstance(fields, dict) or set(fields) != set(FIELDS):
        raise BadSpec(
            f"$: a chart spec has exactly the fields {', '.join(FIELDS)}, not {answer!r}."
        )
    for name, value in fields.items():
        if not isinstance(value, str):
            raise BadSpec(f"$.{name}: must be a string, not {value!r}.")
    if not PERIOD.fullmatch(fields["period"]):
        raise BadSpec(
            f"$.period: {fields['period']!r} is no period; "
            "write a year (2019), a quarter (2019-Q1) or a month (2019-03)."
        )
    if fields["chart"] not in CHARTS:
        raise BadSpec(f"$.chart: {fields['chart']!r} is not one of {', '.join(CHARTS)}.")
    return Spec(
        region=_named("region", fields["region"], words.REGIONS),
        period=fields["period"],
        metric=_named("metric", fields["metric"], words.METRICS),
        chart=fields["chart"],
    )


def months_of_the_year(spec: Spec) -> list[float]:
    """The metric's twelve monthly values in the spec's year; `BadSpec` if the table lacks it."""
    years: set[str] = set()
    values: list[float] = []
    with SALES_TABLE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            years.add(row["month"][:4])
            if row["region"] == spec.region.en and row["month"].startswith(spec.year):
                values.append(float(row[spec.metric.en]))
    if not values:
        raise BadSpec(
            f"$.period: the sales table has nothing of {spec.year}; "
            f"ask for a year from {min(years)} to {max(years)}."
        )
    return values


def _named(field: str, value: str, known: tuple[words.Word, ...]) -> words.Word:
    for word in known:
        if value in word:
            return word
    listed = ", ".join(f"{word.zh} ({word.en})" for word in known)
    raise BadSpec(f"$.{field}: {value!r} is not in the sales table; it holds {listed}.")
