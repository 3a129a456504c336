"""What other domains may know of models: frozen facts, never rows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from slipway import backends
from slipway.core.errors import Conflict, Detail, NotFound
from slipway.registry.models import Alias, Kind, Model, ModelVersion, VersionPhase


@dataclass(frozen=True, kw_only=True)
class VersionFact:
    """A version as others see it. `base_uri` and `base_version_id` are set for an adapter."""

    id: UUID
    project_id: UUID
    model_id: UUID
    model_name: str
    number: int
    #: `full` or `adapter`.
    kind: str
    phase: str
    #: A directory of safetensors and what belongs to them.
    uri: str
    base_uri: str
    base_version_id: UUID | None
    #: Name of the model it was tuned from; empty for one that was imported whole.
    parent: str
    architecture: str
    dtype: str
    licence: str
    parameters: int
    size_bytes: int
    context_length: int
    vocabulary_size: int
    hidden_size: int
    layers: int
    template_sha256: str
    #: Over all files; names the content.
    sha256: str
    #: `completions`, `chat`, `system`, `tools`.
    capabilities: tuple[str, ...]
    #: Rank, alpha, targets of an adapter.
    adapter: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    job_id: UUID | None = None
    dataset_version_id: UUID | None = None
    tracking_run: str = ""
    created_at: datetime

    @property
    def reference(self) -> str:
        """`name@number`, which `resolve` understands."""
        return f"{self.model_name}@{self.number}"


def fact_of(version: ModelVersion) -> VersionFact:
    objects = backends.objects()
    base = version.base
    adapter = version.kind == Kind.ADAPTER and base is not None
    same = [
        "project_id",
        "number",
        "kind",
        "phase",
        "architecture",
        "dtype",
        "licence",
        "parameters",
        "size_bytes",
        "context_length",
        "vocabulary_size",
        "hidden_size",
        "layers",
        "template_sha256",
        "sha256",
        "adapter",
        "metrics",
        "job_id",
        "dataset_version_id",
        "tracking_run",
        "created_at",
    ]
    return VersionFact(
        id=version.pk,
        model_id=version.model_id,
        model_name=version.model.name,
        uri=objects.uri(version.prefix),
        base_uri=objects.uri(base.prefix) if adapter else "",
        base_version_id=version.base_id if adapter else None,
        parent=base.model.name if base is not None else "",
        capabilities=tuple(version.capabilities),
        **{name: getattr(version, name) for name in same},
    )


def version_row(*, project_id: UUID, version_id: UUID) -> ModelVersion:
    """The row, for this domain's own use; NotFound if there is none in the project."""
    found = (
        ModelVersion.objects.filter(pk=version_id, project_id=project_id)
        .select_related("model", "base__model")
        .first()
    )
    if found is None or found.phase == VersionPhase.DELETED:
        raise NotFound("There is no such model version in this project.")
    return found


def version(*, project_id: UUID, version_id: UUID) -> VersionFact:
    """Any version that is not deleted; NotFound otherwise."""
    return fact_of(version_row(project_id=project_id, version_id=version_id))


def any_model(*, project_id: UUID) -> bool:
    """Whether the project has a model."""
    return Model.objects.filter(project_id=project_id).exists()


def exists(version_id: UUID) -> bool:
    """Whether there is such a version still, in whatever project."""
    return ModelVersion.objects.filter(pk=version_id).exclude(phase=VersionPhase.DELETED).exists()


def ready_version(*, project_id: UUID, version_id: UUID) -> VersionFact:
    """A version that may be used; NotFound, or Conflict saying why it is not ready."""
    return fact_of(_ready(version_row(project_id=project_id, version_id=version_id)))


def whole_of(fact: VersionFact) -> VersionFact:
    """The whole model below an adapter; any other version itself."""
    if fact.base_version_id is None:
        return fact
    return ready_version(project_id=fact.project_id, version_id=fact.base_version_id)


def resolve(*, project_id: UUID, reference: str) -> VersionFact:
    """A ready version by id, `name` (the newest ready one), `name@number` or `name@alias`."""
    if re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", reference):
        return ready_version(project_id=project_id, version_id=UUID(reference))
    name, _, which = reference.partition("@")
    model = Model.objects.filter(project_id=project_id, name=name).first()
    versions = (
        ModelVersion.objects.filter(model=model)
        .exclude(phase__in=[VersionPhase.DELETED, VersionPhase.BINNED])
        .select_related("model", "base__model")
    )
    if not which:
        found = versions.filter(phase=VersionPhase.READY).order_by("-number").first()
        found = found or versions.order_by("-number").first()
    elif which.isdecimal():
        found = versions.filter(number=int(which[:9])).first()
    else:
        alias = Alias.objects.filter(model=model, name=which).first()
        found = versions.filter(pk=alias.version_id).first() if alias else None
    if found is None:
        raise NotFound(
            f"There is no model version {reference[:100]!r} in this project.",
            Detail(field="model", rule="name, name@number, name@alias or an id",
                   value=reference[:100], fix="`GET /api/v1/models` lists what is there."),
        )  # fmt: skip
    return fact_of(_ready(found))


def adapters_on(base_version_ids: set[UUID]) -> list[VersionFact]:
    """Every ready adapter of these base versions, in the order they were made; one query."""
    rows = (
        ModelVersion.objects.filter(
            kind=Kind.ADAPTER, phase=VersionPhase.READY, base_id__in=base_version_ids
        )
        .select_related("model", "base__model")
        .order_by("created_at", "pk")
    )
    return [fact_of(row) for row in rows]


def _ready(version: ModelVersion) -> ModelVersion:
    if version.phase != VersionPhase.READY:
        raise Conflict(
            f"{version.model.name}@{version.number} is {version.phase}, not ready. "
            f"{version.reason}".strip(),
            Detail(field="version", rule="ready", value=version.phase),
        )
    return version
