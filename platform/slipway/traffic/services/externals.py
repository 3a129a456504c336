"""Models that other servers answer: where they are, and as whom we ask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from slipway.core import addresses, seal
from slipway.core.errors import Conflict, Detail, Invalid, NotFound
from slipway.core.outward import Place, place_of, resolve
from slipway.deployments import services as deployments
from slipway.traffic.models import External

_LONGEST_CREDENTIAL = 4096


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
    #: Why it is not asked now; empty while it is.
    down: str = ""


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
            down=row.trouble if row.down else "",
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
    _judge(url)
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
    moved = "url" in given and _judge(given["url"]) != place_of(row.url)
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
    # What was found out of the old one says nothing of the new one.
    row.down, row.failures, row.trouble, row.next_check_at = False, 0, "", now
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


def _judge(url: str) -> Place:
    """Where it leads; Invalid where nobody may be sent as far as is known now.

    A host that no name server knows may come to be; each look and each request judges anew.
    """
    place = place_of(url)
    try:
        resolve(place)
    except addresses.NoAddress:
        return place
    except addresses.NotAllowed as error:
        raise Invalid(
            f"The address cannot be asked: {error}.",
            Detail(
                field="url",
                rule="public, or in SLIPWAY_EXTERNAL_NETWORKS",
                value=url[:200],
                fix="A public host, or have the installation name the network.",
            ),
        ) from error
    return place


def purpose_of(external_id: UUID) -> str:
    return f"external:{external_id}"


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
