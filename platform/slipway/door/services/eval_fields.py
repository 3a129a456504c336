"""Whether the fields that an eval's criteria name, such as `{{item.answer}}`, can be there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from slipway.door.services.words import Bad
from slipway_contracts.grading import templates

#: What a sample has; `output_json` whatever the answer holds.
_SAMPLE = {"output_text": {"type": "string"}, "output_json": {}}
#: Of a stored chat completion or response.
_STORED: dict[str, Any] = {"id": {}, "model": {}, "metadata": {}, "input": {}}
#: Where a schema says more than `properties` does, nothing is refused.
_OPEN = {"additionalProperties", "patternProperties", "$ref", "allOf", "anyOf", "oneOf", "if"}


def check(criterion: Mapping[str, Any], config: Mapping[str, Any], *, param: str) -> None:
    """Bad naming the first field that no row of this data source can have."""
    custom = config["type"] == "custom"
    # A run of any eval may take its rows from what is stored.
    schema = config["item_schema"] if custom else {"properties": {}}
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        schema = {**schema, "properties": {**_STORED, **properties}}
    namespaces: dict[str, Any] = {"item": schema}
    if not custom or config.get("include_sample_schema"):
        namespaces["sample"] = {"properties": _SAMPLE}
    for place, template in _texts(criterion, param):
        for path in templates.fields(template):
            _check_field(path, namespaces, place)


def _texts(criterion: Mapping[str, Any], param: str) -> Iterator[tuple[str, str]]:
    for key in ("input", "reference"):
        given = criterion.get(key)
        if isinstance(given, str):
            yield f"{param}.{key}", given
        for number, message in enumerate(given if isinstance(given, list) else ()):
            content = message.get("content")
            for part in content if isinstance(content, list) else [content]:
                text = part.get("text") if isinstance(part, dict) else part
                if isinstance(text, str):
                    yield f"{param}.{key}[{number}].content", text


def _check_field(path: str, namespaces: Mapping[str, Any], param: str) -> None:
    try:
        first, *rest = templates.steps(path)
    except templates.NoSuchField as error:
        raise Bad(f"{error}.", param=param, code="invalid_variable") from error
    if first not in namespaces:
        hint = " (samples need include_sample_schema: true)" if first == "sample" else ""
        known = " and ".join(namespaces)
        raise Bad(
            f"There is no {{{{{path[:100]}}}}} in this eval; fields begin with {known}{hint}.",
            param=param, code="invalid_variable",
        )  # fmt: skip
    schema = namespaces[str(first)]
    for step in rest:
        inside = schema.get("properties") if isinstance(schema, Mapping) else None
        if not isinstance(step, str) or not isinstance(inside, Mapping) or _OPEN & set(schema):
            return
        if step not in inside:
            choice = ", ".join(sorted(inside)) or "none"
            raise Bad(
                f"There is no {{{{{path[:100]}}}}} in the schema of this eval; of {first} it "
                f"names: {choice[:300]}. Add it to the schema, or mend the field.",
                param=param, code="invalid_variable",
            )  # fmt: skip
        schema = inside[step]
