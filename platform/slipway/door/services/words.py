"""Words of the OpenAI API that every part of the door uses: ids, times, metadata, refusals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from slipway.core.errors import NotFound, Refused

_PLACE = re.compile(r" - at (?:`key` in )?`\$\.?([^`]*)`$")
#: What a budget does not leave enough of; OpenAI's word for its `code` and its `type`.
NO_QUOTA = "insufficient_quota"


class Bad(Refused):
    """A request that cannot be done; `param` names the field, `code` is for programs."""

    status = 400

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param, self.code = param, code  # type: ignore[misc,assignment]  # this one's, not the class's


class Gone(NotFound):
    """Not there, or another project's."""

    def __init__(self, message: str, *, param: str | None = "id", code: str = "not_found") -> None:
        super().__init__(message)
        self.param, self.code = param, code  # type: ignore[misc]  # as above


class Request(msgspec.Struct, forbid_unknown_fields=True):
    """A body; keys that are not listed are refused, so that no misspelt wish is ignored."""


Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
#: At most 16 pairs of strings.
Metadata = Annotated[
    dict[
        Annotated[str, msgspec.Meta(min_length=1, max_length=64)],
        Annotated[str, msgspec.Meta(max_length=512)],
    ],
    msgspec.Meta(max_length=16),
]


class ExpiresAfter(Request):
    anchor: str
    seconds: Annotated[int, msgspec.Meta(ge=3600, le=2_592_000)]

    def __post_init__(self) -> None:
        if self.anchor != "created_at":
            raise ValueError("anchor must be 'created_at'")


def misshapen(complaint: str, *, under: str = "", kind: Any = None) -> Bad:
    """msgspec says `Expected `int`, got `str` - at `$.seed``; the path becomes `param`.

    `kind` is the type that was read, for what would have done in place of a wrong word.
    """
    place = _PLACE.search(complaint)
    # What is said of a value of any key is said of the object.
    path = place[1].removesuffix("[...]") if place else ""
    param = ".".join(filter(None, [under, path])) or None
    rule = _PLACE.sub("", complaint)
    if place and rule.startswith("Invalid enum value") and kind is not None:
        known = sorted(map(str, _choices(msgspec.inspect.type_info(kind), place[1])))
        rule += f"; use one of {', '.join(known)}" if known else ""
    if missing := re.search(r"required field `(\w+)`", complaint):
        param = ".".join(filter(None, [param, missing[1]]))
        return Bad(f"{param} is missing; give it.", param=param, code="missing_required_parameter")
    if unknown := re.search(r"unknown field `([^`]*)`", complaint):
        param = ".".join(filter(None, [param, unknown[1][:100]]))
        return Bad(
            f"Unrecognized request argument supplied: {param}.",
            param=param,
            code="unknown_parameter",
        )
    return Bad(f"{param or 'The body'}: {rule}.", param=param, code="invalid_type")


def _choices(kind: Any, path: str) -> Iterator[Any]:
    """The words that a type takes at a path such as `method.type` or `rows[...].role`."""
    if isinstance(kind, msgspec.inspect.UnionType):
        for each in kind.types:
            yield from _choices(each, path)
    elif not path:
        yield from kind.values if isinstance(kind, msgspec.inspect.LiteralType) else ()
    elif path.startswith("["):
        within = getattr(kind, "item_type", getattr(kind, "value_type", None))
        yield from _choices(within, path.partition("]")[2].lstrip("."))
    elif isinstance(kind, msgspec.inspect.StructType):
        name = re.split(r"[.\[]", path, maxsplit=1)[0]
        for field in kind.fields:
            if field.encode_name == name:
                yield from _choices(field.type, path[len(name) :].lstrip("."))


def public_id(prefix: str, key: UUID) -> str:
    """`file-…`: the prefix and the row's UUID as 32 hexadecimal digits."""
    return f"{prefix}{key.hex}"


def row_id(prefix: str, given: str, *, what: str, param: str | None = "id") -> UUID:
    """The row's UUID; Gone for what this API never gave out."""
    text = given.removeprefix(prefix)
    if given.startswith(prefix) and len(text) == 32 and text.isalnum() and text.isascii():
        try:
            return UUID(text)
        except ValueError:
            pass
    raise no_such(what, given, param=param)


def no_such(what: str, given: str, *, param: str | None = "id") -> Gone:
    return Gone(f"No such {what}: {given[:100]!r}.", param=param)


def seconds(at: datetime | None) -> int | None:
    """Unix seconds."""
    return int(at.timestamp()) if at else None


def error_object(message: str, *, code: str | None, param: str | None = None) -> dict[str, Any]:
    return {"code": code, "message": message, "param": param}
