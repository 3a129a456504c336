"""What comes back from a provider: held against all of the web browser profile.

SAML 2.0 Profiles §4.1.4.3 and §4.1.4.5, Core §2. Only what a signature covers is read, from the
bytes it was made of, so that it does not matter where in a document somebody puts what.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.verifier import SignatureConfiguration, VerifyResult, XMLVerifier

from slipway.tenancy.models import IdentityProvider
from slipway.tenancy.services.signon.saml import described, markup
from slipway.tenancy.services.signon.saml.markup import ASSERTION, PROTOCOL, SIGNATURE
from slipway.tenancy.services.signon.seen import Seen, Untrusted

_MOST_BYTES = 256 * 1024
LEEWAY = timedelta(seconds=60)
_SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
_BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
_FORMATS = "urn:oasis:names:tc:SAML:{}:nameid-format:{}"
_MAIL_FORMAT, _TRANSIENT = (
    _FORMATS.format("1.1", "emailAddress"),
    _FORMATS.format("2.0", "transient"),
)
_CONDITIONS = {
    f"{ASSERTION}{name}" for name in ("AudienceRestriction", "OneTimeUse", "ProxyRestriction")
}
_METHODS = frozenset(
    each for each in SignatureMethod
    if each.name.startswith(("RSA_SHA", "ECDSA_SHA", "SHA")) and "SHA1" not in each.name
)  # fmt: skip
_DIGESTS = frozenset(each for each in DigestAlgorithm if "SHA1" not in each.name)
_CLAIMS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
_MICROSOFT = "http://schemas.microsoft.com/"
#: What it is called where the settings do not say: plainly, by LDAP's numbers, Microsoft's way.
_NAMES = {
    "email_attribute": (
        "email", "mail", "urn:oid:0.9.2342.19200300.100.1.3", f"{_CLAIMS}emailaddress",
    ),
    "name_attribute": (
        "displayName", "cn", "urn:oid:2.16.840.1.113730.3.1.241", "urn:oid:2.5.4.3",
        f"{_MICROSOFT}identity/claims/displayname", f"{_CLAIMS}name",
    ),
    "groups_attribute": (
        "groups", "memberOf", "urn:oid:1.3.6.1.4.1.5923.1.5.1.1",
        f"{_MICROSOFT}ws/2008/06/identity/claims/groups",
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Answered:
    """An assertion that holds: whom it names, and which request of ours it answers."""

    assertion: str
    request: str
    seen: Seen
    #: When the person showed the provider who they are.
    proved_at: datetime
    expires_at: datetime


def read(
    provider: IdentityProvider, response: str, *, here: described.Here, now: datetime
) -> Answered:
    """The assertion in `response` (base64), if all that the profile asks holds.

    Raises Untrusted for what does not, ProviderDown where the provider's keys cannot be had.
    """
    there = described.of(provider)
    try:
        root = markup.parse(_decoded(response))
        _check_envelope(root, provider, there, here)
        assertion = _signed(root, there)
        return _checked(assertion, provider, there, here, now)
    except markup.Unreadable as error:
        raise Untrusted(f"the provider's answer does not hold: {error}") from error


def _decoded(response: str) -> bytes:
    if len(response) > _MOST_BYTES:
        raise markup.Unreadable(f"it is longer than {_MOST_BYTES} bytes")
    try:
        return base64.b64decode("".join(response.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise markup.Unreadable("it is not base64") from error


def _check_envelope(
    root: etree._Element,
    provider: IdentityProvider,
    there: described.Described,
    here: described.Here,
) -> None:
    """What is said around the assertion; it refuses more, and lets nothing through by itself."""
    if root.tag != f"{PROTOCOL}Response" or root.get("Version") != "2.0":
        raise markup.Unreadable("it is no Response of SAML 2.0")
    code = markup.only(markup.only(root, f"{PROTOCOL}Status"), f"{PROTOCOL}StatusCode")
    if code.get("Value") != _SUCCESS:
        inner = code.find(f"{PROTOCOL}StatusCode")
        why = (code if inner is None else inner).get("Value", "").rpartition(":")[2]
        raise Untrusted(f"{provider.name} refused: {why[:100]}")
    if root.find(f"{ASSERTION}EncryptedAssertion") is not None:
        raise markup.Unreadable("it is encrypted; turn that off at the provider, TLS covers it")
    # A signed answer must say whom it is for.
    signed = root.find(f"{SIGNATURE}Signature") is not None
    if root.get("Destination", "" if signed else here.answers_to) != here.answers_to:
        raise markup.Unreadable(f"it was meant for {root.get('Destination', 'nobody')[:200]!r}")
    issuer = root.find(f"{ASSERTION}Issuer")
    if issuer is not None and markup.text(issuer) != there.entity_id:
        raise markup.Unreadable(f"it comes from {markup.text(issuer)[:200]!r}")


def _signed(root: etree._Element, there: described.Described) -> etree._Element:
    """The one assertion, as the bytes that the provider signed say it."""
    inside = markup.only(root, f"{ASSERTION}Assertion")
    if root.find(f"{SIGNATURE}Signature") is not None:
        whole = _covered(root, "./", there)
        if whole.tag == root.tag and whole.get("ID") == root.get("ID"):
            return markup.only(whole, f"{ASSERTION}Assertion")
    elif inside.find(f"{SIGNATURE}Signature") is not None:
        part = _covered(root, f"./{ASSERTION}Assertion/", there)
        if part.tag == inside.tag and part.get("ID") == inside.get("ID"):
            return part
    else:
        raise markup.Unreadable("neither it nor its assertion is signed")
    raise markup.Unreadable("its signature covers something else than it stands in")


def _covered(root: etree._Element, place: str, there: described.Described) -> etree._Element:
    """What the signature at that place was made of, if it was by one of the provider's keys."""
    wanted = SignatureConfiguration(
        location=place, signature_methods=_METHODS, digest_algorithms=_DIGESTS
    )
    trouble = ""
    for certificate in there.certificates:
        try:
            found = XMLVerifier().verify(root, x509_cert=certificate, expect_config=wanted)
        # Whatever goes wrong in there: it was not shown to be the provider's.
        except Exception as error:  # noqa: BLE001
            trouble = f"{type(error).__name__}: {error}"[:300]
            continue
        # One reference was asked for. Parsed anew from what was signed, and held to the same rules.
        return markup.parse(cast(VerifyResult, found).signed_data)
    raise markup.Unreadable(f"its signature is none of the provider's ({trouble})")


