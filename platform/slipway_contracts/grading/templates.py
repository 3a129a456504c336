"""Fields such as `{{item.x}}` in graders and evals: looked up, and nothing is executed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_FIELD = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_STEP = re.compile(r"\.?([\w-]+)|\[(\d+)\]")


class NoSuchField(Exception):
    """A template names what is not there."""


class NotJson(Exception):
    """`sample.output_json` was asked for, but the answer is no JSON."""


def render(template: str, facts: Mapping[str, Any]) -> str:
    """The template with each field's value in its place; what is no text is written as JSON."""

    def value(match: re.Match[str]) -> str:
        found = look_up(match[1], facts)
        return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)

    return _FIELD.sub(value, template)


def fields(template: str) -> list[str]:
    """The paths that a template names."""
    return [match[1] for match in _FIELD.finditer(template)]


def steps(path: str) -> list[str | int]:
    """`item.rows[0].name` as ["item", "rows", 0, "name"]; NoSuchField if it is no path."""
    found: list[str | int] = []
    end = 0
    while end < len(path):
        step = _STEP.match(path, end)
        if step is None:
            raise NoSuchField(f"{{{{{path[:100]}}}}} is no field such as item.question")
        end = step.end()
        found.append(step[1] if step[1] is not None else int(step[2][:9]))
    if not found:
        raise NoSuchField("an empty field {{}}")
    return found


def look_up(path: str, facts: Mapping[str, Any]) -> Any:
    """What stands at `item.rows[0].name`."""
    found: Any = facts
    for step in steps(path):
        found = _step(found, step, path)
    return found


def _step(found: Any, step: str | int, path: str) -> Any:
    if isinstance(step, str) and isinstance(found, Mapping) and step in found:
        value = found[step]
        if isinstance(value, NotJson):
            raise value
        return value
    if isinstance(step, int) and isinstance(found, list) and step < len(found):
        return found[step]
    raise NoSuchField(f"there is no {{{{{path[:100]}}}}} here")


def sample_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The sample as a grader in Python gets it; `output_json` is None where it is no JSON."""
    sample = facts.get("sample") or {"output_text": None, "output_json": None}
    return {k: None if isinstance(v, NotJson) else v for k, v in sample.items()}


def facts_of(item: Any, output_text: str | None) -> dict[str, Any]:
    """What templates may name: the item, and the sample if there is one."""
    facts: dict[str, Any] = {"item": item}
    if output_text is not None:
        output_json: Any
        try:
            output_json = json.loads(output_text)
        except (ValueError, RecursionError):
            output_json = NotJson("the sample is not JSON")
        facts["sample"] = {"output_text": output_text, "output_json": output_json}
    return facts
