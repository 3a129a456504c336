"""/v1/organization: who is mailed when the month's spending comes to so much."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.door.api import paging
from slipway.door.api.organization.base import OrganizationView, ordered
from slipway.door.services import org_shapes, words
from slipway.door.services.words import Bad
from slipway.metering import services as metering
from slipway.tenancy.services import Level

_ALERT = "alert_"
_Address = Annotated[
    str, msgspec.Meta(min_length=3, max_length=254, pattern=r"^[^@\s,<>]+@[^@\s,<>]+$")
]


class _Channel(words.Request):
    type: Literal["email"]
    recipients: Annotated[list[_Address], msgspec.Meta(min_length=1, max_length=20)]
    subject_prefix: Annotated[str, msgspec.Meta(max_length=100)] | None = None


class _Alert(words.Request):
    threshold_amount: Annotated[int, msgspec.Meta(ge=1, le=10**15)]
    currency: str
    interval: Literal["month"]
    notification_channel: _Channel


class _AlertsView(OrganizationView):
    """Alerts on the organisation; in hundredths of the installation's currency."""

    kind = "organization.spend_alert"

    def project_id_of(self, kwargs: dict[str, str]) -> UUID | None:
        return self.project(kwargs["project_id"]) if "project_id" in kwargs else None

    def found(self, kwargs: dict[str, str]) -> Any:
        return metering.spend_alerts_of(
            organisation_id=self.organisation_id, project_id=self.project_id_of(kwargs)
        )

    def alert(self, kwargs: dict[str, str]) -> Any:
        given = kwargs["alert_id"]
        key = words.row_id(_ALERT, given, what="spend alert", param="alert_id")
        row = self.found(kwargs).filter(pk=key).first()
        if row is None:
            raise words.no_such("spend alert", given, param="alert_id")
        return row

    def shown(self, row: Any) -> dict[str, Any]:
        return {
            "id": words.public_id(_ALERT, row.pk),
            "object": self.kind,
            "threshold_amount": int(row.amount * 100),
            "currency": settings.CURRENCY,
            "interval": "month",
            "notification_channel": {
                "type": "email",
                "recipients": row.recipients,
                "subject_prefix": row.subject_prefix or None,
            },
        }

    def wish(self) -> dict[str, Any]:
        """What the body asks for, in the ledger's words."""
        wish = self.body(_Alert)
        self.principal.check_reach("money", Level.FULL)
        if wish.currency.upper() != settings.CURRENCY.upper():
            raise Bad(f"Money is counted in {settings.CURRENCY} here.", param="currency")
        return {
            "amount": Decimal(wish.threshold_amount) / 100,
            "recipients": wish.notification_channel.recipients,
            "subject_prefix": wish.notification_channel.subject_prefix or "",
        }


class AlertsView(_AlertsView):
    def get(self, request: Request, **kwargs: str) -> Response:
        items = [self.shown(row) for row in self.found(kwargs)]
        return Response(paging.page_of(ordered(items, request, "asc"), request))

    def post(self, request: Request, **kwargs: str) -> Response:
        wish, project_id = self.wish(), self.project_id_of(kwargs)

        def make() -> dict[str, Any]:
            return self.shown(
                metering.add_spend_alert(
                    organisation_id=self.organisation_id, project_id=project_id, **wish
                )
            )

        return self.once({key: str(value) for key, value in wish.items()}, make)


class AlertView(_AlertsView):
    def get(self, request: Request, **kwargs: str) -> Response:
        return Response(self.shown(self.alert(kwargs)))

    def post(self, request: Request, **kwargs: str) -> Response:
        row, wish = self.alert(kwargs), self.wish()
        metering.change_spend_alert(row, **wish)
        return Response(self.shown(row))

    def delete(self, request: Request, **kwargs: str) -> Response:
        row = self.alert(kwargs)
        self.principal.check_reach("money", Level.FULL)
        row.delete()
        return Response(org_shapes.deleted(self.kind, kwargs["alert_id"]))
