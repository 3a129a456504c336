"""Evals and their runs: made, changed, cancelled, deleted, shown."""

from __future__ import annotations

import secrets
from collections import Counter
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from slipway.core import lifecycle, nudge
from slipway.door.models import Eval, EvalRun, EvalRunPhase, OutputItem
from slipway.door.services import eval_fields, eval_sources, graders, item_schemas, words
from slipway.door.services.words import Bad
from slipway.metering import services as metering
from slipway.tenancy import services as tenancy

EVAL, RUN, ITEM = "eval_", "evalrun_", "outputitem_"
_MOST_CRITERIA = 50
#: Of processor time, that comparing with an `item_schema` may take while a request waits for it.
_CHECK_SECONDS = 5
#: What a row of stored chat completions is.
_STORED = {
    "type": "object",
    "properties": {"input": {"type": "array"}, "model": {"type": "string"}},
}


def create(
    *,
    project_id: UUID,
    name: str,
    metadata: dict[str, str] | None,
    data_source_config: dict[str, Any],
    testing_criteria: list[dict[str, Any]],
    now: datetime,
) -> Eval:
    """An eval; Bad naming the criterion that cannot be."""
    kind = data_source_config.get("type")
    custom = kind == "custom" and isinstance(data_source_config.get("item_schema"), dict)
    if not custom and kind != "stored_completions":
        raise Bad(
            "data_source_config must be {type: custom, item_schema: {…}} or "
            "{type: stored_completions}; logs are not served here.",
            param="data_source_config",
        )
    known = {"item_schema", "include_sample_schema"} if custom else {"metadata"}
    if strange := set(data_source_config) - known - {"type"}:
        raise Bad(f"Unrecognized request argument supplied: data_source_config.{min(strange)}.",
                  param=f"data_source_config.{min(strange)}")  # fmt: skip
    if not 1 <= len(testing_criteria) <= _MOST_CRITERIA:
        raise Bad(f"An eval has 1 to {_MOST_CRITERIA} criteria.", param="testing_criteria")
    criteria = []
    for number, given in enumerate(testing_criteria):
        param = f"testing_criteria[{number}]"
        grader = graders.read(given, param=param)
        if isinstance(grader, graders.Multi):
            raise Bad("An eval's criteria are single graders.", param=f"{param}.type")
        if isinstance(grader, graders.TextSimilarity) and grader.pass_threshold is None:
            raise Bad("text_similarity needs a pass_threshold.", param=f"{param}.pass_threshold")
        eval_fields.check(given, data_source_config, param=param)
        criteria.append(given | {"id": f"{given['name'][:60]}-{secrets.token_hex(8)}"})
    return Eval.objects.create(
        project_id=project_id,
        created_at=now,
        updated_at=now,
        name=name,
        metadata=metadata,
        data_source_config=data_source_config,
        testing_criteria=criteria,
    )


def check_schema(data_source_config: dict[str, Any]) -> None:
    """Bad for an `item_schema` that is none. Takes too long to hold a lock meanwhile."""
    schema = data_source_config.get("item_schema")
    if isinstance(schema, dict):
        item_schemas.check(schema, seconds=_CHECK_SECONDS)


def check_items(parent: Eval, data_source: dict[str, Any], *, now: datetime) -> None:
    """Bad for the first item given with a request that is not of the eval's `item_schema`.

    Likewise; those of a file are looked at when the run begins.
    """
    source = data_source.get("source")
    if isinstance(source, dict) and source.get("type") == "file_content":
        read = eval_sources.read(data_source, project_id=parent.project_id, now=now)
        count_rows(parent, read, seconds=_CHECK_SECONDS)


def count_rows(parent: Eval, source: eval_sources.Source, *, seconds: int) -> int:
    """How many rows there are; Bad naming the first whose item is not of the `item_schema`.

    What is stored here has a shape of its own. `seconds` of processor time are spent at most.
    """
    config = parent.data_source_config
    if config["type"] != "custom" or source.stored is not None:
        return sum(1 for _ in source.rows())
    items = ((place, row.item) for place, row in source.placed())
    return item_schemas.count(config["item_schema"], items, seconds=seconds)


def rows(*, project_id: UUID) -> QuerySet[Eval]:
    return Eval.objects.filter(project_id=project_id)


def of(*, project_id: UUID, eval_id: str) -> Eval:
    key = words.row_id(EVAL, eval_id, what="eval", param="eval_id")
    found = rows(project_id=project_id).filter(pk=key).first()
    if found is None:
        raise words.no_such("eval", eval_id, param="eval_id")
    return found


def start_run(
    parent: Eval,
    *,
    key_id: UUID,
    name: str,
    metadata: dict[str, str] | None,
    data_source: dict[str, Any],
    now: datetime,
) -> EvalRun:
    """A queued run; Bad for a source that is none, BudgetSpent where it would be refused its
    first row."""
    source = eval_sources.read(data_source, project_id=parent.project_id, now=now)
    _check_money(parent, source, key_id=key_id, now=now)
    run = EvalRun(
        created_at=now,
        project_id=parent.project_id,
        eval=parent,
        key_id=key_id,
        name=name,
        metadata=metadata,
        data_source=data_source,
        model=source.model,
        phase=EvalRunPhase.QUEUED,
        reason="waiting for the worker",
        look_at=now,
    )
    with transaction.atomic():
        run.save(force_insert=True)
        lifecycle.born(run, now=now)
        nudge.soon(EvalRun)
    return run


