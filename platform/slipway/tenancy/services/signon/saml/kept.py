"""Answers that hold, kept until the browser that asked for them comes with its session.

A provider has the browser post its answer from another site, and such a post carries no session.
What was proved waits here under a code; the browser is sent on with it, to an address of ours.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import asdict
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from slipway.tenancy.models import IdentityProvider, SamlAnswer
from slipway.tenancy.services.signon.saml.answered import LEEWAY, Answered
from slipway.tenancy.services.signon.seen import Seen, Untrusted

#: So long a browser has to come from the answer to the session that asked for it.
_ON_THE_WAY = timedelta(minutes=2)


def keep(provider: IdentityProvider, answered: Answered, *, now: datetime) -> str:
    """A code for the one browser that asked; Untrusted where the assertion was kept before."""
    code = secrets.token_urlsafe(32)
    seen = asdict(answered.seen) | {"groups": sorted(answered.seen.groups)}
    try:
        with transaction.atomic():
            SamlAnswer.objects.create(
                provider=provider, assertion=answered.assertion, request=answered.request,
                code=_digest(code), seen=seen, proved_at=answered.proved_at, created_at=now,
                expires_at=answered.expires_at,
            )  # fmt: skip
    except IntegrityError as error:
        raise Untrusted("this assertion was used before") from error
    return code


def take(*, code: str, provider: str, request: str, anew: bool, now: datetime) -> Seen:
    """Whom the kept answer names, once, to the session that made `request`; Untrusted otherwise."""
    rows = SamlAnswer.objects.filter(
        code=_digest(code), provider=provider, request=request, taken_at=None,
        created_at__gt=now - _ON_THE_WAY,
    )  # fmt: skip
    row = rows.first()
    # Of two that take at once, one does. What is not needed any more is forgotten.
    if row is None or not rows.update(taken_at=now, seen={}):
        raise Untrusted("the answer belongs to no sign-on of this browser, or came too late")
    if anew and row.proved_at < row.created_at - LEEWAY:
        raise Untrusted("the provider did not ask the person again")
    return Seen(**row.seen | {"groups": frozenset(row.seen["groups"])})


def forget(*, now: datetime) -> None:
    """Answers that would be refused for their age alone need not be known any more."""
    SamlAnswer.objects.filter(expires_at__lt=now).delete()


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
