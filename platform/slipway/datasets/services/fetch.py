"""Get bytes from an allowed path of this machine or an allowed host, and from nowhere else."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import urljoin, urlsplit

import certifi
import urllib3
from django.conf import settings

from slipway.core import addresses, paths
from slipway.core.errors import Detail, Invalid
from slipway_contracts.formats import LIMITS

_MAX_REDIRECTS = 5
_TIMEOUT = urllib3.Timeout(connect=10, read=60)


class FetchFailed(Exception):
    """The bytes could not be had; the message says why, for the user's eyes."""

    def __init__(self, message: str) -> None:
        super().__init__(paths.printable(message))


def check_path(path: str) -> Path:
    """The real path, if it lies below a directory of IMPORT_PATHS; Invalid otherwise."""
    allowed = settings.IMPORT_PATHS
    rule = f"below {', '.join(map(str, allowed))}" if allowed else "no path is allowed here"
    detail = Detail(
        field="path",
        rule=rule,
        value=paths.printable(path),
        fix="upload the file, or set SLIPWAY_IMPORT_PATHS",
    )
    if not path.startswith("/"):
        raise Invalid("The path must be absolute.", detail)
    real = paths.real(path)
    if real is None or not any(real.is_relative_to(root) for root in allowed):
        raise Invalid("This path may not be imported from.", detail)
    return real


@contextmanager
def open_path(path: str) -> Iterator[BinaryIO]:
    """The file at an allowed path; FetchFailed if it is none, or is swapped under our hands."""
    try:
        # Not waiting: to open a pipe that nobody writes to would take for ever.
        with open(check_path(path), "rb", opener=_open_at_once) as file:
            # Opened first, judged then: what is judged is what will be read.
            opened = Path(f"/proc/self/fd/{file.fileno()}").readlink()
            if not any(opened.is_relative_to(root) for root in settings.IMPORT_PATHS):
                raise FetchFailed(f"{path} leads outside the allowed paths")
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise FetchFailed(f"{path} is not a file")
            if found.st_size > LIMITS.max_file_bytes:
                raise FetchFailed(f"{path} has more than {LIMITS.max_file_bytes} bytes")
            yield file
    except (Invalid, OSError) as error:
        reason = error.message if isinstance(error, Invalid) else error.strerror
        raise FetchFailed(f"{path}: {reason}") from error


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def check_url(url: str) -> None:
    """Invalid unless the address is http(s) on a host of IMPORT_HOSTS."""
    allowed = settings.IMPORT_HOSTS
    rule = f"http or https on {', '.join(allowed)}" if allowed else "no host is allowed here"
    fix = "upload the file, or set SLIPWAY_IMPORT_HOSTS"
    detail = Detail(field="url", rule=rule, value=paths.printable(url), fix=fix)
    try:
        url.encode()
        parts = urlsplit(url)
    except ValueError as error:
        raise Invalid("The address is none that can be asked.", detail) from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise Invalid("The address must be plain http or https, without a user name.", detail)
    if not _listed(parts.hostname, _port(url)):
        raise Invalid("This host may not be imported from.", detail)


def _port(url: str) -> int:
    parts = urlsplit(url)
    try:
        return parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise Invalid("The port of this address is no number.") from error


def _listed(host: str, port: int) -> bool:
    host = host.lower().rstrip(".")
    named = f"[{host}]" if ":" in host else host
    return any(entry.lower() in {host, named, f"{named}:{port}"} for entry in settings.IMPORT_HOSTS)


@contextmanager
def open_url(url: str) -> Iterator[BinaryIO]:
    """The body at an allowed address, following redirects that are allowed too."""
    for _ in range(_MAX_REDIRECTS + 1):
        try:
            check_url(url)
        except Invalid as error:
            raise FetchFailed(f"{url}: {error.message}") from error
        with _get(url) as answer:
            if answer.status in {301, 302, 303, 307, 308}:
                url = _redirected(url, answer.headers.get("location", ""))
                continue
            if answer.status != 200:
                raise FetchFailed(f"{url} answered {answer.status}")
            if _length(url, answer.headers.get("content-length")) > LIMITS.max_file_bytes:
                raise FetchFailed(f"{url} has more than {LIMITS.max_file_bytes} bytes")
            yield cast(BinaryIO, _Told(answer, url))
            return
    raise FetchFailed(f"{url}: more than {_MAX_REDIRECTS} redirects")


def _redirected(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise FetchFailed(f"{url} redirects to {location}, which is no address") from error


def _length(url: str, told: str | None) -> int:
    try:
        return int(told or 0)
    except ValueError as error:
        raise FetchFailed(f"{url} says its length is {told!r}, which is no number") from error


class _Told:
    """A body whose broken connection is told as FetchFailed."""

    def __init__(self, answer: Any, url: str) -> None:
        self._answer, self._url, self._left = answer, url, LIMITS.max_file_bytes

    def read(self, size: int = -1) -> bytes:
        try:
            data: bytes = self._answer.read(size if size >= 0 else None)
        except urllib3.exceptions.HTTPError as error:
            raise FetchFailed(f"{self._url} broke off: {error}") from error
        self._left -= len(data)
        if self._left < 0:
            raise FetchFailed(f"{self._url} has more than {LIMITS.max_file_bytes} bytes")
        return data


@contextmanager
def _get(url: str) -> Iterator[Any]:
    """GET from the very address that was judged: it is not resolved a second time."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", _port(url)
    address = resolve(host, port)
    pool: urllib3.HTTPConnectionPool
    if parts.scheme == "https":
        pool = urllib3.HTTPSConnectionPool(
            address,
            port,
            timeout=_TIMEOUT,
            server_hostname=host,
            assert_hostname=host,
            cert_reqs="CERT_REQUIRED",
            ca_certs=certifi.where(),
        )
    else:
        pool = urllib3.HTTPConnectionPool(address, port, timeout=_TIMEOUT)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    netloc = parts.netloc.rpartition("@")[2]
    try:
        with contextlib.closing(pool):
            answer = pool.request(
                "GET",
                target,
                headers={"host": netloc, "accept-encoding": "identity"},
                redirect=False,
                retries=False,
                preload_content=False,
            )
            try:
                yield answer
            finally:
                answer.close()
    except (urllib3.exceptions.HTTPError, UnicodeError) as error:
        raise FetchFailed(f"{url}: {error}") from error


def resolve(host: str, port: int) -> str:
    """One address of the host, judged: public, or listed itself. FetchFailed otherwise."""
    try:
        return addresses.resolve(host, port, networks=_listed_addresses(port))[0][0]
    except addresses.NoAddress as error:
        raise FetchFailed(str(error)) from error
    except addresses.NotAllowed as error:
        fix = "list its address itself in SLIPWAY_IMPORT_HOSTS if it is meant"
        raise FetchFailed(f"{error}; {fix}") from error


def _listed_addresses(port: int) -> list[addresses.Network]:
    """Entries of IMPORT_HOSTS that are addresses, with this port or any."""
    found: list[addresses.Network] = []
    for entry in settings.IMPORT_HOSTS:
        ported = entry.startswith("[") or entry.count(":") == 1
        text = entry.removesuffix(f":{port}") if ported else entry
        with contextlib.suppress(ValueError):
            found.append(ipaddress.ip_network(ipaddress.ip_address(text.strip("[]"))))
    return found
