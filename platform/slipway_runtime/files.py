"""The bytes behind URIs: the only place in the runtime that reads or writes stored objects.

`file:///abs/path` is a path in a folder store, taken literally (no percent-decoding);
`s3://bucket/key` is an object at the endpoint that SLIPWAY_OBJECTS_URL names. An object appears
whole or not at all. A stored directory counts only once its `manifest.json` is there, which is
written last and holds size and SHA-256 of every file.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from slipway_runtime import places

MANIFEST = "manifest.json"
CHUNK_BYTES = 1 << 20


class Missing(Exception):
    """There is nothing stored under this URI."""


class Damaged(Exception):
    """What is stored does not match its manifest."""


class StorageFull(Exception):
    """No room where the bytes should go; nothing half-written is visible."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One object below a prefix; `tag` changes whenever its content does."""

    name: str
    size_bytes: int
    tag: str


class Store(Protocol):
    """What a kind of URI must be able to do; `key` is what follows the scheme."""

    def open(self, key: str) -> BinaryIO: ...
    def write(self, key: str, source: BinaryIO, size_bytes: int) -> str: ...
    def entries(self, key: str) -> list[Entry]: ...
    def delete(self, key: str) -> None: ...


def read(uri: str) -> bytes:
    """All bytes of one object; Missing if there is none."""
    store, key = _at(uri)
    with store.open(key) as stream:
        return stream.read()


def put(uri: str, data: bytes) -> None:
    """Store bytes, replacing what was there; raises StorageFull."""
    import io

    store, key = _at(uri)
    store.write(key, io.BytesIO(data), len(data))


def exists(uri: str) -> bool:
    """Whether an object, or a stored directory with its manifest, is there."""
    for candidate in (uri, join(uri, MANIFEST)):
        store, key = _at(candidate)
        with suppress(Missing), store.open(key):
            return True
    return False


def names(uri: str) -> list[str]:
    """Names of all objects below the directory `uri`, relative to it, sorted."""
    store, key = _at(uri)
    return [entry.name for entry in store.entries(key)]


def delete_dir(uri: str) -> None:
    """Forget a stored directory: its manifest first, so that no half of it counts."""
    store, key = _at(uri)
    for name in sorted(names(uri), key=lambda name: name != MANIFEST):
        store.delete(f"{key.rstrip('/')}/{name}")


def store_dir(directory: Path, uri: str) -> dict[str, str]:
    """Store every file below `directory`, manifest last; returns name → SHA-256 (hex).

    What was under `uri` before stops counting at once. Raises StorageFull, and then nothing
    is left under `uri`.
    """
    delete_dir(uri)
    store, key = _at(uri)
    hashes: dict[str, str] = {}
    sizes: dict[str, int] = {}
    try:
        for path in sorted(p for p in directory.rglob("*") if p.is_file()):
            name = path.relative_to(directory).as_posix()
            if name == MANIFEST:
                continue
            sizes[name] = path.stat().st_size
            with path.open("rb") as source:
                hashes[name] = store.write(f"{key}/{name}", source, sizes[name])
        manifest = {n: {"size_bytes": sizes[n], "sha256": hashes[n]} for n in hashes}
        put(join(uri, MANIFEST), json.dumps({"files": manifest}, sort_keys=True).encode())
    except StorageFull:
        delete_dir(uri)
        raise
    return hashes


def local_file(uri: str) -> Path:
    """A path on this machine with the object's bytes, for reading only."""
    store, key = _at(uri)
    if isinstance(store, Folder):
        if not Path(key).is_file():
            raise Missing(f"{uri}: no such file")
        return Path(key)
    name = PurePosixPath(key).name
    parent = store.entries(str(PurePosixPath(key).parent))
    entry = next((e for e in parent if e.name == name), None)
    if entry is None:
        raise Missing(f"{uri}: no such object in the store")
    return _cached(uri, [entry], base=str(PurePosixPath(key).parent), store=store) / name


