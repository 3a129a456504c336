"""Models that other servers answer: where they are, as whom we ask, and whether they answer."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import certifi
import urllib3
from django.conf import settings
from django.db import IntegrityError, transaction

from slipway.core import addresses, seal
from slipway.core.errors import Conflict, Detail, Invalid, NotFound
from slipway.deployments import services as deployments
from slipway.traffic.models import External

_LONGEST_CREDENTIAL = 4096
_CHECK_TIMEOUT = urllib3.Timeout(connect=5, read=10)


@dataclass(frozen=True, kw_only=True)
class ExternalFact:
    """An external model, for the gateway's snapshot; `credential` is still sealed."""

    id: UUID
    project_id: UUID
    name: str
    url: str
    model: str
    credential: str
    timeout_seconds: int
    created_at: datetime


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


def all_externals() -> Iterator[ExternalFact]:
    """Every external model of every project; one query."""
    for row in External.objects.order_by("pk").iterator():
        yield ExternalFact(
            id=row.pk,
            project_id=row.project_id,
            name=row.name,
            url=row.url,
            model=row.model,
            credential=row.credential,
            timeout_seconds=row.timeout_seconds,
            created_at=row.created_at,
        )


def register(
    *,
    project_id: UUID,
    name: str,
    url: str,
    model: str = "",
    credential: str = "",
    timeout_seconds: int = 120,
    made_by: str = "",
    now: datetime,
) -> External:
    """A name that another server answers from now on. Conflict if the name is taken."""
    if not deployments.NAME.fullmatch(name):
        raise Invalid(
            f"{name[:80]!r} cannot be the name of a model.",
            Detail(field="name", rule="1 to 63 letters, digits, `.`, `_`, `-`, `:`", value=name),
        )
    if deployments.is_deployed(project_id=project_id, name=name):
        raise _taken(name)
    place_of(url)
    row = External(
        project_id=project_id, name=name, url=url.rstrip("/"), model=model or name,
        timeout_seconds=timeout_seconds, made_by=made_by, created_at=now, changed_at=now,
    )  # fmt: skip
    _seal(row, credential)
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as error:
        raise _taken(name) from error
    return row


def change(row: External, *, now: datetime, **given: Any) -> External:
    """Change `url`, `model`, `credential` or `timeout_seconds`; what is not given stays.

    An address is never changed without its credential: whoever may change the one must know
    the other, or a key could be sent to a server of their choice.
    """
    moved = "url" in given and place_of(given["url"]) != place_of(row.url)
    if moved and row.credential and "credential" not in given:
        raise Invalid(
            "A new address needs its credential too.",
            Detail(field="credential", rule="given together with url", value="",
                   fix="Send the credential for the new address, or an empty one."),
        )  # fmt: skip
    for name in ("url", "model", "timeout_seconds"):
        if name in given:
            setattr(row, name, given[name])
    row.url = row.url.rstrip("/")
    if "credential" in given:
        _seal(row, given["credential"])
    row.changed_at = now
    row.save()
    return row


def forget(row: External) -> None:
    row.delete()


def external_row(*, project_id: UUID, external_id: UUID) -> External:
    """The row, for this domain's own use; NotFound if there is none in the project."""
    found = External.objects.filter(pk=external_id, project_id=project_id).first()
    if found is None:
        raise NotFound("There is no such external model in this project.")
    return found


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


def purpose_of(external_id: UUID) -> str:
    return f"external:{external_id}"


def check(row: External, *, now: datetime) -> External:
    """Ask the server for its models and store what came of it; blocks for some seconds."""
    row.trouble, row.checked_at = _trouble(row)[:500], now
    External.objects.filter(pk=row.pk).update(trouble=row.trouble, checked_at=now)
    return row


def _trouble(row: External) -> str:
    place = place_of(row.url)
    try:
        address = resolve(place)[0]
        secret = seal.unseal(row.credential, purpose=purpose_of(row.pk)) if row.credential else ""
    except (addresses.NotAllowed, seal.CannotOpen) as error:
        return str(error)
    headers = {"host": place.netloc, "accept-encoding": "identity"}
    if secret:
        headers["authorization"] = f"Bearer {secret}"
    pool: urllib3.HTTPConnectionPool
    if place.scheme == "https":
        pool = urllib3.HTTPSConnectionPool(
            address, place.port, timeout=_CHECK_TIMEOUT, server_hostname=place.host,
            assert_hostname=place.host, ssl_context=tls(),
        )  # fmt: skip
    else:
        pool = urllib3.HTTPConnectionPool(address, place.port, timeout=_CHECK_TIMEOUT)
    try:
        with pool:
            answer = pool.request("GET", f"{place.path}/models", headers=headers, redirect=False,
                                  retries=False, preload_content=False)  # fmt: skip
            answer.close()
    except urllib3.exceptions.HTTPError as error:
        return f"{place.host} does not answer: {error}"
    if answer.status in {401, 403}:
        return f"{place.host} refuses the credential (status {answer.status})"
    # Some servers do not list their models; that they answer at all is what is asked.
    if answer.status >= 500 or 300 <= answer.status < 400:
        return f"{place.host} answers GET {place.path}/models with status {answer.status}"
    return ""


def _seal(row: External, credential: str) -> None:
    fits = credential.isascii() and credential.isprintable() and " " not in credential
    if not fits or len(credential) > _LONGEST_CREDENTIAL:
        raise Invalid(
            "The credential cannot be sent in a header.",
            Detail(field="credential", rule="printable ASCII without spaces, at most 4096"),
        )
    row.credential = seal.seal(credential, purpose=purpose_of(row.pk)) if credential else ""
    row.credential_hint = f"…{credential[-4:]}" if len(credential) >= 16 else ""


def _taken(name: str) -> Conflict:
    return Conflict(
        f"{name!r} is already the name of a deployment or an external model in this project.",
        Detail(field="name", rule="once in a project", value=name, fix="Choose another name."),
    )
