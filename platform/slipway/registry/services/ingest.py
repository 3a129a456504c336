"""Take a version's files in: names first, then bytes, then content; ready only when all is well.

Every step may be cut off anywhere and run again: a file once stored with its hash in the row is
not fetched twice, and nothing is visible to others before the version is ready.
"""

from __future__ import annotations

import hashlib
import io
import logging
import time
from datetime import datetime
from typing import Any, BinaryIO, cast

from django.db import transaction
from django.utils import timezone

from slipway import backends
from slipway.backends.objects import Missing, StorageFull
from slipway.core import lifecycle, nudge, paths, reconcile
from slipway.core.errors import Detail
from slipway.registry.models import Mirror, MirrorPhase, ModelVersion, VersionPhase
from slipway.registry.services import reading, rules, sources

logger = logging.getLogger(__name__)

#: Bytes that tell a pickle or an archive from what we take.
HEAD = 16
#: Seconds between two words about progress.
TELL_EVERY = 1.0


def take_in(version: ModelVersion, now: datetime) -> None:
    """Move an importing version to ready, refused or failed; raises what may pass by itself."""
    try:
        source = sources.open_source(version.source)
        sizes = source.sizes()
        take, left = rules.judge_names(sizes)
        if left:
            names = paths.printable(", ".join(left[:10]))
            version.notices = [f"Left out, for a model does not need them: {names}"]
        _fetch(version, source, {path: sizes[path] for path in take})
        lifecycle.annotate(version, reason="checking the files", notices=version.notices)
        facts = _examined(version)
    except rules.Refusal as refusal:
        _turn_down(version, VersionPhase.REFUSED, refusal, now)
    except StorageFull as error:
        if version.made_key is not None:
            # What a job made is not thrown away for want of room; it is taken in later.
            raise
        fault = Detail(field="store", rule=f"no room for the files: {error}",
                       fix="Free space or enlarge the store, then import again.")  # fmt: skip
        _turn_down(version, VersionPhase.FAILED, rules.Refusal([fault]), now)
    except (Missing, FileNotFoundError, PermissionError) as error:
        fault = Detail(field="source", rule=f"a file cannot be read: {error}"[:300],
                       fix="Check the place and import again.")  # fmt: skip
        _turn_down(version, VersionPhase.FAILED, rules.Refusal([fault]), now)
    else:
        with transaction.atomic():
            lifecycle.advance(version, VersionPhase.READY, now=timezone.now(), reason="", **facts)
            Mirror.objects.get_or_create(version=version, defaults={"phase": MirrorPhase.WAITING})
            nudge.soon(Mirror)


def _examined(version: ModelVersion) -> dict[str, Any]:
    try:
        return reading.examine(version)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        # Content so strange that it broke the reader would break it again for ever.
        logger.exception("cannot read %s", version)
        fault = Detail(field="files", rule=f"they cannot be understood: {error!r}"[:300],
                       fix=reading.SAVE_AGAIN)  # fmt: skip
        raise rules.Refusal([fault]) from error


def _turn_down(version: ModelVersion, phase: str, refusal: rules.Refusal, now: datetime) -> None:
    backends.objects().delete_prefix(f"{version.prefix}/")
    faults = [
        {name: paths.printable(value) if isinstance(value, str) else value
         for name, value in detail.as_dict().items()}
        for detail in refusal.details[:100]
    ]  # fmt: skip
    reason = paths.printable(str(refusal))
    lifecycle.advance(version, phase, now=now, reason=reason, faults=faults, files={})


def _fetch(version: ModelVersion, source: sources.Source, sizes: dict[str, int]) -> None:
    """Store every file that is not there yet; the row knows each by its hash."""
    files: dict[str, Any] = {path: file for path, file in version.files.items() if path in sizes}
    missing = set(sizes) - set(files)
    total = sum(sizes.values())
    teller = _Teller(version, files, total)
    for path, stream in source.files(missing):
        target = f"{version.prefix}/{path}"
        reader = _Reader(path, stream, sizes[path], teller)
        if isinstance(source, sources.Prefix):
            # Within the store the bytes need not travel; they are read once, for the hash.
            reader.drain()
            backends.objects().copy(f"{source.key}/{path}", target)
        else:
            backends.objects().put(target, cast(BinaryIO, reader))
        if reader.count != sizes[path]:
            raise _changed(path, "it ended early or grew while it was read")
        digest = reader.sha256.hexdigest()
        if (expected := version.expected.get(path)) and expected != digest:
            raise _changed(path, f"its SHA-256 is {digest}, but {expected} was reported")
        files[path] = {"size_bytes": reader.count, "sha256": digest}
        teller.stored(files)
        missing.discard(path)
    absent = missing | (version.expected.keys() - set(sizes))
    # What was reported but is left out (a picture) is no loss.
    if absent := {path for path in absent if not rules.LEFT_OUT.search(path)}:
        raise _changed(min(absent), "it was listed, but is not there")


def _changed(path: str, rule: str) -> rules.Refusal:
    return rules.Refusal([Detail(field=path, rule=rule, fix="Import again.")])


class _Teller:
    """Says in the row how far the import is, and holds on to the lease meanwhile."""

    def __init__(self, version: ModelVersion, files: dict[str, Any], total: int) -> None:
        self.version, self.total = version, total
        self.before = sum(file["size_bytes"] for file in files.values())
        self.files = files
        self.told_at = time.monotonic()

    def stored(self, files: dict[str, Any]) -> None:
        self.files = dict(files)
        self.before = sum(file["size_bytes"] for file in files.values())
        self._say(0)

    def read(self, count: int) -> None:
        if time.monotonic() - self.told_at > TELL_EVERY:
            self._say(count)

    def _say(self, count: int) -> None:
        self.told_at = time.monotonic()
        reconcile.renew(self.version)
        done = self.before + count
        reason = f"importing: {len(self.files)} files, {done:,} of {self.total:,} bytes"
        lifecycle.annotate(self.version, reason=reason, files=self.files)


class _Reader(io.RawIOBase):
    """Passes bytes on, hashing and counting them; stops a file that lies about its kind."""

    def __init__(self, path: str, stream: BinaryIO, size: int, teller: _Teller) -> None:
        super().__init__()
        self.path, self.stream, self.size, self.teller = path, stream, size, teller
        self.sha256 = hashlib.sha256()
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # One byte more than promised is enough to know.
        wanted = min(len(buffer), self.size - self.count + 1)
        data = self.stream.read(wanted)
        if self.count == 0:
            self._judge(data[:HEAD])
        buffer[: len(data)] = data
        self.sha256.update(data)
        self.count += len(data)
        self.teller.read(self.count)
        return len(data)

    def _judge(self, head: bytes) -> None:
        # The length that opens a safetensors file may look like anything; its header is read later.
        if rules.role_of(self.path) != rules.WEIGHTS and (what := rules.looks_like(head)):
            raise rules.Refusal([
                Detail(field=self.path, rule=f"it is {what}, whatever its name says",
                       fix="Leave this file out."),
            ])  # fmt: skip

    def drain(self) -> None:
        buffer = bytearray(1024 * 1024)
        while self.readinto(buffer):
            pass
