"""Remove all rows and bytes of an organisation, a batch a transaction; broken off, it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain, islice
from uuid import UUID

from django.db import transaction
from django.db.models import Model

from slipway import backends
from slipway.core.models import Event
from slipway.leaving.services import kinds
from slipway.leaving.services.kinds import Kind
from slipway.tenancy.services import whole as tenancy

BATCH = 500
#: Hears what was removed and how many of it; called in the transaction that removes them.
Told = Callable[[dict[str, int]], None]


def everything(*, organisation_id: UUID, told: Told) -> None:
    """Rows, people, what the tracker knows, bytes; books and the audit log stay."""
    going = [kind for kind in kinds.KINDS if not kind.stays]
    # People are known by their roles, and cannot go before their keys.
    keys = [kind for kind in going if kind.label == "tenancy.ApiKey"]
    rows(keys, organisation_id=organisation_id, told=told)
    people(organisation_id=organisation_id, told=told)
    rows(going, organisation_id=organisation_id, told=told)
    for project_id in tenancy.project_ids(organisation_id=organisation_id):
        backends.tracking().forget(space=str(project_id))
    objects(organisation_id=organisation_id, told=told)


def rows(which: Iterable[Kind], *, organisation_id: UUID, told: Told) -> None:
    """All rows of these tables, with the events of their lives."""
    for kind in kinds.in_order(which):
        own = [f.name for f in kind.model._meta.concrete_fields if f.related_model is kind.model]
        if own:
            kind.rows(organisation_id).order_by().update(**dict.fromkeys(own))
        while batch := list(kind.rows(organisation_id)[:BATCH]):
            abort_uploads(kind.label, batch)
            ids = [row.pk for row in batch]
            subjects = [f"{kind.label}:{each}" for each in ids]
            with transaction.atomic():
                Event.objects.filter(subject__in=subjects).delete()
                kind.model._default_manager.filter(pk__in=ids).delete()
                told({kind.label: len(ids)})


def people(*, organisation_id: UUID, told: Told) -> None:
    """Accounts that only this organisation knew."""
    while batch := tenancy.only_here(organisation_id=organisation_id, most=BATCH):
        with transaction.atomic():
            tenancy.remove_people(batch)
            told({"people": len(batch)})


def objects(*, organisation_id: UUID, told: Told) -> None:
    """Every byte, archives that were taken away included."""
    store = backends.objects()
    while batch := list(
        islice(chain(kinds.stored(organisation_id), store.list(f"takeouts/{organisation_id}/")),
               BATCH)
    ):  # fmt: skip
        for found in batch:
            store.delete(found.key)
        told({"objects": len(batch), "bytes": sum(found.size_bytes for found in batch)})


#: Table to the columns that name an upload in the store: its key, and the store's id of it.
UPLOADS = {"datasets.Version": ("source_key", "upload_id"), "registry.Upload": ("key", "store_id")}


def abort_uploads(label: str, batch: Iterable[Model]) -> None:
    """Parts of uploads that nobody finished are no objects yet."""
    for row in batch if label in UPLOADS else ():
        key, upload = (getattr(row, name) for name in UPLOADS[label])
        if key and upload:
            backends.objects().abort_upload(key, upload)