def _checked(
    assertion: etree._Element,
    provider: IdentityProvider,
    there: described.Described,
    here: described.Here,
    now: datetime,
) -> Answered:
    own = assertion.get("ID", "")
    if not 0 < len(own) <= 255 or assertion.get("Version") != "2.0":
        raise markup.Unreadable("its assertion has no id, or is not of SAML 2.0")
    if markup.text(markup.only(assertion, f"{ASSERTION}Issuer")) != there.entity_id:
        raise markup.Unreadable("its assertion was issued by somebody else")
    subject = markup.only(assertion, f"{ASSERTION}Subject")
    request, ends = _confirmed(subject, here, now)
    ends = max(ends, _check_conditions(assertion, here, now))
    name = markup.only(subject, f"{ASSERTION}NameID")
    if name.get("Format") == _TRANSIENT:
        raise markup.Unreadable(
            "it names the person by another name each time; have the provider send a persistent one"
        )
    subject_id = markup.text(name)
    if not 0 < len(subject_id) <= 255:
        raise markup.Unreadable("its NameID has no characters, or more than 255")
    told = _attributes(assertion)

    def first(setting: str) -> list[str]:
        wanted = provider.settings.get(setting)
        names = (wanted,) if wanted else _NAMES[setting]
        return next((told[each] for each in names if told.get(each)), [])

    mail = next(iter(first("email_attribute")), "")
    if not mail and name.get("Format") == _MAIL_FORMAT:
        mail = subject_id
    seen = Seen(
        subject=subject_id,
        email=mail,
        # The provider is the organisation's own, and answers for the addresses of its people.
        email_verified=bool(mail),
        name=next(iter(first("name_attribute")), ""),
        groups=frozenset(first("groups_attribute")),
    )
    return Answered(
        assertion=own,
        request=request,
        seen=seen,
        proved_at=_proved_at(assertion, now),
        expires_at=ends + LEEWAY,
    )


