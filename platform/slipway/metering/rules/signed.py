"""What a bill's signature covers, and how it is checked without asking any platform."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

FORMAT = "slipway bill 1"
#: What is signed, in this order.
FIELDS = ("format", "organisation", "organisation_id", "month", "final", "currency", "total",
          "lines", "csv_sha256", "pdf_sha256")  # fmt: skip
_CENT = Decimal("0.000001")


def text_of(fields: Mapping[str, Any]) -> bytes:
    """The bytes that are signed: the fields as one JSON array, so that none runs into another."""
    return json.dumps([fields.get(name) for name in FIELDS], ensure_ascii=False).encode()


def faults(
    signature: Mapping[str, Any], *, public_key: bytes, table: bytes, pdf: bytes | None = None
) -> Iterator[str]:
    """What is wrong with a bill's CSV, and its PDF if given; nothing if they are whole.

    The signature is checked, then that the files are those that were signed, then the sums.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if signature.get("format") != FORMAT:
        yield f"the signature is not of the format {FORMAT!r}"
        return
    try:
        signed = bytes.fromhex(str(signature.get("signature", "")))
        Ed25519PublicKey.from_public_bytes(public_key).verify(signed, text_of(signature))
    except (InvalidSignature, ValueError):
        yield "the signature does not fit what it says: it was changed, or signed by another key"
        return
    if hashlib.sha256(table).hexdigest() != signature["csv_sha256"]:
        yield "the CSV is not the one that was signed"
    if pdf is not None and hashlib.sha256(pdf).hexdigest() != signature["pdf_sha256"]:
        yield "the PDF is not the one that was signed"
    yield from _sums(signature, table)


def _sums(signature: Mapping[str, Any], table: bytes) -> Iterator[str]:
    try:
        rows = list(csv.DictReader(io.StringIO(table.decode())))
        lines, last = rows[:-1], rows[-1]
        costs = [Decimal(line["cost"]) for line in lines]
        for line, cost in zip(lines, costs, strict=True):
            right = Decimal(line["amount"]) * int(line["quantity"]) / int(line["per"])
            if right.quantize(_CENT) != cost:
                yield f"line {line['number']} costs {right.quantize(_CENT)}, not {cost}"
        if not sum(costs, Decimal(0)) == Decimal(last["cost"]) == Decimal(signature["total"]):
            yield f"the lines add up to {sum(costs, Decimal(0))}, not to {signature['total']}"
        if len(lines) != signature["lines"]:
            yield f"there are {len(lines)} lines, not {signature['lines']}"
    except (UnicodeDecodeError, IndexError, KeyError, TypeError, ValueError, InvalidOperation):
        yield "the CSV is not the table of a bill"
