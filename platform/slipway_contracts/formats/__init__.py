"""Dataset formats: what a row looks like in each, its check with a fix, conversion without loss."""

from slipway_contracts.formats.catalogue import CATALOGUE, FormatInfo
from slipway_contracts.formats.convert import read, write
from slipway_contracts.formats.detect import (
    CSV_HEADERS,
    HEAD_BYTES,
    Detected,
    container_of,
    detect,
)
from slipway_contracts.formats.pairs import conversation, texts
from slipway_contracts.formats.rows import check, kind_of
from slipway_contracts.formats.words import (
    CANONICAL,
    KIND_OF_FORMAT,
    LIMITS,
    RULES,
    Container,
    Fault,
    Format,
    Limits,
    Row,
    RowKind,
    shown,
)

__all__ = [
    "CANONICAL",
    "CATALOGUE",
    "CSV_HEADERS",
    "HEAD_BYTES",
    "KIND_OF_FORMAT",
    "LIMITS",
    "RULES",
    "Container",
    "Detected",
    "Fault",
    "Format",
    "FormatInfo",
    "Limits",
    "Row",
    "RowKind",
    "check",
    "container_of",
    "conversation",
    "detect",
    "kind_of",
    "read",
    "shown",
    "texts",
    "write",
]
