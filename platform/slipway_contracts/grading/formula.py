"""Arithmetic over named scores, such as `0.6 * exact + 0.4 * min(style, 1)`; nothing else runs."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

_LONGEST, _DEEPEST, _LARGEST = 1000, 50, 1e100
_TWO: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: math.pow,
}
_ONE: dict[type[ast.unaryop], Callable[[float], float]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_CALLS: dict[str, Callable[..., float]] = {
    "min": min,
    "max": max,
    "abs": abs,
    "floor": math.floor,
    "ceil": math.ceil,
    "exp": math.exp,
    "sqrt": math.sqrt,
    "log": math.log,
}


class BadFormula(Exception):
    """It cannot be read, names what is not there, or has no finite value."""


def check(text: str, names: set[str]) -> None:
    """BadFormula unless it is arithmetic over these names."""
    for node in ast.walk(_parsed(text)):
        if isinstance(node, ast.Name) and node.id not in names | _CALLS.keys():
            raise BadFormula(f"{node.id!r} is no grader here; there is {', '.join(sorted(names))}")
    evaluate(text, dict.fromkeys(names, 1.0), only_form=True)


def evaluate(text: str, values: Mapping[str, float], *, only_form: bool = False) -> float:
    """The value; with `only_form` errors of arithmetic (a division by 0) are let pass."""
    try:
        found = float(_value(_parsed(text).body, values, 0))
    except (ArithmeticError, ValueError, TypeError) as error:
        if only_form and not isinstance(error, TypeError):
            return 0.0
        raise BadFormula(f"it has no value: {error}") from error
    if not math.isfinite(found) and not only_form:
        raise BadFormula(f"its value is {found}")
    return found


def _parsed(text: str) -> ast.Expression:
    if len(text) > _LONGEST:
        raise BadFormula(f"it has more than {_LONGEST} characters")
    try:
        return ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BadFormula(f"it cannot be read: {error}") from error


def _value(node: Any, values: Mapping[str, float], depth: int) -> float:
    if depth > _DEEPEST:
        raise BadFormula("it is nested too deep")
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as number) if abs(number) < _LARGEST:
            return float(number)
        case ast.Name(id=name) if name in values:
            return float(values[name])
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _TWO:
            return _TWO[type(op)](_value(left, values, depth + 1), _value(right, values, depth + 1))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _ONE:
            return _ONE[type(op)](_value(operand, values, depth + 1))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _CALLS and args:
            return float(_CALLS[name](*(_value(each, values, depth + 1) for each in args)))
    raise BadFormula(f"{_shown(node)!r} is not arithmetic over scores")


def _shown(node: ast.AST) -> str:
    try:
        return ast.unparse(node)[:60]
    except RecursionError:
        return f"what begins at its character {getattr(node, 'col_offset', 0) + 1}"
