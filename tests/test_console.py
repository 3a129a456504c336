"""The console as the control plane serves it: its policy, its files, its client's document."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

ROOT = Path(__file__).parent.parent


@pytest.fixture
def built(tmp_path: Path, settings: Any) -> Path:
    """A built console of one script."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text('<script nonce="NONCE-OF-THIS-ANSWER"></script>')
    (tmp_path / "assets/index-AbCd_123.js").write_text("1")
    (tmp_path / "assets/index-AbCd_123.js.gz").write_bytes(b"zipped")
    (tmp_path / "secret.js").write_text("no")
    settings.CONSOLE_DIR = tmp_path
    return tmp_path


def test_the_client_is_made_from_the_document_that_is_served() -> None:
    # Through JSON, as the file went: numbers as keys become strings.
    served = json.loads(json.dumps(SchemaGenerator().get_schema(request=None, public=True)))
    kept = json.loads((ROOT / "frontend/openapi.json").read_text())
    assert kept == served, "the API changed: run `make console-client` and commit openapi.json"


@pytest.mark.parametrize("path", ["/", "/data", "/training/anything/below"])
def test_every_page_is_the_console_under_a_strict_policy(built: Path, path: str) -> None:
    first, second = Client().get(path), Client().get(path)
    policy = first["content-security-policy"]
    nonce = re.search(r"'nonce-([\w-]+)'", policy)
    assert nonce
    assert f'nonce="{nonce[1]}"' in first.content.decode()
    assert nonce[1] not in second["content-security-policy"], "a nonce is used once"
    assert "unsafe" not in policy
    assert "http" not in policy, "nothing off the origin"
    assert first["cache-control"] == "no-store"


def test_hashed_files_are_kept_for_ever_and_travel_zipped(built: Path) -> None:
    plain = Client().get("/assets/index-AbCd_123.js")
    assert plain.content == b"1"
    assert "immutable" in plain["cache-control"]
    zipped = Client().get("/assets/index-AbCd_123.js", headers={"accept-encoding": "gzip"})
    assert zipped.content == b"zipped"
    assert zipped["content-encoding"] == "gzip"


@pytest.mark.parametrize("path", ["/assets/absent-12345678.js", "/assets/..%2Fsecret.js"])
def test_nothing_else_comes_out_of_the_folder(built: Path, path: str) -> None:
    assert Client().get(path).status_code == 404


def test_an_unknown_api_path_is_no_page(built: Path) -> None:
    answer = Client().get("/api/v1/nothing")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


@pytest.mark.usefixtures("built")
def test_a_program_that_left_out_v1_is_told_so() -> None:
    client = Client(enforce_csrf_checks=True)
    for method, path in (("post", "/chat/completions"), ("get", "/models")):
        asked = getattr(client, method)(path, headers={"authorization": "Bearer sk-slip-x"})
        assert asked.status_code == 404
        assert asked.json()["error"]["code"] == "unknown_url"
        assert "ends in /v1" in asked.json()["error"]["message"]
    assert client.get("/models").status_code == 200
    assert client.post("/models").status_code == 405


def test_what_is_not_built_says_how_to_build_it(tmp_path: Path, settings: Any) -> None:
    settings.CONSOLE_DIR = tmp_path
    answer = Client().get("/")
    assert answer.status_code == 404
    assert "make console" in answer.content.decode()
