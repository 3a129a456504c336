"""Asking servers that users name: only where anybody, or this installation, may be sent.

A name is resolved once, every address is judged, and the connection goes to the address judged, so
that a name server cannot answer differently the second time. Redirects are never followed.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import certifi
import urllib3
from django.conf import settings

from slipway.core import addresses
from slipway.core.errors import Detail, Invalid

_MOST_BYTES = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an URL leads: `path` is put before what is asked, such as `/v1`."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def netloc(self) -> str:
        """For the Host header."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        usual = {"https": 443, "http": 80}[self.scheme]
        return name if self.port == usual else f"{name}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a server said; `headers` by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoAnswer(Exception):
    """The server cannot be asked, or did not answer; the message names it and says why."""


def place_of(url: str) -> Place:
    """Where an URL leads; Invalid unless we may go there as far as can be told without asking.

    Plain http is for networks that the installation names, and those only.
    """
    detail = Detail(field="url", rule="https://host[:port][/path]", value=url[:200],
                    fix="such as https://api.example.com/v1")  # fmt: skip
    try:
        url.encode("ascii")
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    except ValueError as error:
        raise Invalid("The address is none that can be asked.", detail) from error
    odd = parts.username is not None or parts.query or parts.fragment or any(c <= " " for c in url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or odd or "\\" in url:
        raise Invalid("The address must be plain https, without user name or query.", detail)
    if parts.scheme == "http" and not settings.EXTERNAL_NETWORKS:
        raise Invalid("Only https is allowed here; http would show the credential.", detail)
    host = parts.hostname.rstrip(".")
    return Place(scheme=parts.scheme, host=host, port=port, path=parts.path.rstrip("/"))


def resolve(place: Place) -> list[str]:
    """Addresses of a place that we may connect to; blocks. addresses.NotAllowed otherwise."""
    found = addresses.resolve(place.host, place.port, networks=settings.EXTERNAL_NETWORKS)
    if place.scheme == "http" and not all(named for _, named in found):
        raise addresses.NotAllowed(
            f"{place.host} is not in SLIPWAY_EXTERNAL_NETWORKS, so http is not allowed"
        )
    return [address for address, _ in found]


def tls() -> ssl.SSLContext:
    """Verifies the other side, by public authorities and those of the installation."""
    context = ssl.create_default_context(cafile=certifi.where())
    if settings.EXTERNAL_CA:
        context.load_verify_locations(settings.EXTERNAL_CA)
    return context


def ask(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeout_seconds: float = 10.0,
) -> Answer:
    """One request, at most a MiB of answer; blocks. NoAnswer where none came, whatever it says.

    Raises Invalid for an address that is none.
    """
    plain, mark, query = url.partition("?")
    place = place_of(plain)
    if not query.isascii() or any(c <= " " or c == "#" for c in query):
        raise Invalid("The address has a query that cannot be asked.")
    try:
        found = resolve(place)
    except addresses.NotAllowed as error:
        raise NoAnswer(str(error)) from error
    target = (urlsplit(plain).path or "/") + mark + query
    sent = {"host": place.netloc, "accept-encoding": "identity", **(headers or {})}
    trouble: Exception | None = None
    for address in found[:3]:
        try:
            with _pool(place, address, timeout_seconds) as pool:
                answer = pool.request(
                    method, target, headers=sent, body=body, redirect=False, retries=False,
                    preload_content=False,
                )  # fmt: skip
                data = answer.read(_MOST_BYTES + 1)
                answer.close()
        except urllib3.exceptions.NewConnectionError as error:
            # Nothing was said yet, so another address of the same host may be tried.
            trouble = error
            continue
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise NoAnswer(f"{place.host} does not answer: {error}") from error
        if len(data) > _MOST_BYTES:
            raise NoAnswer(f"{place.host} answers with more than a MiB")
        named = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(status=answer.status, headers=named, body=data)
    raise NoAnswer(f"{place.host} does not answer: {trouble}")


def _pool(place: Place, address: str, timeout_seconds: float) -> urllib3.HTTPConnectionPool:
    timeout = urllib3.Timeout(connect=min(5.0, timeout_seconds), total=timeout_seconds)
    if place.scheme == "http":
        return urllib3.HTTPConnectionPool(address, place.port, timeout=timeout)
    return urllib3.HTTPSConnectionPool(
        address, place.port, timeout=timeout, server_hostname=place.host,
        assert_hostname=place.host, ssl_context=tls(),
    )  # fmt: skip
