"""Who may ask what: `admit()` before the model works, `settle()` after. No sockets, no Django."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Annotated, ClassVar

import msgspec

from slipway.gateway import budgets, errors, leases, money, plan, rates
from slipway.gateway.errors import Refusal
from slipway.gateway.facts import STARTING, Key, Route, Snapshot, Way
from slipway.gateway.lanes import Lanes, Place
from slipway.gateway.reading import CHAT, EMBEDDINGS, asking_for_usage, copies, longest_answer, read
from slipway.tenancy.rules.networks import allowed_from
from slipway.tenancy.rules.secrets import LENT_PREFIX
from slipway_contracts.usage import UsageLine

#: The capability of a model that makes vectors and no text.
EMBEDDING = "embedding"


@dataclass(frozen=True, kw_only=True)
class Limits:
    body_bytes: int = 8 * 1024 * 1024
    #: Authorization headers remembered per snapshot.
    seen: int = 10_000


class Ticket(msgspec.Struct, frozen=True):
    """A request that was let in: who, for which model, and the body the engine shall get."""

    request_id: str
    key: Key
    route: Route
    #: The path, here and at the engine.
    endpoint: str
    stream: bool
    #: The client asked for the usage event; if not, it is taken out of the stream.
    wants_usage: bool
    body: bytes
    #: Bytes of the prompt or messages as sent, to estimate from where nothing better is known.
    prompt_bytes: int
    #: What it has taken from the limits.
    hold: rates.Hold
    #: Its place at the deployment, or in the queue before it.
    place: Place
    #: Unix seconds.
    at: float
    #: Money set aside for it.
    aside: budgets.Aside
    #: Whom to ask one after another; `route` is the first.
    targets: tuple[Route, ...]
    #: The name that was asked for.
    asked: str
    #: What is to stay with one replica; empty if it does not matter.
    session: bytes
    #: The answer is to be kept.
    store: bool


_Tokens = Annotated[int, msgspec.Meta(ge=0, le=10**9)]


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens as an engine says them in an answer."""

    prompt_tokens: _Tokens = 0
    completion_tokens: _Tokens = 0
    estimated: ClassVar[bool] = False


class Estimate(Usage, frozen=True, gc=False):
    """Tokens as we guess them where it did not say."""

    estimated: ClassVar[bool] = True


#: A `UsageLine` with the same fields, made in a fifth of the time; it is encoded in the same words.
_line: type[UsageLine] = msgspec.defstruct(  # type: ignore[assignment]
    "UsageLine", [(one.name, one.type) for one in fields(UsageLine)]
)
#: A token is seldom shorter than this many bytes of JSON; for estimates only.
_BYTES_PER_TOKEN = 4


