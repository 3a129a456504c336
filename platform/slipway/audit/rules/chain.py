"""How entries hang together: canonical bodies, hashes, and the offline check. No Django."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

START = "0" * 64


def canonical(body: dict[str, Any]) -> str:
    """The one text of a body: keys sorted, no spaces, UTF-8."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def link(before: str, body: str) -> str:
    """Hash of an entry: SHA-256 over the hash before it and its body, lower-case hex."""
    return hashlib.sha256(before.encode() + b"\n" + body.encode()).hexdigest()


def digest_text(number: int, hash_: str, at: str) -> bytes:
    """What a digest's signature covers."""
    return f"slipway-audit {number} {hash_} {at}".encode()


@dataclass(frozen=True, kw_only=True)
class Line:
    """An entry as it is exported."""

    number: int
    body: str
    hash: str


@dataclass(frozen=True, kw_only=True)
class Seal:
    """A digest as it is exported; `signature` in hex."""

    number: int
    hash: str
    at: str
    signature: str


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Where the chain is broken and how."""

    number: int
    rule: str


def verify(
    lines: Iterable[Line], seals: Iterable[Seal], public_key: bytes | None
) -> Iterator[Fault]:
    """Every fault of a chain from its first entry on; none if it is whole.

    Without `public_key` (raw Ed25519, 32 bytes) signatures are not checked, and only faults
    inside the chain are found, not a chain that was made anew as a whole.
    """
    by_number: dict[int, list[Seal]] = {}
    for seal in seals:
        if not _signed(seal, public_key):
            yield Fault(number=seal.number, rule="the digest is not signed by this key")
        by_number.setdefault(seal.number, []).append(seal)
    before, expected = START, 1
    for line in lines:
        if line.number != expected:
            yield Fault(
                number=line.number, rule=f"entry {expected} should come here: deleted or moved"
            )
        if line.hash != link(before, line.body):
            yield Fault(number=line.number, rule="its hash does not follow from what is before it")
        if json.loads(line.body).get("number") != line.number:
            yield Fault(number=line.number, rule="its body belongs to another number")
        for seal in by_number.pop(line.number, []):
            if seal.hash != line.hash:
                yield Fault(number=line.number, rule="a signed digest names another hash")
        before, expected = line.hash, line.number + 1
    for number in sorted(by_number):
        yield Fault(number=number, rule="a signed digest covers this entry, which is not there")


def _signed(seal: Seal, public_key: bytes | None) -> bool:
    if public_key is None:
        return True
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(
            bytes.fromhex(seal.signature), digest_text(seal.number, seal.hash, seal.at)
        )
    except (InvalidSignature, ValueError):
        return False
    return True
