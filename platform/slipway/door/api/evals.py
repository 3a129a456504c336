"""/v1/evals, their runs and output items."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.door.api import paging
from slipway.door.api.manners import DoorView
from slipway.door.models import Eval, EvalRun, EvalRunPhase, OutputItem
from slipway.door.services import evals, words
from slipway.door.services.words import Bad

_LongName = Annotated[str, msgspec.Meta(max_length=255)]


class _New(words.Request):
    data_source_config: dict[str, Any]
    testing_criteria: list[dict[str, Any]]
    name: _LongName = ""
    metadata: words.Metadata | None = None


class _Change(words.Request):
    name: _LongName | None = None
    metadata: words.Metadata | None = None


class _NewRun(words.Request):
    data_source: dict[str, Any]
    name: _LongName = ""
    metadata: words.Metadata | None = None


class _View(DoorView):
    module = "evaluation"

    def parent(self, eval_id: str) -> Eval:
        return evals.of(project_id=self.project_id, eval_id=eval_id)

    def run(self, eval_id: str, run_id: str) -> EvalRun:
        return evals.run_of(self.parent(eval_id), run_id)


class EvalsView(_View):
    waits = True

    def get(self, request: Request) -> Response:
        by = request.query_params.get("order_by", "created_at")
        if by not in {"created_at", "updated_at"}:
            text = f"order_by must be created_at or updated_at, not {by[:50]!r}."
            raise Bad(text, param="order_by")
        return Response(
            paging.page(
                evals.rows(project_id=self.project_id),
                request,
                find=lambda given: words.row_id(evals.EVAL, given, what="eval"),
                shown=evals.shown,
                order="asc",
                by=by,
            )
        )

    def post(self, request: Request) -> Response:
        new = self.body(_New)
        evals.check_schema(new.data_source_config)

        def make() -> dict[str, Any]:
            return evals.shown(
                evals.create(
                    project_id=self.project_id,
                    name=new.name,
                    metadata=new.metadata,
                    data_source_config=new.data_source_config,
                    testing_criteria=new.testing_criteria,
                    now=timezone.now(),
                )
            )

        return self.once(msgspec.to_builtins(new), make, status=201)


class EvalView(_View):
    def get(self, request: Request, eval_id: str) -> Response:
        return Response(evals.shown(self.parent(eval_id)))

    def post(self, request: Request, eval_id: str) -> Response:
        row, change = self.parent(eval_id), self.body(_Change)
        row.name = row.name if change.name is None else change.name
        row.metadata = row.metadata if change.metadata is None else change.metadata
        row.updated_at = timezone.now()
        row.save(update_fields=["name", "metadata", "updated_at"])
        return Response(evals.shown(row))

    def delete(self, request: Request, eval_id: str) -> Response:
        evals.delete(self.parent(eval_id))
        return Response({"object": "eval.deleted", "deleted": True, "eval_id": eval_id})


class RunsView(_View):
    waits = True

    def get(self, request: Request, eval_id: str) -> Response:
        rows = EvalRun.objects.filter(eval=self.parent(eval_id)).select_related("eval")
        if status := request.query_params.get("status"):
            if status not in EvalRunPhase.values:
                known = ", ".join(EvalRunPhase.values)
                raise Bad(f"status is one of {known}.", param="status")
            rows = rows.filter(phase=status)
        return Response(
            paging.page(
                rows,
                request,
                find=lambda given: words.row_id(evals.RUN, given, what="run"),
                shown=evals.run_shown,
                order="asc",
            )
        )

    def post(self, request: Request, eval_id: str) -> Response:
        parent, new = self.parent(eval_id), self.body(_NewRun)
        evals.check_items(parent, new.data_source, now=timezone.now())

        def make() -> dict[str, Any]:
            run = evals.start_run(
                parent,
                key_id=self.request.user.key_id,
                name=new.name,
                metadata=new.metadata,
                data_source=new.data_source,
                now=timezone.now(),
            )
            return evals.run_shown(run)

        return self.once(msgspec.to_builtins(new), make, status=201)


class CancelRunView(_View):
    def post(self, request: Request, eval_id: str, run_id: str) -> Response:
        """Judge no more rows, at the path where the client asks for it."""
        run = self.run(eval_id, run_id)
        evals.cancel(run, now=timezone.now(), by=self.made_by)
        return Response(evals.run_shown(run))


class RunView(CancelRunView):
    """The specification cancels by a POST to the run itself."""

    def get(self, request: Request, eval_id: str, run_id: str) -> Response:
        return Response(evals.run_shown(self.run(eval_id, run_id)))

    def delete(self, request: Request, eval_id: str, run_id: str) -> Response:
        evals.delete_run(self.run(eval_id, run_id))
        return Response({"object": "eval.run.deleted", "deleted": True, "run_id": run_id})


class ItemsView(_View):
    def get(self, request: Request, eval_id: str, run_id: str) -> Response:
        rows = OutputItem.objects.filter(run=self.run(eval_id, run_id)).select_related("run")
        if status := request.query_params.get("status"):
            if status not in {"pass", "fail", "error"}:
                raise Bad("status must be pass, fail or error.", param="status")
            rows = rows.filter(status=status)
        return Response(
            paging.page(
                rows,
                request,
                find=lambda given: words.row_id(evals.ITEM, given, what="output item"),
                shown=evals.item_shown,
                order="asc",
            )
        )


class ItemView(_View):
    def get(self, request: Request, eval_id: str, run_id: str, item_id: str) -> Response:
        key = words.row_id(evals.ITEM, item_id, what="output item", param="output_item_id")
        rows = OutputItem.objects.filter(run=self.run(eval_id, run_id)).select_related("run")
        found = rows.filter(pk=key).first()
        if found is None:
            raise words.no_such("output item", item_id, param="output_item_id")
        return Response(evals.item_shown(found))
