"""What a serializer answers for a row, by plain functions made once from its fields.

For lists: fifty rows of some eighty values each cost a serializer more than the query for them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from orjson import Fragment
from rest_framework import serializers

Convert = Callable[[Any], Any]


@functools.cache
def shape(kind: type[serializers.Serializer[Any]]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Turns a mapping that has every field of the serializer into what is rendered as its answer.

    Values are of the kinds that their fields name, and keys are text.
    JSON that was left as text (`orjson.Fragment`) stays so: it is what was checked when it came in.
    TypeError for one whose fields may be left out, are written only, or come from elsewhere.
    """
    return _of_fields(kind())


def _of_fields(
    serializer: serializers.Serializer[Any],
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    for name, field in serializer.fields.items():
        if field.write_only or field.source != name or not field.required:
            raise TypeError(f"{type(serializer).__name__}.{name} needs the serializer itself")
    names = list(serializer.fields)
    found = [(name, _of(field)) for name, field in serializer.fields.items()]
    changed = [(name, convert) for name, convert in found if convert is not None]

    def shaped(row: Mapping[str, Any]) -> dict[str, Any]:
        made = dict(zip(names, map(row.__getitem__, names), strict=True))
        for name, convert in changed:
            value = made[name]
            if value is not None and type(value) is not Fragment:
                made[name] = convert(value)
        return made

    return shaped


def _of(field: serializers.Field[Any, Any, Any, Any]) -> Convert | None:
    """How a value that is not None is shown; None where it is shown as it is."""
    # A class of its own may show itself otherwise; those that are Django REST framework's do not.
    if isinstance(field, serializers.ListSerializer | serializers.ListField):
        each = _of(field.child)
        return lambda values: [_one(each, value) for value in values]
    if isinstance(field, serializers.Serializer):
        return _of_fields(field)
    if isinstance(field, serializers.DictField):
        each = _of(field.child)
        if each is None:
            return None
        return lambda values: {key: _one(each, value) for key, value in values.items()}
    return _PLAIN.get(type(field), field.to_representation)


def _one(convert: Convert | None, value: Any) -> Any:
    return value if convert is None or value is None else convert(value)


#: Ids and times are written by the renderer, texts and numbers are what their columns hold.
_PLAIN: dict[type, Convert | None] = {
    serializers.BooleanField: None,
    serializers.CharField: None,
    serializers.ChoiceField: None,
    serializers.DateTimeField: None,
    serializers.FloatField: None,
    serializers.IntegerField: None,
    serializers.JSONField: None,
    serializers.RegexField: None,
    serializers.UUIDField: None,
}
