"""A name and a password: of an account here, or of a directory that knows the mail domain."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from slipway.core import together
from slipway.core.errors import NotSignedIn
from slipway.tenancy.models import ProviderKind, User
from slipway.tenancy.services import signin
from slipway.tenancy.services.signon import domains, joining, ldap
from slipway.tenancy.services.signon.seen import Untrusted


def person(*, name: str, password: str, address: str, now: datetime) -> tuple[User, UUID | None]:
    """Who it is, and the organisation whose directory said so; None for an account of ours.

    A directory is only asked about names below a mail domain proved to be its organisation's:
    nobody's password is shown to another. Raises as `signin.sign_in`, and what a provider may.
    """
    provider = domains.provider_of(email=name).filter(kind=ProviderKind.LDAP).first()
    ours = User.objects.filter(username=name).first()
    if provider is None or (ours is not None and ours.has_usable_password()):
        user = signin.sign_in(user_name=name, password=password, address=address, now=now)
        return user, None
    signin.check_pace(user_name=name, address=address, now=now)
    try:
        seen = ldap.check(provider, name=name, password=password)
    except Untrusted as error:
        signin.note_failure(user_name=name, address=address, now=now)
        raise NotSignedIn("User name or password is wrong.") from error
    together.begin()
    return joining.person_of(provider=provider, seen=seen, now=now), provider.organisation_id
