"""Say by whom a name is answered: shares of 100, fallbacks, a second try for the slow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from slipway.core.errors import Detail, Invalid, NotFound
from slipway.deployments import services as deployments
from slipway.registry import services as registry
from slipway.traffic.models import External, Rule

MOST_TARGETS, MOST_FALLBACKS = 16, 8
LEAST_HEDGE_MS, MOST_HEDGE_MS = 50, 60_000


@dataclass(frozen=True, kw_only=True)
class RuleFact:
    """A rule in force, for the gateway's snapshot."""

    project_id: UUID
    name: str
    #: Name and percent.
    targets: tuple[tuple[str, int], ...]
    fallbacks: tuple[str, ...]
    hedge_after_ms: int | None


def all_rules() -> Iterator[RuleFact]:
    """Every rule of every project; one query."""
    for row in Rule.objects.order_by("pk").iterator():
        yield RuleFact(
            project_id=row.project_id,
            name=row.name,
            targets=tuple((target["model"], target["percent"]) for target in row.targets),
            fallbacks=tuple(row.fallbacks),
            hedge_after_ms=row.hedge_after_ms,
        )


def set_rule(
    *,
    project_id: UUID,
    name: str,
    targets: Sequence[Mapping[str, Any]],
    fallbacks: Sequence[str] = (),
    hedge_after_ms: int | None = None,
) -> Rule:
    """The rule of this name, in place of the one that was there.

    A target or fallback is the name of a deployment, an external model, or a tuned model that
    answers on its base; the name itself may be among them, and then means its own deployment.
    """
    if not deployments.NAME.fullmatch(name):
        raise Invalid(
            f"{name[:80]!r} cannot be the name of a model.",
            Detail(field="name", rule="1 to 63 letters, digits, `.`, `_`, `-`, `:`", value=name),
        )
    _check_shares(targets)
    _check_fallbacks(fallbacks)
    for index, target in enumerate(targets):
        _check_known(project_id, name, target["model"], f"targets[{index}].model")
    for index, other in enumerate(fallbacks):
        _check_known(project_id, name, other, f"fallbacks[{index}]")
    if hedge_after_ms is not None and not LEAST_HEDGE_MS <= hedge_after_ms <= MOST_HEDGE_MS:
        raise Invalid(
            "A second replica is asked after 50 ms to 60 s.",
            Detail(field="hedge_after_ms", rule=f"{LEAST_HEDGE_MS}…{MOST_HEDGE_MS}, or null",
                   value=hedge_after_ms, fix="null, to never ask a second one"),
        )  # fmt: skip
    row, _ = Rule.objects.update_or_create(
        project_id=project_id,
        name=name,
        defaults={
            "targets": [{"model": t["model"], "percent": t["percent"]} for t in targets],
            "fallbacks": list(fallbacks),
            "hedge_after_ms": hedge_after_ms,
        },
    )
    return row


def rule_of(*, project_id: UUID, rule_id: UUID) -> Rule:
    row = Rule.objects.filter(pk=rule_id, project_id=project_id).first()
    if row is None:
        raise NotFound("There is no such rule in this project.")
    return row


def lift_rule(*, project_id: UUID, rule_id: UUID) -> None:
    """From now on the name means its own deployment again, or nothing."""
    if not Rule.objects.filter(pk=rule_id, project_id=project_id).delete()[0]:
        raise NotFound("There is no such rule in this project.")


def _check_shares(targets: Sequence[Mapping[str, Any]]) -> None:
    if not 1 <= len(targets) <= MOST_TARGETS:
        raise Invalid(
            f"A rule has 1 to {MOST_TARGETS} targets.",
            Detail(field="targets", rule=f"1…{MOST_TARGETS}", value=len(targets),
                   fix="To take a rule back, delete it."),
        )  # fmt: skip
    names = [target["model"] for target in targets]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise Invalid(
            f"{twice!r} is a target twice.",
            Detail(field="targets", rule="each model once", value=twice, fix="Add its shares."),
        )
    total = sum(target["percent"] for target in targets)
    if total != 100:
        raise Invalid(
            f"The shares come to {total} %.",
            Detail(field="targets", rule="percents come to 100", value=total,
                   fix=f"Give or take {abs(100 - total)} %."),
        )  # fmt: skip


def _check_fallbacks(fallbacks: Sequence[str]) -> None:
    if len(fallbacks) > MOST_FALLBACKS or len(set(fallbacks)) < len(fallbacks):
        raise Invalid(
            f"A rule has up to {MOST_FALLBACKS} fallbacks, each once.",
            Detail(field="fallbacks", rule=f"at most {MOST_FALLBACKS}, each once",
                   value=len(fallbacks)),
        )  # fmt: skip


def _check_known(project_id: UUID, rule: str, model: str, field: str) -> None:
    if deployments.is_deployed(project_id=project_id, name=model):
        return
    if External.objects.filter(project_id=project_id, name=model).exists():
        return
    tuned = model.partition(":ckpt-step-")[0]
    try:
        registry.resolve(project_id=project_id, reference=tuned)
    except NotFound as error:
        raise Invalid(
            f"There is nothing named {model[:80]!r} that could answer for {rule!r}.",
            Detail(field=field, rule="a deployment, an external model or a tuned model",
                   value=model, fix="GET /v1/models lists what answers now."),
        ) from error  # fmt: skip
