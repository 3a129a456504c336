"""What an organisation asks of a session before it lets the person in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from slipway.core.errors import Refused
from slipway.tenancy.models import Membership, Organisation, Role, User

#: Where a session keeps what it has shown.
SHOWN = "shown"
#: So long after they were last asked, people are taken to be still sitting there.
FRESH = timedelta(minutes=10)


class NeedsSignOn(Refused):
    """The organisation lets people in through its identity provider only."""

    status = 403
    code: ClassVar[str] = "sign_on_required"


class NeedsSecondFactor(Refused):
    """The organisation asks for more than a password."""

    status = 403
    code: ClassVar[str] = "second_factor_required"


class NeedsProof(Refused):
    """Worth asking again who is sitting there."""

    status = 403
    code: ClassVar[str] = "proof_required"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a session has shown of its person, and when."""

    proved_at: datetime
    #: The organisation whose provider answered for them.
    signed_on_to: UUID | None = None
    #: Shown here, or asked for by the provider that a browser was sent to.
    second_factor: bool = False

    def stored(self) -> dict[str, Any]:
        """As the session keeps it."""
        return {
            "proved_at": self.proved_at.isoformat(),
            "signed_on_to": str(self.signed_on_to) if self.signed_on_to else None,
            "second_factor": self.second_factor,
        }


def shown(stored: Mapping[str, Any] | None) -> Shown | None:
    """What `stored()` gave; None for a session that began before there was any."""
    if not stored:
        return None
    to = stored.get("signed_on_to")
    return Shown(
        proved_at=datetime.fromisoformat(stored["proved_at"]),
        signed_on_to=UUID(to) if to else None,
        second_factor=bool(stored.get("second_factor")),
    )


def refusal(*, user: User, organisation: Organisation, seen: Shown | None) -> Refused | None:
    """Why a session may not enter an organisation; None if it may.

    Owners of the whole organisation, and who administers the platform, may come in by password
    where a provider is demanded: somebody has to, when the provider is down. A second factor is
    asked of them like of everybody.
    """
    signed_on = seen is not None and seen.signed_on_to == organisation.pk
    if organisation.requires_sign_on and not signed_on and not _may_mend(user, organisation):
        return NeedsSignOn(
            f"{organisation.name} lets people in through its identity provider only; sign out, "
            "then give your mail address on the sign-in page."
        )
    second = seen is not None and seen.second_factor
    if organisation.requires_second_factor and not second:
        return NeedsSecondFactor(
            f"{organisation.name} asks for a second factor; set one up, then sign in with it."
        )
    return None


def check_fresh(*, seen: Shown | None, now: datetime) -> None:
    """NeedsProof unless the person was asked for their credentials a short while ago."""
    if seen is None or not timedelta(0) <= now - seen.proved_at <= FRESH:
        raise NeedsProof(
            "This cannot be undone or gives rights away; show again that it is you: "
            "POST /api/v1/session/proof, then repeat it."
        )


def _may_mend(user: User, organisation: Organisation) -> bool:
    return bool(
        user.is_superuser
        or Membership.objects.filter(user=user, organisation=organisation, role=Role.OWNER).exists()
    )
