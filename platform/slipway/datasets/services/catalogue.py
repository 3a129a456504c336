"""Create, publish and delete datasets and their versions."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Max

from slipway import backends
from slipway.core.errors import Conflict, Detail, Invalid
from slipway.core.lifecycle import advance, born
from slipway.datasets.models import Dataset, Hold, Phase, Version
from slipway.datasets.services.facts import InUse, dataset_of, version_of
from slipway_contracts.formats import Format

_NAME = re.compile(r"[\w][\w .\-]{0,61}[\w]|[\w]")


def create_dataset(
    *, project_id: UUID, name: str, description: str = "", made_by: str = ""
) -> Dataset:
    """A new, empty dataset. Invalid for a name that is no name, Conflict for one taken."""
    if not _NAME.fullmatch(name):
        rule = "1 to 63 letters, digits, spaces, dots, dashes and underscores, no space at the ends"
        raise Invalid(f"A dataset's name has {rule}.", Detail(field="name", rule=rule, value=name))
    try:
        with transaction.atomic():
            return Dataset.objects.create(
                project_id=project_id, name=name, description=description, made_by=made_by
            )
    except IntegrityError as error:
        raise Conflict(
            f"This project already has a dataset named {name!r}.",
            Detail(
                field="name",
                rule="unique in the project",
                value=name,
                fix="add a version to it, bring it back from the bin, or take another name",
            ),
        ) from error


def describe_dataset(*, project_id: UUID, dataset_id: UUID, description: str) -> Dataset:
    """Says anew what the dataset is."""
    dataset = dataset_of(project_id=project_id, dataset_id=dataset_id)
    dataset.description = description
    dataset.save(update_fields=["description"])
    return dataset


@transaction.atomic
def create_version(
    *,
    project_id: UUID,
    dataset_id: UUID,
    now: datetime,
    format: str = "",  # noqa: A002 - the word users know
    note: str = "",
    made_by: str = "",
    source: dict[str, Any] | None = None,
) -> Version:
    """The next version of a dataset: a draft that waits for its bytes.

    With `source` it is born importing, and the worker fetches them.
    """
    dataset = dataset_of(project_id=project_id, dataset_id=dataset_id)
    # Lock the dataset, so that two versions made at once get two numbers.
    Dataset.objects.select_for_update().get(pk=dataset.pk)
    if format and format not in set(Format):
        raise Invalid(
            f"There is no format {format!r}.",
            Detail(field="format", rule=", ".join(Format), value=format, fix="leave it out"),
        )
    last = Version.objects.filter(dataset=dataset).aggregate(last=Max("number"))["last"] or 0
    version = Version.objects.create(
        project_id=project_id,
        dataset=dataset,
        number=last + 1,
        format=format,
        note=note,
        made_by=made_by,
        source=source or {},
        phase=Phase.IMPORTING if source else Phase.DRAFT,
        reason=waiting_for(source),
        look_at=now if source else None,
    )
    born(version, now=now, reason=version.reason)
    return version


def waiting_for(source: dict[str, Any] | None) -> str:
    if source is None:
        return "waiting for an upload or an import"
    named = source.get("url") or source.get("path") or source.get("of_label") or ""
    return f"waiting for the worker to fetch rows: {source['kind']} {named}".strip()


def publish(*, project_id: UUID, version_id: UUID, now: datetime) -> Version:
    """Make a valid version immutable, so that it can be used; twice is once."""
    version = version_of(project_id=project_id, version_id=version_id)
    if version.phase == Phase.PUBLISHED:
        return version
    if version.phase != Phase.VALID:
        fix = "see its faults and take the corrected file as a new version"
        if version.phase != Phase.INVALID:
            fix = version.reason or "wait until it is valid"
        raise Conflict(
            f"Only a valid version can be published; this one is {version.phase}.",
            Detail(field="phase", rule="valid", value=version.phase, fix=fix),
        )
    reason = f"{version.rows} rows, sha256 {version.sha256}"
    advance(version, Phase.PUBLISHED, now=now, reason=reason, published_at=now)
    return version


def delete_version(*, project_id: UUID, version_id: UUID) -> None:
    """Remove a version and its objects; InUse names what still needs it."""
    version = version_of(project_id=project_id, version_id=version_id)
    with transaction.atomic():
        _remove([version])


@transaction.atomic
def bin_dataset(*, project_id: UUID, dataset_id: UUID, now: datetime) -> None:
    """Put a dataset into the bin; InUse names what still needs one of its versions."""
    dataset = dataset_of(project_id=project_id, dataset_id=dataset_id)
    _refuse_if_held(list(Version.objects.filter(dataset=dataset).select_related("dataset")))
    Dataset.objects.filter(pk=dataset.pk).update(deleted_at=now)


def restore_dataset(*, project_id: UUID, dataset_id: UUID) -> Dataset:
    """Bring a dataset back from the bin, as it was; one that is not in it stays as it is."""
    dataset = dataset_of(project_id=project_id, dataset_id=dataset_id, binned=True)
    Dataset.objects.filter(pk=dataset.pk).update(deleted_at=None)
    dataset.deleted_at = None
    return dataset


def empty_bin(*, until: datetime, project_id: UUID | None = None) -> None:
    """Delete for good what was put into the bin before `until`, of one project or of all."""
    old = Dataset.objects.filter(deleted_at__lt=until).order_by("deleted_at", "pk")
    if project_id is not None:
        old = old.filter(project_id=project_id)
    for dataset in old:
        with suppress(InUse):
            delete_dataset(project_id=dataset.project_id, dataset_id=dataset.pk)


def delete_dataset(*, project_id: UUID, dataset_id: UUID) -> None:
    """Remove a dataset with all its versions, for good; InUse names what still needs one."""
    dataset = dataset_of(project_id=project_id, dataset_id=dataset_id, binned=True)
    with transaction.atomic():
        _remove(list(Version.objects.filter(dataset=dataset).select_related("dataset")))
        dataset.delete()


def _remove(versions: list[Version]) -> None:
    ids = _refuse_if_held(versions)
    Version.objects.filter(pk__in=ids).delete()
    for version in versions:
        transaction.on_commit(lambda version=version: remove_objects(version))


def _refuse_if_held(versions: list[Version]) -> list[UUID]:
    """Lock the versions and return their ids; InUse where somebody needs one."""
    ids = [version.pk for version in versions]
    Version.objects.select_for_update().filter(pk__in=ids).order_by("pk").first()
    holds = Hold.objects.filter(version_id__in=ids).order_by("created_at", "pk")
    holders = list(holds.values_list("version__number", "holder"))
    if holders:
        names = ", ".join(dict.fromkeys(holder for _, holder in holders))
        raise InUse(
            f"{versions[0].dataset.name} is in use by {names}.",
            *(
                Detail(
                    field=f"version {number}",
                    rule="not in use",
                    value=holder,
                    fix="wait until it has ended, or delete it first",
                )
                for number, holder in holders
            ),
        )
    return ids


def remove_objects(version: Version) -> None:
    """Bytes go after the rows are gone; should this be cut short, the sweep ends it."""
    store = backends.objects()
    if version.upload_id:
        store.abort_upload(version.source_key, version.upload_id)
    store.delete_prefix(folder_of(version))


def folder_of(version: Version) -> str:
    """Where all objects of a version lie."""
    return f"datasets/{version.project_id}/{version.pk}/"
