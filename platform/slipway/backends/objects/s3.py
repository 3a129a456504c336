"""Objects in any store that speaks S3; the one file that knows the minio SDK."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, cast
from urllib.parse import parse_qs, quote, unquote, urlsplit

import certifi
import urllib3
from django.conf import settings
from minio import Minio
from minio.commonconfig import ComposeSource, CopySource
from minio.datatypes import Part as S3Part
from minio.deleteobjects import DeleteObject
from minio.error import S3Error

from slipway.backends.objects import (
    MAX_PARTS,
    BadUpload,
    Missing,
    Part,
    Stat,
    StorageFull,
    safe_key,
)

_FULL = {"XMinioStorageFull", "EntityTooLarge", "QuotaExceeded", "InsufficientStorage"}
_GONE = {"NoSuchKey", "NoSuchObject"}
#: Bytes of each part when this process itself sends an object of unknown length.
_OWN_PART_BYTES = 16 * 1024 * 1024
#: Copy in one request up to here; the API allows no more.
_ONE_COPY_BYTES = 5 * 1024**3


class S3:
    """`s3://key:secret@host[:port]/bucket?secure=1&region=us-east-1`.

    The bucket is made if it is not there.
    """

    def __init__(self, url: str | None = None) -> None:
        parts = urlsplit(url or settings.OBJECTS_URL)
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        self.bucket = parts.path.strip("/")
        host = parts.hostname or ""
        if not self.bucket or not host or "/" in self.bucket:
            raise ValueError("SLIPWAY_OBJECTS_URL must look like s3://key:secret@host:port/bucket")
        region = options.get("region", "us-east-1")
        self._client = Minio(
            f"{host}:{parts.port}" if parts.port else host,
            access_key=unquote(parts.username or ""),
            secret_key=unquote(parts.password or ""),
            secure=options.get("secure", "1") != "0",
            # Named, or every signature would need a round trip to ask for it.
            region=region,
            http_client=urllib3.PoolManager(
                timeout=urllib3.Timeout(connect=5, read=120),
                maxsize=16,
                retries=urllib3.Retry(
                    total=4, backoff_factor=0.2, status_forcelist=[500, 502, 503, 504]
                ),
                cert_reqs="CERT_REQUIRED",
                ca_certs=certifi.where(),
            ),
        )
        if not self._client.bucket_exists(self.bucket):
            with _translated(), contextlib.suppress(S3Error):
                self._client.make_bucket(self.bucket, region)

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{quote(safe_key(key))}"

    def key(self, uri: str) -> str:
        parts = urlsplit(uri)
        if parts.scheme != "s3" or parts.netloc != self.bucket:
            raise ValueError(f"{uri} is not in the bucket {self.bucket}")
        return safe_key(unquote(parts.path.removeprefix("/")))

    def put(self, key: str, data: bytes | BinaryIO) -> None:
        stream = io.BytesIO(data) if isinstance(data, bytes) else data
        length = len(data) if isinstance(data, bytes) else -1
        with _translated(key):
            self._client.put_object(
                self.bucket, safe_key(key), stream, length, part_size=_OWN_PART_BYTES
            )

    @contextmanager
    def create(self, key: str) -> Iterator[BinaryIO]:
        safe_key(key)
        with tempfile.TemporaryFile() as file:
            yield cast(BinaryIO, file)
            length = file.tell()
            file.seek(0)
            with _translated(key):
                self._client.put_object(
                    self.bucket,
                    key,
                    cast(BinaryIO, file),
                    length,
                    part_size=_OWN_PART_BYTES if length > _OWN_PART_BYTES else 0,
                )

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        if length == 0:
            self.stat(key)
            return io.BytesIO()
        try:
            with _translated(key):
                body = self._client.get_object(
                    self.bucket, safe_key(key), offset=start, length=length or 0
                )
        except S3Error as error:
            if error.code == "InvalidRange":
                return io.BytesIO()
            raise
        return cast(BinaryIO, io.BufferedReader(_Body(body), 1024 * 1024))

    def read(self, key: str) -> bytes:
        with self.open(key) as stream:
            return stream.read()

    def stat(self, key: str) -> Stat:
        with _translated(key):
            found = self._client.stat_object(self.bucket, safe_key(key))
        return _stat(key, found)

    def list(self, prefix: str, *, after: str = "") -> Iterator[Stat]:
        found = self._client.list_objects(
            self.bucket, prefix=prefix, recursive=True, start_after=after or None
        )
        for entry in found:
            yield _stat(str(entry.object_name), entry)

    def delete(self, key: str) -> None:
        with contextlib.suppress(Missing), _translated(key):
            self._client.remove_object(self.bucket, safe_key(key))

    def delete_prefix(self, prefix: str) -> None:
        safe_key(prefix.rstrip("/"))
        doomed = (DeleteObject(found.key) for found in self.list(prefix))
        for failed in self._client.remove_objects(self.bucket, doomed):
            raise OSError(f"could not delete {failed.name}: {failed.message}")

    def copy(self, source: str, target: str) -> None:
        with _translated(source):
            if self.stat(source).size_bytes < _ONE_COPY_BYTES:
                self._client.copy_object(
                    self.bucket, safe_key(target), CopySource(self.bucket, safe_key(source))
                )
            else:
                self._client.compose_object(
                    self.bucket, safe_key(target), [ComposeSource(self.bucket, safe_key(source))]
                )

    def sign_get(self, key: str, *, seconds: int, filename: str = "") -> str:
        name = quote(filename or "file")
        return self._client.get_presigned_url(
            "GET",
            self.bucket,
            safe_key(key),
            expires=timedelta(seconds=seconds),
            response_headers={
                "response-content-disposition": f"attachment; filename*=UTF-8''{name}"
            },
        )

    def start_upload(self, key: str) -> str:
        with _translated(key):
            return self._client._create_multipart_upload(self.bucket, safe_key(key), {})

    def sign_part(self, key: str, upload_id: str, number: int, *, seconds: int) -> str:
        if not 1 <= number <= MAX_PARTS:
            raise BadUpload(f"parts are numbered 1 to {MAX_PARTS}, not {number}")
        return self._client.get_presigned_url(
            "PUT",
            self.bucket,
            safe_key(key),
            expires=timedelta(seconds=seconds),
            extra_query_params={"uploadId": upload_id, "partNumber": str(number)},
        )

    def parts(self, key: str, upload_id: str) -> Sequence[Part]:
        received: list[Part] = []
        marker = 0
        while True:
            with _translated(key):
                page = self._client._list_parts(
                    self.bucket, safe_key(key), upload_id, part_number_marker=str(marker)
                )
            received += [
                Part(
                    number=p.part_number,
                    size_bytes=int(p.size or 0),
                    etag=p.etag,
                    received_at=p.last_modified or datetime.now(UTC),
                )
                for p in page.parts
            ]
            if not page.is_truncated or not page.parts:
                return received
            marker = received[-1].number

    def finish_upload(self, key: str, upload_id: str, numbers: Sequence[int]) -> None:
        if not numbers or list(numbers) != sorted(set(numbers)):
            raise BadUpload("parts are joined by rising number, at least one")
        received = {part.number: part for part in self.parts(key, upload_id)}
        missing = [number for number in numbers if number not in received]
        if missing:
            raise BadUpload(f"part {missing[0]} was not received")
        parts = [S3Part(number, received[number].etag) for number in numbers]
        with _translated(key):
            self._client._complete_multipart_upload(self.bucket, safe_key(key), upload_id, parts)

    def abort_upload(self, key: str, upload_id: str) -> None:
        with contextlib.suppress(BadUpload), _translated(key):
            self._client._abort_multipart_upload(self.bucket, safe_key(key), upload_id)

    def tidy(self, *, before: datetime) -> None:
        """Nothing to do: an S3 store expires what broke off by its own rules."""


class _Body(io.RawIOBase):
    """The body of an answer; closing it gives the connection back."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._answer.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._answer.close()
            self._answer.release_conn()
        super().close()


def _stat(key: str, found: Any) -> Stat:
    return Stat(key=key, size_bytes=int(found.size), modified_at=found.last_modified)


@contextmanager
def _translated(key: str = "") -> Iterator[None]:
    """Say what the store refused in the words of the protocol."""
    try:
        yield
    except S3Error as error:
        if error.code in _GONE:
            raise Missing(key) from error
        if error.code == "NoSuchUpload":
            raise BadUpload("there is no such upload; it was finished or aborted") from error
        if error.code in {"InvalidPart", "InvalidPartOrder", "EntityTooSmall"}:
            raise BadUpload(str(error.message)) from error
        if error.code in _FULL:
            raise StorageFull(str(error.message)) from error
        raise
