"""XML from strangers: no document type, no entities, no comments, and only whole texts are read."""

from __future__ import annotations

from datetime import datetime

from lxml import etree

ASSERTION = "{urn:oasis:names:tc:SAML:2.0:assertion}"
PROTOCOL = "{urn:oasis:names:tc:SAML:2.0:protocol}"
METADATA = "{urn:oasis:names:tc:SAML:2.0:metadata}"
SIGNATURE = "{http://www.w3.org/2000/09/xmldsig#}"
_IDS = ("ID", "Id", "id", "{http://www.w3.org/XML/1998/namespace}id")


class Unreadable(ValueError):
    """It is no XML of the kind that is read here; the message says why."""


def parse(data: bytes) -> etree._Element:
    """The root of a document in which every id names one element. Unreadable otherwise."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Unreadable(f"it is no XML: {str(error)[:200]}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise Unreadable("it has a document type, and entities are not resolved here")
    ids: set[str] = set()
    for each in root.iter():
        # A comment or an instruction in a text would let two readers read two texts.
        if not isinstance(each.tag, str):
            raise Unreadable("it has comments, instructions or entities in it")
        for own in (each.get(name) for name in _IDS):
            if own is not None and own in ids:
                raise Unreadable(f"two of its elements are called {own[:80]!r}")
            if own is not None:
                ids.add(own)
    return root


def only(element: etree._Element, tag: str) -> etree._Element:
    """The one child of that name. Unreadable where there are none or several."""
    found = element.findall(tag)
    if len(found) != 1:
        raise Unreadable(f"it has {len(found)} {etree.QName(tag).localname}, not one")
    return found[0]


def text(element: etree._Element) -> str:
    """What stands in an element that holds nothing but text."""
    if len(element):
        raise Unreadable(f"{etree.QName(element).localname} holds more than text")
    return (element.text or "").strip()


def instant(element: etree._Element, name: str) -> datetime | None:
    """The attribute as a time, None where it is not there. Unreadable for one without a zone."""
    given = element.get(name)
    if given is None:
        return None
    try:
        found = datetime.fromisoformat(given.strip())
    except ValueError as error:
        raise Unreadable(f"{name} is no time: {given[:80]!r}") from error
    if found.tzinfo is None:
        raise Unreadable(f"{name} has no time zone: {given[:80]!r}")
    return found
