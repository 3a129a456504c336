"""Pools are made and cut into shares; no pool is ever given out twice."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from slipway import backends
from slipway.backends.queues import Amounts
from slipway.capacity.models import Pool, Share
from slipway.core.errors import Conflict, Detail, Invalid, NotFound
from slipway.tenancy import services as tenancy

AMOUNTS = ("cpus", "memory_gib", "gpus")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
#: Keys and values of labels, as Kubernetes has them.
_LABEL = re.compile(r"([a-zA-Z0-9.-]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


def amounts_of(row: Pool | Share) -> Amounts:
    return Amounts(**{name: getattr(row, name) for name in AMOUNTS})


def given_out(pool: Pool) -> Amounts:
    """The sum of a pool's shares."""
    return sum((amounts_of(share) for share in pool.shares.all()), Amounts())


def make_pool(*, name: str, node_labels: Mapping[str, str], amounts: Amounts) -> Pool:
    """A new pool, behind the others. Conflict if the name is taken or nothing here queues."""
    if backends.queues() is None:
        raise Conflict(
            "This installation has no queue that could keep pools apart: on one machine the machine"
            " is the pool. On Kubernetes install Kueue and set workloads.pools in the chart."
        )
    if not _NAME.fullmatch(name):
        raise Invalid(
            f"{name[:80]!r} cannot be the name of a pool.",
            Detail(
                field="name", rule="1 to 40 of a-z, 0-9 and `-`, no `-` at the ends", value=name
            ),
        )
    _check_labels(node_labels)
    try:
        with transaction.atomic():
            return Pool.objects.create(name=name, node_labels=dict(node_labels), **vars(amounts))
    except IntegrityError as error:
        raise Conflict(f"There is a pool {name!r} already; choose another name.") from error


def change_pool(*, pool_id: UUID, node_labels: Mapping[str, str], amounts: Amounts) -> Pool:
    """Other labels and amounts; Conflict if its shares come to more than it would have."""
    _check_labels(node_labels)
    with transaction.atomic():
        pool = _locked(pool_id)
        _check_room(pool, amounts, given_out(pool))
        for name in AMOUNTS:
            setattr(pool, name, getattr(amounts, name))
        pool.node_labels = dict(node_labels)
        pool.save()
    return pool


def remove_pool(*, pool_id: UUID) -> None:
    """What runs there ends as it would; nothing new is let in."""
    pool(pool_id=pool_id).delete()


def set_share(*, pool_id: UUID, project_id: UUID, asked: Mapping[str, int], borrows: bool) -> Share:
    """A project's own part of a pool. Conflict if the pool has not so much left.

    `asked` has some of `AMOUNTS`. GPUs take their part of the pool's CPUs and memory along where
    these are not given: a queue takes back what was lent only for work that fits into its own
    share, and work on a GPU needs all three.
    """
    with transaction.atomic():
        found = _locked(pool_id)
        amounts = _whole(found, asked)
        if project_id not in tenancy.open_projects():
            raise NotFound("There is no such project.")
        others = found.shares.exclude(project_id=project_id)
        _check_room(found, amounts_of(found), sum(map(amounts_of, others), Amounts()) + amounts)
        share, _ = Share.objects.update_or_create(
            pool=found, project_id=project_id, defaults={**vars(amounts), "borrows": borrows}
        )
    return share


def _whole(pool: Pool, asked: Mapping[str, int]) -> Amounts:
    gpus = asked.get("gpus", 0)
    part = {
        name: getattr(pool, name) * gpus // pool.gpus if pool.gpus else 0
        for name in ("cpus", "memory_gib")
    }
    found = Amounts(**{"gpus": gpus, **part, **asked})
    if gpus and not (found.cpus and found.memory_gib):
        raise Invalid(
            "A share of GPUs needs CPUs and memory too, or no work would fit into it.",
            *(
                Detail(
                    field=name, rule="at least 1 where there are GPUs", value="0",
                    fix=f"Give {name}, here or to the pool.",
                )
                for name in ("cpus", "memory_gib")
                if not getattr(found, name)
            ),
        )  # fmt: skip
    return found


def drop_share(*, pool_id: UUID, project_id: UUID) -> None:
    gone, _ = Share.objects.filter(pool_id=pool_id, project_id=project_id).delete()
    if not gone:
        raise NotFound("This project has no share in this pool.")


def pool(*, pool_id: UUID) -> Pool:
    found = Pool.objects.filter(pk=pool_id).first()
    if found is None:
        raise NotFound("There is no such pool.")
    return found


def _locked(pool_id: UUID) -> Pool:
    # Two who give out the last machine at once must come one after the other.
    found = Pool.objects.select_for_update().filter(pk=pool_id).first()
    if found is None:
        raise NotFound("There is no such pool.")
    return found


def _check_room(pool: Pool, has: Amounts, wanted: Amounts) -> None:
    over: list[Detail] = [
        Detail(
            field=name,
            rule=f"all shares of {pool.name} together at most {getattr(has, name)}",
            value=str(getattr(wanted, name)),
            fix=f"Give {getattr(wanted, name) - getattr(has, name)} less, or make the pool larger.",
        )
        for name in AMOUNTS
        if getattr(wanted, name) > getattr(has, name)
    ]
    if over:
        raise Conflict(f"Pool {pool.name} has not so much to give out.", *over)


def _check_labels(labels: Mapping[str, Any]) -> None:
    for key, value in labels.items():
        if not _LABEL.fullmatch(key) or not _VALUE.fullmatch(value):
            raise Invalid(
                f"{key[:80]}={value[:80]} is no label of a node.",
                Detail(
                    field=f"node_labels.{key[:80]}",
                    rule="key and value of at most 63 letters, digits, `-`, `_`, `.`",
                    value=value[:200],
                    fix="such as nvidia.com/gpu.product=NVIDIA-H100-80GB-HBM3",
                ),
            )
