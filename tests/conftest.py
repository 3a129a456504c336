"""What every test may use: a project, REST clients, and the world outside in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _nudges_stay_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unit tests step the reconcile loop by hand; no broker is needed for that."""
    from slipway.core import nudge

    monkeypatch.setattr(nudge, "_send", lambda label: None)


def _principal(organisation: str) -> Any:
    from slipway.tenancy import services

    project = services.open_project(organisation=organisation, name="default")
    user = services.ensure_member(
        user_name=f"owner-of-{organisation}",
        password="correct horse",
        project_id=project.pk,
        role="owner",
    )
    return services.principal_of(user=user)


@pytest.fixture
def owner(db: None) -> Any:
    """The owner of the project that the test works in."""
    return _principal("acme")


@pytest.fixture
def stranger(db: None) -> Any:
    """The owner of another organisation's project."""
    return _principal("rival")


@pytest.fixture
def api_for() -> Callable[[Any], Any]:
    """Makes a REST client that signs its requests with a key of the given principal."""
    from rest_framework.test import APIClient

    from slipway.tenancy import services

    def make(principal: Any, role: str = "owner") -> Any:
        issued = services.issue_key(maker=principal, name="test", role=role)
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {issued.secret}")
        client.secret = issued.secret
        return client

    return make


@pytest.fixture
def api(owner: Any, api_for: Callable[[Any], Any]) -> Any:
    """A REST client of the owner."""
    return api_for(owner)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The world outside, in memory, for tests that must force what it does."""
    from fakes import FakeCompute, FakeTracking

    from slipway import backends

    world = SimpleNamespace(compute=FakeCompute(), tracking=FakeTracking())
    for port in ("compute", "tracking"):
        fake = getattr(world, port)
        monkeypatch.setattr(backends, port, lambda fake=fake: fake)
    return world


@pytest.fixture(scope="session")
def door() -> Iterator[Any]:
    """A running OpenAI door: web process, worker, and a scripted engine that serves `m`."""
    from door_world import running_door

    # There is a mail server, as far as anybody knows who does not send.
    with running_door(SLIPWAY_SMTP_URL="smtp://127.0.0.1:1") as made:
        yield made


@pytest.fixture
def post_office(settings: Any) -> Iterator[Any]:
    """A real mail server that the platform is set to send through; `got` is what it took."""
    import letters

    with letters.post_office() as made:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST = "127.0.0.1"
        settings.EMAIL_PORT = made.port
        settings.EMAIL_USE_TLS = False
        yield made


@pytest.fixture
def store(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What `backends.objects()` gives: a folder, or with the parameter `s3` a real server."""
    import servers

    from slipway import backends
    from slipway.backends.objects.folder import Folder
    from slipway.backends.objects.s3 import S3

    on_s3 = getattr(request, "param", "folder") == "s3"
    made = S3(servers.minio().fresh()) if on_s3 else Folder(f"file://{tmp_path}/store")
    monkeypatch.setattr(backends, "objects", lambda: made)
    return made


@pytest.fixture
def run_out(settings: Any, db: None) -> Callable[[], None]:
    """Makes this a private installation whose time is over, so that nothing may be changed."""
    from datetime import timedelta

    from django.utils import timezone

    from slipway.editions import services
    from slipway.editions.models import Clock

    def make() -> None:
        now = timezone.now()
        settings.EDITION = "private"
        begun = {"first_at": now - timedelta(days=400), "latest_at": now}
        Clock.objects.update_or_create(pk=1, defaults=begun)
        assert services.standing(now=now).state == services.READ_ONLY

    return make
