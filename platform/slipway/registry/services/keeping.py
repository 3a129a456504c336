"""Bring models in, keep what jobs made, name versions, hold them, let them go."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from slipway import backends
from slipway.core import lifecycle, nudge, paths, reconcile
from slipway.core.errors import Conflict, Detail, Invalid
from slipway.registry.models import (
    Alias,
    Hold,
    Kind,
    Mirror,
    MirrorPhase,
    Model,
    ModelVersion,
    Upload,
    VersionPhase,
)
from slipway.registry.services import ingest
from slipway.registry.services.facts import VersionFact, fact_of, resolve, version_row

NAME = re.compile(r"[a-z0-9A-Z][\w.-]{0,62}", re.ASCII)


def import_directory(
    *, project_id: UUID, name: str, path: str, base: str = "", made_by: str = ""
) -> VersionFact:
    """Begin to import a directory of this machine that lies below an allowed one."""
    folder = _allowed(path)
    source = {"from": "directory", "path": str(folder)}
    return _begin(project_id=project_id, name=name, source=source, base=base, made_by=made_by)


@transaction.atomic
def import_upload(
    *, project_id: UUID, name: str, upload_id: UUID, base: str = "", made_by: str = ""
) -> VersionFact:
    """Begin to import an archive that was uploaded before."""
    # Locked: the sweep that forgets old uploads sees this import, or we see that it is gone.
    upload = Upload.objects.select_for_update().filter(pk=upload_id, project_id=project_id).first()
    if upload is None or upload.finished_at is None:
        raise Invalid(
            "There is no finished upload with this id.",
            Detail(field="upload", rule="id of a finished upload", value=upload_id,
                   fix="Begin one at POST /api/v1/models/uploads and finish it."),
        )  # fmt: skip
    source = {"from": "upload", "key": upload.key, "filename": upload.filename}
    return _begin(project_id=project_id, name=name, source=source, base=base, made_by=made_by)


def import_uri(
    *, project_id: UUID, name: str, uri: str, base: str = "", made_by: str = ""
) -> VersionFact:
    """Begin to import a prefix of the object store that belongs to this project."""
    own = f"projects/{project_id}/"
    try:
        key = backends.objects().key(uri.rstrip("/"))
    except ValueError:
        key = ""
    if not key.startswith(own):
        raise Invalid(
            "This address is not in this project's part of the object store.",
            Detail(field="uri", rule=f"below {backends.objects().uri(own.rstrip('/'))}/",
                   value=uri, fix="Copy the files there, or upload an archive."),
        )  # fmt: skip
    source = {"from": "prefix", "key": key}
    return _begin(project_id=project_id, name=name, source=source, base=base, made_by=made_by)


def register_result(
    *,
    project_id: UUID,
    model_name: str,
    kind: str,
    artifact_uri: str,
    made_by: str,
    base_version_id: UUID | None = None,
    dataset_version_id: UUID | None = None,
    metrics: Mapping[str, float] | None = None,
    files: Mapping[str, str] | None = None,
    tracking_run: str = "",
    recipe: Mapping[str, Any] | None = None,
) -> VersionFact:
    """Keep what the job `made_by` (its id) made as a ready version; once per job.

    `files` maps names to the SHA-256 that the job reported; they are checked. Raises Invalid if
    the files are not what a model may consist of, or do not fit the base; LostRace if the worker
    is taking it in right now, StorageFull while there is no room: both are worth another try.
    """
    version = ModelVersion.objects.filter(made_key=made_by).first()
    if version is None:
        version = _create(
            project_id=project_id,
            name=model_name,
            kind=kind,
            base_id=_base_of_result(kind, base_version_id),
            source={"from": "prefix", "key": backends.objects().key(artifact_uri)},
            expected=dict(files or {}),
            made_key=made_by,
            job_id=UUID(made_by),
            dataset_version_id=dataset_version_id,
            metrics=dict(metrics or {}),
            tracking_run=tracking_run,
            recipe=dict(recipe or {}),
            # We take it in ourselves, at once; the worker only if we die over it.
            look_at=timezone.now() + reconcile.LEASE,
        )
    if version.phase == VersionPhase.IMPORTING:
        ingest.take_in(version, timezone.now())
    if version.phase in {VersionPhase.REFUSED, VersionPhase.FAILED}:
        details = tuple(Detail(**fault) for fault in version.faults)
        raise Invalid(f"The result cannot be kept. {version.reason}", *details)
    return fact_of(version)


def _base_of_result(kind: str, base_version_id: UUID | None) -> UUID | None:
    """An adapter stands on whole weights, also when its training began from another adapter."""
    begun = ModelVersion.objects.filter(pk=base_version_id).first()
    if begun is not None and kind == Kind.ADAPTER and begun.kind == Kind.ADAPTER:
        return begun.base_id
    return base_version_id


def _begin(
    *, project_id: UUID, name: str, source: dict[str, Any], base: str, made_by: str
) -> VersionFact:
    kind, base_id = Kind.FULL, None
    if base:
        kind = Kind.ADAPTER
        base_id = _whole(resolve(project_id=project_id, reference=base)).id
    version = _create(
        project_id=project_id, name=name, kind=kind, base_id=base_id, source=source, by=made_by
    )
    return fact_of(version)


def _whole(fact: VersionFact) -> VersionFact:
    if fact.kind != Kind.FULL:
        raise Invalid(
            f"{fact.reference} is itself an adapter.",
            Detail(field="base", rule="a whole model", value=fact.reference,
                   fix="Name the version that the adapter was trained from."),
        )  # fmt: skip
    return fact


@transaction.atomic
def _create(
    *, project_id: UUID, name: str, base_id: UUID | None, by: str = "", **fields: Any
) -> ModelVersion:
    if not NAME.fullmatch(name):
        raise Invalid(
            f"{name[:80]!r} cannot be the name of a model.",
            Detail(field="name", rule="1 to 63 letters, digits, `.`, `_`, `-`; no `@` or `/`",
                   value=name, fix="For example `chart-base`."),
        )  # fmt: skip
    Model.objects.get_or_create(project_id=project_id, name=name)
    # Locked: numbers are given out one at a time.
    model = Model.objects.select_for_update().get(project_id=project_id, name=name)
    if base_id is not None:
        _lock_ready(base_id)
    last = ModelVersion.objects.filter(model=model).aggregate(last=Max("number"))["last"] or 0
    version = ModelVersion.objects.create(
        project_id=project_id,
        model=model,
        number=last + 1,
        base_id=base_id,
        phase=VersionPhase.IMPORTING,
        reason="waiting for the worker",
        **fields,
    )
    reason = f"import asked for by {by}" if by else ""
    lifecycle.born(version, now=version.created_at, reason=reason)
    nudge.soon(ModelVersion)
    return version


def _allowed(path: str) -> Path:
    """The directory itself, once it is known to lie below one that imports are allowed from."""
    allowed = settings.IMPORT_PATHS
    where = ":".join(str(each) for each in allowed) or "nowhere (SLIPWAY_IMPORT_PATHS is not set)"
    resolved = paths.real(path)
    if resolved is None or not any(resolved.is_relative_to(each) for each in allowed):
        raise Invalid(
            "Models may not be imported from this path.",
            Detail(field="path", rule=f"an absolute path below {where}",
                   value=paths.printable(path),
                   fix="Move the files there, or let SLIPWAY_IMPORT_PATHS name their folder."),
        )  # fmt: skip
    if not resolved.is_dir():
        raise Invalid(
            "There is no such directory on the platform's machine.",
            Detail(field="path", rule="a directory", value=path, fix="Check the path."),
        )
    return resolved


def hold(*, version_id: UUID, holder: str, label: str = "") -> None:
    """Keep a version from being deleted until `release`; twice is once. Conflict if not ready."""
    with transaction.atomic():
        _lock_ready(version_id)
        Hold.objects.get_or_create(
            version_id=version_id, holder=holder, defaults={"label": label or holder}
        )


def release(*, version_id: UUID, holder: str) -> None:
    """Let go; no error if it was not held."""
    Hold.objects.filter(version_id=version_id, holder=holder).delete()


def _lock_ready(version_id: UUID) -> None:
    # A deletion takes the same lock, so it sees this hold or we see that it began.
    row = ModelVersion.objects.select_for_update().filter(pk=version_id).first()
    if row is None or row.phase != VersionPhase.READY:
        state = row.phase if row else "gone"
        raise Conflict(f"The model version is {state}, so it cannot be built upon.")


def holders(version: ModelVersion) -> list[str]:
    """Who needs the version, in words: jobs, deployments, and adapters trained upon it."""
    own = [hold.label for hold in version.holds.order_by("created_at", "pk")]
    adapters = version.adapters.exclude(
        phase__in=[VersionPhase.DELETED, VersionPhase.REFUSED, VersionPhase.FAILED]
    ).select_related("model")
    return own + [
        f"{child.kind} {child.model.name}@{child.number}"
        for child in adapters.filter(kind=Kind.ADAPTER).order_by("created_at", "pk")
    ]


@transaction.atomic
def bin_version(*, project_id: UUID, version_id: UUID, now: datetime, by: str = "") -> None:
    """Put a ready version into the bin; Conflict naming the holders while someone needs it."""
    version = _unheld(project_id=project_id, version_id=version_id)
    if version.phase == VersionPhase.BINNED:
        return
    if version.phase != VersionPhase.READY:
        raise Conflict(f"Only a ready version can lie in the bin; this one is {version.phase}.")
    reason = f"put into the bin by {by}"
    lifecycle.advance(version, VersionPhase.BINNED, now=now, reason=reason, binned_at=now)


@transaction.atomic
def restore_version(*, project_id: UUID, version_id: UUID, now: datetime, by: str = "") -> None:
    """Bring a version back from the bin, with the aliases it had; Conflict if it is not there."""
    version = version_row(project_id=project_id, version_id=version_id)
    if version.phase != VersionPhase.BINNED:
        raise Conflict(f"This version is not in the bin; it is {version.phase}.")
    reason = f"brought back by {by}"
    lifecycle.advance(version, VersionPhase.READY, now=now, reason=reason, binned_at=None)


def empty_bin(*, until: datetime, now: datetime, project_id: UUID | None = None) -> None:
    """Begin to delete what was put into the bin before `until`, of one project or of all."""
    old = ModelVersion.objects.filter(phase=VersionPhase.BINNED, binned_at__lt=until)
    if project_id is not None:
        old = old.filter(project_id=project_id)
    for version in old.order_by("binned_at", "pk"):
        with suppress(Conflict, lifecycle.LostRace):
            delete_version(
                project_id=version.project_id, version_id=version.pk, now=now, by="the bin's term"
            )


def _unheld(*, project_id: UUID, version_id: UUID) -> ModelVersion:
    """The version, locked; Conflict naming the holders while someone needs it."""
    ModelVersion.objects.select_for_update().filter(pk=version_id).first()
    version = version_row(project_id=project_id, version_id=version_id)
    needed_by = [] if version.phase == VersionPhase.DELETING else holders(version)
    if needed_by:
        raise Conflict(
            f"{version.model.name}@{version.number} is needed by {', '.join(needed_by[:10])}.",
            *(Detail(field="version", rule="held", value=each,
                     fix="Delete or cancel the holder first.") for each in needed_by[:10]),
        )  # fmt: skip
    return version


def delete_version(*, project_id: UUID, version_id: UUID, now: datetime, by: str = "") -> None:
    """Begin to delete; Conflict naming the holders while someone needs it. Twice is once."""
    with transaction.atomic():
        version = _unheld(project_id=project_id, version_id=version_id)
        if version.phase == VersionPhase.DELETING:
            return
        Alias.objects.filter(version=version).delete()
        lifecycle.advance(version, VersionPhase.DELETING, now=now, reason=f"deleted by {by}")
        nudge.soon(ModelVersion)


def remove(version: ModelVersion, now: datetime) -> None:
    """Remove a deleting version's files, and have the tracker forget it."""
    for export in version.exports.all():
        backends.objects().delete(export.key)
    backends.objects().delete_prefix(f"{version.prefix}/")
    with transaction.atomic():
        mirror = Mirror.objects.filter(version=version).first()
        if mirror is not None:
            target = {MirrorPhase.WAITING: MirrorPhase.REMOVED,
                      MirrorPhase.WRITTEN: MirrorPhase.REMOVING}  # fmt: skip
            if mirror.phase in target:
                lifecycle.advance(mirror, target[MirrorPhase(mirror.phase)], now=now)
        lifecycle.advance(version, VersionPhase.DELETED, now=now)


@transaction.atomic
def set_alias(*, project_id: UUID, model_id: UUID, alias: str, version_id: UUID) -> None:
    """Point the alias at a ready version of the model, moving it if it stands elsewhere."""
    if not NAME.fullmatch(alias) or alias.isdecimal():
        raise Invalid(
            f"{alias[:80]!r} cannot be an alias.",
            Detail(field="alias", rule="letters, digits, `.`, `_`, `-`; not a number",
                   value=alias, fix="For example `production`."),
        )  # fmt: skip
    version = version_row(project_id=project_id, version_id=version_id)
    if version.model_id != model_id:
        raise Invalid(
            "The version belongs to another model.",
            Detail(field="version", rule="a version of this model", value=version_id),
        )
    _lock_ready(version_id)
    Alias.objects.update_or_create(
        model_id=model_id, name=alias, defaults={"version_id": version_id}
    )
    text = f"alias {alias} now names {version.model.name}@{version.number}"
    lifecycle.tell(version, now=timezone.now(), kind="alias", text=text)


def drop_alias(*, model_id: UUID, alias: str) -> None:
    Alias.objects.filter(model_id=model_id, name=alias).delete()
