"""Models packed as tar, tar.gz or zip: read in place, never unpacked to disk, bombs refused."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from slipway import backends
from slipway.core.errors import Detail
from slipway.registry.services.rules import MOST_FILES, Refusal, no_model

#: Bytes of one model, unpacked.
LARGEST_MODEL = 4 * 1024**4
#: Unpacked to packed; weights hardly shrink, so more than this is a bomb …
WORST_RATIO = 200
#: … unless it is small anyway.
ALWAYS_FINE = 64 * 1024 * 1024
#: Bytes of an archive's own that may stand between two members (headers, long names).
BETWEEN_MEMBERS = 1024 * 1024
REPACK = "Pack plain files only, without links: `tar -C folder -cf model.tar .`"


def archive(key: str, *, name: str) -> Tar | Zip:
    """A tar, tar.gz or zip in the store, told by its first bytes."""
    with backends.objects().open(key, length=512) as stream:
        head = stream.read()
    if head[:4] == b"PK\x03\x04":
        return Zip(key)
    if head[:2] == b"\x1f\x8b" or head[257:262] == b"ustar":
        return Tar(key, packed=head[:2] == b"\x1f\x8b")
    raise Refusal([Detail(field=name or key, rule="it is neither tar, tar.gz nor zip", fix=REPACK)])


class _Unwrapped:
    """Drops the one folder that everything lies in, as archives are commonly packed."""

    def __init__(self) -> None:
        self._folder = ""

    def _unwrap(self, sizes: dict[str, int]) -> dict[str, int]:
        if not sizes:
            raise no_model("the archive")
        top = next(iter(sizes)).partition("/")[0]
        # `..` is no folder to be dropped but an attempt; it stays for the rules to see.
        if top not in {"..", ""} and all(name.startswith(f"{top}/") for name in sizes):
            self._folder = f"{top}/"
        return {name.removeprefix(self._folder): size for name, size in sizes.items()}


class Tar(_Unwrapped):
    """Read as a stream, never unpacked to disk; every member's size is known before its bytes."""

    def __init__(self, key: str, *, packed: bool) -> None:
        super().__init__()
        self.key, self.packed = key, packed
        self.packed_bytes = backends.objects().stat(key).size_bytes

    def sizes(self) -> dict[str, int]:
        found: dict[str, int] = {}
        faults = []
        for member, _ in self._members():
            name = member.name.removeprefix("./")
            if member.isdir():
                continue
            if not member.isreg() or member.issparse():
                what = "a link" if member.issym() or member.islnk() else "not a plain file"
                faults.append(Detail(field=name[:200], rule=f"it is {what}", fix=REPACK))
            elif name in found:
                faults.append(Detail(field=name[:200], rule="the name stands twice", fix=REPACK))
            else:
                found[name] = member.size
            if len(found) + len(faults) > MOST_FILES:
                raise Refusal([Detail(field=name[:200], rule=f"more than {MOST_FILES} members",
                                      fix="Import one model at a time.")])  # fmt: skip
        if faults:
            raise Refusal(faults)
        return self._unwrap(found)

    def files(self, wanted: set[str]) -> Iterator[tuple[str, BinaryIO]]:
        for member, tar in self._members():
            name = member.name.removeprefix("./").removeprefix(self._folder)
            if member.isreg() and name in wanted:
                yield name, cast(BinaryIO, tar.extractfile(member))

    def _members(self) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
        total = 0
        with backends.objects().open(self.key) as stored:
            plain = cast(BinaryIO, gzip.GzipFile(fileobj=stored) if self.packed else stored)
            bounded = _Bounded(plain)
            bounded.allowance = BETWEEN_MEMBERS
            try:
                with tarfile.open(fileobj=bounded, mode="r|") as tar:
                    for member in tar:
                        total += member.size
                        _check_total(member.name, total, self.packed_bytes)
                        bounded.allowance += member.size + BETWEEN_MEMBERS
                        yield member, tar
            except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, ValueError) as error:
                raise _broken(error) from error


class _Bounded(io.RawIOBase):
    """Gives out no more bytes than the members read so far account for."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self.stream, self.allowance = stream, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self.stream.read(size)
        self.allowance -= len(data)
        if self.allowance < 0:
            raise tarfile.ReadError("a header is larger than an archive needs")
        return data


class Zip(_Unwrapped):
    """Read through its directory; a member yields no more bytes than it declares."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key
        self.packed_bytes = backends.objects().stat(key).size_bytes

    def sizes(self) -> dict[str, int]:
        found: dict[str, int] = {}
        faults = []
        total = 0
        with self._zip() as file:
            for info in file.infolist():
                total += info.file_size
                _check_total(info.filename, total, self.packed_bytes)
                kind = stat.S_IFMT(info.external_attr >> 16)
                if info.is_dir():
                    continue
                name = info.filename.removeprefix("./")
                rule = ""
                if kind not in {0, stat.S_IFREG}:
                    rule = f"it is {'a link' if kind == stat.S_IFLNK else 'not a plain file'}"
                elif info.flag_bits & 1:
                    rule = "it is encrypted"
                elif name in found:
                    rule = "the name stands twice"
                if rule:
                    faults.append(Detail(field=name[:200], rule=rule, fix=REPACK))
                found[name] = info.file_size
        if faults:
            raise Refusal(faults)
        return self._unwrap(found)

    def files(self, wanted: set[str]) -> Iterator[tuple[str, BinaryIO]]:
        with self._zip() as file:
            for info in file.infolist():
                name = info.filename.removeprefix("./").removeprefix(self._folder)
                if not info.is_dir() and name in wanted:
                    try:
                        with file.open(info) as member:
                            yield name, cast(BinaryIO, member)
                    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
                        raise _broken(error) from error

    def _zip(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(cast(Any, io.BufferedReader(_Ranges(self.key, self.packed_bytes),
                                                               1024 * 1024)))  # fmt: skip
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise _broken(error) from error


class _Ranges(io.RawIOBase):
    """A stored object as a file one can seek in, by range reads."""

    def __init__(self, key: str, size_bytes: int) -> None:
        super().__init__()
        self.key, self.size_bytes, self.at = key, size_bytes, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.at = offset + {0: 0, 1: self.at, 2: self.size_bytes}[whence]
        return self.at

    def readinto(self, buffer: Any) -> int:
        length = min(len(buffer), self.size_bytes - self.at)
        if length <= 0:
            return 0
        with backends.objects().open(self.key, start=self.at, length=length) as stream:
            data = stream.read(length)
        buffer[: len(data)] = data
        self.at += len(data)
        return len(data)


def _check_total(name: str, total: int, packed: int) -> None:
    if total > LARGEST_MODEL or total > max(ALWAYS_FINE, packed * WORST_RATIO):
        rule = f"the archive unpacks to more than {total} bytes out of {packed}"
        raise Refusal([Detail(field=name[:200], rule=rule, fix="Pack the model without tricks.")])


def _broken(error: Exception) -> Refusal:
    rule = f"the archive is damaged or cut short: {error}"[:300]
    return Refusal([Detail(field="archive", rule=rule, fix="Pack and upload it again.")])
