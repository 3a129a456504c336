"""Secrets at rest: each under a data key of its own, and that under the installation's.

AES-256-GCM both times. What is sealed is bound to its purpose (`external:<id>`): moved to another
row it does not open. The installation's keys are lines of 64 hex digits; the first one seals, all
of them open, so a new one is put on top and old rows stay readable.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

_VERSION, _NONCE_BYTES, _NAME_BYTES = b"\x01", 12, 4
_WRAPPED_BYTES = _NONCE_BYTES + 32 + 16


class CannotOpen(Exception):
    """It was sealed for another purpose, under a key that is not here, or was changed."""


def seal(secret: str, *, purpose: str) -> str:
    """The secret as text that may be stored. Raises ValueError if the key file is no good."""
    key = _keys()[0]
    data_key = AESGCM.generate_key(bit_length=256)
    wrapped = _encrypt(key, data_key, _name(key))
    inner = _encrypt(data_key, secret.encode(), purpose.encode())
    return base64.b64encode(_VERSION + _name(key) + wrapped + inner).decode()


def unseal(text: str, *, purpose: str) -> str:
    """The secret again; CannotOpen where it is not what `seal` made for this purpose."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise CannotOpen("it is not sealed text") from error
    name, rest = data[1 : 1 + _NAME_BYTES], data[1 + _NAME_BYTES :]
    key = next((key for key in _keys() if _name(key) == name), None)
    if data[:1] != _VERSION or key is None:
        raise CannotOpen(f"it was sealed under key {name.hex()}, which is not in {_path()}")
    try:
        data_key = _decrypt(key, rest[:_WRAPPED_BYTES], name)
        return _decrypt(data_key, rest[_WRAPPED_BYTES:], purpose.encode()).decode()
    except (InvalidTag, ValueError) as error:
        raise CannotOpen("it was changed, or sealed for something else") from error


def _encrypt(key: bytes, data: bytes, bound: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, data, bound)


def _decrypt(key: bytes, data: bytes, bound: bytes) -> bytes:
    return AESGCM(key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], bound)


def _name(key: bytes) -> bytes:
    return hashlib.sha256(b"slipway seal key\0" + key).digest()[:_NAME_BYTES]


def _path() -> Path:
    return Path(settings.SEAL_KEY)


def _keys() -> list[bytes]:
    path = _path()
    if not path.exists():
        _make(path)
    try:
        keys = [bytes.fromhex(line) for line in path.read_text().split()]
    except ValueError as error:
        raise ValueError(f"{path} must hold lines of 64 hex digits: {error}") from error
    if not keys or any(len(key) != 32 for key in keys):
        raise ValueError(f"{path} must hold lines of 64 hex digits, at least one")
    return keys


def _make(path: Path) -> None:
    """Made once, mode 600; of two processes at once one names the key."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    handle = os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_hex(32) + "\n")
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):
        os.link(fresh, path)
    fresh.unlink()
