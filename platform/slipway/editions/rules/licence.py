"""The licence file: made by the vendor, checked offline. No Django.

Its three lines are those of `sealed.py`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from slipway.editions.rules import sealed

_HEAD = b"slipway-licence-1"


class BadLicence(Exception):
    """Not a licence, or not one of this vendor; the message says which."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What was agreed. Times are UTC; 0 of a number means without limit."""

    id: str
    customer: str
    edition: str
    form: str
    seats: int
    gpus: int
    nodes: int
    #: Names of features beyond the ordinary.
    features: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime
    #: Name of a part of the machine to its hash; empty if any machine will do.
    hardware: dict[str, str]

    def fits(self, parts: dict[str, str]) -> bool:
        """Whether this machine is the one meant: at most one of its parts may have changed."""
        same = sum(parts.get(name) == value for name, value in self.hardware.items())
        return (
            same >= len(self.hardware) - 1 if len(self.hardware) > 1 else same == len(self.hardware)
        )


def sign(terms: Terms, private_key: bytes) -> bytes:
    """The licence file. `private_key` is raw Ed25519, 32 bytes."""
    fields = dataclasses.asdict(terms)
    for name in ("starts_at", "ends_at"):
        fields[name] = fields[name].astimezone(UTC).isoformat()
    return sealed.sign(_HEAD, fields, private_key)


def read(file: bytes, public_key: bytes) -> Terms:
    """The terms of a licence that this vendor signed; BadLicence for anything else."""
    try:
        return _terms(sealed.read(_HEAD, file, public_key))
    except sealed.BadSeal as error:
        raise BadLicence(str(error)) from error


def _terms(fields: dict[str, Any]) -> Terms:
    return Terms(
        **(
            fields
            | {
                "features": tuple(fields["features"]),
                "starts_at": datetime.fromisoformat(fields["starts_at"]),
                "ends_at": datetime.fromisoformat(fields["ends_at"]),
            }
        )
    )
