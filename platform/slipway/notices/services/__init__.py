"""What others may ask of notices: who is told, what has happened since, and sending it."""

from slipway.notices.services.sending import WAITS, mail, send
from slipway.notices.services.targets import (
    create,
    deliveries_of,
    remove,
    target,
    targets_of,
    try_out,
)
from slipway.notices.services.telling import look

__all__ = [
    "WAITS",
    "create",
    "deliveries_of",
    "look",
    "mail",
    "remove",
    "send",
    "target",
    "targets_of",
    "try_out",
]
