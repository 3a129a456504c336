"""Rows that lie in the object store already: taken as a dataset of their own, and their check."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from slipway import backends
from slipway.core import nudge
from slipway.core.lifecycle import advance
from slipway.datasets.models import Phase, Version
from slipway.datasets.services import catalogue, rows
from slipway.datasets.services.facts import VersionFact, fact

_SHOWN_FAULTS = 3


@dataclass(frozen=True, kw_only=True)
class CheckState:
    """How far the check of a version has come: neither good nor bad while it goes on."""

    good: bool
    bad: bool
    reason: str
    #: The first faults, with line, path, rule and fix.
    faults: list[dict[str, Any]]
    fault_count: int

    @property
    def told(self) -> str:
        """The verdict and the first faults in one line."""
        said = [
            f"line {fault.get('line')}: {fault.get('path')}: {fault.get('rule')}"
            + (f" ({fault['fix']})" if fault.get("fix") else "")
            for fault in self.faults
        ]
        return "; ".join([self.reason, *said])[:1000]


@transaction.atomic
def from_object(
    *, project_id: UUID, name: str, key: str, filename: str, made_by: str, now: datetime
) -> VersionFact:
    """A new dataset whose first version has the object's bytes; the worker checks its rows."""
    dataset = catalogue.create_dataset(
        project_id=project_id, name=name, description=f"rows of {filename}", made_by=made_by
    )
    version = catalogue.create_version(
        project_id=project_id,
        dataset_id=dataset.pk,
        now=now,
        made_by=made_by,
        note=filename,
    )
    source_key = f"{catalogue.folder_of(version)}source-{secrets.token_hex(6)}"
    backends.objects().copy(key, source_key)
    advance(
        version,
        Phase.CHECKING,
        now=now,
        reason="waiting for the worker to check the rows",
        source={"kind": "upload", "filename": filename[:200]},
        source_key=source_key,
    )
    nudge.soon(Version)
    return fact(version)


def check_state(*, project_id: UUID, version_id: UUID) -> CheckState | None:
    """Where the check of the version stands; None if the version is gone."""
    version = Version.objects.filter(pk=version_id, project_id=project_id).first()
    if version is None:
        return None
    bad = version.phase in {Phase.INVALID, Phase.FAILED}
    faults: list[dict[str, Any]] = []
    if bad and version.faults_key:
        faults, _ = rows.faults(project_id=project_id, version_id=version_id, limit=_SHOWN_FAULTS)
    return CheckState(
        good=version.phase in {Phase.VALID, Phase.PUBLISHED},
        bad=bad,
        reason=version.reason,
        faults=faults,
        fault_count=version.fault_count,
    )


def delete_unpublished(*, project_id: UUID, dataset_id: UUID) -> None:
    """Remove a dataset of which nothing was ever published; one that was stays."""
    published = Version.objects.filter(dataset_id=dataset_id, phase=Phase.PUBLISHED)
    if not published.exists():
        catalogue.delete_dataset(project_id=project_id, dataset_id=dataset_id)
