"""A tar made as a stream: what is put in passes through in pieces and leaves its hashes."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, BinaryIO

Chunks = Iterator[bytes]
CHUNK = 4 * 1024 * 1024


class Tar:
    """Yields a tar piece by piece; knows size and hashes of all that went through it."""

    def __init__(self, *, at: datetime, told: Callable[[int], None]) -> None:
        """`at` is the time that all files bear; `told` hears how many bytes there are so far."""
        #: Path to `{"size_bytes", "sha256"}` of what is whole.
        self.files: dict[str, Any] = {}
        self.sha256, self.count = hashlib.sha256(), 0
        self._at, self._told = int(at.timestamp()), told

    def through(self, pieces: Chunks) -> Chunks:
        """The same pieces, counted and hashed as parts of the whole."""
        for piece in pieces:
            self.sha256.update(piece)
            self.count += len(piece)
            self._told(self.count)
            yield piece

    def member(self, name: str, size: int, content: Chunks) -> Chunks:
        """One file; ValueError where its content is not of the size that was said."""
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = size, 0o644, self._at
        yield info.tobuf(tarfile.PAX_FORMAT)
        digest, count = hashlib.sha256(), 0
        for piece in content:
            digest.update(piece)
            count += len(piece)
            yield piece
        if count != size:
            raise ValueError(f"{name} has {count} bytes, {size} were expected")
        yield b"\0" * (-size % 512)
        self.files[name] = {"size_bytes": size, "sha256": digest.hexdigest()}

    def small(self, name: str, data: bytes) -> Chunks:
        """One file that is in memory anyway."""
        return self.member(name, len(data), iter([data]))

    @staticmethod
    def end() -> bytes:
        return b"\0" * 1024


def pieces(stream: BinaryIO) -> Chunks:
    """What is left to read of it."""
    while piece := stream.read(CHUNK):
        yield piece


class Stream(io.RawIOBase):
    """Pieces as a file that can be read once."""

    def __init__(self, chunks: Chunks) -> None:
        super().__init__()
        self.chunks, self.rest = chunks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self.rest:
            piece = next(self.chunks, None)
            if piece is None:
                return 0
            self.rest = memoryview(piece)
        count = min(len(buffer), len(self.rest))
        buffer[:count] = self.rest[:count]
        self.rest = self.rest[count:]
        return count
