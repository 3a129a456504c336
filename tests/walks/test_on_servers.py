"""The same story on PostgreSQL, Redis and an S3 server: only environment variables differ."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import live
import openai
import pytest
import servers

from slipway_demo.story import QUESTION


@pytest.fixture(scope="module")
def database() -> Iterator[servers.Server]:
    """A PostgreSQL of this module's own: it is going to be killed."""
    server = servers.postgres.__wrapped__()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def broker() -> Iterator[servers.Server]:
    server = servers.redis.__wrapped__()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def on_servers(
    tmp_path_factory: pytest.TempPathFactory, database: servers.Server, broker: servers.Server
) -> Iterator[live.Live]:
    home: Path = tmp_path_factory.mktemp("servers-home")
    with live.platform(
        home,
        SLIPWAY_DATABASE_URL=database.fresh(),
        SLIPWAY_BROKER_URL=broker.fresh(),
        SLIPWAY_OBJECTS_URL=servers.minio().fresh(),
    ) as running:
        yield running


def test_the_story_is_told_on_postgresql_redis_and_s3(on_servers: live.Live) -> None:
    told = on_servers.slipway("demo", timeout=600)
    assert told.returncode == 0, told.stdout[-4000:] + told.stderr[-2000:]
    door = openai.OpenAI(base_url=f"{on_servers.url}/v1", api_key=on_servers.key)
    said = door.chat.completions.create(
        model="chart-base-line", messages=[{"role": "user", "content": QUESTION}], max_tokens=64
    )
    assert json.loads(said.choices[0].message.content or "")["chart"] == "line"
    assert not (on_servers.home / "slipway.sqlite3").exists()
    assert not (on_servers.home / "objects").exists()
    assert list((on_servers.home / "run" / "broker").glob("*.msg")) == []


def test_the_platform_outlives_its_database_and_broker(
    on_servers: live.Live, database: servers.Server, broker: servers.Server
) -> None:
    """What is served goes on from the snapshot; what needs the database says so and heals."""
    door = openai.OpenAI(base_url=f"{on_servers.url}/v1", api_key=on_servers.key, max_retries=0)

    def ask() -> str | None:
        said = door.chat.completions.create(
            model="chart-base", messages=[{"role": "user", "content": QUESTION}], max_tokens=16
        )
        return said.choices[0].message.content

    assert ask()
    broker.kill()
    made = on_servers.call("POST", "datasets", json={"name": "without-a-broker"})
    assert made.status_code == 201, made.text
    database.kill()
    assert ask(), "an answer needs no database"
    refused = on_servers.call("GET", "datasets")
    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    assert "database" in refused.json()["error"]["message"]
