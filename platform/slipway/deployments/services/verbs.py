"""What a user does with deployments: create, stop, start, scale, swap, roll back, delete.

Each commits what is wanted; the reconcile loop brings it about.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Max

from slipway.core import lifecycle, nudge
from slipway.core.errors import Conflict, Detail, Invalid
from slipway.deployments.models import UP, Deployment, Phase, Revision, RevisionPhase
from slipway.registry import services as registry

NAME = re.compile(r"[a-zA-Z0-9][\w.:-]{0,62}", re.ASCII)
MOST_REPLICAS = 64
ENGINES = ("auto", "transformers", "vllm")
AT_REST = (Phase.STOPPED, Phase.FAILED)


def create(
    *,
    project_id: UUID,
    model: str,
    name: str = "",
    replicas: int = 1,
    engine: str = "auto",
    drain_seconds: int = 60,
    made_by: str = "",
    now: datetime,
) -> Deployment:
    """Begin to serve a ready version (id, name, name@number, name@alias) under `name`.

    Conflict if the name is taken in the project; without a name it is the model's.
    """
    fact = registry.resolve(project_id=project_id, reference=model)
    name = name or fact.model_name
    if not NAME.fullmatch(name):
        raise Invalid(
            f"{name[:80]!r} cannot be the name of a deployment.",
            Detail(field="name", rule="1 to 63 letters, digits, `.`, `_`, `-`, `:`", value=name,
                   fix="For example `chart-base-v2`."),
        )  # fmt: skip
    _check_replicas(replicas)
    if engine not in ENGINES:
        raise Invalid(
            f"There is no engine {engine[:40]!r}.",
            Detail(field="engine", rule=f"one of {', '.join(ENGINES)}", value=engine),
        )
    deployment = Deployment(
        project_id=project_id, name=name, made_by=made_by, version_id=fact.id, replicas=replicas,
        engine=engine, drain_seconds=drain_seconds, phase=Phase.STARTING,
        reason="waiting for the worker", created_at=now, look_at=now,
    )  # fmt: skip
    try:
        with transaction.atomic():
            deployment.save(force_insert=True)
            lifecycle.born(deployment, now=now, reason=f"asked for by {made_by}")
            registry.hold(version_id=fact.id, holder=_key(deployment), label=f"deployment {name}")
            _add_revision(deployment, fact, replicas, now)
            nudge.soon(Deployment)
    except IntegrityError as error:
        raise Conflict(
            f"A deployment named {name!r} is already there in this project.",
            Detail(field="name", rule="once in a project", value=name,
                   fix="Choose another name, or swap the version of the one that is there."),
        ) from error  # fmt: skip
    return deployment


def stop(deployment: Deployment, *, now: datetime, by: str) -> None:
    """Take it down; name and version stay. Stopping what is stopped changes nothing."""

    def once() -> None:
        if deployment.phase in {*AT_REST, Phase.STOPPING}:
            return
        _move(deployment, Phase.STOPPING, now=now, reason=f"stopped by {by}")

    _tried(deployment, once)


def start(deployment: Deployment, *, now: datetime, by: str) -> None:
    """Bring it up again as a new revision. Starting what is up changes nothing."""

    def once() -> None:
        if deployment.phase in {*UP, Phase.STARTING, Phase.WAKING}:
            return
        _refuse_unless(deployment, (*AT_REST, Phase.SLEEPING), "start")
        fact = _version(deployment, deployment.version_id)
        next_ = Phase.WAKING if deployment.phase == Phase.SLEEPING else Phase.STARTING
        with transaction.atomic():
            _move(deployment, next_, now=now, reason=f"started by {by}")
            _add_revision(deployment, fact, deployment.replicas, now)

    _tried(deployment, once)


def scale(deployment: Deployment, *, replicas: int, now: datetime, by: str) -> None:
    """So many copies from the next revision on; it comes up before the old one goes."""
    _check_replicas(replicas)

    def once() -> None:
        if deployment.replicas == replicas and deployment.phase != Phase.UPDATING:
            return
        _replace(deployment, deployment.version_id, replicas, now,
                 f"scaled to {replicas} replicas by {by}")  # fmt: skip

    _tried(deployment, once)


def swap(deployment: Deployment, *, model: str, now: datetime, by: str) -> None:
    """Serve another version: brought up beside the old one, which answers until it is ready."""
    fact = registry.resolve(project_id=deployment.project_id, reference=model)

    def once() -> None:
        _replace(deployment, fact.id, deployment.replicas, now,
                 f"swapped to {fact.reference} by {by}")  # fmt: skip

    _tried(deployment, once)


def roll_back(deployment: Deployment, *, now: datetime, by: str) -> None:
    """Give up an update under way, or go back to the version that answered before this one."""

    def once() -> None:
        _refuse_unless(deployment, UP, "roll back")
        if deployment.phase == Phase.UPDATING:
            with transaction.atomic():
                _move(deployment, Phase.LIVE, now=now, reason=f"update given up by {by}")
                _retire_coming(deployment, now)
            return
        serving = deployment.revisions.get(phase=RevisionPhase.SERVING)
        before = (
            deployment.revisions.filter(number__lt=serving.number, served_at__isnull=False)
            .exclude(version_id=serving.version_id)
            .order_by("-number")
            .first()
        )
        if before is None:
            raise Conflict(
                "No other version answered before this one.",
                Detail(field="deployment", rule="an earlier revision of another version",
                       value=deployment.name, fix="Swap to the version you want."),
            )  # fmt: skip
        _replace(deployment, before.version_id, before.replicas, now,
                 f"rolled back to {before.reference} by {by}")  # fmt: skip

    _tried(deployment, once)


def delete(deployment: Deployment, *, now: datetime, by: str) -> None:
    """Take it down and forget it; its name is free once that is done. Twice is once."""

    def once() -> None:
        if deployment.phase != Phase.DELETING:
            _move(deployment, Phase.DELETING, now=now, reason=f"deleted by {by}")

    _tried(deployment, once)


def _replace(
    deployment: Deployment, version_id: UUID, replicas: int, now: datetime, reason: str
) -> None:
    """Put a new revision on its way; one already on its way is given up for it."""
    fact = _version(deployment, version_id)
    if deployment.phase in {*AT_REST, Phase.SLEEPING}:
        # Nothing runs: the wish is kept for the next start.
        with transaction.atomic():
            _want(deployment, version_id)
            lifecycle.annotate(deployment, reason=deployment.reason, replicas=replicas,
                               version_id=version_id)  # fmt: skip
            lifecycle.tell(deployment, now=now, kind="wish", text=reason)
        return
    _refuse_unless(deployment, UP, "change")
    with transaction.atomic():
        _move(deployment, Phase.UPDATING, now=now, reason=reason)
        _retire_coming(deployment, now)
        _add_revision(deployment, fact, replicas, now)


def _want(deployment: Deployment, version_id: UUID) -> None:
    if version_id != deployment.version_id:
        label = f"deployment {deployment.name}"
        registry.hold(version_id=version_id, holder=_key(deployment), label=label)
        registry.release(version_id=deployment.version_id, holder=_key(deployment))


def settle_on(deployment: Deployment, revision: Revision) -> dict[str, Any]:
    """Take the revision's version and replicas as the deployment's own; returns fields to store."""
    _want(deployment, revision.version_id)
    return {"version_id": revision.version_id, "replicas": revision.replicas}


def let_go(revision: Revision) -> None:
    """The revision no longer needs its version."""
    registry.release(version_id=revision.version_id, holder=_key(revision))


def let_go_of_all(deployment: Deployment) -> None:
    registry.release(version_id=deployment.version_id, holder=_key(deployment))


def _version(deployment: Deployment, version_id: UUID) -> registry.VersionFact:
    return registry.ready_version(project_id=deployment.project_id, version_id=version_id)


def _add_revision(
    deployment: Deployment, fact: registry.VersionFact, replicas: int, now: datetime
) -> Revision:
    last = deployment.revisions.aggregate(last=Max("number"))["last"] or 0
    revision = Revision.objects.create(
        project_id=deployment.project_id,
        deployment=deployment,
        number=last + 1,
        replicas=replicas,
        version_id=fact.id,
        reference=fact.reference,
        parent=fact.parent,
        base_uri=fact.base_uri or fact.uri,
        adapter_uri=fact.uri if fact.base_uri else "",
        context_length=fact.context_length,
        capabilities=list(fact.capabilities),
        phase=RevisionPhase.COMING,
        created_at=now,
        look_at=None,
    )
    label = f"deployment {deployment.name}, revision {revision.number}"
    registry.hold(version_id=fact.id, holder=_key(revision), label=label)
    lifecycle.born(revision, now=now)
    return revision


def _retire_coming(deployment: Deployment, now: datetime) -> None:
    for revision in deployment.revisions.filter(phase=RevisionPhase.COMING):
        lifecycle.advance(
            revision, RevisionPhase.RETIRED, now=now, reason="given up", remove_at=now
        )


def _key(record: Deployment | Revision) -> str:
    return f"{record._meta.model_name}:{record.pk}"


def _check_replicas(replicas: int) -> None:
    if not 1 <= replicas <= MOST_REPLICAS:
        raise Invalid(
            f"A deployment has 1 to {MOST_REPLICAS} replicas.",
            Detail(field="replicas", rule=f"1…{MOST_REPLICAS}", value=replicas,
                   fix="To have none, stop it."),
        )  # fmt: skip


def _refuse_unless(deployment: Deployment, phases: tuple[str, ...], verb: str) -> None:
    if deployment.phase not in phases:
        raise Conflict(
            f"It is {deployment.phase}; to {verb} it must be {' or '.join(phases)}. "
            f"{deployment.reason}".strip(),
            Detail(field="phase", rule=" or ".join(phases), value=deployment.phase,
                   fix="Wait for it to settle, or stop it and start again."),
        )  # fmt: skip


def _move(deployment: Deployment, phase: str, *, now: datetime, reason: str) -> None:
    with transaction.atomic():
        lifecycle.advance(deployment, phase, now=now, reason=reason)
        nudge.soon(Deployment)


def _tried(deployment: Deployment, verb: Callable[[], None]) -> None:
    """Do it, and once more with a fresh row each time the worker moved it meanwhile."""
    for _ in range(5):
        try:
            return verb()
        except (lifecycle.LostRace, IntegrityError):
            deployment.refresh_from_db()
    raise Conflict("It is changing faster than the request could be carried out; ask again.")