def _confirmed(
    subject: etree._Element, here: described.Here, now: datetime
) -> tuple[str, datetime]:
    """Which request it answers, and until when: a bearer may bring it here, and nowhere else."""
    why = "no bearer is confirmed"
    for each in subject.findall(f"{ASSERTION}SubjectConfirmation"):
        told = each.find(f"{ASSERTION}SubjectConfirmationData")
        if each.get("Method") != _BEARER or told is None:
            continue
        ends = markup.instant(told, "NotOnOrAfter")
        if told.get("Recipient") != here.answers_to:
            why = "it was to be brought somewhere else"
        elif ends is None or now >= ends + LEEWAY:
            why = "it came too late"
        elif told.get("NotBefore") is not None:
            why = "its bearer may not come yet"
        elif not told.get("InResponseTo"):
            why = "it answers no request; sign on from here, not from the provider's page"
        else:
            return told.get("InResponseTo", "")[:64], ends
    raise markup.Unreadable(why)


def _check_conditions(assertion: etree._Element, here: described.Here, now: datetime) -> datetime:
    """Unreadable unless it is for us, and now; how long it may be believed."""
    conditions = markup.only(assertion, f"{ASSERTION}Conditions")
    unknown = {each.tag for each in conditions} - _CONDITIONS
    if unknown:
        raise markup.Unreadable(f"it has conditions not known here: {sorted(unknown)}"[:200])
    begins, ends = (markup.instant(conditions, each) for each in ("NotBefore", "NotOnOrAfter"))
    if begins is not None and now < begins - LEEWAY:
        raise markup.Unreadable("it does not hold yet; do the clocks differ?")
    if ends is not None and now >= ends + LEEWAY:
        raise markup.Unreadable("it does not hold any more")
    restrictions = conditions.findall(f"{ASSERTION}AudienceRestriction")
    for each in restrictions:
        if here.entity_id not in {markup.text(one) for one in each.findall(f"{ASSERTION}Audience")}:
            raise markup.Unreadable(f"it is for another audience than {here.entity_id}")
    if not restrictions:
        raise markup.Unreadable("it does not say for whom it is")
    return ends or now


def _proved_at(assertion: etree._Element, now: datetime) -> datetime:
    statement = markup.only(assertion, f"{ASSERTION}AuthnStatement")
    ends = markup.instant(statement, "SessionNotOnOrAfter")
    if ends is not None and now >= ends + LEEWAY:
        raise markup.Unreadable("the session at the provider is over")
    at = markup.instant(statement, "AuthnInstant")
    if at is None or at > now + LEEWAY:
        raise markup.Unreadable("it does not say when the person signed in")
    return at


def _attributes(assertion: etree._Element) -> dict[str, list[str]]:
    """Values by name, and by the friendly name where that says something else."""
    found: dict[str, list[str]] = {}
    for each in assertion.iterfind(f"{ASSERTION}AttributeStatement/{ASSERTION}Attribute"):
        values = [
            markup.text(value)
            for value in each.findall(f"{ASSERTION}AttributeValue")
            if not len(value)
        ]
        for name in {each.get("Name", ""), each.get("FriendlyName", "")} - {""}:
            found.setdefault(name, []).extend(values)
    return found
