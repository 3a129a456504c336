"""A POST that comes twice is done once: by `Idempotency-Key`, or seen to be a client's retry."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from slipway.core import seal
from slipway.core.errors import Conflict
from slipway.door.models import Asked
from slipway.door.services.words import Bad

#: How long a retry without a key of its own is known for one.
RETRY_WINDOW = timedelta(minutes=10)
#: How long an answer under an Idempotency-Key is kept.
KEPT = timedelta(hours=24)
#: One that has been at work for longer has died over it.
_ABANDONED = timedelta(minutes=5)
_WAIT_SECONDS = 20.0
_LONGEST_KEY = 255
#: The one key of a kept answer that holds a secret.
_SEALED = "x_sealed"


class InProgress(Conflict):
    """The first request under this key is still at work; ask again in a moment."""

    code = "idempotency_in_progress"
    retry: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A request that is the first of its kind: to be `done` with its answer, or `given_up`."""

    row: Asked
    #: The answer holds a secret, and is kept sealed.
    secret: bool

    def done(self, status: int, body: dict[str, Any]) -> None:
        kept = _sealed(self.row, body) if self.secret else body
        Asked.objects.filter(pk=self.row.pk).update(status=status, body=kept)

    def given_up(self) -> None:
        """It was refused; the next try is a first one."""
        Asked.objects.filter(pk=self.row.pk, status=None).delete()


def claim(
    *, project_id: UUID, path: str, given: Any, key: str, retried: bool, secret: bool = False
) -> Claim | tuple[int, dict[str, Any]]:
    """The right to answer this request, or what was answered to it before.

    `given` is what was asked, as JSON; `key` the Idempotency-Key or empty; `retried` whether the
    client says that it sent this before. Conflict if the key was used for something else.
    """
    if len(key) > _LONGEST_KEY:
        raise Bad(
            f"Idempotency-Key has at most {_LONGEST_KEY} characters, not {len(key)}.",
            param="Idempotency-Key",
        )
    sha256 = _digest(given)
    row = Asked(
        project_id=project_id,
        name=_digest([path, key] if key else [path, None, sha256]),
        request_sha256=sha256,
    )
    waited_until = time.monotonic() + _WAIT_SECONDS
    while (first := _earlier(row, key=key, retried=retried, now=timezone.now())) is not None:
        if first.request_sha256 != sha256:
            raise _other()
        if first.status is not None:
            return first.status, _opened(first)
        if time.monotonic() > waited_until:
            raise InProgress("The first request of this kind is still at work; ask again shortly.")
        time.sleep(0.1)
    return Claim(row=row, secret=secret)


def check_unused(*, project_id: UUID, path: str, key: str) -> None:
    """Conflict if this Idempotency-Key has an answer: what is refused is not what that was for."""
    name = _digest([path, key])
    since = timezone.now() - KEPT
    if key and Asked.objects.filter(
        project_id=project_id, name=name, status__isnull=False, created_at__gt=since
    ).exists():  # fmt: skip
        raise _other()


def _other() -> Conflict:
    return Conflict(
        "This Idempotency-Key was used for a different request; repeat that one unchanged or use "
        "a new key."
    )


def once(
    *,
    project_id: UUID,
    path: str,
    given: Any,
    key: str,
    retried: bool,
    make: Callable[[], tuple[int, dict[str, Any]]],
    secret: bool = False,
) -> tuple[int, dict[str, Any]]:
    """What `make` answers, or what it answered the first time. A refusal is not kept."""
    found = claim(
        project_id=project_id, path=path, given=given, key=key, retried=retried, secret=secret
    )
    if not isinstance(found, Claim):
        return found
    try:
        status, body = make()
    except BaseException:
        found.given_up()
        raise
    found.done(status, body)
    return status, body


def _sealed(row: Asked, body: dict[str, Any]) -> dict[str, Any]:
    return {_SEALED: seal.seal(json.dumps(body), purpose=f"asked:{row.name}")}


def _opened(row: Asked) -> dict[str, Any]:
    if isinstance(row.body, dict) and _SEALED in row.body:
        opened = seal.unseal(row.body[_SEALED], purpose=f"asked:{row.name}")
        return dict(json.loads(opened))
    return dict(row.body)


def _earlier(row: Asked, *, key: str, retried: bool, now: datetime) -> Asked | None:
    """The one that came before, or None: then `row` is in its place, and ours to answer."""
    row.created_at = now
    try:
        with transaction.atomic():
            row.save(force_insert=True)
        return None
    except IntegrityError:
        pass
    found = Asked.objects.filter(project_id=row.project_id, name=row.name)
    first = found.first()
    if first is None:
        return _earlier(row, key=key, retried=retried, now=now)
    kept = KEPT if key else RETRY_WINDOW
    stale = first.created_at < now - (_ABANDONED if first.status is None else kept)
    if (key or retried) and not stale:
        return first
    # The same wish anew, or one whose first died over it: this one takes its place.
    found.filter(pk=first.pk).delete()
    return _earlier(row, key=key, retried=retried, now=now)


def forget(now: datetime) -> None:
    Asked.objects.filter(created_at__lt=now - KEPT).delete()


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
