"""Two tenants with a row of every kind; the routes of both OpenAPI documents, and their bodies."""

from __future__ import annotations

import functools
import itertools
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.db import models
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from slipway.door.api import document as door
from slipway.tenancy import services
from slipway.tenancy.models import ApiKey, Membership, Organisation, Project, User
from slipway.tenancy.services import people, projects

#: Routes open to anybody, each for a reason: health tells nothing, the others let people in.
PUBLIC = {
    "/api/v1/session/passkey",
    "/api/v1/session/passkey/options",
    "/api/v1/sign-on/offers",
    "/api/v1/sign-on/callback",
    "/api/v1/sign-on/saml/finish",
    "/api/v1/sign-on/saml/{provider_id}",
    "/api/v1/sign-on/saml/<uuid:provider_id>",
    "/api/v1/sign-on/saml/{provider_id}/answer",
    "/api/v1/sign-on/saml/<uuid:provider_id>/answer",
    "/api/v1/sign-on/{provider_id}",
    "/api/v1/sign-on/<uuid:provider_id>",
    "/api/v1/health",
    "/api/v1/session",
    "/api/v1/invites/accept",
    "/api/v1/sign-up",
    "/api/v1/sign-up/verify",
    "/api/v1/set-up",
    "/api/v1/session/forgotten",
    "/api/v1/session/new-password",
    "/api/v1/session/address/prove",
    "/v1/^.*$",
    "/v1/openapi.json",
}
#: Answered by the gateway before Django; tests/test_gateway.py asks them as strangers.
HOT = {
    ("/v1/completions", "POST"),
    ("/v1/embeddings", "POST"),
    ("/v1/responses", "POST"),
    ("/v1/responses/compact", "POST"),
    ("/v1/responses/input_tokens", "POST"),
    ("/v1/moderations", "POST"),
    ("/v1/chat/completions", "POST"),
    ("/v1/models", "GET"),
    ("/v1/models/{model}", "GET"),
}
#: Parameter of a path (after the path's first word where it matters) to what its rows are and how
#: their ids are written: `prefix:hex`, `prefix:number`, a column, or the UUID as it is.
TABLES = {
    "dataset_id": "datasets.Dataset",
    "dataset-versions version_id": "datasets.Version",
    "other_version_id": "datasets.Version",
    "dataset-exports export_id": "datasets.Export",
    "check_id": "datasets.LeakCheck",
    "model_id": "registry.Model",
    "model-versions version_id": "registry.ModelVersion",
    "model-exports export_id": "registry.Export",
    "models upload_id": "registry.Upload",
    "job_id": "training.TrainingJob",
    "run_id": "evaluation.EvaluationRun",
    "deployment_id": "deployments.Deployment",
    "key_id": "tenancy.ApiKey",
    "member_id": "tenancy.Membership",
    "invite_id": "tenancy.Invite",
    "group_id": "tenancy.Group",
    "role_id": "tenancy.CustomRole",
    "account_id": "tenancy.User :number",
    "project_id": "tenancy.Project",
    "target_id": "notices.Target",
    "token_id": "tenancy.ScimToken",
    "provider_id": "tenancy.IdentityProvider",
    "budget_id": "metering.Budget",
    "limit_id": "limits.RateLimit",
    "rule_id": "traffic.Rule",
    "external_id": "traffic.External",
    "feedback_id": "traffic.Feedback",
    "prompt_id": "traffic.LoggedPrompt",
    "takeout_id": "leaving.Takeout",
    "pool_id": "capacity.Pool",
    "plan_id": "plans.Plan",
    "subscription_id": "plans.Subscription",
    "quota-requests request_id": "quotas.Request",
    "/v1 file_id": "door.File file-:hex",
    "/v1 upload_id": "door.Upload upload_:hex",
    "/v1 job_id": "door.FineTune ftjob-:hex",
    "/v1 batch_id": "door.Batch batch_:hex",
    "/v1 eval_id": "door.Eval eval_:hex",
    "/v1 run_id": "door.EvalRun evalrun_:hex",
    "/v1 conversation_id": "door.Conversation conv_:hex",
    "/v1 response_id": "door.Response resp_:hex",
    "/v1 checkpoint": "door.FineTune fine_tuned_model",
    "/v1 permission_id": "traffic.Alias cp_:hex",
    "/v1 project_id": "tenancy.Project proj_:hex",
    "/v1 user_id": "tenancy.User user-:number",
    "/v1 key_id": "tenancy.ApiKey key_:hex",
    "/v1 account_id": "tenancy.User svc_:number",
    "/v1 invite_id": "tenancy.Invite invite-:hex",
    "/v1 group_id": "tenancy.Group group_:hex",
    "/v1 alert_id": "metering.SpendAlert alert_:hex",
    "/v1 name": "door.StoredCompletion name",
    "/v1 model": "door.FineTune fine_tuned_model",
}
#: The house's own, which everybody sees.
HOUSES = ("capacity.Pool", "plans.Plan")
#: Parameters that name no row of their own: parts of one, or words.
WORDS = {
    "session_id": str(uuid.uuid4()),
    "user_name": "nobody", "factor_id": str(uuid.uuid4()),  # a person's own; only sessions ask
    "alias": "latest", "number": "1", "month": "2026-11", "request_id": "req_of_the_owner",
    "/v1 item_id": "item_of_the_owner", "/v1 limit_id": "rl-of_the_owner",
}  # fmt: skip
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_TEXTS = itertools.count()


