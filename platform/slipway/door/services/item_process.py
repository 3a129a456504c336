"""A process that holds items to a JSON Schema of a stranger, within limits; run as a script.

It reads lines of JSON, the schema and then the items, and says in one line of JSON what is wrong
with the first thing that is wrong, or how many items there were.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterable
from typing import Any

import jsonschema_rs

#: Bytes of memory, and of one compiled pattern.
_MEMORY_BYTES, _PATTERN_BYTES = 1024**3, 1024**2
_MOST_SAID = 300


def first_fault(lines: Iterable[bytes]) -> dict[str, Any]:
    """`{"items": n}`, or the fault: its `message`, `path` and `rule`, and the `number` of the item
    from 0, or no number where it is the schema itself."""
    given = iter(lines)
    try:
        # Patterns of this engine take linear time, and no address is ever asked.
        validator = jsonschema_rs.validator_for(
            json.loads(next(given)),
            offline=True,
            pattern_options=jsonschema_rs.RegexOptions(
                size_limit=_PATTERN_BYTES, dfa_size_limit=_PATTERN_BYTES
            ),
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        return _told(error)
    number = -1
    for number, line in enumerate(given):
        for fault in validator.iter_errors(json.loads(line)):
            return {"number": number, **_told(fault)}
    return {"items": number + 1}


def _told(error: Exception) -> dict[str, Any]:
    message = str(getattr(error, "message", error))
    return {
        "message": message if len(message) <= _MOST_SAID else f"{message[:_MOST_SAID]}…",
        "path": list(getattr(error, "instance_path", ())),
        "rule": [str(step) for step in getattr(error, "schema_path", ())],
    }


if __name__ == "__main__":
    seconds = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.stdout.write(json.dumps(first_fault(sys.stdin.buffer)))
