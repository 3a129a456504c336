"""Walks a run through its rows: asks, judges, records each once; a kill costs rows in flight."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from slipway.core import lifecycle, reconcile
from slipway.core.errors import Refused
from slipway.door.models import EvalRun, EvalRunPhase, OutputItem
from slipway.door.services import eval_sources, evals, graders, grading
from slipway.door.services.asking import Answer, Door, NoAnswer
from slipway.door.services.eval_sources import Source
from slipway.door.services.words import Bad
from slipway_contracts.grading import templates
from slipway_sandbox.jails import Jails

_AT_ONCE = 4
_TEND_SECONDS = 1.0
_TURN_SECONDS = 60.0
#: Of processor time, for holding all items to their schema.
_CHECK_SECONDS = 60
_TRIES, _TRY_PAUSE = 30, 2.0


@dataclass(frozen=True, kw_only=True)
class _Judged:
    status: str
    item: dict[str, Any]
    results: list[dict[str, Any]]
    sample: dict[str, Any]
    usage: dict[str, dict[str, int]]


def look(run: EvalRun, now: datetime) -> timedelta | None:
    try:
        source = eval_sources.read(run.data_source, project_id=run.project_id, now=now)
        if run.phase == EvalRunPhase.QUEUED:
            total = evals.count_rows(run.eval, source, seconds=_CHECK_SECONDS)
            if not total:
                raise Bad("The source has no rows.", param="data_source")
            lifecycle.advance(run, EvalRunPhase.IN_PROGRESS, now=now, reason="judging", total=total)
            return None
        door = Door(key_id=run.key_id, now=now, at_once=_AT_ONCE)
    except Refused as error:
        # An eval run's error has these two, both text.
        code = getattr(error, "code", None) or "invalid_request_error"
        failure = {"code": code, "message": error.message}
        lifecycle.advance(run, EvalRunPhase.FAILED, now=now, reason=error.message, error=failure)
        return None
    with contextlib.closing(door), Jails() as jails:
        _judge_rows(run, source, door, jails)
    if run.items.count() >= run.total:
        lifecycle.advance(run, EvalRunPhase.COMPLETED, now=timezone.now())
        return None
    return timedelta(0)


def _judge_rows(run: EvalRun, source: Source, door: Door, jails: Jails) -> None:
    """Judge rows that were not yet, for one turn."""
    criteria = [(c["id"], _grader(c)) for c in run.eval.testing_criteria]
    done = set(run.items.values_list("number", flat=True))
    rows = (pair for pair in enumerate(source.rows()) if pair[0] not in done)
    began = tended = time.monotonic()
    running: dict[Future[_Judged], int] = {}
    pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="eval")
    try:
        while True:
            if time.monotonic() - tended > _TEND_SECONDS:
                tended = time.monotonic()
                reconcile.renew(run)
            late = tended - began > _TURN_SECONDS
            room = 0 if late else _AT_ONCE - len(running)
            for number, row in itertools.islice(rows, room):
                running[pool.submit(_judge, source, criteria, row, door, jails)] = number
            if not running:
                return
            ended, _ = wait(running, timeout=_TEND_SECONDS, return_when=FIRST_COMPLETED)
            for future in ended:
                _record(run, running.pop(future), future.result())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _grader(criterion: dict[str, Any]) -> graders.Grader:
    return graders.parsed({k: v for k, v in criterion.items() if k != "id"})


def _record(run: EvalRun, number: int, found: _Judged) -> None:
    with transaction.atomic():
        # A run that was canceled or deleted meanwhile takes no more rows.
        here = EvalRun.objects.select_for_update().filter(pk=run.pk, phase=run.phase)
        if not here.exists():
            raise lifecycle.LostRace(str(run))
        OutputItem.objects.get_or_create(
            run=run,
            number=number,
            defaults={
                "status": found.status,
                "item": found.item,
                "results": found.results,
                "sample": found.sample,
                "usage": found.usage,
            },
        )


def _judge(
    source: Source,
    criteria: list[tuple[str, graders.Grader]],
    row: Any,
    door: Door,
    jails: Jails,
) -> _Judged:
    messages: list[dict[str, Any]] = []
    error: dict[str, Any] | None = None
    answer: Answer | None = None
    text = (row.sample or {}).get("output_text")
    text = text if isinstance(text, str) else None
    if source.model:
        try:
            messages = source.asked(row.item)
            answer = _patiently(door, source, messages)
            text = answer.text
        except (NoAnswer, templates.NoSuchField, templates.NotJson, Bad) as trouble:
            error = {"code": "sample_error", "message": str(trouble)}
    results, usage = [], _used(answer)
    if error is None:
        facts = templates.facts_of(row.item, text)
        for key, grader in criteria:
            grade = grading.grade(grader, facts=facts, door=door, jails=jails)
            for model, count in grade.tokens.items():
                entry = usage.setdefault(model, _nothing())
                entry["calls"] += 1
                entry["prompt_tokens"] += count
            results.append(
                {
                    "criterion": key,
                    "name": grader.name,
                    "type": type(grader).__struct_config__.tag,
                    "score": grade.score,
                    "passed": not grade.errors and grading.passed(grader, grade.score),
                    "sample": {"output": grade.said} if grade.said is not None else None,
                    "errors": grade.errors or None,
                }
            )
    broken = error is not None or any(r["errors"] for r in results)
    good = bool(results) and all(r["passed"] for r in results)
    return _Judged(
        status="error" if broken else "pass" if good else "fail",
        item=row.item,
        results=results,
        sample=_sample(source, messages, answer, text, error),
        usage=usage,
    )


def _patiently(door: Door, source: Source, messages: list[dict[str, Any]]) -> Answer:
    """One answer; a model without room is asked again, for live traffic comes first."""
    for attempt in _tries():
        try:
            return door.chat(source.model, messages, source.sampling)
        except NoAnswer as error:
            if not error.waiting or attempt == _TRIES:
                raise
            time.sleep(_TRY_PAUSE)
    raise AssertionError("unreachable")


def _tries() -> Iterator[int]:
    return iter(range(1, _TRIES + 1))


def _nothing() -> dict[str, int]:
    return {"calls": 0, "prompt_tokens": 0, "completion_tokens": 0}


def _used(answer: Answer | None) -> dict[str, dict[str, int]]:
    if answer is None:
        return {}
    numbers = {"prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.completion_tokens}
    return {answer.model: {"calls": 1} | numbers}


def _sample(
    source: Source,
    messages: list[dict[str, Any]],
    answer: Answer | None,
    text: str | None,
    error: dict[str, Any] | None,
) -> dict[str, Any]:
    sampling = source.sampling
    prompt, said = (answer.prompt_tokens, answer.completion_tokens) if answer else (0, 0)
    return {
        "input": messages,
        "output": [] if text is None else [{"role": "assistant", "content": text}],
        "finish_reason": answer.finish_reason if answer else "",
        "model": answer.model if answer else source.model,
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": said,
            "total_tokens": prompt + said,
            "cached_tokens": 0,
        },
        "error": error or {"code": "", "message": ""},
        "temperature": sampling.get("temperature", 1),
        "max_completion_tokens": sampling.get("max_completion_tokens") or 0,
        "top_p": sampling.get("top_p", 1),
        "seed": sampling.get("seed", 42),
    }
