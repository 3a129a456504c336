"""What the OpenAPI document says beyond what drf-spectacular finds out by itself."""

from __future__ import annotations

from typing import Any


def answers_are_whole(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A field may be left out of a request for its default; an answer always has all its fields."""
    for name, component in result["components"]["schemas"].items():
        if name.endswith("Out") and component.get("type") == "object" and "properties" in component:
            component["required"] = sorted(component["properties"])
    return result