class Gate:
    """Lets requests in and writes up what they used; counts what is in flight per deployment.

    `digest` turns a secret into the text keys are stored under; `shared` says that other gateways
    keep the same rate limits.
    """

    def __init__(
        self,
        *,
        digest: Callable[[str], str],
        limits: Limits | None = None,
        shared: bool = False,
    ) -> None:
        self.limits = limits or Limits()
        self._digest = digest
        self.lanes = Lanes()
        self._budgets = budgets.Budgets()
        self._rates = rates.Rates(shared=shared)
        #: None where no other gateway keeps the same limits.
        self.leases: leases.Leases | None = None

    def share(self, exchange: leases.Exchange) -> None:
        """Begin to lease what other gateways limit too; until `stop`."""
        self.leases = leases.Leases(self._rates, exchange)

    def share_money(self, pay: money.Pay, place: Callable[[], tuple[str, int]]) -> None:
        """Begin to hold money in the ledger, where others spend it too; until `stop`. `place` is
        the usage file and how far it is written."""
        self._budgets.money = money.Money(pay, place)

    async def ask_others(self) -> None:
        """Return once it was tried to lease what requests lacked until now."""
        if self.leases is not None:
            await self.leases.next()
        # Last, for it is given back if it is not taken soon.
        if self._budgets.money is not None:
            await self._budgets.money.next()

    async def stop(self) -> None:
        """Give back what was leased."""
        if self.leases is not None:
            await self.leases.stop()
        if self._budgets.money is not None:
            await self._budgets.money.stop()

    def authorize(
        self, header: bytes | None, snapshot: Snapshot, now: float, address: str | None = None
    ) -> Key | Refusal:
        """The key in an `Authorization` header; `now` in Unix seconds, `address` the client's."""
        if header is None:
            return errors.unauthorized(
                "No API key was given; send it as `Authorization: Bearer sk-slip-…`."
            )
        key = snapshot.seen.get(header) or self._look_up(header, snapshot)
        if key is None or (key.expires_at is not None and key.expires_at <= now):
            return errors.unauthorized(
                "This API key is unknown, expired or revoked; make a new one under /api/v1/keys.",
                again=True,
            )
        if not key.may_call:
            return Refusal(
                403,
                "This key, or whoever made it, may not call models; it needs inference: operate.",
                code="forbidden",
                again=True,
            )
        if key.networks and address is not None and not allowed_from(key.networks, address):
            return Refusal(403, f"This key may not be used from {address}.", code="forbidden")
        return key

    def _look_up(self, header: bytes, snapshot: Snapshot) -> Key | None:
        scheme, _, secret = header.partition(b" ")
        if scheme.lower() != b"bearer" or len(secret) > 512:
            return None
        text = secret.strip().decode("latin-1")
        key = snapshot.keys.get(self._digest(text))
        if key is not None and text.startswith(LENT_PREFIX):
            # The platform works on the key's behalf, which was asked for from where it may be used.
            key = replace(key, networks=(), background=True)
        # Only good keys are remembered: bad ones are without number.
        if key is not None and len(snapshot.seen) < self.limits.seen:
            snapshot.seen[header] = key
        return key

    def admit(
        self,
        *,
        endpoint: str,
        authorization: bytes | None,
        body: bytes,
        snapshot: Snapshot,
        now: float,
        request_id: str,
        session: bytes = b"",
        ready: Callable[[], None] = lambda: None,
    ) -> Ticket | Refusal:
        """A ticket, which must be settled, or the refusal to answer with.

        `endpoint` is CHAT, COMPLETIONS or EMBEDDINGS; `now` is in Unix seconds. `session` names
        requests that should meet the same replica, if the body does not. The ticket's place may
        still have to be waited for: `ready` is called when it is had.
        """
        ask = read(endpoint, body, self.limits.body_bytes)
        if isinstance(ask, Refusal):
            # Who may not ask at all is told that first.
            key = self.authorize(authorization, snapshot, now)
            return key if isinstance(key, Refusal) else ask
        if ask.prompt_cache_key is not None:
            session = ask.prompt_cache_key.encode()
        way = snapshot.ways.get((authorization, endpoint, ask.model))
        if way is None or (way[0].expires_at is not None and way[0].expires_at <= now):
            found = self._find(
                snapshot, authorization, endpoint, ask.model, session or request_id.encode(), now
            )
            if isinstance(found, Refusal):
                return found
            way = found
        key, targets = way
        route = targets[0]
        place = self.lanes.enter(route, background=key.background, ready=ready)
        if isinstance(place, Refusal):
            return place
        prompt_bytes, answer = ask.prompt_bytes, longest_answer(ask)
        count = 1 if ask.n is None and endpoint == CHAT else copies(endpoint, ask)
        tokens = -(-prompt_bytes // _BYTES_PER_TOKEN) + answer * count
        hold = self._rates.take(snapshot=snapshot, key=key, model=ask.model, tokens=tokens, now=now)
        if isinstance(hold, Refusal):
            self.lanes.leave(place)
            return hold
        aside = self._budgets.take(
            snapshot=snapshot, key=key, routes=targets,
            # All of it: whatever an engine reads of it, no token is shorter than a byte.
            prompt_bytes=len(body), copies=count,
            longest=None if endpoint == EMBEDDINGS else answer,
        )  # fmt: skip
        if isinstance(aside, Refusal):
            self._rates.settle(hold, tokens=0)
            self.lanes.leave(place)
            return aside
        stream = ask.stream is True
        wants_usage = ask.stream_options is not None and ask.stream_options.include_usage is True
        if stream and not wants_usage:
            body = asking_for_usage(body)
        kept = ask.store is True and endpoint == CHAT
        if snapshot.logged and key.project_id in snapshot.logged and endpoint != EMBEDDINGS:
            kept = True
        # By position: naming seventeen fields takes as long as filling them.
        return Ticket(
            request_id, key, route, endpoint, stream, wants_usage, body, prompt_bytes, hold, place,
            now, aside, targets, ask.model, session, kept,
        )  # fmt: skip

    def _find(
        self, snapshot: Snapshot, header: bytes | None, endpoint: str, model: str, drawn: bytes,
        now: float,
    ) -> Way | Refusal:  # fmt: skip
        """Who asks, and whom to ask for a model; remembered where that is always the same."""
        key = self.authorize(header, snapshot, now)
        if isinstance(key, Refusal):
            return key
        targets = _targets(snapshot, key, model, drawn)
        if isinstance(targets, Refusal):
            return targets
        route = targets[0]
        if (unable := _unable(route, endpoint) or _not_there(route)) is not None:
            return unable
        ruled = snapshot.routes[key.project_id, model].rule is not None
        if not ruled and route.endpoints and len(snapshot.ways) < self.limits.seen:
            snapshot.ways[header, endpoint, model] = (key, targets)
        return key, targets

    def settle(
        self,
        ticket: Ticket,
        *,
        served: Route,
        status: int,
        usage: Usage,
        latency_ms: float,
        first_byte_ms: float | None,
    ) -> UsageLine:
        """What to write in the ledger; frees the ticket's place. Call once per ticket.

        `served` is the route that answered: the version may have been swapped meanwhile.
        """
        prompt, completion = usage.prompt_tokens, usage.completion_tokens
        if ticket.aside is not budgets.NOTHING:
            self._budgets.settle(
                ticket.aside, model=served.name, prompt_tokens=prompt, completion_tokens=completion
            )
        self._rates.settle(ticket.hold, tokens=prompt + completion)
        self.lanes.leave(ticket.place)
        return line_of(
            ticket, served=served, status=status, usage=usage,
            latency_ms=latency_ms, first_byte_ms=first_byte_ms,
        )  # fmt: skip


def line_of(
    ticket: Ticket, *, served: Route, status: int, usage: Usage, latency_ms: float,
    first_byte_ms: float | None,
) -> UsageLine:  # fmt: skip
    """What is written of a request that `served` answered."""
    # Hundredths: `round` takes five times as long.
    latency_ms = int(latency_ms * 100) / 100
    if first_byte_ms is not None:
        first_byte_ms = int(first_byte_ms * 100) / 100
    return _line(
        ticket.request_id, ticket.at, ticket.key.project_id, ticket.key.id,
        served.deployment_id, served.version_id, served.name, ticket.endpoint, status,
        ticket.stream, usage.prompt_tokens, usage.completion_tokens, usage.estimated,
        latency_ms, first_byte_ms,
    )  # fmt: skip


def estimate(ticket: Ticket, *, prompt_tokens: int | None, events: int) -> Usage:
    """What a request used that ended before the engine said so.

    `events` is how many stream events the client was sent: about one token each.
    """
    if prompt_tokens is None:
        prompt_tokens = -(-ticket.prompt_bytes // _BYTES_PER_TOKEN) if events else 0
    return Estimate(prompt_tokens, events)


def _unable(route: Route, endpoint: str) -> Refusal | None:
    """A model makes text or vectors; one whose capabilities are not known is asked anyway."""
    if not route.capabilities or (EMBEDDING in route.capabilities) == (endpoint == EMBEDDINGS):
        return None
    does, instead = ("generates text", CHAT) if endpoint == EMBEDDINGS else ("embeds", EMBEDDINGS)
    return Refusal(
        400,
        f"The model `{route.name}` {does}: ask it by POST {instead}, or choose another model; "
        "GET /v1/models tells what each can do.",
        param="model",
        code="unsupported_model",
        again=True,
    )


def _targets(snapshot: Snapshot, key: Key, model: str, drawn: bytes) -> tuple[Route, ...] | Refusal:
    """Whom to ask for a model, one after another; at least one."""
    asked = snapshot.routes.get((key.project_id, model))
    if asked is None:
        return errors.model_not_found(model)
    if asked.rule is None:
        return (asked,)
    return plan.targets(snapshot, asked, plan.draw(drawn)) or errors.unavailable(
        f"Of the models that answer for `{model}` none is there any more; change its rule "
        "under /api/v1/traffic.",
        code="model_not_running",
        again=True,
    )


def _not_there(route: Route) -> Refusal | None:
    """Why nobody can be asked, if neither now nor in a moment."""
    if route.endpoints or plan.answers(route):
        return None
    if route.state == STARTING:
        return errors.unavailable(
            f"The model `{route.name}` is starting: {route.reason or 'it is being loaded'}. "
            "Ask again in a few seconds.",
            retry_after=3,
            code="model_starting",
            again=True,
        )
    return errors.unavailable(
        f"The model `{route.name}` is {route.state}"
        f"{': ' + route.reason if route.reason else ''}. Start its deployment first.",
        code="model_not_running",
        again=True,
    )
