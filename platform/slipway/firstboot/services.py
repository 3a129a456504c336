"""Whether the wizard is open, the code it asks for, and what it sets up, once."""

from __future__ import annotations

import hmac
import os
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import transaction

from slipway.core import together
from slipway.core.errors import Detail, NotFound, Refused
from slipway.editions import services as editions
from slipway.tenancy.services import founding, people, projects, signin, whole

#: Four groups of five letters and digits that nobody mistakes for others: 100 bits.
_ALPHABET, _GROUPS, _GROUP = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ", 4, 5
#: Wrong codes are slowed as wrong passwords are, under a name that nobody can have.
_NAME = "first boot"


class WrongCode(Refused):
    """Not the code that stands on the machine."""

    status = 403
    code = "wrong_setup_code"


@dataclass(frozen=True, kw_only=True)
class Offer:
    """Whether the wizard is open, and whether this edition wants a licence."""

    open: bool
    needs_licence: bool


def offer() -> Offer:
    """Open where the wizard is asked for and nobody administers the platform yet."""
    open_now = settings.FIRST_BOOT == "wizard" and not people.somebody_administers()
    return Offer(open=open_now, needs_licence=editions.needs_licence())


def code_file() -> Path:
    return Path(settings.HOME) / "setup-code"


def begin() -> None:
    """Write the code (mode 600) where the wizard is open; the same over restarts."""
    if not offer().open:
        code_file().unlink(missing_ok=True)
        return
    if code_file().exists():
        return
    code = "-".join(
        "".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS)
    )
    fresh = code_file().with_suffix(f".{os.getpid()}")
    handle = os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(f"{code}\n")
    fresh.rename(code_file())


def set_up(
    *, code: str, user_name: str, password: str, licence: str, address: str, now: datetime
) -> str:
    """Make the first administrator, and take a licence into use if one is given; their name.

    All or nothing. NotFound once somebody administers the platform, WrongCode (slower and slower)
    for another code, Invalid for a name, password or licence that will not do.
    """
    _check_open()
    signin.check_pace(user_name=_NAME, address=address, now=now)
    if not _is_right(code):
        signin.note_failure(user_name=_NAME, address=address, now=now)
        raise WrongCode(
            "This is not the code that stands on the machine: `slipway up` shows it, and the file "
            "setup-code in the platform's home holds it.",
            Detail(field="setup_code", rule="the code that stands on the machine"),
        )
    together.begin()
    with transaction.atomic():
        project = projects.open_project(organisation="default", name="default")
        # Of two at once the second waits here, and then finds the first one's administrator.
        whole.lock_organisation(organisation_id=project.organisation_id)
        _check_open()
        founding.new_person(user_name=user_name, password=password, email="")
        people.first_owner(user_name=user_name, password=password, project_id=project.pk)
        if licence:
            editions.install(file=licence, now=now)
        transaction.on_commit(lambda: code_file().unlink(missing_ok=True))
    return user_name


def _check_open() -> None:
    if not offer().open:
        raise NotFound("This installation is set up already; sign in.")


def _is_right(code: str) -> bool:
    try:
        wanted = code_file().read_text()
    except FileNotFoundError:
        return False
    return hmac.compare_digest(_plain(code).encode(), _plain(wanted).encode())


def _plain(code: str) -> str:
    """As it is meant, however it was typed: in capitals, without spaces and dashes."""
    return "".join(letter for letter in code.upper() if letter.isalnum())
