"""Where bytes are kept. A key is a relative path in `/`; an object appears whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol


class Missing(Exception):
    """There is no object under this key."""


class BadKey(ValueError):
    """A key that could name something outside the store, or that a store cannot hold."""


class BadUpload(Exception):
    """The upload is unknown, or its parts are not those asked to be joined."""


class StorageFull(Exception):
    """The store has no room; nothing was left behind. Free space and try again."""


@dataclass(frozen=True, kw_only=True)
class Stat:
    key: str
    size_bytes: int
    modified_at: datetime


@dataclass(frozen=True, kw_only=True)
class Part:
    """One uploaded part of a multipart upload; `number` counts from 1."""

    number: int
    size_bytes: int
    etag: str
    received_at: datetime


#: Seconds a signed address is good for unless asked otherwise.
SIGNED_SECONDS = 3600
MAX_PARTS = 10_000


def safe_key(key: str) -> str:
    """The key itself, or BadKey: relative, `/` between plain names, at most 1,024 bytes."""
    encoded = key.encode("utf-8", "surrogateescape")
    names = key.split("/")
    if not key or len(encoded) > 1024:
        raise BadKey(f"a key has 1 to 1024 bytes, not {len(encoded)}")
    if any(
        not name or name in {".", ".."} or len(name.encode("utf-8", "surrogateescape")) > 255
        for name in names
    ):
        raise BadKey(f"a key has plain names between single slashes, unlike {key[:80]!r}")
    if names[0].startswith(".") or not key.isprintable() or "\\" in key:
        raise BadKey(f"a key begins with no dot and has printable characters, unlike {key[:80]!r}")
    return key


class Objects(Protocol):
    def uri(self, key: str) -> str:
        """The address the runtime reads and writes: `file:///…/key` or `s3://bucket/key`."""

    def key(self, uri: str) -> str:
        """The inverse of `uri`; ValueError for an address that is not in this store."""

    def put(self, key: str, data: bytes | BinaryIO) -> None:
        """Store bytes or a stream, replacing what was there. Raises StorageFull."""

    def create(self, key: str) -> AbstractContextManager[BinaryIO]:
        """A stream to write into; the object appears when the block ends, if it ends well."""

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """A stream over the bytes from `start`; Missing if there is no such object."""

    def read(self, key: str) -> bytes:
        """All bytes of a small object; Missing if there is none."""

    def stat(self, key: str) -> Stat:
        """Size and time; Missing if there is none."""

    def list(self, prefix: str, *, after: str = "") -> Iterator[Stat]:
        """Objects whose key starts with `prefix`, ordered by key, those after key `after`."""

    def delete(self, key: str) -> None:
        """Remove one object; no error if it is gone."""

    def delete_prefix(self, prefix: str) -> None:
        """Remove every object whose key starts with `prefix`."""

    def copy(self, source: str, target: str) -> None:
        """Copy within the store without moving bytes through this process where it can."""

    def sign_get(self, key: str, *, seconds: int, filename: str = "") -> str:
        """An address anyone may GET (also with Range) for so long."""

    def start_upload(self, key: str) -> str:
        """Begin a multipart upload; returns its id."""

    def sign_part(self, key: str, upload_id: str, number: int, *, seconds: int) -> str:
        """An address anyone may PUT part `number` (1…10000) to for so long."""

    def parts(self, key: str, upload_id: str) -> Sequence[Part]:
        """Parts received so far, by number, so that an upload can be resumed."""

    def finish_upload(self, key: str, upload_id: str, numbers: Sequence[int]) -> None:
        """Join the parts in this order; only now does the object appear."""

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Forget the upload and its parts; no error if it is gone."""

    def tidy(self, *, before: datetime) -> None:
        """Remove what writers and uploads that broke off before then have left behind."""
