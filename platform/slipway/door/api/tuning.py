"""/v1/fine_tuning/jobs, and DELETE /v1/models/{model}."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.door.api import paging
from slipway.door.api.manners import DoorView
from slipway.door.models import FineTune
from slipway.door.services import graders, models, tune_asks, tune_shapes, tuning, words
from slipway.door.services.words import Bad
from slipway_contracts.grading import checking

Auto = Literal["auto"]


class _Hyperparameters(words.Request):
    n_epochs: Annotated[int, msgspec.Meta(ge=1, le=50)] | Auto = "auto"
    batch_size: Annotated[int, msgspec.Meta(ge=1, le=256)] | Auto = "auto"
    learning_rate_multiplier: Annotated[float, msgspec.Meta(gt=0, le=1000)] | Auto = "auto"


class _Supervised(words.Request):
    hyperparameters: _Hyperparameters | None = None


class _DpoHyperparameters(_Hyperparameters):
    beta: Annotated[float, msgspec.Meta(ge=0, le=2)] | Auto = "auto"


class _Dpo(words.Request):
    hyperparameters: _DpoHyperparameters | None = None


class _ReinforcementHyperparameters(_Hyperparameters):
    compute_multiplier: Annotated[float, msgspec.Meta(ge=1e-5, le=10)] | Auto = "auto"
    eval_interval: Annotated[int, msgspec.Meta(ge=1, le=100_000)] | Auto = "auto"
    eval_samples: Annotated[int, msgspec.Meta(ge=1, le=16)] | Auto = "auto"
    reasoning_effort: Literal["default", "low", "medium", "high"] = "default"


class _Reinforcement(words.Request):
    grader: dict[str, Any]
    hyperparameters: _ReinforcementHyperparameters | None = None


class _Method(words.Request):
    type: str
    supervised: _Supervised | None = None
    dpo: _Dpo | None = None
    reinforcement: _Reinforcement | None = None


class _New(words.Request):
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    training_file: words.Id
    validation_file: words.Id | None = None
    suffix: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    seed: Annotated[int, msgspec.Meta(ge=0, le=2_147_483_647)] | None = None
    method: _Method | None = None
    hyperparameters: _Hyperparameters | None = None
    integrations: list[dict[str, Any]] | None = None
    metadata: words.Metadata | None = None


def _chosen(new: _New) -> tuple[str, dict[str, Any], dict[str, Any] | None]:
    """Method, hyper-parameters asked for by either of the two ways, and grader."""
    if new.integrations:
        raise Bad(
            "Integrations are not served here; every run is recorded in this platform's MLflow.",
            param="integrations",
            code="unsupported_integration",
        )
    if new.method is None:
        given = dict(msgspec.to_builtins(new.hyperparameters or _Hyperparameters()))
        return "supervised", given, None
    kind = new.method.type
    if kind not in tune_asks.METHODS:
        raise Bad(
            f"method.type {kind[:40]!r} is not served here; there is: "
            f"{', '.join(tune_asks.METHODS)}.",
            param="method.type",
            code="unsupported_method",
        )
    own = {name: getattr(new.method, name) for name in ("supervised", "dpo", "reinforcement")}
    settings = own.pop(kind)
    if any(other is not None for other in own.values()):
        raise Bad(f"A job of type {kind} has settings under method.{kind} only.", param="method")
    if kind == "reinforcement":
        return kind, *_rewarded(settings)
    given = dict(msgspec.to_builtins(new.hyperparameters or _Hyperparameters()))
    if settings is not None and settings.hyperparameters is not None:
        given = dict(msgspec.to_builtins(settings.hyperparameters))
    return kind, given, None


def _rewarded(settings: _Reinforcement | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Hyper-parameters and grader of a reinforcement job."""
    param = "method.reinforcement"
    if settings is None:
        raise Bad("A reinforcement job needs a grader.", param=f"{param}.grader")
    given = settings.hyperparameters or _ReinforcementHyperparameters()
    if given.reasoning_effort != "default":
        raise Bad(
            "The models served here know no levels of reasoning effort; leave it out.",
            param=f"{param}.hyperparameters.reasoning_effort",
            code="unsupported_value",
        )
    graders.read(settings.grader, param=f"{param}.grader")
    # Judges have an opinion for every answer that is tried: thousands of paid requests.
    for fault in checking.check(settings.grader, f"{param}.grader"):
        raise Bad(
            f"This grader cannot reward a job here: {fault.rule}, {fault.fix}.",
            param=fault.path,
            code="unsupported_grader",
        )
    return dict(msgspec.to_builtins(given)), settings.grader


class JobsView(DoorView):
    module = "training"
    waits = True

    def get(self, request: Request) -> Response:
        rows = paging.with_metadata(tuning.rows(project_id=self.project_id), request)
        now = timezone.now()
        return Response(
            paging.page(
                rows,
                request,
                find=lambda given: words.row_id(tune_asks.PREFIX, given, what="job"),
                shown=lambda tune: tune_shapes.shown(tune, now),
            )
        )

    def post(self, request: Request) -> Response:
        new = self.body(_New)
        method, chosen, grader = _chosen(new)

        def make() -> dict[str, Any]:
            now = timezone.now()
            tune = tuning.create(
                project_id=self.project_id,
                model=new.model,
                training_file=new.training_file,
                validation_file=new.validation_file,
                suffix=new.suffix,
                seed=new.seed,
                method=method,
                hyperparameters=chosen,
                grader=grader,
                metadata=new.metadata,
                made_by=self.made_by,
                key_id=self.request.user.key_id,
                now=now,
            )
            return tune_shapes.shown(tune, now)

        tuning.wait_for_files(
            new.training_file, new.validation_file,
            project_id=self.project_id, key_id=self.request.user.key_id, now=timezone.now(),
        )  # fmt: skip
        return self.once(msgspec.to_builtins(new), make)


class _JobView(DoorView):
    module = "training"

    def tune(self, job_id: str) -> FineTune:
        return tuning.of(project_id=self.project_id, job_id=job_id)

    def now_shown(self, job_id: str) -> Response:
        return Response(tune_shapes.shown(self.tune(job_id), timezone.now()))


class JobView(_JobView):
    def get(self, request: Request, job_id: str) -> Response:
        return self.now_shown(job_id)


class VerbView(_JobView):
    """Cancel, pause, resume."""

    waits = True
    verb = ""

    def post(self, request: Request, job_id: str) -> Response:
        do = {"cancel": tuning.cancel, "pause": tuning.pause, "resume": tuning.resume}[self.verb]
        do(self.tune(job_id), now=timezone.now(), by=self.made_by)
        return self.now_shown(job_id)


class EventsView(_JobView):
    def get(self, request: Request, job_id: str) -> Response:
        return Response(paging.page_of(tune_shapes.events(self.tune(job_id)), request, most=1000))


class CheckpointsView(_JobView):
    def get(self, request: Request, job_id: str) -> Response:
        found = tune_shapes.checkpoints(self.tune(job_id))
        return Response(paging.page_of(found, request, default=10))


class ModelView(DoorView):
    module = "models"

    def delete(self, request: Request, model: str) -> Response:
        models.delete(project_id=self.project_id, name=model, now=timezone.now(), by=self.made_by)
        return Response({"id": model, "object": "model", "deleted": True})
