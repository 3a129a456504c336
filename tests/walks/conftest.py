"""One real platform for all walks: started once, looked at for orphans when it ends."""

from __future__ import annotations

from collections.abc import Iterator

import live
import pytest


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[live.Live]:
    with live.platform(tmp_path_factory.mktemp("home")) as running:
        yield running
