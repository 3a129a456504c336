"""Who may ask what: `admit()` before the model works, `settle()` after. No sockets, no Django."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from slipway.gateway import budgets, errors, leases, plan, rates
from slipway.gateway.errors import Refusal
from slipway.gateway.facts import STARTING, Key, Route, Snapshot
from slipway.gateway.lanes import Lanes, Place
from slipway.tenancy.rules.networks import allowed_from
from slipway.tenancy.rules.secrets import LENT_PREFIX
from slipway_contracts.usage import UsageLine

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
#: The capability of a model that makes vectors and no text.
EMBEDDING = "embedding"


@dataclass(frozen=True, kw_only=True)
class Limits:
    body_bytes: int = 8 * 1024 * 1024
    #: Authorization headers remembered per snapshot.
    seen: int = 10_000


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Ask(msgspec.Struct):
    """The keys we read; all others are the engine's to judge."""

    model: str
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    #: The most tokens the answer may have, by its old and its new name; the engine checks them.
    max_tokens: Any = None
    max_completion_tokens: Any = None
    n: Any = None
    #: Requests that share a beginning, and are best answered by one replica.
    prompt_cache_key: Any = None
    #: A chat completion that is to be kept; of no meaning to the others.
    store: Any = None
    #: What the model is given: messages or prompt, unread.
    given: msgspec.Raw = msgspec.Raw()


class _Chat(_Ask):
    given: msgspec.Raw = msgspec.field(name="messages", default=msgspec.Raw())


class _Completion(_Ask):
    given: msgspec.Raw = msgspec.field(name="prompt", default=msgspec.Raw())


class _Embeddings(_Ask):
    given: msgspec.Raw = msgspec.field(name="input", default=msgspec.Raw())


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
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
    aside: budgets.Aside = budgets.NOTHING
    #: Whom to ask one after another; `route` is the first.
    targets: tuple[Route, ...]
    #: The name that was asked for.
    asked: str
    #: What is to stay with one replica; empty if it does not matter.
    session: bytes = b""
    #: The answer is to be kept.
    store: bool = False


class Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False


