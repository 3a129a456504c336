"""What other domains may know of a version, and the questions they may ask about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import OuterRef, Subquery

from slipway import backends
from slipway.core.errors import Conflict, Detail, NotFound
from slipway.datasets.models import Dataset, Hold, Phase, Version
from slipway_contracts.formats import RowKind


class NotPublished(Conflict):
    """Only a published version, which never changes again, may be used."""


class InUse(Conflict):
    """Something still needs this version; its holders are named."""


@dataclass(frozen=True, kw_only=True)
class VersionFact:
    """A version as others see it; `uri` is the canonical JSON-lines file."""

    id: UUID
    dataset_id: UUID
    project_id: UUID
    #: Name of the dataset; `number` counts its versions from 1.
    name: str
    number: int
    kind: RowKind
    uri: str
    rows: int
    size_bytes: int
    #: Of the canonical file, lower-case hex.
    sha256: str
    #: Characters of a row and messages of a row (count, sum, min, p5, median, p95, mean, max),
    #: duplicate_rows, groups.
    statistics: dict[str, object]
    published_at: datetime | None

    @property
    def published(self) -> bool:
        return self.published_at is not None

    @property
    def label(self) -> str:
        return f"{self.name}@{self.number}"


def any_dataset(*, project_id: UUID) -> bool:
    """Whether the project has a dataset."""
    return Dataset.objects.filter(project_id=project_id, deleted_at=None).exists()


def newest_of(datasets: Sequence[Dataset]) -> dict[UUID, Version]:
    """The newest version of each dataset that has one, by the dataset's id."""
    last = Version.objects.filter(dataset=OuterRef("dataset")).order_by("-number")
    found = Version.objects.filter(dataset__in=datasets, number=Subquery(last.values("number")[:1]))
    return {version.dataset_id: version for version in found.defer("statistics")}


def dataset_of(*, project_id: UUID, dataset_id: UUID, binned: bool = False) -> Dataset:
    """A dataset of the project; what lies in the bin is there only for who asks for it, too."""
    found = Dataset.objects.filter(pk=dataset_id, project_id=project_id).first()
    if found is None or (found.deleted_at is not None and not binned):
        raise NotFound("There is no such dataset in this project.")
    return found


def version_of(*, project_id: UUID, version_id: UUID) -> Version:
    found = (
        Version.objects.filter(pk=version_id, project_id=project_id, dataset__deleted_at=None)
        .select_related("dataset")
        .first()
    )
    if found is None:
        raise NotFound("There is no such dataset version in this project.")
    return found


def checked_version_of(*, project_id: UUID, version_id: UUID) -> Version:
    """A version whose rows are known to be good; Conflict while they are not."""
    version = version_of(project_id=project_id, version_id=version_id)
    if version.phase not in {Phase.VALID, Phase.PUBLISHED}:
        raise Conflict(
            f"This version is {version.phase}; its rows can be used once it is valid.",
            Detail(
                field="version",
                rule="valid or published",
                value=version.phase,
                fix="see its reason and faults",
            ),
        )
    return version


def fact(version: Version) -> VersionFact:
    return VersionFact(
        id=version.pk,
        dataset_id=version.dataset_id,
        project_id=version.project_id,
        name=version.dataset.name,
        number=version.number,
        kind=RowKind(version.kind or RowKind.CHAT),
        uri=backends.objects().uri(version.canonical_key) if version.canonical_key else "",
        rows=version.rows,
        size_bytes=version.size_bytes,
        sha256=version.sha256,
        statistics=version.statistics,
        published_at=version.published_at,
    )


def published_version(*, project_id: UUID, version_id: UUID) -> VersionFact:
    """The fact of a published version. NotFound, or NotPublished with what to do."""
    version = version_of(project_id=project_id, version_id=version_id)
    if version.phase != Phase.PUBLISHED:
        fix = {
            Phase.VALID: f"slipway datasets publish {version.dataset.name}@{version.number}, or "
            f"POST /api/v1/dataset-versions/{version.pk}/publish",
            Phase.INVALID: "see its faults; its corrected file can be taken as a new version",
        }.get(Phase(version.phase), "wait until it is valid, then publish it")
        raise NotPublished(
            f"{version.dataset.name}@{version.number} is {version.phase}; only a published "
            "version can be used.",
            Detail(field="version", rule="published", value=version.phase, fix=fix),
        )
    return fact(version)


def published_named(*, project_id: UUID, name: str, number: int | None = None) -> VersionFact:
    """As `published_version`, by the dataset's name; the newest published one if no number."""
    found = Version.objects.filter(
        project_id=project_id, dataset__name=name, dataset__deleted_at=None, phase=Phase.PUBLISHED
    ).order_by("-number")
    version = (found if number is None else found.filter(number=number)).first()
    if version is None:
        raise NotFound(f"There is no published version of a dataset named {name!r} here.")
    return published_version(project_id=project_id, version_id=version.pk)


def hold(*, version_id: UUID, holder: str) -> None:
    """Keep a version from being deleted while `holder` needs it; saying it twice is once."""
    Hold.objects.get_or_create(version_id=version_id, holder=holder)


def holders(*, prefix: str) -> list[str]:
    """Who holds versions, of those whose name begins so."""
    found = Hold.objects.filter(holder__startswith=prefix).order_by("holder")
    return list(found.values_list("holder", flat=True).distinct())


def release(*, holder: str) -> None:
    """`holder` needs its versions no longer."""
    Hold.objects.filter(holder=holder).delete()
