"""Objects as files below one folder, with signed addresses that this platform serves itself.

Whatever is written lands below `.incoming/` first, is flushed to the disk and then renamed into
place, so an object is there whole or not at all, also after a power cut.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import hmac
import io
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import quote, urlencode

from django.conf import settings

from slipway.backends.objects import (
    MAX_PARTS,
    BadKey,
    BadUpload,
    Missing,
    Part,
    Stat,
    StorageFull,
    safe_key,
)

_FULL = {errno.ENOSPC, errno.EDQUOT}
_CHUNK = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What one signed address allows: a method on a key, or one part of an upload."""

    method: str
    key: str
    expires: int
    filename: str = ""
    upload: str = ""
    part: int = 0

    def signature(self) -> str:
        secret = hashlib.sha256(b"slipway storage\0" + settings.SECRET_KEY.encode()).digest()
        fields = [self.method, self.key, self.expires, self.filename, self.upload, self.part]
        digest = hmac.new(secret, json.dumps(fields).encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def allows(self, signature: str) -> bool:
        """Whether the signature is ours and still in force."""
        ours = hmac.compare_digest(self.signature().encode(), signature.encode())
        return ours and time.time() < self.expires


class Folder:
    def __init__(self, url: str | None = None) -> None:
        self.root = Path((url or settings.OBJECTS_URL).removeprefix("file://")).resolve()
        self._incoming = self.root / ".incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)

    def uri(self, key: str) -> str:
        # The path as it is: the runtime opens what stands behind `file://` literally.
        return f"file://{self.path(key)}"

    def key(self, uri: str) -> str:
        path = Path(uri.removeprefix("file://"))
        if not uri.startswith("file:///") or not path.is_relative_to(self.root):
            raise ValueError(f"{uri} is not in the store at {self.root}")
        return safe_key(str(path.relative_to(self.root)))

    def path(self, key: str) -> Path:
        """Where the object lies; BadKey for a key that could lead outside."""
        return self.root / safe_key(key)

    def put(self, key: str, data: bytes | BinaryIO) -> None:
        with self.create(key) as file:
            source = io.BytesIO(data) if isinstance(data, bytes) else data
            shutil.copyfileobj(source, file, _CHUNK)

    @contextmanager
    def create(self, key: str) -> Iterator[BinaryIO]:
        target = self.path(key)
        with self._landing(target) as file:
            yield file

    @contextmanager
    def _landing(self, target: Path) -> Iterator[BinaryIO]:
        """A file that takes its place at `target` once the block ends well."""
        waiting = self._incoming / f"{secrets.token_hex(12)}.tmp"
        try:
            with waiting.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            _ensure_folder(target.parent)
            waiting.replace(target)
            _sync_folder(target.parent)
        except OSError as error:
            if error.errno in _FULL:
                raise StorageFull(f"no room left below {self.root}") from error
            if error.errno in {errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST}:
                raise BadKey(f"{target.name!r} is part of another key") from error
            raise
        finally:
            waiting.unlink(missing_ok=True)

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        try:
            file = self.path(key).open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise Missing(key) from error
        file.seek(start)
        return file if length is None else cast(BinaryIO, _Window(file, length))

    def read(self, key: str) -> bytes:
        with self.open(key) as file:
            return file.read()

    def stat(self, key: str) -> Stat:
        try:
            found = self.path(key).stat()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise Missing(key) from error
        if not os.path.isfile(self.path(key)):  # noqa: PTH113 - a folder is no object
            raise Missing(key)
        return _stat(key, found)

    def list(self, prefix: str, *, after: str = "") -> Iterator[Stat]:
        folder, slash, _ = prefix.rpartition("/")
        yield from _walk(self.root, f"{folder}{slash}", prefix, after)

    def delete(self, key: str) -> None:
        with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            self.path(key).unlink()

    def delete_prefix(self, prefix: str) -> None:
        for found in list(self.list(prefix)):
            self.delete(found.key)
        folder = self.root / safe_key(prefix.rstrip("/"))
        if prefix.endswith("/") and folder.is_dir():
            _remove_empty(folder)

    def copy(self, source: str, target: str) -> None:
        # A hard link is safe: an object is never changed in place, only replaced.
        waiting = self._incoming / f"{secrets.token_hex(12)}.tmp"
        landing = self.path(target)
        try:
            os.link(self.path(source), waiting)
            # A copy is new, for whoever judges objects by age; that the source, being the same
            # file, looks newer too does no harm.
            os.utime(waiting)
            _ensure_folder(landing.parent)
            waiting.replace(landing)
            _sync_folder(landing.parent)
        except FileNotFoundError as error:
            raise Missing(source) from error
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.EXDEV}:
                raise
            with self.open(source) as file:
                self.put(target, file)
        finally:
            waiting.unlink(missing_ok=True)

    def sign_get(self, key: str, *, seconds: int, filename: str = "") -> str:
        expires = int(time.time()) + seconds
        return _address(Grant(method="GET", key=safe_key(key), expires=expires, filename=filename))

    def start_upload(self, key: str) -> str:
        upload_id = secrets.token_hex(16)
        folder = self._incoming / upload_id
        folder.mkdir()
        (folder / "key").write_text(safe_key(key))
        return upload_id

    def sign_part(self, key: str, upload_id: str, number: int, *, seconds: int) -> str:
        expires = int(time.time()) + seconds
        return _address(
            Grant(
                method="PUT",
                key=safe_key(key),
                expires=expires,
                upload=upload_id,
                part=_part_number(number),
            )
        )

    def put_part(
        self, key: str, upload_id: str, number: int, data: BinaryIO, *, size_bytes: int
    ) -> Part:
        """Take part `number`; BadUpload if the stream is not `size_bytes` long, leaving nothing."""
        folder = self._upload(key, upload_id)
        digest = hashlib.md5(usedforsecurity=False)
        received = 0
        with self._landing(folder / f"{_part_number(number):05d}") as file:
            while chunk := data.read(_CHUNK):
                received += len(chunk)
                digest.update(chunk)
                file.write(chunk)
            if received != size_bytes:
                raise BadUpload(f"part {number} said {size_bytes} bytes but had {received}")
            if not folder.is_dir():
                raise BadUpload(f"upload {upload_id} ended meanwhile")
        return Part(
            number=number,
            size_bytes=received,
            etag=digest.hexdigest(),
            received_at=datetime.now(UTC),
        )

    def parts(self, key: str, upload_id: str) -> Sequence[Part]:
        found = sorted(self._upload(key, upload_id).glob("[0-9]" * 5))
        with _not_ended(upload_id):
            return [_part(int(path.name), path.stat()) for path in found]

    def finish_upload(self, key: str, upload_id: str, numbers: Sequence[int]) -> None:
        folder = self._upload(key, upload_id)
        parts = [folder / f"{_part_number(number):05d}" for number in numbers]
        if not parts or list(numbers) != sorted(set(numbers)):
            raise BadUpload("parts are joined by rising number, at least one")
        for number, part in zip(numbers, parts, strict=True):
            if not part.is_file():
                raise BadUpload(f"part {number} was not received")
        with _not_ended(upload_id):
            if len(parts) == 1:
                _ensure_folder(self.path(key).parent)
                parts[0].replace(self.path(key))
                _sync_folder(self.path(key).parent)
            else:
                with self.create(key) as file:
                    for part in parts:
                        with part.open("rb") as source:
                            shutil.copyfileobj(source, file, _CHUNK)
        shutil.rmtree(folder, ignore_errors=True)

    def abort_upload(self, key: str, upload_id: str) -> None:
        with suppress(BadUpload):
            shutil.rmtree(self._upload(key, upload_id), ignore_errors=True)

    def tidy(self, *, before: datetime) -> None:
        for left in list(self._incoming.iterdir()):
            with suppress(FileNotFoundError):
                if left.stat().st_mtime >= before.timestamp():
                    continue
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink()

    def _upload(self, key: str, upload_id: str) -> Path:
        folder = self._incoming / upload_id
        if not upload_id.isalnum() or not folder.is_dir():
            raise BadUpload(f"there is no upload {upload_id}; it was finished or aborted")
        with _not_ended(upload_id):
            if (folder / "key").read_text() != key:
                raise BadUpload(f"upload {upload_id} is of another key")
        return folder


