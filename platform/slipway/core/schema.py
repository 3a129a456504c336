"""What the OpenAPI document says beyond what drf-spectacular finds out by itself."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter


def answers_are_whole(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A field may be left out of a request for its default; an answer always has all its fields."""
    for name, component in result["components"]["schemas"].items():
        if name.endswith("Out") and component.get("type") == "object" and "properties" in component:
            component["required"] = sorted(component["properties"])
    return result


class Schema(AutoSchema):
    """Names the header by which a change says which state of a thing it was made upon."""

    def get_override_parameters(self) -> list[Any]:
        found = list(super().get_override_parameters())
        if getattr(self.view, "guarded", ()) and self.method in {"PUT", "PATCH"}:
            text = "ETag of what was read; refused with 412 if it is another by now."
            found.append(OpenApiParameter("If-Match", str, "header", description=text))
        return found