def local_dir(uri: str, *, verify: bool = False) -> Path:
    """A directory on this machine with the files below `uri`, for reading only.

    `verify` compares every file with the manifest and raises Damaged, also when there is no
    manifest. A downloaded directory that has a manifest is verified in any case.
    """
    store, key = _at(uri)
    if isinstance(store, Folder):
        directory = Path(key)
        if not directory.is_dir():
            raise Missing(f"{uri}: no such directory")
    else:
        entries = store.entries(key)
        if not entries:
            raise Missing(f"{uri}: nothing is stored below it")
        directory = _cached(uri, entries, base=key, store=store)
    if verify:
        check(directory, uri)
    return directory


def local_path(uri: str) -> Path:
    """`local_file` or `local_dir`, whichever `uri` is."""
    try:
        return local_file(uri)
    except Missing:
        return local_dir(uri)


def check(directory: Path, uri: str) -> None:
    """Compare files with their manifest; Damaged names the first that differs."""
    try:
        expected = json.loads((directory / MANIFEST).read_bytes())["files"]
    except (OSError, ValueError, KeyError) as error:
        raise Damaged(f"{uri}: no readable {MANIFEST} ({error})") from error
    for name, facts in expected.items():
        path = directory / name
        if not path.is_file():
            raise Damaged(f"{uri}: {name} is missing")
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest != facts["sha256"]:
            raise Damaged(f"{uri}: {name} has SHA-256 {digest}, expected {facts['sha256']}")


def join(uri: str, name: str) -> str:
    return f"{uri.rstrip('/')}/{name}"


@contextmanager
def room(where: str) -> Iterator[None]:
    """Turn the operating system's "no space left" into StorageFull, naming the place."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFull(f"no space left to write {where}; free some and try again") from error
        raise


class Folder:
    """`file://`: the key is the absolute path itself."""

    def open(self, key: str) -> BinaryIO:
        try:
            return Path(key).open("rb")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise Missing(f"file://{key}: no such file") from error

    def write(self, key: str, source: BinaryIO, size_bytes: int) -> str:
        target = Path(key)
        part = _waiting_place(target)
        try:
            with room(key):
                target.parent.mkdir(parents=True, exist_ok=True)
                part.parent.mkdir(parents=True, exist_ok=True)
                digest = _copy(source, part)
                part.replace(target)
                _sync_dir(target.parent)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return digest

    def entries(self, key: str) -> list[Entry]:
        root = Path(key)
        found = []
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root)
            if path.is_file() and not any(part.startswith(".") for part in name.parts):
                facts = path.stat()
                tag = f"{facts.st_mtime_ns}-{facts.st_ino}"
                found.append(Entry(name=name.as_posix(), size_bytes=facts.st_size, tag=tag))
        return found

    def delete(self, key: str) -> None:
        Path(key).unlink(missing_ok=True)


class S3:
    """`s3://bucket/key`, at the endpoint and with the credentials of SLIPWAY_OBJECTS_URL."""

    def __init__(self, url: str) -> None:
        from urllib.parse import parse_qs, unquote, urlsplit

        from minio import Minio

        parts = urlsplit(url)
        query = parse_qs(parts.query)
        if parts.scheme != "s3" or not parts.hostname:
            raise ValueError(
                "SLIPWAY_OBJECTS_URL must be s3://key:secret@host:port/bucket to read s3:// URIs"
            )
        self._client = Minio(
            f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname,
            access_key=unquote(parts.username or ""),
            secret_key=unquote(parts.password or ""),
            secure=query.get("secure", ["1"])[0] != "0",
            region=query.get("region", [None])[0],
        )

    def open(self, key: str) -> BinaryIO:
        from minio.error import S3Error

        bucket, name = _bucket(key)
        try:
            return self._client.get_object(bucket, name)  # type: ignore[return-value]
        except S3Error as error:
            if error.code in {"NoSuchKey", "NoSuchBucket"}:
                raise Missing(f"s3://{key}: no such object") from error
            raise

    def write(self, key: str, source: BinaryIO, size_bytes: int) -> str:
        from minio.error import S3Error

        bucket, name = _bucket(key)
        hashing = _Hashing(source)
        try:
            self._client.put_object(bucket, name, hashing, size_bytes)  # type: ignore[arg-type]
        except S3Error as error:
            if error.code in {"XMinioStorageFull", "QuotaExceeded", "EntityTooLarge"}:
                raise StorageFull(f"the object store has no room for s3://{key}") from error
            raise
        return hashing.digest.hexdigest()

    def entries(self, key: str) -> list[Entry]:
        bucket, name = _bucket(key)
        prefix = f"{name.rstrip('/')}/" if name else ""
        found = [
            Entry(
                name=item.object_name.removeprefix(prefix),
                size_bytes=item.size or 0,
                tag=item.etag or "",
            )
            for item in self._client.list_objects(bucket, prefix, recursive=True)
            if item.object_name and not item.object_name.endswith("/")
        ]
        return sorted(found, key=lambda entry: entry.name)

    def delete(self, key: str) -> None:
        self._client.remove_object(*_bucket(key))


class _Hashing:
    """A stream that hashes what passes; the S3 client reads it once, from start to end."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self.digest.update(data)
        return data