class _Window(io.RawIOBase):
    """At most so many bytes of a file from where it stands."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file, self._left = file, length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        data = self._file.read(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def _part_number(number: int) -> int:
    if not 1 <= number <= MAX_PARTS:
        raise BadUpload(f"parts are numbered 1 to {MAX_PARTS}, not {number}")
    return number


def _address(grant: Grant) -> str:
    query: dict[str, str | int] = {"method": grant.method, "expires": grant.expires}
    if grant.upload:
        query |= {"uploadId": grant.upload, "partNumber": grant.part}
    if grant.filename:
        query["filename"] = grant.filename
    query["signature"] = grant.signature()
    return f"{settings.PUBLIC_URL}/storage/{quote(grant.key)}?{urlencode(query)}"


def _stat(key: str, found: os.stat_result) -> Stat:
    at = datetime.fromtimestamp(found.st_mtime, UTC)
    return Stat(key=key, size_bytes=found.st_size, modified_at=at)


@contextmanager
def _not_ended(upload_id: str) -> Iterator[None]:
    """Another request may finish or abort the upload under our hands."""
    try:
        yield
    except FileNotFoundError as error:
        raise BadUpload(f"upload {upload_id} ended meanwhile") from error


def _part(number: int, found: os.stat_result) -> Part:
    at = datetime.fromtimestamp(found.st_mtime, UTC)
    return Part(number=number, size_bytes=found.st_size, etag=_etag(found), received_at=at)


def _etag(found: os.stat_result) -> str:
    return f"{found.st_size:x}-{found.st_mtime_ns:x}"


def _walk(root: Path, folder: str, prefix: str, after: str) -> Iterator[Stat]:
    """Objects in the order of their keys; a folder sorts by its name with the slash."""
    try:
        entries = list(os.scandir(root / folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    named = []
    for entry in entries:
        if not folder and entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            named.append((f"{folder}{entry.name}/", entry))
        elif entry.is_file(follow_symlinks=False):
            named.append((f"{folder}{entry.name}", entry))
    for key, entry in sorted(named, key=lambda pair: pair[0].encode()):
        if key.endswith("/"):
            may_match = key.startswith(prefix) or prefix.startswith(key)
            if may_match and (key.encode() > after.encode() or after.startswith(key)):
                yield from _walk(root, key, prefix, after)
        elif key.startswith(prefix) and key.encode() > after.encode():
            with suppress(FileNotFoundError):
                yield _stat(key, entry.stat(follow_symlinks=False))


def _remove_empty(folder: Path) -> None:
    for inner, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):
            Path(inner).rmdir()


def _ensure_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _ensure_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir()
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
