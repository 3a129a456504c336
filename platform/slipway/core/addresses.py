"""Which addresses a program of ours may be sent to on a user's behalf."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
#: All of IPv6 that is given to hosts on the Internet (RFC 4291, IANA).
_UNICAST = ipaddress.ip_network("2000::/3")
#: Inside of what is called global, but nobody's: protocols' own (RFC 6890), relays (RFC 7526),
#: documentation (RFC 9637), and where a large cloud answers its own machines.
_NOBODY = tuple(
    ipaddress.ip_network(block)
    for block in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "2001::/23", "3fff::/20")
)


class NotAllowed(Exception):
    """A host has no address, or one that nobody may be sent to."""


class NoAddress(NotAllowed):
    """No name server knows the host, or none answers."""


def is_public(text: str) -> bool:
    """Whether an address can be reached by anybody on the Internet."""
    address = plain(text)
    if isinstance(address, ipaddress.IPv6Address) and address not in _UNICAST:
        return False
    nobody = any(address in block for block in _NOBODY)
    return address.is_global and not address.is_multicast and not nobody


def plain(text: str) -> Address:
    """The address; one of IPv4 in the clothes of IPv6 as what it is."""
    address: Address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        address = inner or address
    return address


def resolve(host: str, port: int, *, networks: Iterable[Network]) -> list[tuple[str, bool]]:
    """Every address of a host, and whether it lies in one of `networks`.

    NotAllowed if a single one is neither public nor in them: who may choose the answer of a name
    server must gain nothing by mixing good ones in. Blocks; connect to what is returned, without
    resolving again.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise NoAddress(f"{host} has no address: {error.strerror}") from error
    except UnicodeError as error:
        raise NotAllowed(f"{host} cannot be the name of a host") from error
    judged = {}
    for *_, sockaddr in found:
        text = str(sockaddr[0])
        named = any(plain(text) in network for network in networks)
        if not (named or is_public(text)):
            # Where exactly is the network's own affair.
            raise NotAllowed(f"{host} is at an address that is not public")
        judged[text] = named
    return list(judged.items())