_s3: dict[str, S3] = {}


def _at(uri: str) -> tuple[Store, str]:
    scheme, found, rest = uri.partition("://")
    if found and scheme == "file" and rest.startswith("/"):
        return Folder(), rest.rstrip("/")
    if found and scheme == "s3" and rest:
        url = os.environ.get("SLIPWAY_OBJECTS_URL", "")
        if url not in _s3:
            _s3[url] = S3(url)
        return _s3[url], rest.rstrip("/")
    raise ValueError(f"{uri!r} is not an address of stored bytes; use file:///path or s3://…")


def _bucket(key: str) -> tuple[str, str]:
    bucket, _, name = key.partition("/")
    return bucket, name


def _waiting_place(target: Path) -> Path:
    """Where a file is written before it appears: on the same file system, in no listing.

    Below the store's root that is the folder which the store tidies by age, so a write that was
    killed leaves nothing for good.
    """
    name = f"{secrets.token_hex(12)}.tmp"
    root = Path(
        os.environ.get("SLIPWAY_OBJECTS_URL", f"file://{places.home() / 'objects'}").removeprefix(
            "file://"
        )
    )
    inside = root.is_absolute() and target.is_relative_to(root.resolve())
    return root.resolve() / ".incoming" / name if inside else target.with_name(f".{name}")


def _copy(source: BinaryIO, target: Path) -> str:
    """Write the stream to a new file, safe on disk on return; gives its SHA-256."""
    digest = hashlib.sha256()
    with target.open("xb") as out:
        while data := source.read(CHUNK_BYTES):
            digest.update(data)
            out.write(data)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def _sync_dir(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _cached(uri: str, entries: list[Entry], *, base: str, store: Store) -> Path:
    """Download the entries once; the cache name holds their tags, so a change is seen."""
    facts = "\n".join([uri, *(f"{e.name} {e.size_bytes} {e.tag}" for e in entries)])
    target = places.cache_dir() / hashlib.sha256(facts.encode()).hexdigest()
    if target.is_dir():
        return target
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with room(str(target)):
            for entry in entries:
                path = part / entry.name
                if ".." in path.parts:
                    raise Damaged(f"{uri}: the name {entry.name!r} leads outside the directory")
                path.parent.mkdir(parents=True, exist_ok=True)
                with store.open(f"{base}/{entry.name}") as stream:
                    _copy(stream, path)
                if path.stat().st_size != entry.size_bytes:
                    raise Damaged(f"{uri}: {entry.name} arrived short; try again")
            if (part / MANIFEST).is_file():
                check(part, uri)
            with suppress(OSError):
                # Another process may have been first; its copy is the same.
                part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target
