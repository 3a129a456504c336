"""Take a file apart into plain streams: gzip, zip, or as it is; told by content, not by name.

Everything here is counted as it comes out, so that a small file cannot become an endless one,
and nothing is ever written under a name that an archive chose.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

from slipway_contracts.formats import LIMITS, Fault, Limits, shown

_GZIP, _ZIP = b"\x1f\x8b", b"PK"
_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".txt")
_JUNK = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")
_BROKEN = (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, NotImplementedError)


class Unreadable(Exception):
    """The file, or this file of an archive, cannot be read further; carries the fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value or fault.fix)
        self.fault = fault


class Stream(io.RawIOBase):
    """A stream to be read, for classes that say how `read` goes."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class Plain(Stream):
    """A stream of unpacked bytes that stops a bomb and says what is wrong with broken packing."""

    def __init__(
        self, source: BinaryIO, *, budget: Budget, packed: Callable[[], int] | None = None
    ) -> None:
        self._source, self._budget, self._packed = source, budget, packed
        #: Bytes given out so far.
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        try:
            data = self._source.read(size)
        except _BROKEN as error:
            value = f"{type(error).__name__}: {error}"[:160]
            fix = "it is cut off or damaged: pack it again and upload it anew"
            raise Unreadable(Fault(rule="archive", value=value, fix=fix)) from error
        self.count += len(data)
        self._budget.spend(len(data))
        if self._packed is not None:
            self._budget.weigh(out=self.count, packed=self._packed())
        return data


class Budget:
    """Bytes that all entries of one file may unpack to together."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._left = limits.max_unpacked_bytes

    def spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            value = f"more than {self._limits.max_unpacked_bytes} bytes"
            raise Unreadable(Fault(rule="file_bytes", value=value, fix="split it into versions"))

    def weigh(self, *, out: int, packed: int) -> None:
        limits = self._limits
        if out > limits.ratio_floor_bytes and out > limits.max_ratio * max(1, packed):
            value = f"{out} bytes out of {packed}"
            fix = f"pack it at most {limits.max_ratio} : 1, or upload it unpacked"
            raise Unreadable(Fault(rule="archive", value=value, fix=fix))


@contextlib.contextmanager
def entries(
    source: BinaryIO, limits: Limits = LIMITS
) -> Iterator[Iterator[tuple[str, Plain, bool]]]:
    """The files in `source` as (name inside the archive or "", stream, not packed), by name.

    The iterator, or reading one of its streams, raises Unreadable.
    """
    with contextlib.ExitStack() as stack:
        seekable = _seekable(source, stack)
        magic = seekable.read(2)
        seekable.seek(0)
        budget = Budget(limits)
        if magic == _ZIP:
            yield _zip_entries(seekable, budget, limits)
        elif magic == _GZIP:
            unpacked = cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=seekable)))
            stream = Plain(unpacked, budget=budget, packed=seekable.tell)
            yield iter([("", stream, False)])
        else:
            yield iter([("", Plain(seekable, budget=budget), True)])


def _seekable(source: BinaryIO, stack: contextlib.ExitStack) -> BinaryIO:
    if source.seekable():
        return source
    head = source.read(4)
    if head[:2] != _ZIP:
        return cast(BinaryIO, _Rewound(head, source))
    # A zip has its table at the end, so it has to be here whole.
    file = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
    file.write(head)
    shutil.copyfileobj(source, file, 1024 * 1024)
    file.seek(0)
    return cast(BinaryIO, file)


class _Rewound(Stream):
    """A stream whose first bytes were looked at; may be rewound only before going past them."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head, self._rest, self._at = head, rest, 0

    def seek(self, offset: int, whence: int = 0) -> int:
        if self._at > len(self._head) or offset or whence:
            raise io.UnsupportedOperation("only back to the start, before reading on")
        self._at = 0
        return 0

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        if self._at < len(self._head):
            data = self._head[self._at :] if size < 0 else self._head[self._at : self._at + size]
        else:
            data = self._rest.read(size)
        self._at += len(data)
        return data


def _zip_entries(
    source: BinaryIO, budget: Budget, limits: Limits
) -> Iterator[tuple[str, Plain, bool]]:
    try:
        archive = zipfile.ZipFile(source)
    except _BROKEN as error:
        fix = "it is cut off or damaged: pack it again and upload it anew"
        raise Unreadable(Fault(rule="archive", value=str(error), fix=fix)) from error
    with archive:
        infos = archive.infolist()
        if len(infos) > limits.max_archive_entries:
            fix = f"at most {limits.max_archive_entries} files"
            raise Unreadable(Fault(rule="archive", value=f"{len(infos)} files", fix=fix))
        wanted = [info for info in infos if not info.is_dir() and not _is_junk(info.filename)]
        for info in wanted:
            _refuse(info)
        if not wanted:
            fix = "put at least one .jsonl, .json, .csv or .txt file into it"
            raise Unreadable(Fault(rule="archive", value="no files", fix=fix))
        for info in sorted(wanted, key=lambda info: info.filename):
            try:
                with archive.open(info) as stream:
                    plain = Plain(
                        cast(BinaryIO, stream), budget=budget, packed=_constant(info.compress_size)
                    )
                    yield info.filename, plain, False
            except _BROKEN as error:
                fix = "it is damaged: pack it again and upload it anew"
                fault = Fault(rule="archive", value=str(error), fix=fix, file=info.filename)
                raise Unreadable(fault) from error


def _constant(number: int) -> Callable[[], int]:
    return lambda: number


def _is_junk(name: str) -> bool:
    return name.startswith("__MACOSX/") or name.rsplit("/", 1)[-1] in _JUNK


def _refuse(info: zipfile.ZipInfo) -> None:
    """Raise Unreadable for an entry that is not plainly a file of rows."""
    name = info.orig_filename
    mode = info.external_attr >> 16
    fix = ""
    if name.startswith("/") or "\\" in name or "\0" in name or ":" in name.split("/")[0]:
        fix = "use a relative name with forward slashes"
    elif ".." in name.split("/"):
        fix = "use a name without .."
    elif stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
        fix = "put the file itself in, not a link or device"
    elif info.flag_bits & 0x1:
        fix = "pack it without a password"
    elif name.lower().endswith((".zip", ".gz", ".tar", ".bz2", ".xz", ".7z", ".rar")):
        fix = "no archive inside an archive: pack the files themselves"
    elif not name.lower().endswith(_SUFFIXES):
        fix = f"only {', '.join(_SUFFIXES)} files: leave it out"
    if fix:
        raise Unreadable(Fault(rule="archive", value=shown(name), fix=fix))
