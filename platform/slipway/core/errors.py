"""Refusals: what a user may not do, said so that the user knows what to do instead.

A domain names its own (`class DatasetInUse(Conflict)`) where it raises them; the REST door, the
OpenAI door and the CLI each translate them once.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True)
class Detail:
    """One fault: where it is, the rule it breaks, the value found, and a way to mend it."""

    field: str
    rule: str
    value: Any = None
    fix: str = ""

    def as_dict(self) -> dict[str, Any]:
        shown = self.value if isinstance(self.value, int | float | bool | None) else str(self.value)
        return dataclasses.asdict(self) | {
            "value": shown[:200] if isinstance(shown, str) else shown
        }


class Refused(Exception):
    """Base of everything the platform refuses; `message` is for the user's eyes."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "invalid_request"

    def __init__(self, message: str, *details: Detail) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class Invalid(Refused):
    """The request breaks a rule; details name each field."""

    status = 422
    code = "invalid"


class NotFound(Refused):
    """Not there, or not yours: the two look alike on purpose."""

    status = 404
    code = "not_found"


class Conflict(Refused):
    """The request is fine, but not in the state things are in now."""

    status = 409
    code = "conflict"


class ChangedMeanwhile(Refused):
    """Somebody else changed it after it was read; what they did is not to be lost."""

    status = 412
    code = "changed_meanwhile"


class NotSignedIn(Refused):
    """No credential, or a wrong one."""

    status = 401
    code = "not_signed_in"


class Forbidden(Refused):
    status = 403
    code = "forbidden"


class TooLarge(Refused):
    status = 413
    code = "too_large"


class Unavailable(Refused):
    """Something underneath does not answer; worth trying again."""

    status = 503
    code = "unavailable"
