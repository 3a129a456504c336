"""A POST that comes twice is done once: by `Idempotency-Key`, or seen to be a client's retry."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

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


class InProgress(Conflict):
    """The first request under this key is still at work; ask again in a moment."""

    code = "idempotency_in_progress"
    retry: ClassVar[bool] = True


def once(
    *,
    project_id: UUID,
    path: str,
    given: Any,
    key: str,
    retried: bool,
    make: Callable[[], tuple[int, dict[str, Any]]],
) -> tuple[int, dict[str, Any]]:
    """What `make` answers, or what it answered the first time.

    `given` is what was asked, as JSON; `key` the Idempotency-Key or empty; `retried` whether the
    client says that it sent this before. A refusal is not kept: the next try is a first one.
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
            raise Conflict(
                "This Idempotency-Key was used for a different request; repeat that one unchanged "
                "or use a new key."
            )
        if first.status is not None:
            return first.status, first.body
        if time.monotonic() > waited_until:
            raise InProgress("The first request of this kind is still at work; ask again shortly.")
        time.sleep(0.1)
    try:
        status, body = make()
    except BaseException:
        Asked.objects.filter(pk=row.pk).delete()
        raise
    Asked.objects.filter(pk=row.pk).update(status=status, body=body)
    return status, body


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
