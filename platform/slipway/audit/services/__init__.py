"""What others may ask of the audit log."""

from slipway.audit.services.reading import (
    acts_since,
    entries_of,
    export_lines,
    last_number,
    moment,
    newest,
    verify_stored,
)
from slipway.audit.services.recording import record, scrubbed
from slipway.audit.services.signing import public_key, seal, sign

__all__ = [
    "acts_since",
    "entries_of",
    "export_lines",
    "last_number",
    "moment",
    "newest",
    "public_key",
    "record",
    "scrubbed",
    "seal",
    "sign",
    "verify_stored",
]
