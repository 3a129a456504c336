"""What others may know of deployments: routes for the gateway, frozen facts, never rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from slipway.core.errors import NotFound
from slipway.deployments.models import Deployment, Phase, Revision, RevisionPhase


@dataclass(frozen=True, kw_only=True)
class Route:
    """A name that a project may call, and where it is answered now.

    `state` is the deployment's phase. Without endpoints nothing answers, and `reason` says why:
    `starting` and `unhealthy` come (back) by themselves, `stopped` and `failed` do not.
    """

    project_id: UUID
    name: str
    deployment_id: UUID
    revision_id: UUID | None
    version_id: UUID
    #: `unix:/path.sock` or `http://host:port`.
    endpoints: tuple[str, ...]
    state: str
    reason: str
    created_at: datetime
    #: Positions that the model attends to, prompt and answer together; 0 if unknown.
    context_length: int
    #: `completions`, `chat`, `system`, `tools`; or `embedding`.
    capabilities: tuple[str, ...]
    #: `name@number` of the model version, and the model it was tuned from (or empty).
    root: str
    parent: str
    #: Adapters of its version can be answered beside it: it is served whole, by our own engine.
    takes_adapters: bool
    #: Requests that one gateway sends it at a time, and how many more may wait for their turn.
    at_once: int
    queue: int


def routes() -> list[Route]:
    """Every deployment that is not deleted or being deleted, in all projects; three queries."""
    shown: dict[UUID, Revision] = {}
    for revision in Revision.objects.filter(
        phase__in=[RevisionPhase.SERVING, RevisionPhase.COMING]
    ).order_by("number"):
        # The one that serves, if there is one; else the one that comes.
        kept = shown.get(revision.deployment_id)
        if kept is None or kept.phase != RevisionPhase.SERVING:
            shown[revision.deployment_id] = revision
    # What sleeps is known by the revision that answered last.
    for revision in Revision.objects.filter(deployment__phase=Phase.SLEEPING).order_by("number"):
        shown[revision.deployment_id] = revision
    rows = Deployment.objects.exclude(phase__in=[Phase.DELETING, Phase.DELETED])
    return [_route(row, shown.get(row.pk)) for row in rows.order_by("created_at", "pk")]


def _route(deployment: Deployment, revision: Revision | None) -> Route:
    if revision is not None:
        # Known already: not to be asked for once per revision.
        revision.deployment = deployment
    # No new requests for what is being stopped, though its replicas still answer for a moment.
    up = revision is not None and deployment.phase not in {Phase.STOPPING, Phase.SLEEPING}
    return Route(
        project_id=deployment.project_id,
        name=deployment.name,
        deployment_id=deployment.pk,
        revision_id=revision.pk if revision else None,
        version_id=revision.version_id if revision else deployment.version_id,
        endpoints=tuple(revision.endpoints) if up and revision else (),
        state=deployment.phase,
        reason=deployment.reason,
        created_at=deployment.created_at,
        context_length=revision.context_length if revision else 0,
        capabilities=tuple(revision.capabilities) if revision else (),
        root=revision.reference if revision else "",
        parent=revision.parent if revision else "",
        takes_adapters=bool(revision and not revision.adapter_uri and not revision.workload().gpus),
        at_once=deployment.at_once,
        queue=deployment.queue,
    )


#: Phases that stay as they are while nobody does anything.
_STILL = {Phase.LIVE, Phase.SLEEPING, Phase.STOPPED, Phase.FAILED}


@dataclass(frozen=True, kw_only=True)
class State:
    """How a deployment stands: whether it answers, and whether it is on its way elsewhere."""

    id: UUID
    name: str
    phase: str
    reason: str
    answers: bool
    moves: bool


def states(*, project_id: UUID) -> list[State]:
    """The project's deployments, newest first; two queries."""
    rows = Deployment.objects.filter(project_id=project_id).exclude(phase=Phase.DELETED)
    return [
        State(
            id=row.pk,
            name=row.name,
            phase=row.phase,
            reason=row.reason,
            answers=any(each.phase == RevisionPhase.SERVING for each in row.revisions.all()),
            moves=row.phase not in _STILL,
        )
        for row in rows.order_by("-created_at", "pk").prefetch_related("revisions")
    ]


def is_deployed(*, project_id: UUID, name: str) -> bool:
    """Whether a deployment of this name is there, answering or not."""
    found = Deployment.objects.filter(project_id=project_id, name=name)
    return found.exclude(phase=Phase.DELETED).exists()


def deployment_row(*, project_id: UUID, deployment_id: UUID) -> Deployment:
    """The row, for this domain's own use; NotFound if there is none in the project."""
    found = Deployment.objects.filter(pk=deployment_id, project_id=project_id).first()
    if found is None or found.phase == Phase.DELETED:
        raise NotFound("There is no such deployment in this project.")
    return found
