"""Split a version into train and held-out, the same way each time for the same seed."""

from __future__ import annotations

from datetime import datetime
from typing import Any, BinaryIO
from uuid import UUID

import msgspec
import numpy as np
import numpy.typing as npt
from django.db import transaction

from slipway.core import nudge
from slipway.core.errors import Conflict, Detail, Invalid
from slipway.datasets.models import Version
from slipway.datasets.services import catalogue, rows
from slipway.datasets.services.checking import Progress
from slipway.datasets.services.facts import checked_version_of


class _Grouped(msgspec.Struct):
    group: str = ""


@transaction.atomic
def start(
    *,
    project_id: UUID,
    version_id: UUID,
    now: datetime,
    ratio: float | None = None,
    count: int | None = None,
    seed: int = 0,
    by_group: bool = False,
    made_by: str = "",
) -> tuple[Version, Version]:
    """Two new versions of the same dataset, (train, held-out), which the worker fills.

    Held out are `count` rows, or the share `ratio`; with `by_group` that share of each group,
    so that every group large enough is in both.
    """
    parent = checked_version_of(project_id=project_id, version_id=version_id)
    if (ratio is None) == (count is None):
        raise Invalid(
            "Say how many rows to hold out: either count or ratio.",
            Detail(field="ratio", rule="exactly one of ratio, count"),
        )
    if ratio is not None and not 0 < ratio < 1:
        raise Invalid(
            "ratio is a share between 0 and 1.",
            Detail(field="ratio", rule="0 < ratio < 1", value=ratio),
        )
    held = count if count is not None else round((ratio or 0) * parent.rows)
    if not 1 <= held < parent.rows:
        raise Conflict(
            f"Of {parent.rows} rows, {held} held out would leave one side empty.",
            Detail(field="count", rule=f"1…{parent.rows - 1}", value=held),
        )
    label = f"{parent.dataset.name}@{parent.number}"
    common = {
        "kind": "split",
        "of": str(parent.pk),
        "of_label": label,
        "count": held,
        "seed": seed,
        "by_group": by_group,
    }
    train, held_out = (
        catalogue.create_version(
            project_id=project_id,
            dataset_id=parent.dataset_id,
            now=now,
            source=common | {"part": part},
            note=f"{label}, {part.replace('_', '-')}, seed {seed}",
            made_by=made_by,
        )
        for part in ("train", "held_out")
    )
    nudge.soon(Version)
    return train, held_out


def write_part(parent: Version, source: dict[str, Any], out: BinaryIO, progress: Progress) -> None:
    """Write the rows of one side of a split, in their order, bytes unchanged."""
    groups = _groups(parent) if source["by_group"] else None
    held = held_out_rows(parent.rows, source["count"], seed=source["seed"], groups=groups)
    wanted = held if source["part"] == "held_out" else ~held
    done = 0
    with rows.lines_from(parent) as lines:
        for number, line in enumerate(lines):
            if wanted[number]:
                out.write(line)
                done += len(line)
            if not number % 10_000:
                progress(done, number)


def _groups(parent: Version) -> npt.NDArray[np.int64]:
    """The group of each row as a small number."""
    numbers: dict[str, int] = {}
    found = np.zeros(parent.rows, dtype=np.int64)
    decoder = msgspec.json.Decoder(_Grouped)
    with rows.lines_from(parent) as lines:
        for number, line in enumerate(lines):
            group = decoder.decode(line).group
            found[number] = numbers.setdefault(group, len(numbers))
    return found


def held_out_rows(
    total: int, count: int, *, seed: int, groups: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.bool_]:
    """Which of `total` rows are held out, `count` of them (with groups: about, at least 1 each).

    A row's place in the draw is a hash (SplitMix64) of the seed and its number: the same on
    every machine and in every version of every library.
    """
    draw = _mix(np.arange(total, dtype=np.uint64) + _mix(np.array([seed % 2**64], np.uint64)))
    held = np.zeros(total, dtype=np.bool_)
    if groups is None:
        held[np.lexsort((np.arange(total), draw))[:count]] = True
        return held
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        share = round(len(members) * count / total)
        share = min(max(share, 1), len(members) - 1)
        held[members[np.lexsort((members, draw[members]))[:share]]] = True
    return held


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        mixed = values + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))
