"""One real platform for all walks: started once, looked at for orphans when it ends."""

from __future__ import annotations

from collections.abc import Iterator

import live
import pytest

from slipway.cli.env import read_env


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[live.Live]:
    with live.platform(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(scope="session")
def admin(platform: live.Live) -> tuple[str, str]:
    """Name and password of the platform's first admin."""
    known = read_env(platform.home / "demo.env")
    return known["SLIPWAY_ADMIN_USER"], known["SLIPWAY_ADMIN_PASSWORD"]
