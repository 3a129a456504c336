"""What a role may do, asked of every route."""

from __future__ import annotations

from typing import Any

from rest_framework import permissions
from rest_framework.request import Request

from slipway.tenancy.models import Role


class MayChange(permissions.BasePermission):
    """Readers read; operators and owners change things."""

    message = "Your role here is reader; changing things needs operator or owner."

    def has_permission(self, request: Request, view: Any) -> bool:
        if not getattr(request.user, "is_authenticated", False):
            return False
        return request.method in permissions.SAFE_METHODS or request.user.may(Role.OPERATOR)
