"""Reads the gateway's picture from the database: what has changed, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from slipway.core.errors import Invalid
from slipway.gateway import adapters
from slipway.gateway.facts import Key, Limit, Origin, Route, Rule, Snapshot
from slipway.gateway.whereabouts import Whereabouts
from slipway.metering.rules.reserver import Limit as Budget
from slipway.metering.rules.reserver import Owner

logger = logging.getLogger(__name__)

Routes = dict[tuple[str, str], Route]
Prices = dict[tuple[str, str], tuple[int, int, int]]


class Loader:
    """Called again and again; returns the same picture as long as nothing has changed.

    May block or raise whatever the database raises. Not for several threads at once.
    """

    def __init__(self) -> None:
        self._picture = Snapshot()
        #: Part to what it depended on when it was read.
        self._known: dict[str, Any] = {}
        self._parts: dict[str, Any] = {}
        self._followed = False
        self._whereabouts = Whereabouts()
        #: Sealed text to the secret in it: opening takes time, and most stay as they are.
        self._opened: dict[str, str] = {}

    def __call__(self) -> Snapshot:
        from django.db import connections

        try:
            return self._look()
        except Exception:
            # The connection is kept from look to look; one that failed may be broken for good.
            connections.close_all()
            raise

    def _look(self) -> Snapshot:
        from django.utils import timezone

        from slipway.traffic import services as traffic

        if not self._followed:
            traffic.follow()
            self._followed = True
        # Numbers first: what changes while we read is read again.
        at, now = traffic.numbers(), timezone.now()
        keys = self._part("keys", at["keys"], lambda: self._keys(at["keys"], now))
        routes = self._part("routes", (at["routes"], self._whereabouts.number), self._routes)
        limits = self._part("limits", at["limits"], _limits)
        logged = self._part("logged", at["logged"], traffic.logged_projects)
        budgets = self._part("budgets", object(), lambda: _budgets(now))
        hour = now.replace(minute=0, second=0, microsecond=0)
        depends = (at["prices"], hour, at["keys"], at["routes"], bool(budgets))
        prices = self._part("prices", depends, lambda: _prices(keys, routes, budgets, now))
        last = self._picture
        same = (
            keys is last.keys and routes is last.routes and limits is last.limits
            and prices is last.prices and budgets == last.budgets and logged is last.logged
        )  # fmt: skip
        if not same:
            self._picture = Snapshot(
                keys=keys, routes=routes, limits=limits, budgets=budgets, prices=prices,
                logged=logged,
                # Keys that were hashed need not be again, unless one of them may be gone.
                seen=last.seen if keys is last.keys else {},
            )  # fmt: skip
        return self._picture

    def _part(self, name: str, depends: Any, read: Callable[[], Any]) -> Any:
        if name not in self._known or self._known[name] != depends:
            self._parts[name] = read()
            self._known[name] = depends
        return self._parts[name]

    def _keys(self, number: int, now: Any) -> dict[str, Key]:
        """All keys, or the last ones with those changed that were touched since."""
        from slipway.tenancy import services as tenancy
        from slipway.traffic import services as traffic

        last: dict[str, Key] | None = self._parts.get("keys")
        touched = (
            traffic.touched("keys", after=self._known["keys"], upto=number)
            if last is not None
            else None
        )
        if last is None or touched is None:
            return _keys(tenancy.live_keys(now=now))
        keys = dict(last)
        for digest in tenancy.digests_of(key_ids=touched):
            keys.pop(digest, None)
        keys.update(_keys(tenancy.live_keys(now=now, key_ids=touched)))
        return keys

    def _routes(self) -> Routes:
        from slipway.deployments import services as deployments
        from slipway.registry import services as registry
        from slipway.traffic import services as traffic
        from slipway.training import services as training

        facts = deployments.routes()
        routes = {(str(fact.project_id), fact.name): _route(fact) for fact in facts}
        places = set()
        for external in traffic.all_externals():
            try:
                place = traffic.place_of(external.url)
            except Invalid as error:
                # Allowed when it was registered; the installation has thought better of it.
                logger.warning("external model %s is passed over: %s", external.id, error.message)
                continue
            places.add(place)
            route = self._external(external, place)
            routes.setdefault((route.project_id, route.name), route)
        self._whereabouts.keep(places)
        homes = adapters.homes(facts)
        for route in adapters.beside(
            homes, registry.adapters_on(set(homes)), training.adapter_checkpoints(set(homes))
        ):
            # What was deployed under a name keeps it.
            routes.setdefault((route.project_id, route.name), route)
        for route in list(adapters.also_called(routes, traffic.all_aliases())):
            routes[route.project_id, route.name] = route
        for rule in traffic.all_rules():
            _put_rule(routes, rule)
        return routes

    def _external(self, fact: Any, place: Any) -> Route:
        from slipway.core import seal
        from slipway.traffic import services as traffic

        addresses, trouble = self._whereabouts.of(place)
        authorization = ""
        name = f"#{place.host}" if place.scheme == "https" else ""
        if fact.credential:
            try:
                if fact.credential not in self._opened:
                    purpose = traffic.purpose_of(fact.id)
                    self._opened[fact.credential] = seal.unseal(fact.credential, purpose=purpose)
                authorization = f"Bearer {self._opened[fact.credential]}"
            except (seal.CannotOpen, ValueError) as error:
                addresses, trouble = (), f"its credential cannot be opened: {error}"
        if fact.down:
            addresses, trouble = (), fact.down
        return Route(
            project_id=str(fact.project_id),
            name=fact.name,
            deployment_id=str(fact.id),
            version_id=str(fact.id),
            endpoints=tuple(
                f"{place.scheme}://{f'[{one}]' if ':' in one else one}:{place.port}{name}"
                for one in addresses
            ),
            state="live" if addresses else "unhealthy",
            reason=trouble,
            created_at=int(fact.created_at.timestamp()),
            root=fact.model,
            capabilities=("completions", "chat", "system"),
            origin=Origin(
                netloc=place.netloc,
                base_path=place.path,
                model=fact.model,
                authorization=authorization,
                timeout_seconds=float(fact.timeout_seconds),
            ),
        )


def _keys(facts: Iterable[Any]) -> dict[str, Key]:
    # One for all keys of an organisation.
    lines: dict[UUID, bytes] = {}
    return {
        fact.digest: Key(
            id=str(fact.id),
            project_id=str(fact.project_id),
            expires_at=fact.expires_at.timestamp() if fact.expires_at else None,
            organisation_id=str(fact.organisation_id),
            may_call=fact.may_call,
            networks=fact.networks,
            line=lines.get(fact.organisation_id)
            or lines.setdefault(
                fact.organisation_id,
                b"openai-organization: org-%b\r\n" % fact.organisation_id.hex.encode(),
            ),
        )
        for fact in facts
    }


def _limits() -> dict[tuple[str, str, str], Limit]:
    """What projects set for themselves and what the house lets them ask, the lower where both."""
    from slipway.limits import services as limits
    from slipway.plans import services as plans

    found = {
        (str(fact.project_id), str(fact.key_id or ""), fact.model): Limit(
            requests_per_minute=fact.requests_per_minute,
            tokens_per_minute=fact.tokens_per_minute,
            at_once=fact.at_once,
        )
        for fact in limits.all_limits()
    }
    for (project_id, model), most in plans.rates().items():
        scope = (str(project_id), "", model)
        own = found.get(scope, Limit())
        found[scope] = Limit(
            requests_per_minute=_lower(own.requests_per_minute, most.requests_per_minute),
            tokens_per_minute=_lower(own.tokens_per_minute, most.tokens_per_minute),
            at_once=own.at_once,
        )
    return found


def _lower(one: int | None, other: int | None) -> int | None:
    """The lower of two rates, of which None is none."""
    return min((rate for rate in (one, other) if rate is not None), default=None)


def _budgets(now: Any) -> dict[Owner, Budget]:
    """Hard limits on money; what is spent of them changes all the time."""
    from slipway.metering import services as metering

    return {
        (fact.reach, str(fact.target_id)): Budget(left=fact.left, spent=fact.spent)
        for fact in metering.budget_facts(now=now)
    }


def _prices(keys: dict[str, Key], routes: Routes, budgets: Any, now: Any) -> Prices:
    """Of every model that an organisation may call; not needed while nobody has a budget."""
    from slipway.metering import services as metering

    if not budgets:
        return {}
    homes = {key.project_id: key.organisation_id for key in keys.values()}
    wanted = {(homes[p], name) for p, name in routes if p in homes}
    return metering.price_facts(wanted=wanted, at=now)


def _put_rule(routes: Routes, fact: Any) -> None:
    """Let a rule stand on its name; where nothing is deployed under it, on nothing."""
    key = (str(fact.project_id), fact.name)
    rule = Rule(
        shares=fact.targets,
        fallbacks=fact.fallbacks,
        hedge_seconds=(fact.hedge_after_ms or 0) / 1000,
    )
    own = routes.get(key)
    if own is not None:
        routes[key] = own.with_rule(rule)
    else:
        routes[key] = Route(
            project_id=key[0], name=fact.name, deployment_id="", version_id="", endpoints=(),
            state="live", rule=rule,
        )  # fmt: skip


def _route(fact: Any) -> Route:
    """A deployment's own route, from its `deployments.services.Route`."""
    return Route(
        project_id=str(fact.project_id),
        name=fact.name,
        deployment_id=str(fact.deployment_id),
        version_id=str(fact.version_id),
        endpoints=fact.endpoints,
        state=fact.state,
        reason=fact.reason,
        created_at=int(fact.created_at.timestamp()),
        root=fact.root,
        parent=fact.parent,
        context_length=fact.context_length,
        capabilities=fact.capabilities,
        at_once=fact.at_once,
        queue=fact.queue,
    )
