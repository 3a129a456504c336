"""Mail domains of an organisation: claimed, proved by a record in the DNS, found by address.

Whose domain it is decides where people are sent to sign in, and which directory sees passwords.
So a claim is worth nothing where organisations are strangers to each other, until a TXT record
shows that who claims it has a say in the domain.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import dns.exception
import dns.nameserver
import dns.resolver
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from slipway.core import together
from slipway.core.errors import Conflict, Detail, Invalid
from slipway.editions import services as editions
from slipway.tenancy.models import IdentityProvider, SignOnDomain
from slipway.tenancy.services.grants import Level
from slipway.tenancy.services.keys import digest_of
from slipway.tenancy.services.principals import Principal

_DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])")
_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A domain, and the TXT record that proves it: `value` at the name `record`."""

    name: str
    proved_at: datetime | None
    record: str
    value: str
    #: Why the last look did not prove it, in words.
    trouble: str = ""


def provider_of(*, email: str) -> QuerySet[IdentityProvider]:
    """Providers that answer for an address, by proved domains only."""
    domain = email.rpartition("@")[2].strip().lower()
    return IdentityProvider.objects.filter(
        domains__name=domain, domains__proved_at__isnull=False, enabled=True
    )


def claims(provider: IdentityProvider) -> list[Claim]:
    rows = SignOnDomain.objects.filter(provider=provider).order_by("name")
    return [_claim(row, provider.organisation_id) for row in rows]


def claim(provider: IdentityProvider, principal: Principal, names: Sequence[str]) -> None:
    """These domains and no others. Invalid for what is none; IntegrityError for one proved twice.

    Nothing needs a proof where the edition asks for none, or who administers the platform says so.
    """
    wanted = {name.strip().lower() for name in names}
    for name in sorted(wanted):
        if len(name) > 253 or not _DOMAIN.fullmatch(name):
            raise Invalid(
                f"{name[:80]!r} is no mail domain.",
                Detail(field="domains", rule="such as example.com", value=name),
            )
    believed = not editions.proves_domains() or principal.allows("platform", Level.FULL)
    SignOnDomain.objects.filter(provider=provider).exclude(name__in=wanted).delete()
    mine = set(SignOnDomain.objects.filter(provider=provider).values_list("name", flat=True))
    for name in sorted(wanted - mine):
        at = timezone.now() if believed else None
        SignOnDomain.objects.create(name=name, provider=provider, proved_at=at)


def prove(provider: IdentityProvider) -> list[Claim]:
    """Look for the records of the domains that are only claimed; blocks for seconds."""
    told, found = claims(provider), {}
    for each in told:
        if each.proved_at is None:
            found[each.name] = _trouble(each)
    together.begin()
    for name, trouble in found.items():
        if not trouble:
            found[name] = _take(provider, name)
    return [replace(each, trouble=found.get(each.name, "")) for each in claims(provider)]


def _take(provider: IdentityProvider, name: str) -> str:
    try:
        with transaction.atomic():
            rows = SignOnDomain.objects.filter(provider=provider, name=name, proved_at=None)
            rows.update(proved_at=timezone.now())
    except IntegrityError:
        return "another provider answers for it already; have it removed there"
    return ""


def _claim(row: SignOnDomain, organisation_id: UUID) -> Claim:
    # The same for an organisation for ever, so that a provider made anew needs no new record.
    value = digest_of(f"domain {organisation_id} {row.name}")[:40]
    return Claim(
        name=row.name,
        proved_at=row.proved_at,
        record=f"_slipway.{row.name}",
        value=f"slipway-domain={value}",
    )


def _trouble(told: Claim) -> str:
    """Why the record does not prove the claim; empty if it does."""
    resolver = dns.resolver.Resolver(configure=not settings.DNS_SERVERS)
    if settings.DNS_SERVERS:
        resolver.nameservers = [
            dns.nameserver.Do53Nameserver(host, port) for host, port in settings.DNS_SERVERS
        ]
    try:
        answer = resolver.resolve(f"{told.record}.", "TXT", lifetime=_SECONDS)
        found = [b"".join(each.strings).decode(errors="replace") for each in answer]
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return f"there is no TXT record at {told.record} yet; new ones take a while to be seen"
    except dns.exception.DNSException as error:
        return f"the DNS does not answer for {told.record}: {error}"[:300]
    if told.value in found:
        return ""
    return f"the TXT record at {told.record} says {found[0][:80]!r}, not {told.value!r}"


def conflict(names: Sequence[str]) -> Conflict:
    """That a name of a provider, or one of its domains, is taken."""
    return Conflict(
        "There is a provider of that name already, or one of the domains belongs to another.",
        Detail(field="name", rule="once in an organisation"),
        Detail(field="domains", rule="once in an installation", value=", ".join(names)),
    )
