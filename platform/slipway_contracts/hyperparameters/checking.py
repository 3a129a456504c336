"""Refuses values that the schema does not allow, saying what would be."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from slipway_contracts.hyperparameters.schema import schema
from slipway_contracts.hyperparameters.words import AUTO, Fault, HyperParameter, Limits


def check(
    method: str, scale: str, values: Mapping[str, Any], limits: Limits | None = None
) -> list[Fault]:
    """All faults of the given values, in the order given; missing keys are no fault."""
    known = {parameter.key: parameter for parameter in schema(method, scale, limits)}
    faults = []
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            fix = f"did you mean {near[0]}?" if near else "leave it out"
            fix += f" (known for {method} {scale}: {', '.join(sorted(known))})"
            faults.append(Fault(key=key, rule="unknown key", value=value, fix=fix))
        elif fault := _fault(known[key], value):
            faults.append(fault)
    return faults


def _fault(parameter: HyperParameter, value: Any) -> Fault | None:
    """The first rule that the value breaks."""
    if parameter.auto and value == AUTO:
        return None
    or_auto = ' or "auto"' if parameter.auto else ""

    def refuse(rule: str, fix: str) -> Fault:
        return Fault(key=parameter.key, rule=rule, value=value, fix=fix + or_auto)

    if parameter.key == "lora_targets":
        return _target_fault(parameter, value, refuse)
    if parameter.type == "choice":
        if value in parameter.choices:
            return None
        return refuse("not a choice", "one of " + ", ".join(map(str, parameter.choices)))
    if parameter.type == "bool":
        return None if isinstance(value, bool) else refuse("not a boolean", "true or false")
    # A bool is an int to Python; to a user it is not.
    accepted = int if parameter.type == "int" else (int, float)
    if isinstance(value, bool) or not isinstance(value, accepted):
        kind = "a whole number" if parameter.type == "int" else "a number"
        return refuse(f"not {kind}", f"{kind} such as {_example(parameter)}")
    low, high = parameter.minimum, parameter.maximum
    if not math.isfinite(value) or (low is not None and value < low):
        return refuse("out of range", f"from {low:g} to {high:g}")
    if high is not None and value > high:
        return refuse("out of range", f"from {low:g} to {high:g}")
    return None


def _target_fault(parameter: HyperParameter, value: Any, refuse: Any) -> Fault | None:
    if value == "all-linear":
        return None
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        return refuse("not a list of layers", '"all-linear" or a list of layer names')
    for name in value:
        if not isinstance(name, str) or (parameter.choices and name not in parameter.choices):
            listed = ", ".join(map(str, parameter.choices)) or "layer names"
            return refuse(f"no such layer: {name!r}", f'"all-linear" or some of {listed}')
    return None


def _example(parameter: HyperParameter) -> Any:
    return parameter.minimum if parameter.default == AUTO else parameter.default
