"""Second factors: one-time passwords (RFC 6238) and the codes for who lost theirs."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar
from urllib.parse import quote, urlencode
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from django.db import transaction

from slipway.core import seal
from slipway.core.errors import Conflict, Detail, Invalid, NotFound, NotSignedIn
from slipway.tenancy.models import Factor, FactorKind, RecoveryCode, User
from slipway.tenancy.services import signin
from slipway.tenancy.services.keys import digest_of

STEP_SECONDS, DIGITS, KEY_BYTES = 30, 6, 20
#: Clocks may differ by so many steps.
_DRIFT_STEPS = 1
CODES, _CODE_BYTES = 10, 10
MOST_FACTORS = 20


class SecondFactorNeeded(NotSignedIn):
    """The password is right; more is asked for."""

    code: ClassVar[str] = "second_factor_needed"


def factors_of(*, user: User) -> list[Factor]:
    """What the person has shown to work, oldest first."""
    rows = Factor.objects.filter(user=user).exclude(confirmed_at=None)
    return list(rows.order_by("created_at", "pk"))


def codes_left(*, user: User) -> int:
    return RecoveryCode.objects.filter(user=user, used_at=None).count()


def begin_totp(*, user: User, issuer: str) -> tuple[str, str]:
    """A key for an authenticator app, in base32 and as the URI of its QR code; not in force yet."""
    check_room(user)
    key = secrets.token_bytes(KEY_BYTES)
    Factor.objects.filter(user=user, kind=FactorKind.TOTP, confirmed_at=None).delete()
    row = Factor(user=user, kind=FactorKind.TOTP, name="authenticator")
    row.secret = seal.seal(key.hex(), purpose=purpose_of(row))
    row.save()
    text = base64.b32encode(key).decode().rstrip("=")
    label = quote(f"{issuer}:{user.username}")
    asked = urlencode({"secret": text, "issuer": issuer, "digits": DIGITS, "period": STEP_SECONDS})
    return text, f"otpauth://totp/{label}?{asked}"


def confirm_totp(*, user: User, passcode: str, name: str, address: str, now: datetime) -> list[str]:
    """Put the key that waits into force; returns recovery codes if the person had none."""
    row = Factor.objects.filter(user=user, kind=FactorKind.TOTP, confirmed_at=None).first()
    if row is None:
        raise NotFound("No key waits for its first passcode; begin anew.")
    signin.check_pace(user_name=user.username, address=address, now=now)
    step = _step_of(row, passcode, now)
    if step is None:
        signin.note_failure(user_name=user.username, address=address, now=now)
        raise _wrong("The passcode is not the one of now; is the clock of your device right?")
    with transaction.atomic():
        Factor.objects.filter(pk=row.pk).update(confirmed_at=now, counter=step, name=name)
        return [] if codes_left(user=user) else renew_codes(user=user)


@transaction.atomic
def renew_codes(*, user: User) -> list[str]:
    """New recovery codes, never to be seen again; old ones end."""
    RecoveryCode.objects.filter(user=user).delete()
    codes = []
    for _ in range(CODES):
        text = base64.b32encode(secrets.token_bytes(_CODE_BYTES)).decode().lower()
        codes.append("-".join(text[i : i + 4] for i in range(0, len(text), 4)))
    RecoveryCode.objects.bulk_create(
        RecoveryCode(user=user, digest=_code_digest(user, code)) for code in codes
    )
    return codes


def check_second(*, user: User, passcode: str, address: str, now: datetime) -> bool:
    """Whether a second factor was shown: False only for who has none.

    SecondFactorNeeded where one is needed and none given, NotSignedIn where it is wrong, SlowDown
    before it is tried.
    """
    factors = factors_of(user=user)
    if not factors:
        return False
    if not passcode:
        kinds = sorted({row.kind for row in factors})
        raise SecondFactorNeeded(
            "The password is right; now your second factor.",
            Detail(field="passcode", rule=", ".join([*kinds, "recovery code"]),
                   fix="send passcode too, or sign in with the passkey"),
        )  # fmt: skip
    signin.check_pace(user_name=user.username, address=address, now=now)
    if not (_take_totp(factors, passcode, now) or _take_code(user, passcode, now)):
        signin.note_failure(user_name=user.username, address=address, now=now)
        raise NotSignedIn("The passcode is wrong, or was used before.")
    return True


def remove(*, user: User, factor_id: UUID) -> None:
    """One factor goes; with the last one the recovery codes."""
    if not Factor.objects.filter(user=user, pk=factor_id).delete()[0]:
        raise NotFound("There is no such second factor of yours.")
    if not factors_of(user=user):
        RecoveryCode.objects.filter(user=user).delete()


def remove_all(*, user_name: str) -> None:
    """For who lost everything: their password alone lets them in again, and set up anew."""
    user = User.objects.filter(username=user_name, serves=None).first()
    if user is None:
        raise NotFound(f"There is nobody called {user_name!r}.")
    Factor.objects.filter(user=user).delete()
    RecoveryCode.objects.filter(user=user).delete()


def check_room(user: User) -> None:
    if Factor.objects.filter(user=user).count() >= MOST_FACTORS:
        raise Conflict(f"{MOST_FACTORS} second factors are enough; remove one first.")


def purpose_of(row: Factor) -> str:
    return f"factor:{row.pk}"


def _take_totp(factors: Sequence[Factor], passcode: str, now: datetime) -> bool:
    for row in factors:
        if row.kind == FactorKind.TOTP and (step := _step_of(row, passcode, now)) is not None:
            # Guarded: of two requests with one passcode the second finds it taken.
            newer = Factor.objects.filter(pk=row.pk, counter__lt=step)
            return bool(newer.update(counter=step, last_used_at=now))
    return False


def _step_of(row: Factor, passcode: str, now: datetime) -> int | None:
    """The time step whose passcode this is, near now; None if it is none."""
    key = bytes.fromhex(seal.unseal(row.secret, purpose=purpose_of(row)))
    totp = TOTP(key, DIGITS, SHA1(), STEP_SECONDS)  # noqa: S303 - what RFC 6238 and every app use
    given = passcode.replace(" ", "").encode()
    here = int(now.timestamp()) // STEP_SECONDS
    for step in range(here - _DRIFT_STEPS, here + _DRIFT_STEPS + 1):
        if secrets.compare_digest(totp.generate(step * STEP_SECONDS), given):
            return step
    return None


def _take_code(user: User, passcode: str, now: datetime) -> bool:
    fresh = RecoveryCode.objects.filter(
        user=user, digest=_code_digest(user, passcode), used_at=None
    )
    return bool(fresh.update(used_at=now))


def _code_digest(user: User, code: str) -> str:
    return digest_of(f"recovery:{user.pk}:{code.strip().lower().replace('-', '')}")


def _wrong(text: str) -> Invalid:
    return Invalid(text, Detail(field="passcode", rule="the one the app shows now"))
