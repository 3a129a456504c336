"""So many letters an hour: of one mailbox, and asked for from one network."""

from __future__ import annotations

from datetime import datetime
from ipaddress import ip_network
from typing import Any, ClassVar

from django.db import IntegrityError, transaction

from slipway.core import lifecycle, nudge
from slipway.core.errors import Refused
from slipway.core.models import Tracked
from slipway.tenancy.services import keys

#: So many in an hour (by the clock, UTC).
PER_MAILBOX, PER_NETWORK = 3, 20


class TooMany(Refused):
    """A mailbox or a network has asked too often in this hour."""

    status = 429
    code: ClassVar[str] = "too_many_letters"


def ask(model: type[Tracked], *, email: str, address: str, now: datetime, **row: Any) -> None:
    """Note that a letter to `email` is wanted; TooMany beyond what may be asked in an hour.

    `address` is where the asking came from. Whether anybody has this mailbox makes no difference.
    """
    # Of two at once one takes the turn, and the other the next one.
    for _ in range(PER_NETWORK):
        turns = {
            "mailbox_turn": _turn(model, "mailbox", mailbox_of(email), PER_MAILBOX, now),
            "network_turn": _turn(model, "network", network_of(address), PER_NETWORK, now),
        }
        try:
            with transaction.atomic():
                made = model._default_manager.create(
                    email=email, look_at=now, created_at=now, **turns, **row
                )
                lifecycle.born(made, now=now)
        except IntegrityError:
            continue
        nudge.soon(model)
        return
    raise _too_many("network", now)


def mailbox_of(email: str) -> str:
    """Where the mail of an address ends up: what follows `+` only sorts it there."""
    name, _, domain = email.lower().rpartition("@")
    return f"{name.partition('+')[0] or name}@{domain}"


def network_of(address: str) -> str:
    """What one subscriber of a provider commonly has: a /24, of IPv6 a /56."""
    try:
        return str(ip_network(f"{address}/{56 if ':' in address else 24}", strict=False))
    except ValueError:
        return ""


def _turn(model: type[Tracked], what: str, of: str, most: int, now: datetime) -> str:
    """The next free turn of this hour; TooMany if there is none."""
    base = f"{keys.digest_of(f'{what}:{of}')}:{int(now.timestamp()) // 3600}:"
    taken = model._default_manager.filter(**{f"{what}_turn__startswith": base}).count()
    if taken >= most:
        raise _too_many(what, now)
    return f"{base}{taken + 1}"


def _too_many(what: str, now: datetime) -> TooMany:
    wait = 60 - int(now.timestamp()) % 3600 // 60
    return TooMany(
        f"This {what} has asked for too many letters in this hour; try again in {wait} minutes."
    )
