"""Organisations and projects: open, rename, put in the bin and take out again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction

from slipway.core.errors import Conflict, Detail, NotFound
from slipway.tenancy.models import Organisation, Project, User
from slipway.tenancy.services.principals import Principal, enterable


@dataclass(frozen=True, kw_only=True)
class ProjectFact:
    id: UUID
    name: str
    organisation: str
    organisation_id: UUID
    created_at: datetime
    archived_at: datetime | None = None


def open_project(*, organisation: str, name: str) -> Project:
    """The project of that name, made if it is not there."""
    owner, _ = Organisation.objects.get_or_create(name=organisation)
    project, _ = Project.objects.get_or_create(organisation=owner, name=name)
    return project


def _fact(project: Project) -> ProjectFact:
    return ProjectFact(
        id=project.pk,
        name=project.name,
        organisation=project.organisation.name,
        organisation_id=project.organisation_id,
        created_at=project.created_at,
        archived_at=project.archived_at,
    )


def project_fact(*, project_id: UUID) -> ProjectFact:
    return _fact(Project.objects.select_related("organisation").get(pk=project_id))


def projects_of(*, principal: Principal) -> list[ProjectFact]:
    """Projects the person behind the credential can enter; a key sees its own only."""
    if principal.key_id is not None:
        return [project_fact(project_id=principal.project_id)]
    user = User.objects.get(pk=principal.user_id)
    return [_fact(project) for project in enterable(user=user)]


def projects_of_organisation(*, organisation_id: UUID) -> list[ProjectFact]:
    """All its projects, those in the bin too, oldest first."""
    rows = Project.objects.filter(organisation_id=organisation_id).select_related("organisation")
    return [_fact(row) for row in rows.order_by("created_at", "pk")]


def open_projects() -> list[UUID]:
    """Ids of all projects of all organisations that are not in the bin, oldest first."""
    rows = Project.objects.filter(archived_at=None).order_by("created_at", "pk")
    return list(rows.values_list("pk", flat=True))


def create_organisation(*, name: str) -> Organisation:
    try:
        with transaction.atomic():
            return Organisation.objects.create(name=name)
    except IntegrityError as error:
        raise taken("organisation", name) from error


def create_project(*, organisation_id: UUID, name: str) -> Project:
    try:
        with transaction.atomic():
            return Project.objects.create(organisation_id=organisation_id, name=name)
    except IntegrityError as error:
        raise taken("project", name) from error


def rename_project(*, principal: Principal, project_id: UUID, name: str) -> Project:
    project = own_project(principal=principal, project_id=project_id)
    project.name = name
    try:
        with transaction.atomic():
            project.save(update_fields=["name"])
    except IntegrityError as error:
        raise taken("project", name) from error
    return project


def archive_project(*, principal: Principal, project_id: UUID, now: datetime) -> Project:
    """Into the bin: its keys stop working and nobody can enter it, but nothing is deleted."""
    project = own_project(principal=principal, project_id=project_id)
    if project.pk == principal.project_id:
        raise Conflict(
            "You are in this project now; enter another one (or use a key of another) first."
        )
    project.archived_at = project.archived_at or now
    project.save(update_fields=["archived_at"])
    return project


def restore_project(*, principal: Principal, project_id: UUID) -> Project:
    project = own_project(principal=principal, project_id=project_id)
    project.archived_at = None
    project.save(update_fields=["archived_at"])
    return project


def own_project(*, principal: Principal, project_id: UUID) -> Project:
    """A project of the principal's organisation; NotFound otherwise."""
    project = (
        Project.objects.filter(pk=project_id, organisation_id=principal.organisation_id)
        .select_related("organisation")
        .first()
    )
    if project is None:
        raise NotFound("There is no such project in this organisation.")
    return project


def taken(what: str, name: str) -> Conflict:
    """That a name is in use: `what` is the kind of thing, such as `project`."""
    return Conflict(
        f"There is a {what} called {name} already.",
        Detail(field="name", rule="not taken", value=name, fix="choose another name"),
    )
