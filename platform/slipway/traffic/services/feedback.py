"""Thumbs: what people thought of answers, kept with the answer until somebody deletes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from slipway.core.errors import NotFound
from slipway.tenancy import services as tenancy
from slipway.traffic.models import Feedback


def give(
    *,
    principal: tenancy.Principal,
    request_id: str,
    model: str,
    good: bool,
    comment: str = "",
    messages: Sequence[dict[str, Any]] = (),
    answer: str = "",
) -> Feedback:
    """Set what this person thinks of an answer, in place of what they thought."""
    row, _ = Feedback.objects.update_or_create(
        project_id=principal.project_id,
        request_id=request_id,
        user_name=principal.user_name,
        defaults={
            "model": model,
            "good": good,
            "comment": comment,
            "messages": list(messages),
            "answer": answer,
        },
    )
    return row


def given(*, project_id: UUID) -> QuerySet[Feedback]:
    return Feedback.objects.filter(project_id=project_id)


def take_back(*, project_id: UUID, feedback_id: UUID) -> None:
    """Forget one; NotFound if this project has none such."""
    if not given(project_id=project_id).filter(pk=feedback_id).delete()[0]:
        raise NotFound("There is no such feedback in this project.")
