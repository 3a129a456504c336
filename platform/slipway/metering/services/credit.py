"""Money paid in advance is written down here; services/budgets.py holds spending to it."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from slipway.metering.models import Credit


def pay_in(*, organisation_id: UUID, amount: Decimal, made_by: str, note: str = "") -> None:
    """Book a payment or, below zero, a refund; from the first one on, also of 0, credit limits."""
    Credit.objects.create(
        organisation_id=organisation_id, amount=amount, made_by=made_by, note=note
    )
