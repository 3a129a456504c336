"""Take a model away: one tar of its files, or of its base with the adapter merged in.

The tar is made as a stream from the store into the store, one tensor in memory at a time; it
ends in `manifest.json` with the hash of every file and where the version comes from.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, BinaryIO, cast
from uuid import UUID

import numpy as np
from django.db import transaction
from django.utils import timezone

from slipway import backends
from slipway.backends.objects import Missing, StorageFull
from slipway.core import lifecycle, nudge, reconcile, tars
from slipway.core.errors import Conflict, Detail, Invalid, NotFound
from slipway.core.tars import Chunks
from slipway.registry.models import Export, ExportPhase, Form, Kind, ModelVersion, VersionPhase
from slipway.registry.services import lora, reading, rules, weights
from slipway.registry.services.facts import fact_of, version_row
from slipway.registry.services.keeping import hold, release

TELL_EVERY = 1.0


def ask(*, project_id: UUID, version_id: UUID, form: str) -> Export:
    """Begin an export, or return the one that is there already in this form."""
    version = version_row(project_id=project_id, version_id=version_id)
    if version.phase != VersionPhase.READY:
        raise Conflict(f"The version is {version.phase}; only a ready one can be taken away.")
    if form == Form.MERGED and version.kind != Kind.ADAPTER:
        raise Invalid(
            "This version is a whole model; there is nothing to merge.",
            Detail(field="form", rule="merged only for an adapter", value=form, fix="Use as_is."),
        )
    if form == Form.MERGED and (why := lora.mergeable(_config(version))):
        raise Invalid(f"It cannot be merged: {why}.",
                      Detail(field="form", rule=why, value=form, fix="Use as_is."))  # fmt: skip
    with transaction.atomic():
        # The lock of the row makes two who ask at once get one export.
        ModelVersion.objects.select_for_update().get(pk=version.pk)
        existing = version.exports.filter(form=form).exclude(phase=ExportPhase.FAILED).first()
        if existing is not None:
            return existing
        export = Export.objects.create(
            project_id=project_id, version=version, form=form, phase=ExportPhase.MAKING,
            reason="waiting for the worker",
        )  # fmt: skip
        hold(version_id=version.pk, holder=f"export:{export.pk}", label=f"export {export.pk}")
        lifecycle.born(export, now=export.created_at)
        nudge.soon(Export)
    return export


def export_row(*, project_id: UUID, export_id: UUID) -> Export:
    found = Export.objects.filter(pk=export_id, project_id=project_id).first()
    if found is None:
        raise NotFound("There is no such export in this project.")
    return found


def address(export: Export, *, seconds: int = 3600) -> str:
    """Where the finished tar can be fetched for so long; empty while it is not there."""
    if export.phase != ExportPhase.READY:
        return ""
    version = export.version
    name = f"{version.model.name}-{version.number}-{export.form}.tar"
    return backends.objects().sign_get(export.key, seconds=seconds, filename=name)


def make(export: Export, now: datetime) -> None:
    """Write the tar; whole or not at all, and again from the start after a crash."""
    writer = _Tar(export)
    try:
        backends.objects().put(export.key, cast(BinaryIO, tars.Stream(writer.chunks())))
    except (Missing, StorageFull, ValueError, rules.Refusal) as error:
        backends.objects().delete(export.key)
        with transaction.atomic():
            release(version_id=export.version_id, holder=f"export:{export.pk}")
            lifecycle.advance(export, ExportPhase.FAILED, now=now, reason=str(error)[:500])
        return
    with transaction.atomic():
        release(version_id=export.version_id, holder=f"export:{export.pk}")
        lifecycle.advance(
            export, ExportPhase.READY, now=timezone.now(), size_bytes=writer.tar.count,
            sha256=writer.tar.sha256.hexdigest(), files=writer.tar.files,
        )  # fmt: skip


#: What the archive says of itself; files of the version by these names stay behind.
OWN = frozenset({"LINEAGE.md", "manifest.json"})


class _Tar:
    """Yields the tar of an export; its parts are in `tar` once it is through."""

    def __init__(self, export: Export) -> None:
        self.export = export
        self.tar = tars.Tar(at=export.version.created_at, told=self._tell)
        self.told_at = time.monotonic()

    def chunks(self) -> Chunks:
        return self.tar.through(self._pieces())

    def _pieces(self) -> Chunks:
        version = self.export.version
        merged = self.export.form == Form.MERGED
        for name, size, content in _merged(version) if merged else _as_is(version):
            if name not in OWN:
                yield from self.tar.member(name, size, content)
        yield from self.tar.small("LINEAGE.md", _card(version, self.export.form).encode())
        manifest = _manifest(version, self.export.form, self.tar.files)
        yield from self.tar.small("manifest.json", json.dumps(manifest, indent=1).encode())
        yield self.tar.end()

    def _tell(self, count: int) -> None:
        if time.monotonic() - self.told_at > TELL_EVERY:
            self.told_at = time.monotonic()
            reconcile.renew(self.export)
            lifecycle.annotate(self.export, reason=f"packing: {count:,} bytes so far")


def _as_is(version: ModelVersion) -> Iterator[tuple[str, int, Chunks]]:
    for path in sorted(version.files):
        yield path, version.files[path]["size_bytes"], _stored(f"{version.prefix}/{path}")


def _merged(version: ModelVersion) -> Iterator[tuple[str, int, Chunks]]:
    """The base's files, with the adapter added to the weights; names and layout stay the same."""
    base = version.base
    if base is None:
        raise ValueError("the adapter has no base")
    found = reading.headers(prefix=base.prefix, files=base.files)
    own = reading.headers(prefix=version.prefix, files=version.files)[reading.ADAPTER].tensors
    shapes = {n: t.shape for header in found.values() for n, t in header.tensors.items()}
    plan = lora.plan(_config(version), {n: t.shape for n, t in own.items()}, shapes)

    def adapter(name: str) -> Any:
        key = f"{version.prefix}/{reading.ADAPTER}"
        return lora.to_float32(_window(key, own[name]), own[name])

    # The base's card describes the base; what this is, LINEAGE.md says.
    for path in sorted(base.files.keys() - {"README.md"}):
        size, key = base.files[path]["size_bytes"], f"{base.prefix}/{path}"
        content = _stored(key)
        if path in found:
            content = _weights(key, found[path], plan, adapter)
        yield path, size, content


