"""What the gateway knows of the world: keys and routes, as one immutable picture."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from slipway.metering.rules.reserver import Limit as Budget
from slipway.metering.rules.reserver import Owner


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """A live API key. `expires_at` is in Unix seconds."""

    id: str
    project_id: str
    expires_at: float | None = None
    organisation_id: str = ""
    #: Its role or scopes, and those of its maker, allow calling models.
    may_call: bool = True
    #: Networks it may be used from; empty for anywhere.
    networks: tuple[str, ...] = ()
    #: Asked for later, by a batch or a judge: it waits for those who wait themselves.
    background: bool = False
    #: The line of an answer's head that names its organisation.
    line: bytes = b""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """By whom a name is answered instead of its own deployment alone."""

    #: Names and percents, which come to 100.
    shares: tuple[tuple[str, int], ...]
    #: Names to try in this order when the one that was drawn cannot answer.
    fallbacks: tuple[str, ...] = ()
    #: Without a first byte after so long another replica is asked too; 0 for never.
    hedge_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """A server that is not ours: how it is asked. Its addresses are the route's endpoints."""

    #: For the Host header.
    netloc: str
    #: Stands before the path that is asked: `/openai/v1` for `/v1/chat/completions`.
    base_path: str
    #: What it calls the model.
    model: str
    #: Whole value of the Authorization header; empty for none.
    authorization: str = field(default="", repr=False)
    #: The longest silence.
    timeout_seconds: float = 120.0


#: Never served yet: the client is told at once, for loading takes longer than it would wait.
STARTING = "starting"
#: States in which a model without a replica will have one again by itself, in seconds.
COMES_BACK = frozenset({"live", "updating", "unhealthy", "sleeping", "waking"})
SLEEPING = "sleeping"
#: Of these, the ones that take long, and are worth waiting for.
ASLEEP = frozenset({"sleeping", "waking"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """A model that a project may call, and where its replicas listen.

    An endpoint is `unix:/path/of.sock`, `http://host:port` or `https://address:port#name`, the
    name being what its certificate must be for. Where there is none, `state` says
    what will become of it and `reason` why.
    """

    project_id: str
    name: str
    deployment_id: str
    version_id: str
    endpoints: tuple[str, ...]
    state: str
    reason: str = ""
    #: Unix seconds.
    created_at: int = 0
    #: `model@version`, and the model it was tuned from; empty where there is none.
    root: str = ""
    parent: str = ""
    #: Where the engine finds the adapter to answer with; empty for the deployed version itself.
    adapter: str = ""
    #: Tokens of prompt and answer together; 0 if unknown.
    context_length: int = 0
    #: `completions`, `chat`, `system`, `tools`; or `embedding`.
    capabilities: tuple[str, ...] = ()
    #: Set where others answer for this name too.
    rule: Rule | None = None
    #: Set where another server answers.
    origin: Origin | None = None
    #: Requests in flight through one gateway, and how many may wait for their turn beyond them.
    at_once: int = 512
    queue: int = 0

    @property
    def answers(self) -> bool:
        """A request may be let in: a replica is there, or will be again in a moment."""
        return bool(self.endpoints) or self.state in COMES_BACK or self.rule is not None

    def with_rule(self, rule: Rule | None) -> Route:
        return replace(self, rule=rule)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """How much one scope may ask; None where that is not limited."""

    requests_per_minute: int | None = None
    #: Prompt and answer together.
    tokens_per_minute: int | None = None
    #: Requests in flight at one time.
    at_once: int | None = None


#: Project id, key id or empty for all keys, model or empty for all models.
Scope = tuple[str, str, str]


#: A key, and whom to ask, one after another.
Way = tuple[Key, tuple[Route, ...]]


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """All keys by digest and all routes by (project id, name), as they were at one moment."""

    keys: dict[str, Key] = field(default_factory=dict)
    routes: dict[tuple[str, str], Route] = field(default_factory=dict)
    #: Hard limits on money by (reach, id), and prices by (organisation id, model) of a request, a
    #: prompt token and an answer's token, in 10⁻¹² of the currency.
    budgets: dict[Owner, Budget] = field(default_factory=dict)
    prices: dict[tuple[str, str], tuple[int, int, int]] = field(default_factory=dict)
    limits: dict[Scope, Limit] = field(default_factory=dict)
    #: Projects that have what is asked and answered kept.
    logged: frozenset[str] = frozenset()
    #: Authorization headers seen under this snapshot, so that a key is hashed once per snapshot.
    seen: dict[bytes, Key] = field(default_factory=dict)
    #: Whom to ask, by Authorization header, path and model; as far as that was asked for already.
    ways: dict[tuple[bytes | None, str, str], Way] = field(default_factory=dict)

    def routes_of(self, project_id: str) -> list[Route]:
        """The project's routes, by name."""
        own = (route for (owner, _), route in self.routes.items() if owner == project_id)
        return sorted(own, key=lambda route: route.name)
