"""Identity providers of an organisation: made, changed, found by mail domain, tried out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from slipway.core import outward, seal
from slipway.core.errors import Detail, Invalid, NotFound, Refused
from slipway.tenancy.models import (
    Group,
    IdentityProvider,
    Membership,
    ProviderKind,
    Role,
)
from slipway.tenancy.services.principals import Principal, levels_of
from slipway.tenancy.services.signon import domains as domains_of
from slipway.tenancy.services.signon import ldap, oidc, published
from slipway.tenancy.services.signon.saml import described
from slipway.tenancy.services.signon.seen import purpose_of

#: Characters; a federation's list of all its members is longer, and not what is asked for.
_MOST_METADATA = 200_000
#: What each kind asks for: name of the setting to whether it must be there.
ASKED: dict[str, dict[str, bool]] = {
    ProviderKind.OIDC: {"issuer": True, "client_id": True, "scopes": False, "groups_claim": False},
    ProviderKind.LDAP: {"url": True, "base_dn": True, "bind_dn": False, "user_filter": False,
                        "group_base": False},
    ProviderKind.SAML: {"metadata": False, "metadata_url": False, "email_attribute": False,
                        "name_attribute": False, "groups_attribute": False},
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A way to sign in that a stranger is told of."""

    id: UUID
    name: str
    kind: str


def providers_of(*, organisation_id: UUID) -> list[IdentityProvider]:
    rows = IdentityProvider.objects.filter(organisation_id=organisation_id)
    return list(rows.prefetch_related("domains").order_by("name", "pk"))


def provider(*, principal: Principal, provider_id: UUID) -> IdentityProvider:
    for row in providers_of(organisation_id=principal.organisation_id):
        if row.pk == provider_id:
            return row
    raise NotFound("There is no such identity provider in this organisation.")


def create(
    *,
    principal: Principal,
    name: str,
    kind: str,
    settings: Mapping[str, Any],
    secret: str = "",
    domains: Sequence[str] = (),
    groups: Mapping[str, UUID] | None = None,
    default_role: str = "",
) -> IdentityProvider:
    """A provider that people may come in through from now on."""
    row = IdentityProvider(organisation_id=principal.organisation_id, name=name, kind=kind)
    return _store(row, principal, settings=settings, secret=secret, domains=domains,
                  groups=groups or {}, default_role=default_role)  # fmt: skip


def change(*, principal: Principal, provider_id: UUID, **given: Any) -> IdentityProvider:
    """Change what is given, all of it or nothing; `secret` too.

    Where it leads is never changed without its secret: who may change the one must know the other.
    """
    row = provider(principal=principal, provider_id=provider_id)
    wanted = _checked(row.kind, given["settings"]) if "settings" in given else row.settings
    place = _place(row.kind, wanted)
    if row.secret and "secret" not in given and place != _place(row.kind, row.settings):
        raise Invalid(
            "A new address needs its secret too.",
            Detail(field="secret", rule="given together with the address",
                   fix="send the secret for the new address"),
        )  # fmt: skip
    return _store(row, principal, **given)


def delete(*, principal: Principal, provider_id: UUID) -> None:
    """Nobody comes in through it any more; accounts that did stay, without a way in."""
    provider(principal=principal, provider_id=provider_id).delete()


def offers(*, email: str) -> list[Offer]:
    """Providers that answer for people of a mail address; told to anybody, as pages must know."""
    rows = domains_of.provider_of(email=email)
    return [Offer(id=row.pk, name=row.name, kind=row.kind) for row in rows.order_by("name", "pk")]


def try_out(*, principal: Principal, provider_id: UUID) -> str:
    """What is wrong with a provider, in words; empty if it answers as it should. Blocks."""
    row = provider(principal=principal, provider_id=provider_id)
    try:
        if row.kind == ProviderKind.LDAP:
            ldap.try_out(row)
        elif row.kind == ProviderKind.SAML:
            published.kept.forget()
            described.of(row)
        else:
            published.kept.forget()
            told = oidc.described(row)
            published.kept.get(str(told["jwks_uri"]))
    except Refused as error:
        return error.message
    return ""


def _store(row: IdentityProvider, principal: Principal, **given: Any) -> IdentityProvider:
    if "settings" in given:
        row.settings = _checked(row.kind, given["settings"])
    if "groups" in given:
        row.groups = _groups(principal, given["groups"])
    for name in ("name", "enabled", "default_role"):
        if name in given:
            setattr(row, name, given[name])
    if row.default_role:
        given_role = Membership(role=row.default_role, organisation_id=row.organisation_id)
        principal.check_grant(levels_of(given_role), what="people who come in")
    if "secret" in given:
        secret = given["secret"]
        if secret and row.kind == ProviderKind.SAML:
            raise Invalid(
                "SAML needs no secret: answers are signed with the provider's key.",
                Detail(field="secret", rule="none for saml", fix="leave it out"),
            )
        row.secret = seal.seal(secret, purpose=purpose_of(row)) if secret else ""
    try:
        with transaction.atomic():
            row.save()
            if "domains" in given:
                domains_of.claim(row, principal, given["domains"])
    except IntegrityError as error:
        raise domains_of.conflict(given.get("domains", ())) from error
    return provider(principal=principal, provider_id=row.pk)


def _groups(principal: Principal, given: Mapping[str, UUID]) -> dict[str, str]:
    """Groups to mirror; whose roles, given to whom the provider says, are the giver's to give."""
    ids = {str(group_id) for group_id in given.values()}
    own = Group.objects.filter(pk__in=ids, organisation_id=principal.organisation_id)
    if own.count() != len(ids):
        raise NotFound("A group named in `groups` is not there.")
    for row in Membership.objects.filter(group__in=own).select_related("custom_role"):
        principal.check_grant(levels_of(row), what="people of a group")
    return {theirs: str(ours) for theirs, ours in given.items()}


def _checked(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a provider as they are stored; Invalid with each fault."""
    asked = ASKED[kind]
    faults = [
        Detail(field=f"settings.{name}", rule="needed", fix=f"give {name}")
        for name, needed in asked.items()
        if needed and not given.get(name)
    ] + [
        Detail(field=f"settings.{name}", rule=f"one of {', '.join(asked)}", value=given[name])
        for name in given
        if name not in asked
    ]
    for name, value in given.items():
        several = isinstance(value, list) and all(isinstance(each, str) for each in value)
        wanted = several if name == "scopes" else isinstance(value, str)
        if not wanted or len(str(value)) > (_MOST_METADATA if name == "metadata" else 20_000):
            faults.append(Detail(field=f"settings.{name}", rule="a text, or texts", value=value))
    if faults:
        raise Invalid(f"These are not the settings of a provider by {kind}.", *faults)
    _place(kind, given)
    return dict(given)


def _place(kind: str, settings: Mapping[str, Any]) -> Any:
    """Where a secret is sent; Invalid for an address that is none."""
    if kind == ProviderKind.LDAP:
        ldap.check_filter(str(settings.get("user_filter", ldap.USER_FILTER)))
        return ldap.place_of(str(settings["url"]))
    if kind == ProviderKind.SAML:
        return described.check(settings)
    return outward.place_of(str(settings["issuer"]))


def role_names() -> list[str]:
    """Roles that people who come in for the first time can be given."""
    return [role for role in Role.values if role not in {Role.CUSTOM, Role.ADMIN}]