def _check_money(parent: Eval, source: eval_sources.Source, *, key_id: UUID, now: datetime) -> None:
    """BudgetSpent unless one request to each model fits, a token long: the least it can cost."""
    asked = {source.model, *(each.get("model", "") for each in parent.testing_criteria)} - {""}
    organisation_id = tenancy.project_fact(project_id=parent.project_id).organisation_id
    least = {"requests": 1, "prompt_tokens": 1, "completion_tokens": 1}
    amount = sum(
        (metering.cost(organisation_id=organisation_id, model=model, quantities=least, at=now)
         for model in asked),
        Decimal(0),
    )  # fmt: skip
    if amount:
        metering.check_fits(
            organisation_id=organisation_id, project_id=parent.project_id, key_id=key_id,
            amount=amount, now=now,
        )  # fmt: skip


def run_of(parent: Eval, run_id: str) -> EvalRun:
    key = words.row_id(RUN, run_id, what="run", param="run_id")
    found = EvalRun.objects.filter(pk=key, eval=parent).select_related("eval").first()
    if found is None:
        raise words.no_such("run", run_id, param="run_id")
    return found


def cancel(run: EvalRun, *, now: datetime, by: str) -> None:
    """Judge no more rows; what was judged stays. Cancelling twice is once."""
    for _ in range(5):
        if run.phase == EvalRunPhase.CANCELED:
            return
        if not run.LIFECYCLE.allows(run.phase, EvalRunPhase.CANCELED):
            raise Bad(f"This run is {run.phase}; there is nothing left to cancel.")
        try:
            lifecycle.advance(run, EvalRunPhase.CANCELED, now=now, reason=f"canceled by {by}")
        except lifecycle.LostRace:
            run.refresh_from_db()


def delete_run(run: EvalRun) -> None:
    """Forget a run that has ended."""
    if not run.LIFECYCLE.at_rest(run.phase):
        raise Bad(f"This run is {run.phase}; cancel it first.")
    run.delete()


def delete(parent: Eval) -> None:
    """Forget the eval and all its runs; those under way end with it."""
    parent.delete()


def shown(row: Eval) -> dict[str, Any]:
    config = row.data_source_config
    stored = config["type"] == "stored_completions"
    properties: dict[str, Any] = {"item": _STORED if stored else config["item_schema"]}
    if stored or config.get("include_sample_schema"):
        properties["sample"] = {"type": "object"}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    told = {"type": config["type"], "schema": schema}
    return {
        "id": words.public_id(EVAL, row.pk),
        "object": "eval",
        "name": row.name,
        "created_at": words.seconds(row.created_at),
        "metadata": row.metadata,
        "data_source_config": told | ({"metadata": config.get("metadata")} if stored else {}),
        "testing_criteria": row.testing_criteria,
    }


def run_shown(run: EvalRun) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    verdicts: dict[str, Counter[str]] = {c["id"]: Counter() for c in run.eval.testing_criteria}
    usage: dict[str, Counter[str]] = {}
    rows = run.items.values_list("status", "results", "usage").iterator(chunk_size=500)
    for status, results, used in rows:
        counts[status] += 1
        for result in results:
            verdicts[result["criterion"]]["passed" if result["passed"] else "failed"] += 1
        for model, numbers in used.items():
            usage.setdefault(model, Counter()).update(numbers)
    eval_id = words.public_id(EVAL, run.eval_id)
    run_id = words.public_id(RUN, run.pk)
    return {
        "id": run_id,
        "object": "eval.run",
        "eval_id": eval_id,
        "status": run.phase,
        "model": run.model,
        "name": run.name,
        "created_at": words.seconds(run.created_at),
        "report_url": f"/v1/evals/{eval_id}/runs/{run_id}/output_items",
        "result_counts": {
            "total": run.total or counts.total(),
            "errored": counts["error"],
            "failed": counts["fail"],
            "passed": counts["pass"],
        },
        "per_model_usage": [
            {
                "model_name": model,
                "invocation_count": used["calls"],
                "prompt_tokens": used["prompt_tokens"],
                "completion_tokens": used["completion_tokens"],
                "total_tokens": used["prompt_tokens"] + used["completion_tokens"],
                "cached_tokens": 0,
            }
            for model, used in sorted(usage.items())
        ],
        "per_testing_criteria_results": [
            {"testing_criteria": key, "passed": found["passed"], "failed": found["failed"]}
            for key, found in verdicts.items()
        ],
        "data_source": run.data_source,
        "metadata": run.metadata,
        # Never null: clients that validate strictly expect the object.
        "error": run.error or {"code": "", "message": ""},
        "x_reason": run.reason,
    }


def item_shown(row: OutputItem) -> dict[str, Any]:
    return {
        "id": words.public_id(ITEM, row.pk),
        "object": "eval.run.output_item",
        "run_id": words.public_id(RUN, row.run_id),
        "eval_id": words.public_id(EVAL, row.run.eval_id),
        "created_at": words.seconds(row.created_at),
        "status": row.status,
        "datasource_item_id": row.number,
        "datasource_item": row.item,
        "results": [{k: v for k, v in r.items() if k != "criterion"} for r in row.results],
        "sample": row.sample,
    }
