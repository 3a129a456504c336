"""/v1/fine_tuning/checkpoints/{checkpoint}/permissions."""

from __future__ import annotations

from uuid import UUID

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.door.api import paging
from slipway.door.api.organization.base import OrganizationView
from slipway.door.services import sharing, words
from slipway.door.services.words import Bad


class _New(words.Request):
    project_ids: list[words.Id]


class _Shared(OrganizationView):
    """The checkpoint is one of the caller's project; the projects are of its organisation."""

    def name(self, checkpoint: str) -> str:
        return sharing.checkpoint_of(project_id=self.project_id, name=checkpoint)


class PermissionsView(_Shared):
    def get(self, request: Request, checkpoint: str) -> Response:
        asked = request.query_params.get("project_id")
        to: UUID | None = self.project(asked) if asked else None
        found = sharing.granted(project_id=self.project_id, name=self.name(checkpoint), to=to)
        order = request.query_params.get("order", "descending")
        if order not in {"ascending", "descending"}:
            raise Bad("order is ascending or descending.", param="order")
        ordered = found if order == "ascending" else found[::-1]
        return Response(paging.page_of(ordered, request, default=10))

    def post(self, request: Request, checkpoint: str) -> Response:
        new = self.body(_New)
        name = self.name(checkpoint)
        to = list(dict.fromkeys(self.project(project_id) for project_id in new.project_ids))
        found = sharing.grant(project_id=self.project_id, name=name, to=to, now=timezone.now())
        return Response(
            {
                "object": "list",
                "data": found,
                "first_id": found[0]["id"],
                "last_id": found[-1]["id"],
                "has_more": False,
            }
        )


class PermissionView(_Shared):
    def delete(self, request: Request, checkpoint: str, permission_id: str) -> Response:
        sharing.revoke(
            project_id=self.project_id, name=self.name(checkpoint), permission_id=permission_id
        )
        return Response({"id": permission_id, "object": "checkpoint.permission", "deleted": True})
