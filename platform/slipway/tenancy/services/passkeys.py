"""Passkeys (WebAuthn level 2): made by a signed-in person, and a whole sign-in by themselves.

The authenticator checks its person (by finger, face or PIN), so a passkey is two factors at once.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from fido2.server import Fido2Server
from fido2.utils import websafe_encode
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from slipway.core import seal
from slipway.core.errors import Conflict, Detail, Invalid, NotSignedIn
from slipway.tenancy.models import Factor, FactorKind, User
from slipway.tenancy.services.factors import check_room, factors_of, purpose_of

#: What a browser's session keeps between the question and the answer.
State = dict[str, Any]


def begin_making(*, user: User, host: str) -> tuple[dict[str, Any], State]:
    """What the browser is to be asked, as WebAuthn's JSON, and what to remember of it."""
    check_room(user)
    asked, state = _server(host).register_begin(
        PublicKeyCredentialUserEntity(
            name=user.username, id=str(user.pk).encode(), display_name=user.username
        ),
        credentials=[_data(row) for row in _of(user)],
        resident_key_requirement=ResidentKeyRequirement.REQUIRED,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return dict(asked)["publicKey"], state


def finish_making(
    *, user: User, host: str, state: State | None, credential: Mapping[str, Any], name: str,
    now: datetime,
) -> Factor:  # fmt: skip
    """A passkey that lets its person in from now on. Invalid for an answer that does not hold."""
    if state is None:
        raise Invalid("No passkey was begun in this browser; begin anew.")
    try:
        made = _server(host).register_complete(state, credential)
    except (ValueError, KeyError, TypeError) as error:
        raise _wrong(error) from error
    data = made.credential_data
    if data is None:
        raise _wrong(ValueError("it holds no credential"))
    key = websafe_encode(data.credential_id)
    if Factor.objects.filter(credential_id=key).exists():
        raise Conflict("This passkey is known already.")
    row = Factor(user=user, kind=FactorKind.PASSKEY, name=name, credential_id=key)
    row.secret = seal.seal(base64.b64encode(data).decode(), purpose=purpose_of(row))
    row.counter, row.confirmed_at = made.counter, now
    row.save()
    return row


def begin_asking(*, host: str) -> tuple[dict[str, Any], State]:
    """The question that any passkey of this place may answer; names nobody."""
    asked, state = _server(host).authenticate_begin(
        user_verification=UserVerificationRequirement.REQUIRED
    )
    return dict(asked)["publicKey"], state


def finish_asking(
    *, host: str, state: State | None, credential: Mapping[str, Any], now: datetime
) -> User:
    """Whose passkey answered. NotSignedIn for an answer that does not hold."""
    refused = NotSignedIn("This passkey does not let anybody in here.")
    if state is None:
        raise NotSignedIn("No passkey was asked for in this browser; try again.")
    try:
        answer = AuthenticationResponse.from_dict(credential)
        key = websafe_encode(answer.raw_id)
        row = Factor.objects.filter(credential_id=key).select_related("user").first()
        if row is None or not row.user.is_active:
            raise refused
        _server(host).authenticate_complete(state, [_data(row)], credential)
    except (ValueError, KeyError, TypeError) as error:
        raise refused from error
    counter = answer.response.authenticator_data.counter
    # Many authenticators do not count and say 0; one that does never says the same twice.
    if counter and counter <= row.counter:
        raise NotSignedIn("This passkey answered with an old counter; it may have been copied.")
    Factor.objects.filter(pk=row.pk).update(counter=counter, last_used_at=now)
    user: User = row.user
    return user


def _of(user: User) -> list[Factor]:
    return [row for row in factors_of(user=user) if row.kind == FactorKind.PASSKEY]


def _data(row: Factor) -> AttestedCredentialData:
    sealed = seal.unseal(row.secret, purpose=purpose_of(row))
    return AttestedCredentialData(base64.b64decode(sealed))


def _server(host: str) -> Fido2Server:
    """For the host that the browser shows, without its port."""
    name = urlsplit(f"//{host}").hostname or ""
    if name != "localhost" and ("." not in name or name.replace(".", "").isdigit() or ":" in name):
        raise Invalid(
            f"Passkeys belong to a name, and {name!r} is none.",
            Detail(field="host", rule="a domain name", value=name,
                   fix="open the console by its name, or as localhost"),
        )  # fmt: skip
    entity = PublicKeyCredentialRpEntity(name="Slipway", id=name)
    return Fido2Server(entity, verify_origin=partial(_is_here, name))


def _is_here(name: str, origin: str) -> bool:
    parts = urlsplit(origin)
    return parts.hostname == name and (parts.scheme == "https" or name == "localhost")


def _wrong(error: Exception) -> Invalid:
    return Invalid(
        "The passkey was not taken.",
        Detail(field="credential", rule=str(error)[:200], fix="try again"),
    )
