"""Where a model may come from: a folder of this machine, an uploaded archive, a store prefix.

Each lists its files before anything is taken, then yields their bytes; nothing is ever written
under a name that a stranger chose, except as a key below the version's own prefix.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from slipway import backends
from slipway.core.errors import Detail
from slipway.registry.services.archives import archive
from slipway.registry.services.rules import MOST_FILES, Refusal, no_model


class Source(Protocol):
    def sizes(self) -> dict[str, int]:
        """Path to size in bytes of every file; raises Refusal for what is not a plain file."""

    def files(self, wanted: set[str]) -> Iterator[tuple[str, BinaryIO]]:
        """The bytes of these files, in the source's own order."""


def open_source(given: dict[str, Any]) -> Source:
    """The source that a version's row describes."""
    match given:
        case {"from": "directory", "path": path}:
            return Directory(Path(path))
        case {"from": "upload", "key": key}:
            return archive(key, name=given.get("filename", ""))
        case {"from": "prefix", "key": key}:
            return Prefix(key)
    raise ValueError(f"no such source: {given}")


class Directory:
    """A folder of this machine; links are refused, also when swapped in meanwhile."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def sizes(self) -> dict[str, int]:
        found: dict[str, int] = {}
        faults = []
        for path in self._walk():
            name = path.relative_to(self.root).as_posix()
            seen = path.lstat()
            if stat.S_ISREG(seen.st_mode):
                found[name] = seen.st_size
            else:
                what = "a symbolic link" if stat.S_ISLNK(seen.st_mode) else "not a plain file"
                fix = "Copy the files themselves: `cp -rL from to`."
                faults.append(Detail(field=name, rule=f"it is {what}", fix=fix))
        if faults:
            raise Refusal(faults)
        if not found:
            raise no_model(str(self.root))
        return found

    def _walk(self) -> Iterator[Path]:
        count = 0
        for folder, folders, files in os.walk(self.root, onerror=_raise):
            for name in sorted(folders):
                if (Path(folder) / name).is_symlink():
                    yield Path(folder) / name
            for name in sorted(files):
                count += 1
                yield Path(folder) / name
            if count > MOST_FILES * 10:
                raise no_model(f"{self.root} holds far more files than a model;")

    def files(self, wanted: set[str]) -> Iterator[tuple[str, BinaryIO]]:
        for name in sorted(wanted):
            handle = os.open(self.root / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(handle, "rb") as file:
                # What was opened, not what the name may have come to mean since it was listed.
                opened = Path(f"/proc/self/fd/{handle}").readlink()
                if opened != self.root / name:
                    raise no_model(name)
                yield name, file


class Prefix:
    """Objects of our own store below a key, such as what a job left."""

    def __init__(self, key: str) -> None:
        self.key = key.rstrip("/")

    def sizes(self) -> dict[str, int]:
        found = {
            each.key.removeprefix(f"{self.key}/"): each.size_bytes
            for each in backends.objects().list(f"{self.key}/")
        }
        if not found:
            raise no_model(backends.objects().uri(self.key))
        return found

    def files(self, wanted: set[str]) -> Iterator[tuple[str, BinaryIO]]:
        for name in sorted(wanted):
            with backends.objects().open(f"{self.key}/{name}") as stream:
                yield name, stream


def _raise(error: OSError) -> None:
    raise error
