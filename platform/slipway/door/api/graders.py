"""/v1/fine_tuning/alpha/graders: try one on a sample, or have it checked."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any

import msgspec
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.door.api.manners import DoorView
from slipway.door.services import graders, grading, words
from slipway.door.services.asking import Door
from slipway_contracts.grading import templates
from slipway_sandbox.jails import Jails


class _Run(words.Request):
    grader: dict[str, Any]
    model_sample: Annotated[str, msgspec.Meta(max_length=1_000_000)]
    item: dict[str, Any] | None = None


class _Validate(words.Request):
    grader: dict[str, Any]


class RunView(DoorView):
    module = "evaluation"
    waits = True

    def post(self, request: Request) -> Response:
        wish = self.body(_Run)
        grader = graders.read(wish.grader)
        facts = templates.facts_of(wish.item or {}, wish.model_sample)
        asker = Door(key_id=self.request.user.key_id, now=timezone.now())
        with contextlib.closing(asker) as door, Jails() as jails:
            found = grading.grade(grader, facts=facts, door=door, jails=jails)
        return Response(_shown(wish.grader, found))


def _shown(given: dict[str, Any], found: grading.Grade) -> dict[str, Any]:
    judged = list(found.tokens)
    told = found.errors.get("model_grader_server_error")
    return {
        "reward": found.score,
        "sub_rewards": found.scores,
        "model_grader_token_usage_per_model": found.tokens,
        "metadata": {
            "name": given["name"],
            "type": given["type"],
            "execution_time": round(found.seconds, 4),
            "scores": found.scores or {given["name"]: found.score},
            "token_usage": sum(found.tokens.values()) or None,
            "sampled_model_name": judged[0] if judged else None,
            "errors": {name: name in found.errors for name in grading.ERRORS}
            | {
                "python_grader_server_error_type": "no_jail"
                if "python_grader_server_error" in found.errors
                else None,
                "python_grader_runtime_error_details": found.errors.get(
                    "python_grader_runtime_error"
                ),
                "model_grader_server_error_details": told,
            },
            # Ours: what each error says.
            "x_error_details": found.errors,
        },
    }


class ValidateView(DoorView):
    module = "evaluation"

    def post(self, request: Request) -> Response:
        wish = self.body(_Validate)
        graders.read(wish.grader)
        return Response({"grader": wish.grader})
