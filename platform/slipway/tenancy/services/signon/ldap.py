"""Signing on by a directory's own password check: LDAP, Active Directory among them.

Every value of a user in a filter is escaped; an empty password, which directories take for nobody
at all, is never sent; plain ldap:// is for networks that the installation names.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

with warnings.catch_warnings():
    # It asks pyasn1 for its tables by names that are to go one day.
    warnings.simplefilter("ignore", DeprecationWarning)
    import ldap3
    from ldap3.core.exceptions import LDAPException
    from ldap3.operation.search import parse_filter
    from ldap3.utils.conv import escape_filter_chars

from slipway.core import addresses, outward
from slipway.core.errors import Detail, Invalid
from slipway.tenancy.models import IdentityProvider
from slipway.tenancy.services.signon.seen import ProviderDown, Seen, Untrusted, secret_of

_SECONDS = 10
USER_FILTER = "(mail={name})"
#: What lasts of a person there, whatever they are called: OpenLDAP's word, then Active Directory's.
_LASTING = ("entryUUID", "objectGUID")
_SCHEMES = {"ldaps": 636, "ldap": 389}


class _Tls(ldap3.Tls):
    """The platform's own TLS: the library's judges names of hosts by itself."""

    def __init__(self, host: str) -> None:
        super().__init__()
        self._host = host

    def wrap_socket(self, connection: ldap3.Connection, do_handshake: bool = False) -> None:  # noqa: FBT001, FBT002 - as the library calls it
        connection.socket = outward.tls().wrap_socket(
            connection.socket, server_hostname=self._host, do_handshake_on_connect=do_handshake
        )


def check(provider: IdentityProvider, *, name: str, password: str) -> Seen:
    """Who it is, if the directory takes the password. Untrusted if not, ProviderDown if it is away.

    The person is looked up as `bind_dn`; then a connection is bound as them.
    """
    if not password or "\0" in password:
        raise Untrusted("a password is needed")
    told = provider.settings
    pattern = told.get("user_filter", USER_FILTER)
    query = _filled(pattern, name)
    try:
        with _bound(provider, told.get("bind_dn", ""), secret_of(provider)) as directory:
            found = _found(directory, told["base_dn"], query)
            if len(found) != 1:
                raise Untrusted(f"the directory knows {len(found)} such people")
            entry = found[0]
            groups = _groups(directory, told, entry)
        with _bound(provider, entry["dn"], password):
            pass
    except LDAPException as error:
        raise ProviderDown(f"{told['url']}: {error}") from error
    attributes = entry["attributes"]
    return Seen(
        subject=next(
            (_text(attributes[each]) for each in _LASTING if attributes.get(each)), entry["dn"]
        ),
        email=_text(attributes.get("mail")) or name,
        # The directory is the organisation's own, and people do not write it themselves.
        email_verified=True,
        name=_text(attributes.get("displayName")) or _text(attributes.get("cn")),
        groups=groups,
    )


def try_out(provider: IdentityProvider) -> None:
    """Bind as the one who looks people up. ProviderDown or Untrusted if that fails."""
    try:
        with _bound(provider, provider.settings.get("bind_dn", ""), secret_of(provider)):
            pass
    except LDAPException as error:
        raise ProviderDown(f"{provider.settings['url']}: {error}") from error


def place_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a directory's address; Invalid for one that is none."""
    detail = Detail(field="settings.url", rule="ldaps://host[:port]", value=url[:200])
    try:
        parts = urlsplit(url)
        port = parts.port or _SCHEMES.get(parts.scheme, 0)
    except ValueError as error:
        raise Invalid("The address is none of a directory.", detail) from error
    if not port or not parts.hostname or parts.path.strip("/") or parts.username or parts.query:
        raise Invalid("The address is none of a directory.", detail)
    if parts.scheme == "ldap" and not settings.EXTERNAL_NETWORKS:
        raise Invalid("Only ldaps is allowed here; ldap would show passwords.", detail)
    return parts.scheme, parts.hostname, port


def check_filter(text: str) -> None:
    """Invalid unless it is a filter with the name in it, and nothing else to be filled in."""
    try:
        made = _filled(text, "x")
        parse_filter(made, None, True, True, None, False)  # noqa: FBT003 - positional there
        known = made != text and made.startswith("(") and "{" not in made
    except (LDAPException, LookupError, ValueError):
        known = False
    if not known:
        raise Invalid(
            "This is no filter that finds a person.",
            Detail(field="settings.user_filter", rule="a filter with {name} or {local}", value=text,
                   fix="such as (userPrincipalName={name}) or (uid={local})"),
        )  # fmt: skip


def _filled(pattern: str, name: str) -> str:
    """The filter for a name; by replacing, as a format could reach into what it is given."""
    local = escape_filter_chars(name.partition("@")[0])
    return pattern.replace("{local}", local).replace("{name}", escape_filter_chars(name))


@contextmanager
def _bound(provider: IdentityProvider, dn: str, password: str) -> Iterator[ldap3.Connection]:
    """A connection as that entry, or as nobody. Untrusted if the directory refuses it."""
    scheme, host, port = place_of(provider.settings["url"])
    try:
        found = addresses.resolve(host, port, networks=settings.EXTERNAL_NETWORKS)
    except addresses.NotAllowed as error:
        raise ProviderDown(str(error)) from error
    address, named = found[0]
    if scheme == "ldap" and not named:
        raise ProviderDown(f"{host} is not in SLIPWAY_EXTERNAL_NETWORKS, so ldap is not allowed")
    server = ldap3.Server(
        address, port=port, use_ssl=scheme == "ldaps", tls=_Tls(host), connect_timeout=5,
        get_info=ldap3.NONE,
    )  # fmt: skip
    connection = ldap3.Connection(
        server, user=dn or None, password=password or None, receive_timeout=_SECONDS,
        auto_referrals=False, read_only=True, raise_exceptions=False,
    )  # fmt: skip
    try:
        if not connection.bind():
            said = connection.result.get("description", "")
            raise Untrusted(f"the directory does not take it: {said}")
        yield connection
    finally:
        connection.unbind()


def _found(directory: ldap3.Connection, base: str, query: str) -> list[dict[str, Any]]:
    directory.search(base, query, attributes=["*", "+"], size_limit=2, time_limit=_SECONDS)
    return [entry for entry in directory.response or [] if entry["type"] == "searchResEntry"]


def _groups(
    directory: ldap3.Connection, told: dict[str, Any], entry: dict[str, Any]
) -> frozenset[str]:
    """Names of the groups that hold the person, by `memberOf` or by asking the groups."""
    names = {
        dn.partition(",")[0].partition("=")[2] for dn in _texts(entry["attributes"].get("memberOf"))
    }
    if told.get("group_base"):
        query = f"(|(member={(dn := escape_filter_chars(entry['dn']))})(uniqueMember={dn}))"
        directory.search(told["group_base"], query, attributes=["cn"], time_limit=_SECONDS)
        for group in directory.response or []:
            if group["type"] == "searchResEntry":
                names |= set(_texts(group["attributes"].get("cn"))[:1])
    return frozenset(names)


def _texts(value: Any) -> list[str]:
    several = value if isinstance(value, list) else [value] if value else []
    return [each.decode(errors="replace") if isinstance(each, bytes) else str(each)
            for each in several]  # fmt: skip


def _text(value: Any) -> str:
    if isinstance(value, list):
        value = value[0] if value else ""
    return value.hex() if isinstance(value, bytes) and not _utf8(value) else "".join(_texts(value))


def _utf8(value: bytes) -> bool:
    try:
        return value.decode().isprintable()
    except UnicodeDecodeError:
        return False
