"""Where a key may be used from. No Django: the gateway asks too."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence


def allowed_from(networks: Sequence[str], address: str) -> bool:
    """Whether a key bound to `networks` may be used from an address; no networks, no bounds."""
    if not networks:
        return True
    try:
        seen = ipaddress.ip_address(address)
    except ValueError:
        return False
    seen = getattr(seen, "ipv4_mapped", None) or seen
    return any(seen in ipaddress.ip_network(text) for text in networks)
