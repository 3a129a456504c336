"""The proof that an installation was emptied: what was in it, what was done, and who says so.

It carries the licence that ends with it, and is signed with the installation's own key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from slipway.editions.rules import licence, sealed

_HEAD = b"slipway-return-1"


class BadProof(Exception):
    """Not a proof, not unchanged, or not for a licence of this vendor; the message says which."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    terms: licence.Terms
    #: What was signed: licence, machine, begun_at, ended_at, archives, rows, objects, files.
    fields: dict[str, Any]


def sign(fields: dict[str, Any], private_key: bytes) -> bytes:
    """The proof's file; `private_key` is the installation's, raw Ed25519."""
    return sealed.sign(_HEAD, fields, private_key)


def read(file: bytes, *, vendor_key: bytes, installation_key: bytes | None = None) -> Proof:
    """What a whole proof says. BadProof where a bit differs, or the licence is not the vendor's.

    Without `installation_key`, the one kept from the handover, the key in the file is trusted.
    """
    try:
        fields = sealed.read(_HEAD, file, installation_key)
        terms = licence.read(fields["licence"].encode(), vendor_key)
    except (sealed.BadSeal, licence.BadLicence, KeyError, AttributeError) as error:
        raise BadProof(str(error)) from error
    if not terms.fits(fields["machine"]):
        raise BadProof("it is of another machine than the licence")
    return Proof(terms=terms, fields=fields)
