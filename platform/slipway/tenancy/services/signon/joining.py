"""From what a provider says to a person of ours: known, provisioned before, or made just now."""

from __future__ import annotations

import re
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from slipway.editions import services as editions
from slipway.tenancy.models import Group, Identity, IdentityProvider, Membership, Provisioned, User
from slipway.tenancy.services.signon.seen import NoRole, Seen

_LONGEST_NAME = 150


@transaction.atomic
def person_of(*, provider: IdentityProvider, seen: Seen, now: datetime) -> User:
    """The person, in the groups that the provider names by now.

    An account that is there already is never taken over for having the same name or mail address:
    whoever answers for an organisation's people must not become somebody else's. NoRole for who
    may do nothing in the organisation; then nothing is kept.
    """
    identity = (
        Identity.objects.select_related("user")
        .filter(provider=provider, subject=seen.subject)
        .first()
    )
    user = identity.user if identity else _provisioned(provider, seen) or new_person(seen=seen)
    if not user.is_active:
        raise NoRole("Your account was ended; ask an owner of your organisation.")
    Identity.objects.update_or_create(
        provider=provider, subject=seen.subject, defaults={"user": user, "last_used_at": now}
    )
    if seen.email and user.email != seen.email:
        User.objects.filter(pk=user.pk).update(email=seen.email[:254])
    mirror_groups(provider=provider, user=user, names=seen.groups)
    if identity is None and provider.default_role:
        Membership.objects.get_or_create(
            user=user,
            organisation_id=provider.organisation_id,
            defaults={"role": provider.default_role},
        )
    here = Membership.objects.filter(
        Q(organisation_id=provider.organisation_id)
        | Q(project__organisation_id=provider.organisation_id)
    )
    if not here.filter(Q(user=user) | Q(group__people=user)).exists():
        raise NoRole(
            f"{provider.name} knows you, but you have no role here yet; ask an owner of your "
            "organisation to give one to you or to a group of yours."
        )
    return user


def _provisioned(provider: IdentityProvider, seen: Seen) -> User | None:
    """Whom the organisation's own directory announced, by its lasting name or a checked address."""
    known = Q(external_id=seen.subject)
    if seen.email and seen.email_verified:
        known |= Q(user_name=seen.email.lower())
    here = Provisioned.objects.filter(known, organisation_id=provider.organisation_id)
    row = here.select_related("user").order_by("created_at", "pk").first()
    return row.user if row else None


def new_person(*, seen: Seen) -> User:
    """An account that no password opens, for somebody the provider answers for."""
    people = User.objects.filter(serves=None, is_active=True).count()
    editions.check_room(what="seats", used=people + 1)
    first, _, last = seen.name.partition(" ")
    user = User(
        username=free_name(seen.email or seen.name or seen.subject),
        email=seen.email[:254],
        first_name=first[:150],
        last_name=last[:150],
    )
    user.set_unusable_password()
    user.save()
    return user


def free_name(wanted: str) -> str:
    """A user name nobody has, as near to the one wanted as may be."""
    base = re.sub(r"[^\w.@+-]", "-", wanted)[: _LONGEST_NAME - 6] or "person"
    taken = set(User.objects.filter(username__startswith=base).values_list("username", flat=True))
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name


def mirror_groups(*, provider: IdentityProvider, user: User, names: frozenset[str]) -> None:
    """In or out of each group of ours that mirrors one of the provider's."""
    inside = {UUID(ours) for theirs, ours in provider.groups.items() if theirs in names}
    mirrored = {UUID(ours) for ours in provider.groups.values()}
    for group in Group.objects.filter(
        pk__in=mirrored, organisation_id=provider.organisation_id
    ).order_by("pk"):
        if group.pk in inside:
            group.people.add(user)
        else:
            group.people.remove(user)
