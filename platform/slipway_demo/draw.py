"""Draws a chart spec from the sales table as a PNG picture."""

from __future__ import annotations

import pathlib

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slipway_demo import spec as specs
from slipway_demo import words

# Labels are English: the font that comes with matplotlib has no Chinese characters.
MONTHS = tuple(month[:3] for month in words.MONTHS)
UNITS = {
    "sales": "10,000 CNY",
    "profit": "10,000 CNY",
    "cost": "10,000 CNY",
    "return rate": "%",
    "gross margin": "%",
    "average order value": "CNY",
}
ASKED, OTHER = "#1f5fbf", "#b9c6da"


def draw(spec: specs.Spec, path: pathlib.Path) -> pathlib.Path:
    """Write the chart to `path` (PNG, 1200 x 675 pixels) and return it.

    A chart shows the twelve months of the year, those asked for in the stronger colour; a table
    lists only what was asked for.
    """
    values = specs.months_of_the_year(spec)
    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    axes = figure.subplots()
    unit = UNITS.get(spec.metric.en)
    label = spec.metric.en.capitalize() + (f" ({unit})" if unit else "")
    axes.set_title(f"{label}, {spec.region.en}, {spec.period}")
    {"line": _line, "bar": _bar, "pie": _pie, "table": _table}[spec.chart](axes, spec, values)
    if spec.chart in {"line", "bar"}:
        axes.set_ylabel(label)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, format="png")
    return path


def _line(axes: Axes, spec: specs.Spec, values: list[float]) -> None:
    axes.plot(MONTHS, values, color=OTHER, marker="o", linewidth=2)
    asked = [month - 1 for month in spec.months]
    axes.plot(
        [MONTHS[i] for i in asked], [values[i] for i in asked], color=ASKED, marker="o", linewidth=3
    )
    if len(asked) <= 3:
        for i in asked:
            axes.annotate(
                f"{values[i]:,g}",
                (i, values[i]),
                xytext=(0, 9),
                textcoords="offset points",
                ha="center",
            )
    axes.grid(axis="y", alpha=0.3)


def _bar(axes: Axes, spec: specs.Spec, values: list[float]) -> None:
    axes.bar(MONTHS, values, color=_colours(spec))


def _pie(axes: Axes, spec: specs.Spec, values: list[float]) -> None:
    axes.pie(
        values,
        labels=MONTHS,
        colors=_colours(spec),
        autopct="%.1f%%",
        wedgeprops={"edgecolor": "white"},
    )


def _table(axes: Axes, spec: specs.Spec, values: list[float]) -> None:
    axes.axis("off")
    cells = [
        [f"{spec.year} {MONTHS[month - 1]}", f"{values[month - 1]:,g}"] for month in spec.months
    ]
    axes.table(cells, colLabels=["month", spec.metric.en], loc="center", cellLoc="center")


def _colours(spec: specs.Spec) -> list[str]:
    return [ASKED if month in spec.months else OTHER for month in range(1, 13)]
