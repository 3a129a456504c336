"""A few short words in which the document of /v1 is written down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
BOOLEAN: Schema = {"type": "boolean"}
#: Any object: what it holds is the caller's.
FREE: Schema = {"type": "object", "additionalProperties": True}
METADATA: Schema = {"type": ["object", "null"], "additionalProperties": STRING}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def null_or(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def many(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def one_of(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


def thing(word: str = "", /, **fields: Schema) -> Schema:
    """An object whose keys are all there, with `object: word` where it has a word."""
    properties = ({"object": {"type": "string", "const": word}} if word else {}) | fields
    return {"type": "object", "properties": properties, "required": list(properties)}


def listed(item: Schema) -> Schema:
    """A page of a list."""
    text = null_or(STRING)
    return thing("list", data=many(item), first_id=text, last_id=text, has_more=BOOLEAN)


def gone(word: str) -> Schema:
    return thing(word, id=STRING, deleted={"type": "boolean", "const": True})


@dataclass(frozen=True, kw_only=True)
class Query:
    name: str
    schema: Schema = field(default_factory=lambda: STRING)
    required: bool = False


AFTER = Query(name="after")
ORDER = Query(name="order", schema=one_of("asc", "desc"))


def limit(most: int) -> Query:
    return Query(name="limit", schema={"type": "integer", "minimum": 1, "maximum": most})


#: What most lists are asked with.
PAGE = (AFTER, limit(100))


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one path. `body` is the struct its JSON is read into, or a schema."""

    id: str
    tells: str
    answer: Schema
    body: type[msgspec.Struct] | Schema | None = None
    #: Fields of a form with a file, instead of JSON.
    form: Schema | None = None
    status: int = 200
    query: tuple[Query, ...] = ()
    #: What is answered is bytes, or a stream of events as well.
    bytes: bool = False
    events: bool = False
