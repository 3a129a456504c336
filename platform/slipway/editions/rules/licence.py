"""The licence file: made by the vendor, checked offline. No Django.

Three lines: a name of the format, the terms as JSON in base64, and an Ed25519 signature over the
first two. There is exactly one way to write a licence, so any bit that differs makes it another.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

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
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    fields = dataclasses.asdict(terms)
    for name in ("starts_at", "ends_at"):
        fields[name] = fields[name].astimezone(UTC).isoformat()
    payload = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    said = _HEAD + b"\n" + base64.b64encode(payload.encode())
    signature = Ed25519PrivateKey.from_private_bytes(private_key).sign(said)
    return said + b"\n" + base64.b64encode(signature) + b"\n"


def read(file: bytes, public_key: bytes) -> Terms:
    """The terms of a licence that this vendor signed; BadLicence for anything else."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    lines = file.split(b"\n")
    if len(lines) != 4 or lines[0] != _HEAD or lines[3] != b"":
        raise BadLicence("this is no licence file; it has three lines and begins slipway-licence-1")
    payload, signature = _plain(lines[1]), _plain(lines[2])
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(signature, lines[0] + b"\n" + lines[1])
    except (InvalidSignature, ValueError) as error:
        raise BadLicence(
            "its signature is not the vendor's: the file was changed, or made for another product"
        ) from error
    return _terms(json.loads(payload))


def _plain(line: bytes) -> bytes:
    try:
        plain = base64.b64decode(line, validate=True)
    except binascii.Error as error:
        raise BadLicence("a line of it is not base64; it was changed on its way") from error
    # Base64 has spare bits at its end; only one spelling of them is ours.
    if base64.b64encode(plain) != line:
        raise BadLicence("a line of it is spelled in another way than it was signed")
    return plain


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
