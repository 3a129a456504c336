"""One real platform for all walks of a worker: started once, looked at for orphans at its end."""

from __future__ import annotations

from collections.abc import Iterator

import live
import pytest

from slipway.cli.env import read_env

#: Files that take minutes begin first, so that two workers end at about the same time.
_LONG = ("test_console_work", "test_kills", "test_main_job", "test_clients", "test_manners")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.stem not in _LONG)


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[live.Live]:
    with live.platform(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(scope="session")
def admin(platform: live.Live) -> tuple[str, str]:
    """Name and password of the platform's first admin."""
    known = read_env(platform.home / "demo.env")
    return known["SLIPWAY_ADMIN_USER"], known["SLIPWAY_ADMIN_PASSWORD"]
