"""Every table there is: whose its rows are, what of them is taken away, and what outlives them.

A table that is in none of the lists below fails `tests/test_leaving.py`: whoever adds one decides.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from graphlib import TopologicalSorter
from uuid import UUID

from django.apps import apps
from django.db.models import Model, Q, QuerySet

from slipway import backends
from slipway.backends.objects import Stat
from slipway.tenancy.services import whole as tenancy

#: Columns that are secrets, or digests of some; in no archive, whatever the table.
SECRET = frozenset({"password", "digest", "secret", "credential", "name_digest", "credential_id"})

BOOKS = "the law asks for books: what was used, what it cost, and of which account it was"
AUDIT = "a log in which something can be taken back proves nothing"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A table whose rows belong to organisations."""

    label: str
    #: Lookups that lead from a row to its project or organisation; any of them is enough.
    ways: tuple[str, ...] = ("project_id",)
    #: Its rows are in the archive; what only helps the platform to work is not.
    taken: bool = True
    #: Why its rows stay when the organisation goes; empty: they go.
    stays: str = ""

    @property
    def model(self) -> type[Model]:
        return apps.get_model(self.label)

    def rows(self, organisation_id: UUID) -> QuerySet[Model]:
        """The organisation's rows, in an order that stays."""
        projects = tenancy.project_ids(organisation_id=organisation_id)
        where = [
            Q(**{way: organisation_id})
            if way.endswith("organisation_id") or way == "pk"
            else Q(**{f"{way}__in": projects})
            for way in self.ways
        ]
        found = self.model._default_manager.filter(reduce(operator.or_, where))
        return found.order_by("pk")

    @property
    def columns(self) -> list[str]:
        """What of a row is taken away."""
        return [f.attname for f in self.model._meta.concrete_fields if f.name not in SECRET]


def _of(way: str, *labels: str, **more: bool | str) -> list[Kind]:
    return [Kind(label=label, ways=(way,), **more) for label in labels]  # type: ignore[arg-type]  # as the fields are


_ORGANISATION = "organisation_id"
KINDS: tuple[Kind, ...] = (
    Kind(label="tenancy.Organisation", ways=("pk",), stays=BOOKS),
    Kind(label="tenancy.Project", ways=(_ORGANISATION,), stays=BOOKS),
    Kind(label="tenancy.Membership", ways=("project_id", _ORGANISATION)),
    *_of(_ORGANISATION, "tenancy.Group", "tenancy.CustomRole", "tenancy.IdentityProvider",
         "tenancy.ScimToken", "tenancy.Provisioned"),
    *_of("provider__organisation_id", "tenancy.SignOnDomain", "tenancy.Identity"),
    *_of("provider__organisation_id", "tenancy.SamlAnswer", taken=False),
    *_of("project_id", "tenancy.Invite", "tenancy.ApiKey"),
    *_of(_ORGANISATION, "audit.Entry", stays=AUDIT),
    *_of("project_id", "metering.UsageRecord", "metering.Entry", "metering.Rollup", stays=BOOKS),
    *_of(_ORGANISATION, "metering.PriceBook", "metering.Credit", stays=BOOKS),
    *_of("book__organisation_id", "metering.Price", stays=BOOKS),
    *_of(_ORGANISATION, "metering.Budget", "metering.SpendAlert", "metering.Reservation"),
    *_of("budget__organisation_id", "metering.Alert"),
    *_of("project_id", "limits.RateLimit", "capacity.Share"),
    *_of(_ORGANISATION, "quotas.Request"),
    *_of("project_id", "plans.Subscription"),
    *_of("project_id", "datasets.Dataset", "datasets.Version", "datasets.Export",
         "datasets.LeakCheck"),
    *_of("version__project_id", "datasets.Hold", "registry.Hold", "registry.Mirror", taken=False),
    *_of("project_id", "registry.Model", "registry.ModelVersion", "registry.Export",
         "registry.Upload"),
    *_of("model__project_id", "registry.Alias"),
    *_of("project_id", "training.TrainingJob", "evaluation.EvaluationRun"),
    *_of("job__project_id", "training.MetricPoint", "training.Checkpoint"),
    *_of("job__project_id", "training.RunMirror", taken=False),
    *_of("run__project_id", "evaluation.Score", "evaluation.Rating"),
    *_of("project_id", "deployments.Deployment", "deployments.Revision"),
    *_of("project_id", "traffic.Rule", "traffic.External", "traffic.PromptPolicy",
         "traffic.LoggedPrompt", "traffic.Feedback"),
    Kind(label="traffic.Alias", ways=("project_id", "of_project_id")),
    *_of("project_id", "door.Asked", taken=False),
    *_of("project_id", "door.Conversation", "door.Response", "door.StoredCompletion",
         "door.ModerationPolicy", "door.File", "door.Upload", "door.Batch", "door.Eval",
         "door.EvalRun", "door.FineTune"),
    *_of("conversation__project_id", "door.ConversationItem"),
    *_of("response__project_id", "door.ResponseEvents"),
    *_of("upload__project_id", "door.Part"),
    *_of("batch__project_id", "door.BatchLine", "door.BatchAnswer"),
    *_of("run__project_id", "door.OutputItem"),
    *_of(_ORGANISATION, "notices.Target"),
    *_of("target__organisation_id", "notices.Delivery"),
    *_of(_ORGANISATION, "leaving.Takeout", taken=False),
    *_of(_ORGANISATION, "leaving.Departure", taken=False, stays=BOOKS),
)  # fmt: skip
#: People are of no organisation; what is theirs goes with them.
OF_PEOPLE = frozenset({
    "tenancy.User", "tenancy.SignedIn", "tenancy.Factor", "tenancy.RecoveryCode",
    "tenancy.SignInFailure", "sessions.Session", "signup.SignUp", "signup.Letter",
    "signup.Trial",
})  # fmt: skip
#: What happened to rows; each goes with the row that it names.
OF_ROWS = frozenset({"core.Event"})
#: The installation's own, where no row is of one organisation.
OF_ALL = frozenset({
    "auth.Permission", "auth.Group", "contenttypes.ContentType", "editions.Installed",
    "editions.Clock", "audit.Head", "audit.Digest", "metering.SpoolFile", "limits.Share",
    "capacity.Pool", "plans.Plan", "traffic.Change", "traffic.Touched", "door.CompletionSpool",
})  # fmt: skip


#: Whose the others are is found through these, also where no foreign key leads there.
_LAST = ("tenancy.Project", "tenancy.Organisation", "leaving.Departure")


def in_order(kinds: Iterable[Kind]) -> list[Kind]:
    """Rows that point at others before those: so they can be removed, table by table."""
    of_model = {kind.model: kind for kind in kinds}
    points_at = {
        model: {
            field.related_model
            for field in model._meta.concrete_fields
            if field.is_relation and field.related_model in of_model
        }
        - {model}
        for model in of_model
    }
    pointed_at_first = TopologicalSorter(points_at).static_order()
    found = [of_model[model] for model in reversed(list(pointed_at_first))]
    return sorted(found, key=lambda kind: _LAST.index(kind.label) if kind.label in _LAST else -1)


def prefixes(organisation_id: UUID) -> Iterator[str]:
    """Below which keys of the object store all of the organisation's bytes lie."""
    for project_id in tenancy.project_ids(organisation_id=organisation_id):
        yield from (f"datasets/{project_id}/", f"projects/{project_id}/", f"files/{project_id}/")


def stored(organisation_id: UUID) -> Iterator[Stat]:
    """Every object of the organisation, by key within each prefix."""
    for prefix in prefixes(organisation_id):
        yield from backends.objects().list(prefix)
