"""Fees, paid for a term in advance: within what the limits leave, and in the ledger as all use."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from slipway.metering.models import Kind
from slipway.metering.services import budgets, rollups
from slipway.metering.services.prices import CENT
from slipway.tenancy import services as tenancy


def charge_fee(
    *, key: str, subject: str, name: str, amount: Decimal, project_id: UUID, now: datetime
) -> None:
    """Put a fee in the books once, whatever its `key` is called with again, or raise BudgetSpent.

    `amount` is in the currency, to a millionth; `name` says on the bill what it is for. Call it
    in the transaction that gives what is paid for.
    """
    if amount <= 0:
        return
    with transaction.atomic():
        budgets.check_fits(
            organisation_id=tenancy.project_fact(project_id=project_id).organisation_id,
            project_id=project_id, key_id=None, amount=amount, now=now,
        )  # fmt: skip
        rollups.add_entry(
            key=key, at=now, project_id=project_id, kind=Kind.PLAN_FEE,
            quantity=int(amount / CENT), model=name, subject=subject,
        )  # fmt: skip
