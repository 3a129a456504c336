"""Makes the invented sales table charts are drawn from: `python -m slipway_demo.make_sales`."""

from __future__ import annotations

import csv
import math
import random

from slipway_demo import questions, spec, words


def main(seed: int = 2019) -> None:
    """Write a row per region and month: growth, a season, a festival in November, and noise."""
    rng = random.Random(seed)
    with spec.SALES_TABLE.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["region", "month", *(metric.en for metric in words.METRICS)])
        for region in words.REGIONS:
            size, growth, phase = (
                rng.uniform(300, 1500),
                rng.uniform(0.04, 0.14),
                rng.uniform(-1, 1),
            )
            for year in questions.YEARS:
                for month in range(1, 13):
                    season = (
                        1 + 0.15 * math.sin(month / 12 * 2 * math.pi + phase) + 0.3 * (month == 11)
                    )
                    trend = (1 + growth) ** (year - questions.YEARS[0] + month / 12)
                    sales = size * trend * season * rng.gauss(1, 0.04)
                    table.writerow([region.en, f"{year}-{month:02d}", *_metrics(rng, sales)])


def _metrics(rng: random.Random, sales: float) -> list[float]:
    """The row's metrics, in the order of `words.METRICS`; money in 10,000 CNY, rates in percent."""
    margin = rng.gauss(0.34, 0.03)
    order_value = rng.gauss(260, 25)
    orders = sales * 10_000 / order_value
    return [
        round(sales, 1),
        round(sales * (margin - 0.15), 1),
        round(sales * (1 - margin), 1),
        round(orders),
        round(orders * rng.uniform(0.6, 0.8)),
        round(rng.gauss(5, 0.8), 1),
        round(100 * margin, 1),
        round(orders * rng.uniform(0.9, 1.6)),
        round(orders * rng.uniform(18, 30)),
        round(order_value, 1),
    ]


if __name__ == "__main__":
    main()