def _weights(
    key: str, header: weights.Header, plan: lora.Plan, adapter: Callable[[str], Any]
) -> Chunks:
    yield header.raw
    for name, tensor in sorted(header.tensors.items(), key=lambda item: item[1].start):
        if (pair := plan.pairs.get(name)) is not None:
            yield lora.merged(_window(key, tensor), tensor, adapter(pair.a), adapter(pair.b), pair)
        elif (instead := plan.replaced.get(name)) is not None:
            yield lora.from_float32(np.asarray(adapter(instead)), tensor.dtype)
        else:
            yield from _stored(key, start=tensor.start, length=tensor.end - tensor.start)


def _stored(key: str, *, start: int = 0, length: int | None = None) -> Chunks:
    with backends.objects().open(key, start=start, length=length) as stream:
        yield from tars.pieces(stream)


def _window(key: str, tensor: weights.Tensor) -> bytes:
    return b"".join(_stored(key, start=tensor.start, length=tensor.end - tensor.start))


def _config(version: ModelVersion) -> dict[str, Any]:
    data = backends.objects().read(f"{version.prefix}/{lora.CONFIG}")
    document = rules.parse_json(lora.CONFIG, data)
    return document if isinstance(document, dict) else {}


def _manifest(version: ModelVersion, form: str, files: dict[str, Any]) -> dict[str, Any]:
    return {"form": form, "files": dict(files), **lineage(version)}


def lineage(version: ModelVersion) -> dict[str, Any]:
    """Where the version comes from, as plain JSON: base, job, dataset, tracker's run, recipe."""
    fact = fact_of(version)
    base = version.base
    return {
        "model": fact.model_name,
        "version": fact.number,
        "version_id": str(fact.id),
        "kind": fact.kind,
        "sha256": fact.sha256,
        "licence": fact.licence,
        "made_at": fact.created_at.isoformat(),
        "base": None if base is None else {
            "model": base.model.name, "version": base.number, "version_id": str(base.pk),
            "sha256": base.sha256, "licence": base.licence,
        },
        "job_id": fact.job_id and str(fact.job_id),
        "dataset_version_id": fact.dataset_version_id and str(fact.dataset_version_id),
        "tracking_run": fact.tracking_run,
        "metrics": fact.metrics,
        "recipe": version.recipe,
    }  # fmt: skip


def _card(version: ModelVersion, form: str) -> str:
    known = lineage(version)
    lines = [
        f"# {known['model']}, version {known['version']}",
        "",
        f"Form: {form}. Hashes of all files: `manifest.json`.",
        "",
        *(f"- {name}: `{json.dumps(value, ensure_ascii=False)}`"
          for name, value in known.items() if value not in (None, "", {})),
        "",
    ]  # fmt: skip
    return "\n".join(lines)
