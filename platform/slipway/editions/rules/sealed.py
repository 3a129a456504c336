"""Files of three lines that somebody vouches for: a format's name, JSON in base64, a signature.

There is exactly one way to write each, so any bit that differs makes it another. No Django.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any


class BadSeal(Exception):
    """Not such a file, or not one of the key's owner; the message says which."""


def sign(head: bytes, fields: dict[str, Any], private_key: bytes) -> bytes:
    """The file. `private_key` is raw Ed25519, 32 bytes."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    payload = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    said = head + b"\n" + base64.b64encode(payload.encode())
    signature = Ed25519PrivateKey.from_private_bytes(private_key).sign(said)
    return said + b"\n" + base64.b64encode(signature) + b"\n"


def read(head: bytes, file: bytes, public_key: bytes | None) -> dict[str, Any]:
    """What was signed; BadSeal for anything else. None trusts the key that the fields name."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    lines = file.split(b"\n")
    if len(lines) != 4 or lines[0] != head or lines[3] != b"":
        raise BadSeal(f"this is no such file; it has three lines and begins {head.decode()}")
    payload, signature = _plain(lines[1]), _plain(lines[2])
    try:
        if public_key is None:
            public_key = bytes.fromhex(json.loads(payload)["public_key"])
        key = Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(signature, lines[0] + b"\n" + lines[1])
    except (InvalidSignature, ValueError, KeyError, TypeError) as error:
        raise BadSeal(
            "its signature is another's: the file was changed, or made for another product"
        ) from error
    fields: dict[str, Any] = json.loads(payload)
    return fields


def _plain(line: bytes) -> bytes:
    try:
        plain = base64.b64decode(line, validate=True)
    except binascii.Error as error:
        raise BadSeal("a line of it is not base64; it was changed on its way") from error
    # Base64 has spare bits at its end; only one spelling of them is ours.
    if base64.b64encode(plain) != line:
        raise BadSeal("a line of it is spelled in another way than it was signed")
    return plain
