"""The embedded web process: brings the database up to date, makes the first owner, serves."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.cli.env import read_env, write_env

if TYPE_CHECKING:
    import uvicorn

STARTUP_FAILED = 3

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "slipway.settings")


def ensure_owner() -> None:
    """The first start makes an owner, a project and a key, and writes them to demo.env.

    The file (mode 600) is what a shell sources and what the command line reads its key from.
    It is written whole before anyone can see it, and never again while its key works. Where the
    wizard is asked for there is a code instead, until somebody has gone through it.
    """
    from django.conf import settings
    from django.utils import timezone

    from slipway.firstboot import services as firstboot
    from slipway.tenancy import services

    if settings.FIRST_BOOT == "wizard":
        firstboot.begin()
        return
    path: Path = settings.HOME / "demo.env"
    known = read_env(path)
    project = services.open_project(organisation="default", name="default")
    password = known.get("SLIPWAY_ADMIN_PASSWORD") or secrets.token_urlsafe(18)
    user = services.first_owner(user_name="admin", password=password, project_id=project.pk)
    secret = known.get("SLIPWAY_API_KEY", "")
    if not secret or services.check_key(secret=secret, now=timezone.now()) is None:
        maker = services.principal_of(user=user)
        secret = services.issue_key(maker=maker, name="first key", role="admin").secret
    write_env(
        path,
        {
            "SLIPWAY_URL": settings.PUBLIC_URL,
            "SLIPWAY_ADMIN_USER": "admin",
            "SLIPWAY_ADMIN_PASSWORD": password,
            "SLIPWAY_API_KEY": secret,
            "OPENAI_BASE_URL": f"{settings.PUBLIC_URL}/v1",
            "OPENAI_API_KEY": secret,
            "OPENAI_ADMIN_KEY": secret,
        },
    )


#: Browsers come back by TLS only, to whatever is answered here (RFC 6797).
TLS_ONLY = ("strict-transport-security", "max-age=31536000; includeSubDomains")


def main() -> int:
    import django

    django.setup()
    import uvicorn
    from django.conf import settings
    from django.core.management import call_command

    settings.RUN_DIR.mkdir(parents=True, exist_ok=True)
    call_command("migrate", interactive=False, verbosity=0)
    ensure_owner()
    config = server_config()
    # Loaded before the word of readiness, so that who waits for it does not take our core away.
    config.load()
    (settings.RUN_DIR / "web-ready").touch()
    server = uvicorn.Server(config)
    server.run()
    return 0 if server.started else STARTUP_FAILED


def server_config() -> uvicorn.Config:
    """How the web process answers on this machine; the chart's command says the same."""
    import uvicorn
    from django.conf import settings

    return uvicorn.Config(
        "slipway.asgi:application",
        host="127.0.0.1",
        port=settings.PORT,
        loop="uvloop",
        http="slipway.asgi:Protocol",
        interface="asgi3",
        ws="none",
        lifespan="on",
        proxy_headers=False,
        headers=[TLS_ONLY] if settings.PUBLIC_URL.startswith("https://") else [],
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=8,
        timeout_keep_alive=75,
    )


if __name__ == "__main__":
    sys.exit(main())
