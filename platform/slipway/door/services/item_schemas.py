"""Holds the items of an eval's rows to its `item_schema`, in a process with limits of its own.

The schema is a tenant's: one that takes for ever must cost neither the web process nor the worker
more than a child that is killed.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from slipway.door.services.words import Bad

_CHILD = str(Path(__file__).with_name("item_process.py"))
_SCHEMA = "data_source_config.item_schema"


def check(schema: Any, *, seconds: int) -> None:
    """Bad if this is no JSON Schema that items can be held to."""
    count(schema, (), seconds=seconds)


def count(schema: Any, items: Iterable[tuple[str, Any]], *, seconds: int) -> int:
    """How many items these are; Bad naming the first that is not what the schema says.

    `items` come with their places, such as `line 3: $.item`; `seconds` are of processor time.
    """
    places: list[str] = []
    with subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-I", _CHILD, str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
    ) as child:
        given, told = cast(IO[bytes], child.stdin), cast(IO[bytes], child.stdout)
        try:
            # Once it has found something, or was killed, it reads no more.
            with contextlib.suppress(BrokenPipeError), given:
                given.write(msgspec.json.encode(schema) + b"\n")
                for place, item in items:
                    places.append(place)
                    given.write(msgspec.json.encode(item) + b"\n")
            said = told.read()
        finally:
            child.kill()
    if not said:
        raise Bad(
            f"Items could not be held to item_schema within {seconds} s of processor time and "
            "1 GiB; make it simpler.",
            param=_SCHEMA, code="schema_too_complex",
        )  # fmt: skip
    found = json.loads(said)
    if "items" in found:
        return int(found["items"])
    rule = ".".join(found["rule"])
    if "number" not in found:
        place = _path("item_schema", found["path"])
        text = f"{place} cannot be used: {found['message']}. Patterns have no look-around, and "
        raise Bad(f"{text}$ref leads within the schema.", param=_SCHEMA, code="invalid_schema")
    place = _path(places[found["number"]], found["path"])
    raise Bad(
        f"{place}: {found['message']} (rule {rule} of item_schema). Mend the item or the schema.",
        param="data_source", code="invalid_item",
    )  # fmt: skip


def _path(before: str, steps: list[str | int]) -> str:
    return before + "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in steps)[:300]
