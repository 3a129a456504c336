"""The one permission check, asked of every route: which module, which level.

A view belongs to the module that its package names, or to its own `module`. Reading needs the
level READ, deleting FULL, everything else OPERATE; a view says otherwise in `levels`, by method.
A view of a package that is not in the table below is closed to everybody. Methods that a view names
in `proved` need a session whose person was asked for their credentials a short while ago.
"""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from rest_framework import permissions
from rest_framework.request import Request

from slipway.tenancy.services import MODULES, Level, entry

#: Package below `slipway` to the module its views belong to, where the names differ.
_OF_PACKAGE = {
    "registry": "models",
    "metering": "usage",
    "tenancy": "access",
    "editions": "platform",
    "capacity": "platform",
    "limits": "access",
    "plans": "money",
    "quotas": "usage",
    "traffic": "deployments",
    "leaving": "organisation",
}
_OF_METHOD = {"GET": Level.READ, "HEAD": Level.READ, "OPTIONS": Level.READ, "DELETE": Level.FULL}


def module_of(package: str) -> str:
    """The module that the views of a package belong to, and what its rows are part of."""
    return _OF_PACKAGE.get(package, package)


def needed(view: type[Any], method: str) -> tuple[str, Level] | None:
    """Module and level that a method of a view asks for; None if the view declares none."""
    package = view.__module__.split(".")[1] if view.__module__.startswith("slipway.") else ""
    module = getattr(view, "module", module_of(package))
    if module not in MODULES:
        return None
    levels: dict[str, int] = getattr(view, "levels", {})
    return module, Level(levels.get(method, _OF_METHOD.get(method, Level.OPERATE)))


class MayChange(permissions.BasePermission):
    """Lets a principal through whose level in the view's module suffices."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not getattr(request.user, "is_authenticated", False):
            return False
        asked = needed(type(view), request.method or "")
        if asked is None:
            self.message = "This route declares no module; nobody may use it."
            return False
        module, level = asked
        if request.user.allows(module, level):
            # Programs cannot be asked again; their keys are bound in other ways.
            if request.method in getattr(view, "proved", ()) and request.user.key_id is None:
                entry.check_fresh(seen=request.user.shown, now=timezone.now())
            return True
        has = request.user.levels.get(module, Level.NONE).name.lower()
        self.message = (
            f"This needs {module}: {level.name.lower()}; you, {request.user.user_name} "
            f"({request.user.role}), have {has}. GET /api/v1/access/explain tells why."
        )
        return False
