"""Checks manifests as an API server would: structural schemas, and Pod Security *restricted*."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_TYPES = {
    "object": dict, "array": list, "string": str, "boolean": bool, "integer": int,
    "number": (int, float),
}  # fmt: skip


def faults(value: Any, schema: dict[str, Any], at: str = "") -> list[str]:
    """Where the value is not what the schema says; unknown fields count, as with strict checks."""
    return list(_faults(value, schema, at))


def _faults(value: Any, schema: dict[str, Any], at: str) -> Iterator[str]:
    if schema.get("x-kubernetes-int-or-string"):
        if not isinstance(value, int | str):
            yield f"{at}: {value!r} is neither number nor text"
        return
    kind = schema.get("type")
    truth = isinstance(value, bool) and kind != "boolean"
    if kind and (truth or not isinstance(value, _TYPES[kind])):
        yield f"{at}: {value!r} is no {kind}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is not one of {', '.join(map(str, schema['enum']))}"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{at}: {value!r} does not match {schema['pattern']}"
    if "minimum" in schema and value < schema["minimum"]:
        yield f"{at}: {value} is below {schema['minimum']}"
    if isinstance(value, dict):
        yield from _members(value, schema, at)
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _faults(item, schema["items"], f"{at}[{index}]")


def _members(value: dict[str, Any], schema: dict[str, Any], at: str) -> Iterator[str]:
    for name in schema.get("required", []):
        if name not in value:
            yield f"{at}: {name} is missing"
    properties = schema.get("properties", {})
    for name, item in value.items():
        here = f"{at}.{name}".lstrip(".")
        if name in properties:
            yield from _faults(item, properties[name], here)
        elif "additionalProperties" in schema:
            yield from _faults(item, schema["additionalProperties"], here)
        elif here.startswith("metadata"):
            continue  # the API server knows metadata by itself
        elif not schema.get("x-kubernetes-preserve-unknown-fields"):
            yield f"{here}: unknown"


def unrestricted(pod: dict[str, Any]) -> list[str]:
    """What Pod Security *restricted* would refuse in a pod's spec, and a writable root."""
    found = [
        f"{key} is set" for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)
    ]  # fmt: skip
    security = pod.get("securityContext") or {}
    if security.get("runAsNonRoot") is not True:
        found.append("runAsNonRoot is not true")
    if security.get("runAsUser") == 0:
        found.append("runAsUser is 0")
    if (security.get("seccompProfile") or {}).get("type") not in {"RuntimeDefault", "Localhost"}:
        found.append("seccompProfile is not RuntimeDefault")
    allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
               "projected", "secret"}  # fmt: skip
    for volume in pod.get("volumes") or []:
        if not set(volume) - {"name"} <= allowed:
            found.append(f"volume {volume['name']} is of a forbidden kind")
    for container in [*(pod.get("initContainers") or []), *pod["containers"]]:
        found += [f"{container['name']}: {fault}" for fault in _unrestricted(container)]
    return found


def _unrestricted(container: dict[str, Any]) -> Iterator[str]:
    own = container.get("securityContext") or {}
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation is not false"
    if (own.get("capabilities") or {}).get("drop") != ["ALL"]:
        yield "capabilities are not dropped"
    if own.get("privileged") or (own.get("capabilities") or {}).get("add"):
        yield "has privileges"
    if own.get("readOnlyRootFilesystem") is not True:
        yield "its root is writable"
    if any(port.get("hostPort") for port in container.get("ports") or []):
        yield "takes a port of the host"
