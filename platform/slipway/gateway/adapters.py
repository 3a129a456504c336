"""Finished adapters and checkpoints answer by name on a deployment of their base, undeployed.

Names are `model` (its newest version), `model@number` and `model:ckpt-step-N`. Pure: facts in,
routes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from slipway.gateway.facts import Route

#: Deployments of base versions that can answer for their adapters, by project and base version.
Homes = dict[UUID, dict[UUID, Any]]


def homes(deployed: Iterable[Any]) -> Homes:
    """By base version and project, the deployment (a `deployments` Route) to answer by.

    One that answers is taken before one that does not, the older before the younger.
    """
    found: Homes = {}
    for fact in deployed:
        if not fact.takes_adapters:
            continue
        here = found.setdefault(fact.version_id, {})
        kept = here.get(fact.project_id)
        if kept is None or (fact.endpoints and not kept.endpoints):
            here[fact.project_id] = fact
    return found


def beside(homes: Homes, adapters: Iterable[Any], checkpoints: Iterable[Any]) -> list[Route]:
    """Routes for what can be asked beside the deployed versions; earlier names go first.

    `adapters` are the registry's VersionFact, `checkpoints` training's AdapterCheckpoint, both
    oldest first.
    """
    routes: dict[tuple[str, str], Route] = {}
    for version in adapters:
        home = homes.get(version.base_version_id, {}).get(version.project_id)
        # DoRA rescales whole weights: it is answered by a deployment of its own.
        if home is None or version.adapter.get("dora"):
            continue
        for name in (version.model_name, version.reference):
            route = _route(home, name, version.uri, version.id, version.reference, version)
            routes[route.project_id, name] = route
    for checkpoint in checkpoints:
        home = homes.get(checkpoint.base_version_id, {}).get(checkpoint.project_id)
        if home is None:
            continue
        name = f"{checkpoint.model}:ckpt-step-{checkpoint.step}"
        version_id = checkpoint.version_id or home.version_id
        route = _route(home, name, checkpoint.uri, version_id, "", checkpoint)
        routes[route.project_id, name] = route
    return list(routes.values())


def also_called(routes: Mapping[tuple[str, str], Route], aliases: Iterable[Any]) -> Iterator[Route]:
    """Routes by further names (`traffic` AliasFact), of those that are there already or here."""
    known = dict(routes)
    for alias in aliases:
        own, theirs = str(alias.project_id), str(alias.of_project_id)
        names = [alias.of_name]
        if alias.with_checkpoints:
            start = f"{alias.of_name}:ckpt-step-"
            names += [
                name for project, name in known if project == theirs and name.startswith(start)
            ]
        for name in names:
            route = known.get((theirs, name))
            called = alias.name + name.removeprefix(alias.of_name)
            if route is not None and (own, called) not in known:
                known[own, called] = replace(route, project_id=own, name=called)
                yield known[own, called]


def _route(home: Any, name: str, uri: str, version_id: UUID, root: str, made: Any) -> Route:
    return Route(
        project_id=str(home.project_id),
        name=name,
        deployment_id=str(home.deployment_id),
        version_id=str(version_id),
        endpoints=home.endpoints,
        state=home.state,
        reason=home.reason,
        created_at=int(made.created_at.timestamp()),
        root=root,
        parent=home.root.partition("@")[0],
        adapter=uri,
        context_length=home.context_length,
        capabilities=home.capabilities,
        at_once=home.at_once,
        queue=home.queue,
    )