@dataclass(frozen=True)
class Place:
    """One operation of a document: where, with which method, and what it takes."""

    path: str
    method: str
    told: dict[str, Any] = field(hash=False, compare=False)
    schemas: dict[str, Any] = field(hash=False, compare=False)

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"\{(\w+)\}", self.path)

    @property
    def queries(self) -> list[str]:
        return [p["name"] for p in self.told.get("parameters", []) if p["in"] == "query"]

    @property
    def body(self) -> dict[str, Any] | None:
        content = self.told.get("requestBody", {}).get("content", {})
        return content.get("application/json", {}).get("schema")

    def key(self, parameter: str) -> str:
        """What TABLES or WORDS call this parameter."""
        first = self.path.split("/")[3] if self.path.startswith("/api/") else "/v1"
        return next(
            (k for k in (f"{first} {parameter}", parameter) if k in TABLES or k in WORDS), ""
        )


@functools.cache
def document() -> dict[str, Any]:
    made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return made


@functools.cache
def operations() -> tuple[Place, ...]:
    """Every guarded operation of /api/v1 and of /v1."""
    theirs = door.document()
    found = [
        Place(path, method.upper(), told, document()["components"]["schemas"])
        for path, methods in sorted(document()["paths"].items())
        for method, told in sorted(methods.items())
    ] + [
        Place(f"/v1{path}", method.upper(), told, theirs["components"]["schemas"])
        for path, methods in sorted(theirs["paths"].items())
        for method, told in sorted(methods.items())
        if method != "parameters"
    ]
    return tuple(
        each
        for each in found
        if each.method in METHODS
        and each.path not in PUBLIC
        and (each.path, each.method) not in HOT
    )


def views(patterns: list[Any] | None = None, before: str = "/") -> Iterator[tuple[str, type[Any]]]:
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from views(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern) and (kind := getattr(pattern.callback, "cls", None)):
            yield route, kind


def as_documented(route: str) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route)


# One row of every kind, owned by one tenant


#: Columns whose content is read by the code; other documents may be empty.
CONTENT: dict[str, Any] = {
    "tenancy.IdentityProvider.settings": {"issuer": "https://id.example.com", "client_id": "us",
                                          "url": "ldaps://ldap.example.com"},
    "door.Eval.data_source_config": {"type": "custom", "item_schema": {"type": "object"}},
    "door.Response.body": {"status": "completed", "background": False, "output": []},
    "quotas.Request.wanted": {"limit": "5"},
    "door.StoredCompletion.body": {"choices": []},
    "training.TrainingJob.estimate": {
        "rows": 1, "tokens": 1, "steps": 1, "seconds": 1, "seconds_low": 1, "seconds_high": 1,
        "basis": "", "trainable_parameters": 1, "memory_bytes": 1, "memory_parts": {}, "price": "0",
        "currency": "CNY", "starts_in_seconds": 0, "starts_reason": "",
    },
}  # fmt: skip


