"""What models are asked and answer, kept where a project wants it: off, until an owner says so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from slipway.audit import services as audit
from slipway.core.errors import NotFound
from slipway.tenancy import services as tenancy
from slipway.traffic.models import LoggedPrompt, PromptPolicy
from slipway.traffic.services import masking

LONGEST_DAYS = 365


@dataclass(frozen=True, kw_only=True)
class Said:
    """One request and its answer, as they were."""

    project_id: UUID
    request_id: str
    at: datetime
    model: str
    request: Any
    answer: Any


def logged_projects() -> frozenset[str]:
    """Projects whose prompts are kept, for the gateway's snapshot."""
    return frozenset(
        str(each) for each in PromptPolicy.objects.values_list("project_id", flat=True)
    )


def policy_of(*, project_id: UUID) -> PromptPolicy | None:
    """Whether and how prompts of a project are kept; None if they are not."""
    return PromptPolicy.objects.filter(project_id=project_id).first()


def set_policy(
    *, maker: tenancy.Principal, days: int, masks: Sequence[str], expressions: Sequence[str]
) -> PromptPolicy:
    """Keep prompts from now on; of those that are kept already, the shorter time counts."""
    masking.check(expressions)
    row, _ = PromptPolicy.objects.update_or_create(
        project_id=maker.project_id,
        defaults={"days": days, "masks": list(masks), "expressions": list(expressions),
                  "made_by": maker.user_name},
    )  # fmt: skip
    return row


def lift_policy(*, project_id: UUID) -> None:
    """Keep no more; what was kept goes when its time has come, or is deleted."""
    row = policy_of(project_id=project_id)
    if row is None:
        raise NotFound("Prompts of this project are not kept.")
    row.delete()


def log(said: Iterable[Said]) -> None:
    """Mask and keep those whose project wants it, each once."""
    said = list(said)
    policies = {
        row.project_id: row
        for row in PromptPolicy.objects.filter(project_id__in={each.project_id for each in said})
    }
    rows = []
    for each in said:
        policy = policies.get(each.project_id)
        if policy is None:
            continue
        how = {"masks": policy.masks, "expressions": policy.expressions}
        rows.append(
            LoggedPrompt(
                project_id=each.project_id,
                created_at=each.at,
                request_id=each.request_id,
                model=each.model[:256],
                request=masking.masked(each.request, **how),
                answer=masking.masked(each.answer, **how),
                expires_at=each.at + timedelta(days=policy.days),
            )
        )
    LoggedPrompt.objects.bulk_create(rows, ignore_conflicts=True, batch_size=100)


def logged(*, project_id: UUID) -> QuerySet[LoggedPrompt]:
    return LoggedPrompt.objects.filter(project_id=project_id)


def read(*, reader: tenancy.Principal, prompt_id: UUID, now: datetime) -> LoggedPrompt:
    """One of them; that somebody has read it is in the audit log."""
    row = logged(project_id=reader.project_id).filter(pk=prompt_id).first()
    if row is None:
        raise NotFound("No such prompt is kept in this project.")
    audit.record(
        at=now, actor=reader.user_name, action="prompt.read", subject=str(row.pk),
        organisation_id=reader.organisation_id, project_id=reader.project_id,
        key_id=reader.key_id,
    )  # fmt: skip
    return row


def delete(*, project_id: UUID, prompt_id: UUID | None, until: datetime | None) -> int:
    """Forget one, or all up to a time; how many they were."""
    rows = logged(project_id=project_id)
    if prompt_id is not None:
        rows = rows.filter(pk=prompt_id)
    if until is not None:
        rows = rows.filter(created_at__lte=until)
    return rows.delete()[0]


def forget(now: datetime) -> None:
    LoggedPrompt.objects.filter(expires_at__lt=now).delete()
