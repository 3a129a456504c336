"""Every route of the OpenAPI document, asked by everybody who must not be answered."""

from __future__ import annotations

import functools
import random
import re
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import models
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from rest_framework.permissions import AllowAny
from rest_framework.test import APIClient

from slipway.tenancy import services
from slipway.tenancy.models import Membership, Organisation
from slipway.tenancy.permissions import needed
from slipway.tenancy.services import Level

pytestmark = pytest.mark.django_db

#: Routes open to anybody, each for a reason: health tells nothing, the others let people in.
PUBLIC = {
    "/api/v1/health",
    "/api/v1/session",
    "/api/v1/invites/accept",
    "/v1/^.*$",
    "/v1/openapi.json",
}
#: Parameter of a path to the table whose rows it names; by the path's first word where it matters.
TABLES = {
    "dataset_id": "datasets.Dataset",
    "dataset-versions version_id": "datasets.Version",
    "other_version_id": "datasets.Version",
    "dataset-exports export_id": "datasets.Export",
    "check_id": "datasets.LeakCheck",
    "model_id": "registry.Model",
    "model-versions version_id": "registry.ModelVersion",
    "model-exports export_id": "registry.Export",
    "upload_id": "registry.Upload",
    "job_id": "training.TrainingJob",
    "run_id": "evaluation.EvaluationRun",
    "deployment_id": "deployments.Deployment",
    "key_id": "tenancy.ApiKey",
    "member_id": "tenancy.Membership",
    "invite_id": "tenancy.Invite",
    "group_id": "tenancy.Group",
    "role_id": "tenancy.CustomRole",
    "account_id": "tenancy.User",
    "project_id": "tenancy.Project",
    "budget_id": "metering.Budget",
    "limit_id": "limits.RateLimit",
    "rule_id": "traffic.Rule",
    "external_id": "traffic.External",
}
#: Parameters that name no row of their own: parts of one, or words.
WORDS = {"alias": "latest", "number": "1", "month": "2026-11", "request_id": "req_of_the_owner"}


@functools.cache
def document() -> dict[str, Any]:
    made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return made


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in sorted(document()["paths"].items()):
        for method, operation in sorted(methods.items()):
            if method in {"get", "post", "put", "patch", "delete"}:
                yield path, method.upper(), operation


def views(patterns: list[Any] | None = None, before: str = "/") -> Iterator[tuple[str, type[Any]]]:
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from views(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern) and (kind := getattr(pattern.callback, "cls", None)):
            yield route, kind


def undocumented() -> Iterator[tuple[str, str]]:
    """Routes that leave themselves out of the document (they have one of their own), by method."""
    for route, kind in views():
        if kind.schema is None and kind.__module__.startswith("slipway.") and route not in PUBLIC:
            plain = re.sub(r"<uuid:\w+>", str(uuid.uuid4()), route)
            plain = re.sub(r"<int:\w+>", "1", re.sub(r"<(str:)?\w+>", "x", plain))
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
                if hasattr(kind, method.lower()):
                    yield plain, method


def test_every_route_declares_a_permission() -> None:
    seen = 0
    for route, kind in views():
        if not kind.__module__.startswith("slipway."):
            continue  # the document itself and the pages that draw it
        seen += 1
        open_to_all = AllowAny in kind.permission_classes or not kind.permission_classes
        assert open_to_all == (route in PUBLIC), f"{route}: is it meant to be open to anybody?"
        for method in () if open_to_all else ("GET", "POST", "PUT", "PATCH", "DELETE"):
            assert needed(kind, method), f"{route}: {kind.__module__} belongs to no module"
    assert seen > 50


def test_the_document_names_every_route() -> None:
    documented = {path for path, _, _ in operations()}
    for route, kind in views():
        if kind.__module__.startswith("slipway.") and kind.schema is not None:
            plain = route
            for converter in ("uuid", "str", "int"):
                plain = plain.replace(f"<{converter}:", "{")
            assert plain.replace(">", "}") in documented, f"{route} is not in the OpenAPI document"


# One row of every kind, owned by one tenant


