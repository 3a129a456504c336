"""The request that a browser carries to a provider (SAML 2.0 Bindings, §3.4: HTTP-Redirect)."""

from __future__ import annotations

import base64
import secrets
import zlib
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from lxml import etree

from slipway.tenancy.models import IdentityProvider
from slipway.tenancy.services.signon.saml import described
from slipway.tenancy.services.signon.saml.markup import ASSERTION, PROTOCOL


@dataclass(frozen=True, kw_only=True)
class Begun:
    """What a browser's session keeps between leaving for the provider and coming back."""

    provider: str
    request: str

    @classmethod
    def fresh(cls, provider: IdentityProvider) -> Begun:
        # An XML id begins with no digit.
        return cls(provider=str(provider.pk), request=f"_{secrets.token_hex(20)}")


def leave_for(
    provider: IdentityProvider, begun: Begun, *, here: described.Here, anew: bool, now: datetime
) -> str:
    """Where to send the browser; `anew` has the person asked for credentials again.

    Raises ProviderDown where its description cannot be had.
    """
    there = described.of(provider).sign_on_url
    names = {"samlp": PROTOCOL.strip("{}"), "saml": ASSERTION.strip("{}")}
    asked = etree.Element(
        f"{PROTOCOL}AuthnRequest", nsmap=names, ID=begun.request, Version="2.0",
        IssueInstant=f"{now:%Y-%m-%dT%H:%M:%SZ}", Destination=there,
        AssertionConsumerServiceURL=here.answers_to, ProtocolBinding=described.POST,
        ForceAuthn="true" if anew else "false",
    )  # fmt: skip
    etree.SubElement(asked, f"{ASSERTION}Issuer").text = here.entity_id
    etree.SubElement(asked, f"{PROTOCOL}NameIDPolicy", AllowCreate="true")
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(etree.tostring(asked)) + packer.flush()
    query = urlencode({"SAMLRequest": base64.b64encode(packed)})
    return f"{there}{'&' if '?' in there else '?'}{query}"
