"""What others may ask of quotas: which limits bite, requests for more, and what became of them."""

from slipway.quotas.services.answering import grant, lapse, refuse
from slipway.quotas.services.asking import (
    ask,
    may_answer,
    request_of,
    requests_of,
    turns_since,
    withdraw,
)
from slipway.quotas.services.biting import HOUSE, Bound, bounds
from slipway.quotas.services.concerned import concerned

__all__ = [
    "HOUSE",
    "Bound",
    "ask",
    "bounds",
    "concerned",
    "grant",
    "lapse",
    "may_answer",
    "refuse",
    "request_of",
    "requests_of",
    "turns_since",
    "withdraw",
]