_decoders: dict[str, msgspec.json.Decoder[Any]] = {
    CHAT: msgspec.json.Decoder(_Chat),
    COMPLETIONS: msgspec.json.Decoder(_Completion),
    EMBEDDINGS: msgspec.json.Decoder(_Embeddings),
}
#: The paths that are completed by an engine.
ENDPOINTS = frozenset(_decoders)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_options = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode
_WITH_USAGE = msgspec.Raw(b'{"include_usage":true}')
_PLACE = re.compile(r" - at `\$\.?([^`]*)`$")
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

    def share(self, exchange: leases.Exchange) -> leases.Leases:
        """Begin to lease what other gateways share; to be stopped by who begins it."""
        self.leases = leases.Leases(self._rates, exchange)
        return self.leases

    def authorize(
        self, header: bytes | None, snapshot: Snapshot, now: float, address: str | None = None
    ) -> Key | Refusal:
        """The key in an `Authorization` header; `now` in Unix seconds, `address` the client's."""
        if header is None:
            return _unauthorized(
                "No API key was given; send it as `Authorization: Bearer sk-slip-…`."
            )
        key = snapshot.seen.get(header) or self._look_up(header, snapshot)
        if key is None or (key.expires_at is not None and key.expires_at <= now):
            return _unauthorized(
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
        key = self.authorize(authorization, snapshot, now)
        if isinstance(key, Refusal):
            return key
        ask = self._read(endpoint, body)
        if isinstance(ask, Refusal):
            return ask
        if isinstance(ask.prompt_cache_key, str):
            session = ask.prompt_cache_key.encode()
        targets = _targets(snapshot, key, ask.model, session or request_id.encode())
        if isinstance(targets, Refusal):
            return targets
        route = targets[0]
        if (unable := _unable(route, endpoint) or _not_there(route)) is not None:
            return unable
        place = self.lanes.enter(route, background=key.background, ready=ready)
        if isinstance(place, Refusal):
            return place
        prompt_bytes, answers = len(bytes(ask.given)), _answers(ask)
        hold = self._rates.take(
            snapshot=snapshot,
            key=key,
            model=ask.model,
            tokens=-(-prompt_bytes // _BYTES_PER_TOKEN) + answers,
            now=now,
        )
        if isinstance(hold, Refusal):
            self.lanes.leave(place)
            return hold
        aside = self._budgets.take(
            snapshot=snapshot,
            key=key,
            routes=targets,
            prompt_bytes=prompt_bytes,
            answers=None if endpoint == EMBEDDINGS else answers,
        )
        if isinstance(aside, Refusal):
            self._rates.settle(hold, tokens=0)
            self.lanes.leave(place)
            return aside
        stream = bool(ask.stream)
        wants_usage = bool(ask.stream_options and ask.stream_options.include_usage)
        return Ticket(
            request_id=request_id,
            key=key,
            route=route,
            endpoint=endpoint,
            stream=stream,
            wants_usage=wants_usage,
            body=_asking_for_usage(body) if stream and not wants_usage else body,
            prompt_bytes=prompt_bytes,
            hold=hold,
            at=now,
            aside=aside,
            place=place,
            asked=ask.model,
            targets=targets,
            session=session,
            store=ask.store is True and endpoint == CHAT,
        )

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
        self._budgets.settle(
            ticket.aside,
            model=served.name,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
        )
        self._rates.settle(ticket.hold, tokens=usage.prompt_tokens + usage.completion_tokens)
        self.lanes.leave(ticket.place)
        return UsageLine(
            request_id=ticket.request_id,
            at=ticket.at,
            project_id=ticket.key.project_id,
            key_id=ticket.key.id,
            deployment_id=served.deployment_id,
            version_id=served.version_id,
            model=served.name,
            endpoint=ticket.endpoint,
            status=status,
            stream=ticket.stream,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            estimated=usage.estimated,
            # Hundredths: `round` takes five times as long.
            latency_ms=int(latency_ms * 100) / 100,
            first_byte_ms=None if first_byte_ms is None else int(first_byte_ms * 100) / 100,
        )

    def _read(self, endpoint: str, body: bytes) -> _Ask | Refusal:
        if len(body) > self.limits.body_bytes:
            return errors.too_large(self.limits.body_bytes)
        try:
            body.decode()
            ask: _Ask = _decoders[endpoint].decode(body)
        except UnicodeDecodeError as error:
            return Refusal(
                400, f"The body is not UTF-8: byte {error.start} is 0x{body[error.start]:02x}."
            )
        except RecursionError:
            # The decoder goes about as deep as Python's recursion limit, and no deeper.
            return Refusal(400, "The body nests arrays and objects too deep; flatten it.")
        except msgspec.ValidationError as error:
            return _misshapen(str(error))
        except msgspec.DecodeError as error:
            return Refusal(400, f"The body is not valid JSON: {error}. Send one JSON object.")
        if not 0 < len(ask.model) <= 256:
            return Refusal(
                400,
                f"model must have 1 to 256 characters, not {len(ask.model)}.",
                param="model",
            )
        if ask.stream_options is not None and not ask.stream:
            return Refusal(
                400,
                "stream_options is only allowed together with stream: true; leave it out.",
                param="stream_options",
            )
        return _ungiven(endpoint, ask) or ask


def estimate(ticket: Ticket, *, prompt_tokens: int | None, events: int) -> Usage:
    """What a request used that ended before the engine said so.

    `events` is how many stream events the client was sent: about one token each.
    """
    if prompt_tokens is None:
        prompt_tokens = -(-ticket.prompt_bytes // _BYTES_PER_TOKEN) if events else 0
    return Usage(prompt_tokens, events, estimated=True)


def _ungiven(endpoint: str, ask: _Ask) -> Refusal | None:
    """What is wrong with what the model is given; the engine reads it in full."""
    given = bytes(ask.given)
    if endpoint == CHAT and not given.startswith(b"["):
        text = 'messages must be a list such as [{"role": "user", "content": "…"}].'
        return Refusal(400, text, param="messages")
    if endpoint == COMPLETIONS and not given:
        return Refusal(400, "prompt is missing; give a string.", param="prompt")
    if endpoint == EMBEDDINGS and not given:
        return Refusal(400, "input is missing; give a string or a list.", param="input")
    if endpoint == EMBEDDINGS and ask.stream:
        return Refusal(400, "Embeddings have no streams; leave stream out.", param="stream")
    return None


def _answers(ask: _Ask) -> int:
    """Tokens that all answers together may have, as far as the request says; else 0."""
    asked = [
        value
        for value in (ask.max_completion_tokens, ask.max_tokens)
        if isinstance(value, int) and 0 < value < 1_000_000
    ]
    count = ask.n if isinstance(ask.n, int) and 1 <= ask.n <= 128 else 1
    return asked[0] * count if asked else 0


def _unauthorized(message: str, *, again: bool = False) -> Refusal:
    return Refusal(401, message, code="invalid_api_key", again=again)


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


def _targets(snapshot: Snapshot, key: Key, model: str, draw: bytes) -> tuple[Route, ...] | Refusal:
    """Whom to ask for a model, one after another; at least one."""
    asked = snapshot.routes.get((key.project_id, model))
    if asked is None:
        return errors.model_not_found(model)
    if asked.rule is None:
        return (asked,)
    return plan.targets(snapshot, asked, plan.draw(draw)) or errors.unavailable(
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


def _misshapen(complaint: str) -> Refusal:
    """msgspec says `Expected `str`, got `int` - at `$.model``; the path becomes `param`."""
    place = _PLACE.search(complaint)
    param = place[1] if place else None
    if missing := re.search(r"required field `(\w+)`", complaint):
        param = missing[1]
        return Refusal(400, f"{param} is missing; give it.", param=param)
    rule = _PLACE.sub("", complaint)
    return Refusal(400, f"{param or 'The body'}: {rule}.", param=param)


def _asking_for_usage(body: bytes) -> bytes:
    """The same request with `stream_options.include_usage` on."""
    fields = _fields.decode(body)
    given = fields.get("stream_options")
    if given is None or bytes(given) == b"null":
        fields["stream_options"] = _WITH_USAGE
    else:
        options = _options.decode(given)
        options["include_usage"] = msgspec.Raw(b"true")
        fields["stream_options"] = msgspec.Raw(_encode(options))
    return _encode(fields)
