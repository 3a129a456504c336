"""What every provider says of a person, and how it may fail."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from slipway.core import seal
from slipway.core.errors import Refused
from slipway.tenancy.models import IdentityProvider


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A person as a provider describes them; `subject` is its lasting name for them."""

    subject: str
    email: str = ""
    email_verified: bool = False
    name: str = ""
    groups: frozenset[str] = field(default_factory=frozenset)


class ProviderDown(Refused):
    """The provider does not answer, or not as one would; nothing the person can mend."""

    status = 503
    code: ClassVar[str] = "provider_down"


class Untrusted(Refused):
    """What came back does not hold: forged, replayed, expired or meant for somebody else."""

    status = 401
    code: ClassVar[str] = "sign_on_failed"


class NoRole(Refused):
    """The provider knows them, but nothing here is theirs."""

    status = 403
    code: ClassVar[str] = "no_role"


def purpose_of(provider: IdentityProvider) -> str:
    return f"identity-provider:{provider.pk}"


def secret_of(provider: IdentityProvider) -> str:
    """The client secret or bind password; empty for none. ProviderDown if it does not open."""
    if not provider.secret:
        return ""
    try:
        return seal.unseal(provider.secret, purpose=purpose_of(provider))
    except seal.CannotOpen as error:
        raise ProviderDown(f"the secret of {provider.name} does not open: {error}") from error


def texts(value: Any) -> list[str]:
    """A claim or attribute that holds one text or several."""
    if isinstance(value, str):
        return [value]
    return [str(each) for each in value] if isinstance(value, list | tuple) else []
