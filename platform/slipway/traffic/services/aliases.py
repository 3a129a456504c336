"""Give what answers to a name a further one, also for another project of the organisation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from slipway.core.errors import Conflict
from slipway.traffic.models import Alias


@dataclass(frozen=True, kw_only=True)
class AliasFact:
    """A further name, and what it stands for."""

    id: UUID
    project_id: UUID
    name: str
    of_project_id: UUID
    of_name: str
    with_checkpoints: bool
    created_at: datetime


def all_aliases() -> Iterator[AliasFact]:
    """Every alias of every project, those within a project first: others may stand on them."""
    rows = Alias.objects.order_by("created_at", "pk")
    return iter(sorted(map(_fact, rows), key=lambda fact: fact.project_id != fact.of_project_id))


def aliases_of(*, project_id: UUID, name: str) -> list[AliasFact]:
    """The aliases of a name of this project, oldest first."""
    rows = Alias.objects.filter(of_project_id=project_id, of_name=name)
    return [_fact(row) for row in rows.order_by("created_at", "pk")]


def give_alias(
    *, project_id: UUID, name: str, of_project_id: UUID, of_name: str, now: datetime,
    with_checkpoints: bool = False,
) -> AliasFact:  # fmt: skip
    """The alias; saying it twice is once. Conflict if the name stands for something else."""
    row, _ = Alias.objects.get_or_create(
        project_id=project_id,
        name=name,
        defaults={
            "created_at": now,
            "of_project_id": of_project_id,
            "of_name": of_name,
            "with_checkpoints": with_checkpoints,
        },
    )
    if (row.of_project_id, row.of_name) != (of_project_id, of_name):
        raise Conflict(f"{name} is already another name of {row.of_name}.")
    return _fact(row)


def drop_alias(alias_id: UUID) -> None:
    """Take the name away; gateways know within a second."""
    Alias.objects.filter(pk=alias_id).delete()


def drop_aliases(*, project_id: UUID, name: str) -> None:
    """Take a name of this project away, and with it every name given to what answered to it."""
    Alias.objects.filter(project_id=project_id, name=name).delete()
    shared = Alias.objects.filter(of_project_id=project_id)
    shared.filter(of_name=name).delete()
    shared.filter(of_name__startswith=f"{name}:ckpt-step-").delete()


def _fact(row: Alias) -> AliasFact:
    return AliasFact(
        id=row.pk,
        project_id=row.project_id,
        name=row.name,
        of_project_id=row.of_project_id,
        of_name=row.of_name,
        with_checkpoints=row.with_checkpoints,
        created_at=row.created_at,
    )