def minimal(model: type[models.Model], owned: dict[str, Any]) -> Any:
    """A row with no more than its columns demand; foreign rows are made the same way."""
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
        elif column.has_default() or column.null or column.primary_key or column.blank:
            continue
        else:
            values[column.name] = {
                "UUIDField": uuid.uuid4(),
                "DateTimeField": timezone.now(),
                "BooleanField": False,
                "FloatField": 0.0,
                "DecimalField": 0,
                "DateField": timezone.now().date(),
            }.get(column.get_internal_type(), 1 if "Integer" in column.get_internal_type() else "x")
    row = model.objects.create(**values)
    owned[model._meta.label] = row
    return row


class Scene:
    """A tenant with one row of every kind, and everybody who wants to get at it."""

    def __init__(self, owner: Any, stranger: Any) -> None:
        self.owner, self.stranger = owner, stranger
        for principal in (owner, stranger):
            Membership.objects.create(
                user_id=principal.user_id,
                organisation_id=principal.organisation_id,
                role="owner",
            )
        self.owner = services.principal_of(user=self._user(owner))
        self.stranger = services.principal_of(user=self._user(stranger))
        self.rows = self._rows()

    @staticmethod
    def _user(principal: Any) -> Any:
        return apps.get_model("tenancy.User").objects.get(pk=principal.user_id)

    def _rows(self) -> dict[str, Any]:
        from slipway.tenancy.services import people

        issued = services.issue_key(maker=self.owner, name="theirs")
        account = people.create_service_account(principal=self.owner, name="robot", role="reader")
        owned: dict[str, Any] = {
            "project_id": self.owner.project_id,
            "organisation_id": self.owner.organisation_id,
            "organisation": Organisation.objects.get(pk=self.owner.organisation_id),
            "look_at": None,
            "tenancy.ApiKey": issued.key,
            "tenancy.User": account.user,
            "tenancy.Membership": account,
            "tenancy.Project": apps.get_model("tenancy.Project").objects.get(
                pk=self.owner.project_id
            ),
        }
        found = {}
        for key, label in TABLES.items():
            model = next((m for m in apps.get_models() if m._meta.label == label), None)
            assert model is not None, f"TABLES: there is no {label}"
            found[key] = str(minimal(model, owned).pk)
        return found

    def address(self, path: str, operation: dict[str, Any]) -> str:
        first = path.partition("/v1/")[2].split("/")[0]
        for parameter in operation.get("parameters", []):
            if parameter["in"] != "path":
                continue
            name = parameter["name"]
            value = self.rows.get(f"{first} {name}") or self.rows.get(name) or WORDS.get(name)
            assert value, f"{path}: say in TABLES or WORDS what {name} names"
            path = path.replace(f"{{{name}}}", value)
        return path


def client(principal: Any, **key: Any) -> APIClient:
    made = APIClient(raise_request_exception=False)
    issued = services.issue_key(maker=principal, name="probe", **key)
    made.credentials(HTTP_AUTHORIZATION=f"Bearer {issued.secret}")
    made.key = issued.key
    return made


@pytest.fixture
def scene(owner: Any, stranger: Any, world: Any) -> Scene:
    return Scene(owner, stranger)


def guarded() -> list[tuple[str, str, dict[str, Any]]]:
    return [one for one in operations() if one[0] not in PUBLIC]


def test_no_credential_and_a_dead_one_are_401_everywhere(scene: Scene) -> None:
    revoked, expired = client(scene.owner), client(scene.owner)
    services.revoke_key(maker=scene.owner, key_id=revoked.key.pk, now=timezone.now())
    expired.key.expires_at = timezone.now() - timedelta(seconds=1)
    expired.key.save()
    documented = [(scene.address(path, told), method) for path, method, told in guarded()]
    for address, method in [*documented, *undocumented()]:
        for asking in (APIClient(), revoked, expired):
            answer = asking.generic(method, address, "{}", content_type="application/json")
            assert answer.status_code == 401, f"{method} {address}"