def minimal(model: type[models.Model], owned: dict[str, Any]) -> Any:
    """A row with no more than its columns demand; foreign rows are made the same way.

    Its texts are the tenant's own: wherever one shows, the row was seen.
    """
    made = owned.get(model._meta.label)
    if made is not None:
        return made
    values: dict[str, Any] = {}
    for column in model._meta.concrete_fields:
        if column.name in owned:
            values[column.name] = owned[column.name]
        elif isinstance(column, models.ForeignKey):
            if not column.null:
                values[column.name] = minimal(column.related_model, owned)
        elif (value := _content(model, column, owned.get("text", "some-"))) is not None:
            values[column.name] = value
    row = model.objects.create(**values)
    owned[model._meta.label] = row
    return row


def _content(model: type[models.Model], column: Any, text: str) -> Any:
    """What a column must hold; None where it may be left out."""
    if (label := f"{model._meta.label}.{column.name}") in CONTENT:
        return CONTENT[label]
    if column.name in {"fine_tuned_model", "result_name"}:
        return f"{text}-tuned"
    if column.name == "phase" and hasattr(model, "LIFECYCLE"):
        return next(iter(model.LIFECYCLE.arrows))
    if column.has_default() or column.null or column.primary_key or column.blank:
        return None
    if column.choices:
        return column.choices[0][0]
    kind = column.get_internal_type()
    of_kind = {
        "UUIDField": uuid.uuid4(),
        "DateTimeField": timezone.now(),
        "BooleanField": False,
        "FloatField": 0.0,
        "DecimalField": 0,
        "DateField": timezone.now().date(),
        "JSONField": [],
    }
    own = f"{text}{next(_TEXTS)}"[: column.max_length]
    return of_kind.get(kind, 1 if "Integer" in kind else own)


class Tenant:
    """An organisation whose one project holds a row of every kind."""

    def __init__(self, principal: Any, text: str) -> None:
        user = User.objects.get(pk=principal.user_id)
        Membership.objects.create(
            user=user, organisation_id=principal.organisation_id, role="owner"
        )
        self.owner, self.text = services.principal_of(user=user), text
        issued = services.issue_key(maker=self.owner, name=text)
        account = people.create_service_account(principal=self.owner, name=text, role="reader")
        self.owned: dict[str, Any] = {
            "text": text,
            "project_id": self.owner.project_id,
            "organisation_id": self.owner.organisation_id,
            "organisation": Organisation.objects.get(pk=self.owner.organisation_id),
            "look_at": None,
            "reach": "project",
            "target_id": self.owner.project_id,
            "tenancy.ApiKey": issued.key,
            "tenancy.User": account.user,
            "tenancy.Membership": account,
            "tenancy.Project": Project.objects.get(pk=self.owner.project_id),
        }
        self.ids = {key: self._named(said) for key, said in TABLES.items()}

    def _named(self, said: str) -> str:
        label, _, form = said.partition(" ")
        row = minimal(apps.get_model(label), self.owned)
        prefix, _, kind = form.partition(":")
        match kind:
            case "hex":
                return f"{prefix}{row.pk.hex}"
            case "number":
                return f"{prefix}{row.pk}"
        return str(getattr(row, form) if form else row.pk)

    def id_of(self, place: Place, parameter: str) -> str:
        key = place.key(parameter)
        assert key, f"{place.path}: say in TABLES or WORDS what {parameter} names"
        return self.ids.get(key) or WORDS[key]

    def address(self, place: Place, **other: str) -> str:
        """The operation's address, of this tenant's rows unless said otherwise."""
        path = place.path
        for name in place.parameters:
            path = path.replace(f"{{{name}}}", other.get(name) or self.id_of(place, name))
        return path

    def rows(self) -> dict[str, dict[str, Any]]:
        """All there is of this tenant's, to see afterwards that nothing of it changed."""
        return {
            label: type(row).objects.filter(pk=row.pk).values().get()
            for label, row in self.owned.items()
            if isinstance(row, models.Model) and label != "tenancy.ApiKey"
        }


