"""What a job costs: set aside before it starts, written in the ledger when it ends."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from slipway.core import lifecycle
from slipway.metering import services as metering
from slipway.tenancy import services as tenancy
from slipway.training.models import Checkpoint, TrainingJob

#: How often a running job's cost is held against its budgets, and what it is always ahead by.
_WEIGH_EVERY, _AHEAD_SECONDS = timedelta(seconds=5), 15.0
TOKENS, CPU, GPU = "training_tokens", "cpu_milliseconds", "gpu_milliseconds"


def quantities(*, tokens: int, seconds: float, workers: int, gpus: int) -> dict[str, int]:
    """Kinds of use to how much: tokens seen, and milliseconds of every GPU or else worker."""
    time = {GPU: int(seconds * 1000) * gpus} if gpus else {CPU: int(seconds * 1000) * workers}
    return {TOKENS: tokens, **time}


def price(
    *,
    project_id: UUID,
    base_name: str,
    tokens: int,
    seconds: float,
    workers: int,
    gpus: int,
    at: datetime,
) -> Decimal:
    """What that much training costs, in settings.CURRENCY. `base_name` is `model@version`."""
    return metering.cost(
        organisation_id=tenancy.project_fact(project_id=project_id).organisation_id,
        model=_model(base_name),
        quantities=quantities(tokens=tokens, seconds=seconds, workers=workers, gpus=gpus),
        at=at,
    )


def reserve(job: TrainingJob, *, now: datetime) -> None:
    """Set the most it may cost aside, in the transaction that queues it; BudgetSpent if it is
    too much. Steps up to the latest checkpoint are paid for."""
    latest = _latest(job)
    done = _share(job, latest.step) if latest else 0.0
    set_aside(
        subject=_subject(job),
        project_id=job.project_id,
        key_id=job.key_id,
        base_name=job.base_name,
        tokens=int(job.estimate["tokens"] * (1 - done)),
        # A job that was seen at work is known better than it was guessed.
        seconds=max(
            job.estimate["seconds_high"] * (1 - done),
            _pace(job) * job.total_steps * (1 - done),
        ),
        workers=job.workers,
        gpus=job.gpus,
        now=now,
    )


def set_aside(
    *,
    subject: str,
    project_id: UUID,
    key_id: UUID | None,
    base_name: str,
    tokens: int,
    seconds: float,
    workers: int,
    gpus: int,
    now: datetime,
) -> None:
    """Set the price of that much training aside; BudgetSpent if it is too much."""
    metering.reserve(
        subject=subject,
        organisation_id=tenancy.project_fact(project_id=project_id).organisation_id,
        project_id=project_id,
        key_id=key_id,
        amount=price(
            project_id=project_id, base_name=base_name, tokens=tokens, seconds=seconds,
            workers=workers, gpus=gpus, at=now,
        ),
        now=now,
    )  # fmt: skip


def _price(job: TrainingJob, *, tokens: int, seconds: float, at: datetime) -> Decimal:
    return price(
        project_id=job.project_id,
        base_name=job.base_name,
        tokens=tokens,
        seconds=seconds,
        workers=job.workers,
        gpus=job.gpus,
        at=at,
    )


def _share(job: TrainingJob, step: int) -> float:
    """How much of the job its first `step` steps are, 0 to 1."""
    return min(step / job.total_steps, 1.0) if job.total_steps else 0.0


def _latest(job: TrainingJob) -> Checkpoint | None:
    rows = Checkpoint.objects.filter(job=job).order_by("-step", "-at", "pk")
    return rows.first()


def hindrance(job: TrainingJob, now: datetime) -> str:
    """Why a running job should pause: its budgets do not reach to its next checkpoint. "" if not.

    What is set aside for it is kept ahead of what it has cost: the cost up to the next checkpoint,
    and of a quarter of a minute besides, in which it is stopped. Where the budgets have no more it
    goes on to that checkpoint on what it has, and is stopped earlier if even that is used up.
    """
    if job.weighed_at is not None and now - job.weighed_at < _WEIGH_EVERY:
        return ""
    used, seconds = _used(job, now)
    spent = _price(job, tokens=used, seconds=seconds, at=now)
    close = _price(
        job, tokens=used + _tokens_of(job, _AHEAD_SECONDS), seconds=seconds + _AHEAD_SECONDS, at=now
    )
    span = _span(job) + _AHEAD_SECONDS
    wanted = _price(job, tokens=used + _tokens_of(job, span), seconds=seconds + span, at=now)
    refusal = metering.keep_ahead(subject=_subject(job), amount=wanted, now=now)
    since = (job.short_since or now) if refusal else None
    lifecycle.annotate(job, reason=job.reason, weighed_at=now, short_since=since)
    if refusal is None:
        return ""
    latest, held = _latest(job), metering.set_aside(subject=_subject(job))
    if close < held and (latest is None or latest.at < since):
        return ""
    return (
        f"paused at {_where(latest)}: {refusal.message} It has cost {spent.normalize():f} in this "
        "attempt. Resume it once there is room."
    )


def _where(latest: Checkpoint | None) -> str:
    return f"the checkpoint of step {latest.step}" if latest else "its beginning"


def _used(job: TrainingJob, now: datetime) -> tuple[int, float]:
    """Tokens and seconds that the present attempt has used and the ledger does not know of."""
    tokens = int(job.estimate.get("tokens", 0) * _share(job, job.step))
    tokens -= metering.counted(subject=_subject(job), kind=TOKENS, besides=_key(job, TOKENS))
    begun = job.placed_at
    return max(tokens, 0), (now - begun).total_seconds() if begun else 0.0


def _pace(job: TrainingJob) -> float:
    """Seconds a step, as seen in this attempt; 0 while none is known."""
    if job.pace_at is None or job.moved_at is None or job.step <= job.pace_step:
        return 0.0
    return float((job.moved_at - job.pace_at).total_seconds() / (job.step - job.pace_step))


def _tokens_of(job: TrainingJob, seconds: float) -> int:
    """Tokens that so many seconds more will take."""
    pace = _pace(job)
    steps = int(seconds / pace) + 1 if pace else 1
    return int(job.estimate.get("tokens", 0) * _share(job, steps))


def _span(job: TrainingJob) -> float:
    """Seconds from one checkpoint to the next, as far as is known."""
    steps = sorted(set(Checkpoint.objects.filter(job=job).values_list("step", flat=True)))
    return _pace(job) * (steps[-1] - steps[-2] if len(steps) > 1 else steps[0] if steps else 1)


def settle(job: TrainingJob, now: datetime) -> None:
    """A job that is paused has paid for what it did, and nothing is set aside for it."""
    charge(job, now=now)
    TrainingJob.objects.filter(pk=job.pk).update(weighed_at=None, short_since=None)


def charge(job: TrainingJob, *, now: datetime, tokens: int | None = None) -> None:
    """Write what the present attempt used in the ledger, once, and free what was set aside.

    `tokens` are all that the job has seen; without them they follow from the steps done. Steps
    that were not done cost nothing.
    """
    metering.release(subject=_subject(job), now=now)
    # An attempt that resumed pays for the steps since, not again for those before.
    seen, seconds = _used(job, now)
    if tokens is not None:
        known = metering.counted(subject=_subject(job), kind=TOKENS, besides=_key(job, TOKENS))
        seen = max(tokens - known, 0)
    used = quantities(tokens=seen, seconds=seconds, workers=job.workers, gpus=job.gpus)
    for kind, quantity in used.items():
        metering.add_entry(
            key=_key(job, kind),
            at=now,
            project_id=job.project_id,
            key_id=job.key_id,
            kind=kind,
            quantity=quantity,
            model=_model(job.base_name),
            subject=_subject(job),
        )


def _subject(job: TrainingJob) -> str:
    return f"training job {job.pk}"


def _key(job: TrainingJob, kind: str) -> str:
    return f"{_subject(job)}:{job.attempt}:{kind}"


def _model(reference: str) -> str:
    return reference.partition("@")[0]
