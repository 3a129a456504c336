"""Answers of a SAML provider made by hand, signed with keys of the test's own."""

from __future__ import annotations

import base64
import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from lxml import etree
from signxml.signer import XMLSigner
from signxml.util import namespaces

NS = {
    "p": "urn:oasis:names:tc:SAML:2.0:protocol",
    "a": "urn:oasis:names:tc:SAML:2.0:assertion",
    "md": "urn:oasis:names:tc:SAML:2.0:metadata",
    "ds": namespaces.ds,
}
IDP = "https://idp.example.com/saml"
PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"


class Sha1Signer(XMLSigner):
    """What many providers signed with ten years ago."""

    def check_deprecated_methods(self) -> None:
        """It is what is wanted here."""


@dataclass(frozen=True)
class Key:
    private: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @classmethod
    def new(cls, *, bits: int = 2048, ended: bool = False) -> Key:
        key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp")])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(days=9))
            .not_valid_after(now + timedelta(days=-1 if ended else 9))
        )
        return cls(key, made.sign(key, hashes.SHA256()))

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def metadata(self, *others: Key, **attributes: str) -> str:
        """Of a provider whose answers are signed with this key, or one of the others."""
        keys = "".join(
            '<md:KeyDescriptor use="signing"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>'
            + base64.b64encode(each.certificate.public_bytes(serialization.Encoding.DER)).decode()
            + "</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
            for each in (self, *others)
        )
        more = "".join(f' {name}="{value}"' for name, value in attributes.items())
        return (
            f'<md:EntityDescriptor xmlns:md="{NS["md"]}" xmlns:ds="{NS["ds"]}" entityID="{IDP}">'
            f'<md:IDPSSODescriptor protocolSupportEnumeration="{NS["p"]}"{more}>{keys}'
            '<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"'
            ' Location="https://idp.example.com/sso"/></md:IDPSSODescriptor></md:EntityDescriptor>'
        )


def at(now: datetime, seconds: float) -> str:
    return f"{now + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S.%fZ}"


@dataclass
class Answer:
    """A whole answer that holds; tests spoil one thing of it."""

    here: Any
    now: datetime
    request: str = "_request"
    fields: dict[str, str] = field(default_factory=dict)

    def assertion(self, **changed: str) -> str:
        told = {
            "id": "_assertion", "issuer": IDP, "name": "u-1", "format": PERSISTENT,
            "method": "urn:oasis:names:tc:SAML:2.0:cm:bearer", "recipient": self.here.answers_to,
            "until": at(self.now, 300), "request": f'InResponseTo="{self.request}"', "bearer": "",
            "from": at(self.now, -5), "conditions": "", "audience": self.here.entity_id,
            "instant": at(self.now, -3), "session": "", "version": "2.0",
            "mail": "ada@example.com", "extra": "",
        } | self.fields | changed  # fmt: skip
        restricted = (
            f"<a:AudienceRestriction><a:Audience>{told['audience']}</a:Audience>"
            "</a:AudienceRestriction>"
        )
        return (
            f'<a:Assertion xmlns:a="{NS["a"]}" ID="{told["id"]}" Version="{told["version"]}"'
            f' IssueInstant="{at(self.now, -2)}"><a:Issuer>{told["issuer"]}</a:Issuer>'
            f'<a:Subject><a:NameID Format="{told["format"]}">{told["name"]}</a:NameID>'
            f'<a:SubjectConfirmation Method="{told["method"]}"><a:SubjectConfirmationData'
            f' Recipient="{told["recipient"]}" NotOnOrAfter="{told["until"]}" {told["request"]}'
            f" {told['bearer']}/></a:SubjectConfirmation></a:Subject>"
            f'<a:Conditions NotBefore="{told["from"]}" NotOnOrAfter="{told["until"]}">'
            f"{restricted if told['audience'] else ''}{told['conditions']}</a:Conditions>"
            f'<a:AuthnStatement AuthnInstant="{told["instant"]}" {told["session"]}>'
            "<a:AuthnContext/></a:AuthnStatement><a:AttributeStatement>"
            f'<a:Attribute Name="mail"><a:AttributeValue>{told["mail"]}</a:AttributeValue>'
            '</a:Attribute><a:Attribute Name="x" FriendlyName="displayName"><a:AttributeValue>Ada'
            '</a:AttributeValue></a:Attribute><a:Attribute Name="groups"><a:AttributeValue>ml-team'
            "</a:AttributeValue><a:AttributeValue>all</a:AttributeValue></a:Attribute>"
            f"</a:AttributeStatement>{told['extra']}</a:Assertion>"
        )

    def response(self, inside: str, **changed: str) -> str:
        told = {
            "id": "_response", "destination": f'Destination="{self.here.answers_to}"',
            "issuer": IDP, "status": "urn:oasis:names:tc:SAML:2.0:status:Success",
            "version": "2.0",
        } | changed  # fmt: skip
        return (
            f'<p:Response xmlns:p="{NS["p"]}" xmlns:a="{NS["a"]}" ID="{told["id"]}"'
            f' Version="{told["version"]}" IssueInstant="{at(self.now, -2)}" {told["destination"]}'
            f' InResponseTo="{self.request}"><a:Issuer>{told["issuer"]}</a:Issuer><p:Status>'
            f'<p:StatusCode Value="{told["status"]}"/></p:Status>{inside}</p:Response>'
        )


def signed(element: str, key: Key, *, signer: Any = None) -> str:
    """The element with its signature behind the issuer, where the schema wants it."""
    root = etree.fromstring(element)
    signer = signer or XMLSigner(
        signature_algorithm="rsa-sha256", digest_algorithm="sha256", c14n_algorithm=EXCLUSIVE
    )
    own = root.get("ID")
    made = signer.sign(root, key=key.private, cert=key.pem.decode(), reference_uri=f"#{own}")
    mark = made.find("ds:Signature", NS)
    assert mark is not None
    made.remove(mark)
    made.insert(1, mark)
    return etree.tostring(made).decode()


def posted(text: str) -> str:
    """As a form has it."""
    return base64.b64encode(text.encode()).decode()


def taken_apart(text: str) -> tuple[etree._Element, etree._Element, etree._Element]:
    """Of an answer with a signed assertion: the answer, a copy of the assertion, its signature."""
    root = etree.fromstring(text)
    assertion = root.find("a:Assertion", NS)
    assert assertion is not None
    mark = assertion.find("ds:Signature", NS)
    assert mark is not None
    return root, copy.deepcopy(assertion), copy.deepcopy(mark)
