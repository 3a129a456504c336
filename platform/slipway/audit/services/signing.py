"""Sign the end of the chain, so that a chain cut short or made anew is found out."""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from django.conf import settings

from slipway.audit.models import Digest, Head
from slipway.audit.rules import chain

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def _private_key() -> Ed25519PrivateKey:
    """Made once and kept beside the data (mode 600), or where SLIPWAY_AUDIT_KEY says."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    path = settings.AUDIT_KEY
    if not path.exists():
        fresh = path.with_suffix(f".{os.getpid()}")
        handle = os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(Ed25519PrivateKey.generate().private_bytes_raw().hex().encode())
        # Of two processes that start at once one names the key.
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text().strip()))


def public_key() -> bytes:
    """Raw Ed25519 public key, 32 bytes: keep a copy of it elsewhere."""
    return _private_key().public_key().public_bytes_raw()


def sign(text: bytes) -> bytes:
    """The installation's own signature (Ed25519) over `text`, whose beginning says what it is."""
    return _private_key().sign(text)


def seal(*, now: datetime) -> Digest | None:
    """Sign the end of the chain as it is now; None if nothing was added since the last digest."""
    head = Head.objects.filter(pk=1).first()
    if head is None or head.number == 0 or Digest.objects.filter(number=head.number).exists():
        return None
    at = now.astimezone(UTC)
    text = chain.digest_text(head.number, head.hash, at.isoformat())
    made, _ = Digest.objects.get_or_create(
        number=head.number,
        defaults={"hash": head.hash, "at": at, "signature": _private_key().sign(text).hex()},
    )
    return made
