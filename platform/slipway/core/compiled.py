"""Rows of lists, by SQL that Django made once and not for each request anew.

A list asks the same few questions all day, about other values: making their SQL takes Django longer
than PostgreSQL needs to answer. So what was made for a question is kept under its form: model,
joins, conditions without their values, order, limit, columns. The values are prepared by Django's
own lookups. A question with anything in it that is not known here is asked as ever.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from typing import Any

import orjson
from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import JSONField, Model, QuerySet, lookups, sql
from django.db.models.base import ModelState
from django.db.models.expressions import Col
from django.db.models.fields.related_lookups import RelatedExact
from django.db.models.query import ModelIterable
from django.db.models.signals import post_init, pre_init
from django.db.models.sql.where import WhereNode

#: Conditions whose SQL is the same for all values, but for what `process_rhs` says of them.
_CONDITIONS = frozenset(
    {
        lookups.Exact, lookups.GreaterThan, lookups.GreaterThanOrEqual, lookups.LessThan,
        lookups.LessThanOrEqual, lookups.IContains, RelatedExact,
    }
)  # fmt: skip
#: What none of the questions kept here has, and how a query says so.
_PLAIN: dict[str, Any] = {
    "annotations": {}, "extra": {}, "group_by": None, "distinct": False, "combinator": None,
    "select_for_update": False, "select": (), "extra_tables": (), "extra_order_by": (),
    "explain_info": None, "subquery": False, "_filtered_relations": {},
}  # fmt: skip
#: Forms kept at most; there are a few for each list.
_MOST = 500
#: Form to Django's compiler after its work with the SQL; None where that cannot be used again.
_kept: dict[Any, Any] = {}
_NEW = object()


class _Unknown(Exception):
    """The question has something in it that is not known here."""


def rows(queryset: QuerySet[Any], *, unread: Collection[str] = ()) -> list[Any]:
    """What `list(queryset)` is, sooner.

    JSON columns named in `unread` hold the text they are stored as (`orjson.Fragment`): for those
    that an answer only passes on.
    """
    if queryset._iterable_class is not ModelIterable:
        return list(queryset)
    # One's own: what is set on it goes with it.
    own = queryset.all()
    compiler = _compiler(own.query, own.db)
    if unread:
        _leave_unread(compiler, own.model, unread)
    own.query.get_compiler = lambda *_, **__: compiler
    return list(own)


def _compiler(query: Any, using: str) -> Any:
    """Django's compiler for a query, with its work done where that was done before."""
    connection = connections[using]
    plain = query.get_compiler(using)
    values: list[Any] = []
    try:
        form = (using, connection.vendor, *_form(query, connection, values))
    except _Unknown:
        return plain
    kept = _kept.get(form, _NEW)
    if kept is _NEW:
        if len(_kept) >= _MOST:
            _kept.clear()
        kept = _kept[form] = _compiled(query.clone().get_compiler(using), values)
    if kept is None:
        return plain
    compiler, text = copy.copy(kept[0]), kept[1]
    compiler.connection, compiler.query = connection, query
    compiler.as_sql = lambda *_, **__: (text, tuple(values))
    return compiler


def _compiled(compiler: Any, values: list[Any]) -> tuple[Any, str] | None:
    """The compiler after its work; None if its SQL takes other values than these."""
    try:
        text, taken = compiler.as_sql()
    except EmptyResultSet:
        return None
    compiler.klass_info = _quick(compiler.klass_info)
    # It must not hold on to the query, or to the connection of a thread that ends.
    compiler.connection = compiler.query = None
    return (compiler, text) if list(taken) == values else None


class _Maker:
    """Makes a model's objects of rows as `from_db` does, which calls all that a user's might."""

    def __init__(self, model: Any) -> None:
        self.model, self._meta = model, model._meta

    def from_db(self, db: str, names: list[str], values: Any) -> Any:
        made = self.model.__new__(self.model)
        made._state = state = ModelState()
        state.db, state.adding = db, False
        made.__dict__.update(zip(names, values, strict=True))
        return made


def _quick(info: dict[str, Any]) -> dict[str, Any]:
    """What the compiler says of a query's models, and of those that come with them, with makers
    for models that nobody watches and that are made as any other."""
    model = info["model"]
    plain = (
        model.__init__ is Model.__init__
        and model.from_db.__func__ is Model.from_db.__func__
        and not pre_init.has_listeners(model)
        and not post_init.has_listeners(model)
    )
    related = [_quick(each) for each in info.get("related_klass_infos", ())]
    return info | {"model": _Maker(model) if plain else model, "related_klass_infos": related}


def _form(query: Any, connection: Any, values: list[Any]) -> Iterator[Any]:
    """All that the SQL of a query depends on but its values, which are put into `values`."""
    if type(query) is not sql.Query:
        raise _Unknown
    for name, value in _PLAIN.items():
        if getattr(query, name) != value:
            raise _Unknown
    yield query.model
    names, deferred = query.deferred_loading
    yield frozenset(names), deferred
    yield repr(query.select_related)
    yield query.max_depth
    yield query.order_by
    if not all(isinstance(each, str) and each != "?" for each in query.order_by):
        raise _Unknown
    yield query.default_ordering, query.standard_ordering, query.low_mark, query.high_mark
    for alias, join in query.alias_map.items():
        used = query.alias_refcount[alias] > 0
        field = getattr(join, "join_field", None)
        yield alias, join.table_name, join.join_type, join.parent_alias, field, used
    yield from _conditions(query.where, connection, values)


def _conditions(node: WhereNode, connection: Any, values: list[Any]) -> Iterator[Any]:
    yield node.connector, node.negated, len(node.children)
    for child in node.children:
        if type(child) is WhereNode:
            yield from _conditions(child, connection, values)
        elif type(child) in _CONDITIONS and type(child.lhs) is Col and _direct(child):
            # No compiler: a value that is none, but SQL itself, was turned away just now.
            text, given = child.process_rhs(None, connection)
            values.extend(given)
            yield type(child), child.lhs.alias, child.lhs.target, text
        elif type(child) is lookups.IsNull and type(child.lhs) is Col:
            yield child.rhs, child.lhs.alias, child.lhs.target
        else:
            raise _Unknown


def _direct(lookup: Any) -> bool:
    return lookup.rhs_is_direct_value() and not lookup.bilateral_transforms


def _leave_unread(compiler: Any, model: Any, names: Collection[str]) -> None:
    """The compiler's rows have these JSON columns as text."""
    read = compiler.get_converters
    columns = {model._meta.get_field(name) for name in names}
    if wrong := [each.name for each in columns if not isinstance(each, JSONField)]:
        raise TypeError(f"{model.__name__}.{', '.join(wrong)} is no JSON column")

    def converters(expressions: Any) -> Any:
        found = read(expressions)
        for place, (_, expression) in found.items():
            if getattr(expression, "target", None) in columns:
                found[place] = ([_as_stored], expression)
        return found

    compiler.get_converters = converters


def _as_stored(value: str | None, *_: Any) -> orjson.Fragment | None:
    return None if value is None else orjson.Fragment(value)
