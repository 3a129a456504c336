"""How it is sent: mail, and webhooks signed by the rules of Standard Webhooks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from datetime import datetime, timedelta

from django.conf import settings
from django.core.mail import EmailMessage

from slipway.core import lifecycle, outward, seal
from slipway.core.errors import Invalid
from slipway.notices.models import Delivery, Phase, Target
from slipway.notices.services.targets import purpose

#: Waits between attempts; after the last one a delivery has failed.
WAITS = [timedelta(seconds=seconds) for seconds in (5, 60, 300, 1800, 7200, 21_600, 43_200)]


def send(delivery: Delivery, now: datetime) -> timedelta | None:
    """One attempt; how long to wait for the next, or None at rest."""
    trouble = _sent(delivery, now)
    attempts = delivery.attempts + 1
    Delivery.objects.filter(pk=delivery.pk).update(attempts=attempts)
    if not trouble:
        lifecycle.advance(delivery, Phase.SENT, now=now)
        return None
    gone = Target.objects.filter(pk=delivery.target_id).exclude(stopped="").exists()
    if gone or attempts > len(WAITS):
        lifecycle.advance(delivery, Phase.FAILED, now=now, reason=trouble[:500])
        return None
    lifecycle.annotate(delivery, reason=f"attempt {attempts}: {trouble}"[:500])
    return WAITS[attempts - 1]


def _sent(delivery: Delivery, now: datetime) -> str:
    """What went wrong; empty if it was taken."""
    row = delivery.target
    try:
        return (
            _mailed(row, delivery) if row.kind == Target.Kind.MAIL else _posted(row, delivery, now)
        )
    except (outward.NoAnswer, Invalid, seal.CannotOpen, OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


def _posted(row: Target, delivery: Delivery, now: datetime) -> str:
    """By the rules of Standard Webhooks: id, time and body are signed together."""
    secret = seal.unseal(row.secret, purpose=purpose(row))
    body = json.dumps(delivery.body, ensure_ascii=False, separators=(",", ":")).encode()
    name, at = f"msg_{delivery.pk.hex}", str(int(now.timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = hmac.new(key, f"{name}.{at}.".encode() + body, hashlib.sha256).digest()
    headers = {
        "content-type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }
    answer = outward.ask("POST", row.address, headers=headers, body=body)
    if answer.status == 410:
        Target.objects.filter(pk=row.pk).update(stopped="it answered 410 Gone")
    return "" if 200 <= answer.status < 300 else f"it answered with status {answer.status}"


def _mailed(row: Target, delivery: Delivery) -> str:
    text = str(delivery.body["data"]["text"])
    # One line, whatever names hold: what follows a line break would be a header.
    subject = re.sub(r"\s+", " ", f"{delivery.body.get('prefix', 'Slipway:')} {text}")[:200]
    told = "\n".join(f"{name}: {value}" for name, value in delivery.body["data"].items())
    body = f"{told}\n\n{settings.PUBLIC_URL}\n"
    mail(to=row.address, subject=subject, body=body, name=str(delivery.pk))
    return ""


def mail(*, to: str, subject: str, body: str, name: str) -> None:
    """Hand one mail to the mail server; `name` is what it is known by, so that a copy shows as one.

    Raises OSError, as smtplib does, where it is not taken.
    """
    EmailMessage(
        subject=subject, body=body, to=[to],
        headers={"Auto-Submitted": "auto-generated", "Message-ID": f"<{name}@slipway>"},
    ).send()  # fmt: skip