def written(key: str, row: uuid.UUID | None = None) -> str:
    """A row's id as TABLES writes those of `key`; without a row, of nothing that ever was."""
    prefix, _, kind = TABLES[key].partition(" ")[2].partition(":")
    match kind:
        case "hex":
            return f"{prefix}{(row or uuid.uuid4()).hex}"
        case "number":
            return f"{prefix}987654321"
    return f"nothing-{uuid.uuid4().hex[:8]}" if prefix else str(row or uuid.uuid4())


class Scene:
    """Two tenants, a neighbour in a second project of the first, and everybody's credentials."""

    def __init__(self, owner: Any, stranger: Any) -> None:
        self.owner, self.stranger = Tenant(owner, "acmes-own-"), Tenant(stranger, "rivals-own-")
        second = projects.create_project(
            organisation_id=self.owner.owner.organisation_id, name="second"
        )
        user = services.ensure_member(
            user_name="neighbour", password="correct horse", project_id=second.pk, role="owner"
        )
        self.neighbour = services.principal_of(user=user)


def client(principal: Any, **key: Any) -> APIClient:
    made = APIClient(raise_request_exception=False)
    issued = services.issue_key(maker=principal, name="probe", **key)
    made.credentials(HTTP_AUTHORIZATION=f"Bearer {issued.secret}")
    made.key = issued.key
    return made


def dead(principal: Any) -> list[APIClient]:
    """Nobody, a key nobody made, one that is revoked and one that is past its day."""
    unknown, revoked, expired = APIClient(), client(principal), client(principal)
    unknown.credentials(HTTP_AUTHORIZATION=f"Bearer sk-slip-{'0' * 43}")
    services.revoke_key(maker=principal, key_id=revoked.key.pk, now=timezone.now())
    ended = timezone.now() - timedelta(seconds=1)
    ApiKey.objects.filter(pk=expired.key.pk).update(expires_at=ended)
    return [APIClient(), unknown, revoked, expired]


# Bodies


def shape_of(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """The schema that a reference, or the first of several that will do, leads to."""
    while True:
        if "$ref" in schema:
            schema = schemas[schema["$ref"].rpartition("/")[2]]
        elif several := schema.get("allOf") or schema.get("oneOf") or schema.get("anyOf"):
            schema = next((s for s in several if s.get("type") != "null"), several[0])
        else:
            return schema


def example(schema: dict[str, Any], schemas: dict[str, Any], name: str = "", deep: int = 0) -> Any:
    """A small value that the schema allows."""
    shape = shape_of(schema, schemas)
    if "const" in shape:
        return shape["const"]
    if shape.get("enum"):
        return next(value for value in shape["enum"] if value is not None)
    kind = shape.get("type")
    if isinstance(kind, list):
        kind = next(each for each in kind if each != "null")
    if kind == "object":
        inner = shape.get("properties", {})
        if deep > 5:
            inner = {n: s for n, s in inner.items() if n in shape.get("required", [])}
        return {n: example(s, schemas, n, deep + 1) for n, s in inner.items()}
    if kind == "array":
        return [] if deep > 5 else [example(shape.get("items", {}), schemas, name, deep + 1)]
    if kind in {"integer", "number"}:
        return max(shape.get("minimum", 1), min(1, shape.get("maximum", 1)))
    return False if kind == "boolean" else _text(shape)


def _text(shape: dict[str, Any]) -> str:
    of_format = {
        "uuid": str(uuid.uuid4()),
        "date-time": (timezone.now() + timedelta(days=2)).isoformat(),
        "decimal": "1",
        "uri": "https://example.com/",
        "email": "ada@example.com",
    }
    return of_format.get(shape.get("format", ""), "x" * max(shape.get("minLength", 0), 8))


def texts(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a body texts are: the names and numbers that lead to each."""
    if isinstance(value, str):
        yield before
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(
        value, list
    ) else ()  # fmt: skip
    for key, inner in inside:
        yield from texts(inner, (*before, key))


def with_text(value: Any, way: tuple[Any, ...], text: str) -> Any:
    """The body with another text at one place."""
    if not way:
        return text
    if isinstance(value, dict):
        return {k: with_text(v, way[1:], text) if k == way[0] else v for k, v in value.items()}
    return [with_text(v, way[1:], text) if n == way[0] else v for n, v in enumerate(value)]
