"""Whom a request is the business of, whether or not they asked to be told."""

from __future__ import annotations

from uuid import UUID

from slipway.quotas.models import Request, State
from slipway.quotas.services import asking
from slipway.tenancy.services import directory


def concerned(*, request_id: UUID, state: str) -> list[str]:
    """Mail addresses: of who can answer a request that was asked, else of who asked it."""
    row = Request.objects.filter(pk=request_id).first()
    if row is None:
        return []
    able = directory.able_in(project_id=row.project_id)
    if state == State.ASKED:
        return [mail for mail, principal in able if asking.may_answer(principal, row)]
    return [mail for mail, principal in able if principal.user_id == row.asked_by_id]
