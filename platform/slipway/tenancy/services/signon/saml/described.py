"""Metadata: what an identity provider says of itself, and what is told to it of us."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from lxml import etree

from slipway.core import outward
from slipway.core.errors import Detail, Invalid
from slipway.tenancy.models import IdentityProvider
from slipway.tenancy.services.signon import published
from slipway.tenancy.services.signon.saml import markup
from slipway.tenancy.services.signon.saml.markup import METADATA, SIGNATURE
from slipway.tenancy.services.signon.seen import ProviderDown

_BINDINGS = "urn:oasis:names:tc:SAML:2.0:bindings:"
REDIRECT, POST = f"{_BINDINGS}HTTP-Redirect", f"{_BINDINGS}HTTP-POST"
_PROTOCOL = "urn:oasis:names:tc:SAML:2.0:protocol"
#: NIST SP 800-57: what is shorter can be forged by who pays for it.
_FEWEST_RSA_BITS = 2048


@dataclass(frozen=True, kw_only=True)
class Here:
    """What an identity provider knows of us: our name, and where its answers go."""

    entity_id: str
    answers_to: str

    def metadata(self) -> bytes:
        """As a provider reads it (SAML 2.0 Metadata, §2.4.4)."""
        names = {"md": METADATA.strip("{}")}
        root = etree.Element(f"{METADATA}EntityDescriptor", nsmap=names, entityID=self.entity_id)
        role = etree.SubElement(
            root, f"{METADATA}SPSSODescriptor", AuthnRequestsSigned="false",
            WantAssertionsSigned="true", protocolSupportEnumeration=_PROTOCOL,
        )  # fmt: skip
        etree.SubElement(
            role, f"{METADATA}AssertionConsumerService", Binding=POST, Location=self.answers_to,
            index="0", isDefault="true",
        )  # fmt: skip
        return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


@dataclass(frozen=True, kw_only=True)
class Described:
    """A provider: its name, where browsers are sent to, and who may sign for it."""

    entity_id: str
    sign_on_url: str
    certificates: tuple[x509.Certificate, ...]


def of(provider: IdentityProvider) -> Described:
    """What the provider says of itself. ProviderDown where that cannot be had."""
    told = provider.settings
    if told.get("metadata"):
        return _or_down(told["metadata"].encode(), provider.name)
    if not told.get("metadata_url"):
        raise ProviderDown(f"{provider.name} has no metadata yet; give it metadata or metadata_url")

    def read(answer: outward.Answer, url: str) -> Described:
        if answer.status != 200:
            raise ProviderDown(f"{url[:200]} answers with status {answer.status}")
        return _or_down(answer.body, url[:200])

    found: Described = published.kept.get(told["metadata_url"], read=read)
    return found


def check(settings: Mapping[str, Any]) -> Any:
    """Where it is described; Invalid unless that can be read, as far as can be told now."""
    pasted, url = settings.get("metadata"), settings.get("metadata_url")
    if pasted and url:
        raise Invalid(
            "The metadata is given twice.",
            Detail(field="settings.metadata_url", rule="metadata or metadata_url, not both",
                   value=str(url), fix="leave one out"),
        )  # fmt: skip
    if pasted:
        try:
            return read(str(pasted).encode()).entity_id
        except markup.Unreadable as error:
            raise Invalid(
                f"This is no metadata of an identity provider: {error}.",
                Detail(field="settings.metadata", rule=str(error), value=str(pasted)[:80],
                       fix="paste the whole file that the provider gives for SAML 2.0"),
            ) from error  # fmt: skip
    return outward.place_of(str(url).partition("?")[0]) if url else None


def read(data: bytes) -> Described:
    """Metadata of one provider. Unreadable where it is not, or asks for what is not done here."""
    root = markup.parse(data)
    if root.tag != f"{METADATA}EntityDescriptor":
        raise markup.Unreadable(f"it is a {root.tag}, not one EntityDescriptor")
    role = markup.only(root, f"{METADATA}IDPSSODescriptor")
    if role.get("WantAuthnRequestsSigned", "").lower() in {"true", "1"}:
        raise markup.Unreadable("it wants signed requests, which are not made here")
    places = {
        each.get("Binding"): each.get("Location", "")
        for each in role.findall(f"{METADATA}SingleSignOnService")
    }
    url = places.get(REDIRECT, "")
    if urlsplit(url).scheme not in {"https", "http"} or not url.isascii() or "#" in url:
        raise markup.Unreadable("it names no web address to sign on at by HTTP-Redirect")
    certificates = tuple(
        _certificate(found)
        for key in role.findall(f"{METADATA}KeyDescriptor")
        if key.get("use", "signing") == "signing"
        for found in key.iter(f"{SIGNATURE}X509Certificate")
    )
    if not certificates:
        raise markup.Unreadable("it names no certificate for signatures")
    if not root.get("entityID"):
        raise markup.Unreadable("it has no entityID")
    return Described(entity_id=root.get("entityID", ""), sign_on_url=url, certificates=certificates)


def _or_down(data: bytes, where: str) -> Described:
    try:
        return read(data)
    except markup.Unreadable as error:
        raise ProviderDown(f"the metadata of {where} cannot be read: {error}") from error


def _certificate(element: etree._Element) -> x509.Certificate:
    try:
        raw = base64.b64decode("".join(markup.text(element).split()), validate=True)
        found = x509.load_der_x509_certificate(raw)
        key = found.public_key()
    except ValueError as error:
        raise markup.Unreadable("a certificate in it cannot be read") from error
    strong = isinstance(key, rsa.RSAPublicKey) and key.key_size >= _FEWEST_RSA_BITS
    if not strong and not isinstance(key, ec.EllipticCurvePublicKey):
        raise markup.Unreadable("its key is neither RSA of 2048 bits or more nor an elliptic curve")
    return found
