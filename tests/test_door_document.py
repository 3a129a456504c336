"""The OpenAPI document of /v1 is true: it names every route, and every answer keeps to it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.urls import get_resolver
from door_world import Door, error_of
from gateway_world import answer_well
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import CHECKS
from schemathesis.config import SchemathesisConfig

from slipway.door.api.document import document

#: Examples per operation; more of them by `EXAMPLES=50 pytest tests/test_door_document.py`.
EXAMPLES = int(os.environ.get("EXAMPLES", "2"))
#: Checks that ask for what an example cannot know: ids that exist, models that are there.
#: That every route asks for a key is told by tests of its own (test_probes).
NOT_ASKED = {"positive_data_acceptance", "ignored_auth"}

schema = schemathesis.openapi.from_dict(document(), config=SchemathesisConfig())


def routes() -> Iterator[tuple[str, type[Any]]]:
    for pattern in get_resolver().url_patterns:
        if str(pattern.pattern) == "v1/":
            for route in pattern.url_patterns:
                yield str(route.pattern), route.callback.cls


def test_the_document_names_every_route_and_method_and_no_others() -> None:
    served = set()
    for route, kind in routes():
        if route in {"^.*$", "openapi.json"}:
            continue
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", f"/{route}")
        served |= {(path, verb) for verb in ("get", "post", "delete") if hasattr(kind, verb)}
    gateway = {("/chat/completions", "post"), ("/completions", "post"), ("/embeddings", "post"),
               ("/responses", "post"), ("/responses/input_tokens", "post"),
               ("/responses/compact", "post"), ("/moderations", "post"), ("/models", "get"),
               ("/models/{model}", "get")}  # fmt: skip
    told = {
        (path, verb)
        for path, methods in document()["paths"].items()
        for verb in methods
        if verb != "parameters"
    }
    assert told == served | gateway
    ids = [methods[verb]["operationId"] for methods in document()["paths"].values()
           for verb in methods if verb != "parameters"]  # fmt: skip
    assert len(ids) == len(set(ids))


def test_anybody_may_read_it(door: Door) -> None:
    got = door.http.get(f"{door.url}/openapi.json")
    assert got.status_code == 200
    assert got.json() == document()


@pytest.fixture(autouse=True)
def _well(door: Door) -> None:
    door.engine.script = answer_well


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_keeps_to_it(case: schemathesis.Case, door: Door) -> None:
    who = "acme-admin" if case.operation.path.startswith("/organization") else "acme-owner"
    checks = [check for check in CHECKS.get_all() if check.__name__ not in NOT_ASKED]
    case.call_and_validate(
        base_url=door.url, headers={"authorization": f"Bearer {door.keys[who]}"}, checks=checks
    )


@pytest.mark.parametrize(
    ("method", "path", "more", "status", "code"),
    [
        ("GET", "nothing", {}, 404, "unknown_url"),
        ("GET", "organization/nothing", {}, 404, "unknown_url"),
        ("GET", "files/a/b/c", {}, 404, "unknown_url"),
        ("PUT", "files", {}, 405, "method_not_allowed"),
        ("PATCH", "chat/completions", {}, 405, "method_not_allowed"),
        ("DELETE", "organization/projects", {}, 405, "method_not_allowed"),
        ("GET", "files/file-x", {}, 404, "not_found"),
        ("GET", "batches/%00", {}, 404, "not_found"),
        ("GET", "evals/eval_" + "0" * 32, {}, 404, "not_found"),
        ("POST", "evals", {"content": b"{"}, 400, None),
        ("POST", "evals", {"content": b"\xff"}, 400, None),
        ("POST", "evals", {"content": b"[" * 10**5}, 400, None),
        ("POST", "evals", {"content": b"[1]"}, 400, "invalid_type"),
        ("POST", "evals", {"content": b"x" * 10**8}, 413, "request_too_large"),
        ("POST", "chat/completions", {"content": b"x" * 10**8}, 413, "request_too_large"),
        ("POST", "files", {"json": {}}, 400, None),
        ("POST", "batches", {"json": {"input_file_id": 7}}, 400, "invalid_type"),
        ("POST", "evals", {"json": {"metadata": {"k" * 65: "v"}}}, 400, "invalid_type"),
        ("POST", "evals", {"json": {"metadata": {"k": "v" * 513}}}, 400, "invalid_type"),
        ("POST", "evals", {"json": {"metadata": {str(n): "" for n in range(17)}}}, 400,
         "invalid_type"),
    ],
)  # fmt: skip
def test_every_refusal_is_the_error_object(
    door: Door, method: str, path: str, more: dict[str, Any], status: int, code: str | None
) -> None:
    who = "acme-admin" if path.startswith("organization") else "acme-owner"
    refused = door.call(method, path, who, **more)
    assert refused.status_code == status, refused.text
    told = error_of(refused)
    assert told["type"] == "invalid_request_error"
    assert code is None or told["code"] == code


def test_a_wrong_word_is_told_what_would_do(door: Door) -> None:
    for path, body, param, known in (
        ("responses", {"model": "m", "input": "x", "truncation": "some"}, "truncation",
         "auto, disabled"),
        ("organization/users/user-1", {"role": "boss"}, "role", "owner, reader"),
    ):  # fmt: skip
        who = "acme-admin" if path.startswith("organization") else "acme-owner"
        told = error_of(door.call("POST", path, who, json=body))
        assert told["param"] == param
        assert known in told["message"]