def test_a_lower_role_and_a_narrow_key_are_403(scene: Scene) -> None:
    reader = client(scene.owner, role="reader")
    narrow = client(scene.owner, scopes={"usage": "read"})
    kinds = {
        route.replace("<uuid:", "{").replace("<str:", "{").replace("<int:", "{").replace(">", "}"):
        kind for route, kind in views()
    }  # fmt: skip
    refused = 0
    for path, method, operation in guarded():
        module, level = needed(kinds[path], method) or ("", Level.FULL)
        address = scene.address(path, operation)
        for asking, has in (
            (reader, services.levels_of_role("reader")),
            (narrow, {"usage": Level.READ}),
        ):
            if has.get(module, Level.NONE) >= level:
                continue
            answer = asking.generic(method, address, "{}", content_type="application/json")
            assert answer.status_code == 403, f"{method} {path}: {answer.content[:300]!r}"
            refused += 1
    assert refused > 100


def places(operation: dict[str, Any]) -> Iterator[str]:
    """Fields of the body that take an id."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    for field, shape in (
        document()["components"]["schemas"].get(name, {}).get("properties", {}).items()
    ):
        if shape.get("format") == "uuid" or field.endswith("_id") or field in {"model", "dataset"}:
            yield field


def test_another_tenants_ids_are_not_there_in_any_place(scene: Scene) -> None:
    """In paths, queries and bodies; the answer is 404, or holds nothing of the other tenant."""
    asking, owner = client(scene.stranger, role="admin"), client(scene.owner, role="admin")
    secrets = {value for value in scene.rows.values() if len(value) == 36}
    probes = 0
    for path, method, operation in guarded():
        address = scene.address(path, operation)
        fields = list(places(operation))
        if names_a_row(path):
            answer = asking.generic(method, address, "{}", content_type="application/json")
            # A body that is wrong may be told before the id is looked up.
            allowed = {404} if method in {"GET", "DELETE"} else {404, 422}
            if needed_beyond(path):
                allowed |= {403}
            assert answer.status_code in allowed, (
                f"{method} {path}: {answer.status_code} {answer.content[:300]!r}"
            )
            probes += 1
            if method == "GET" and not needed_beyond(path):
                there = owner.get(address)
                assert there.status_code != 403, path
        queries = [p["name"] for p in operation.get("parameters", []) if p["in"] == "query"]
        # Any id in any place would be every id in every place: some in each do.
        for value in random.Random(path).sample(sorted(secrets), 3):
            if method == "GET" and "{" not in path:
                for name in queries:
                    answer = asking.get(path, {name: value})
                    assert answer.status_code in {200, 404, 422, 403}, f"{path}?{name}"
                    leaked = {s for s in secrets - {value} if s in answer.content.decode()}
                    assert not leaked, f"GET {path}?{name}={value} shows {leaked}"
                    probes += 1
            for field in fields if "{" not in path else []:
                answer = asking.generic(
                    method, path, f'{{"{field}": "{value}", "name": "x", "role": "reader"}}',
                    content_type="application/json",
                )  # fmt: skip
                assert answer.status_code in {400, 403, 404, 409, 422}, (
                    f"{method} {path} {field}: {answer.status_code} {answer.content[:300]!r}"
                )
                probes += 1
    assert probes > 200, probes


def names_a_row(path: str) -> bool:
    return any(f"{{{key.split()[-1]}}}" in path for key in TABLES)


def needed_beyond(path: str) -> bool:
    """Platform routes answer 403 to everybody who does not administer the platform."""
    for route, kind in views():
        plain = route.replace("<uuid:", "{").replace("<str:", "{").replace("<int:", "{")
        if plain.replace(">", "}") == path:
            found = needed(kind, "GET")
            return found is not None and found[0] == "platform"
    return False


def test_lists_show_only_ones_own(scene: Scene) -> None:
    asking = client(scene.stranger, role="admin")
    secrets = {value for value in scene.rows.values() if len(value) == 36}
    for path, method, _ in guarded():
        if method == "GET" and "{" not in path:
            answer = asking.get(path)
            if getattr(answer, "is_async", False):
                continue  # does not end; tests/test_live.py asks what it tells to whom
            text = b"".join(answer.streaming_content) if answer.streaming else answer.content
            leaked = {s for s in secrets if s in text.decode()}
            assert not leaked, f"{path} shows {leaked}"
