"""What a grader is: its kinds, and what is wrong with one that is not."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from slipway.door.services import similarity, words
from slipway.door.services.words import Bad
from slipway_contracts.grading import formula, templates
from slipway_sandbox import python

_Text = Annotated[str, msgspec.Meta(max_length=100_000)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
_MOST_GRADERS = 20


class StringCheck(words.Request, tag="string_check", tag_field="type"):
    name: _Name
    input: _Text
    reference: _Text
    operation: Literal["eq", "ne", "like", "ilike"]


class TextSimilarity(words.Request, tag="text_similarity", tag_field="type"):
    name: _Name
    input: _Text
    reference: _Text
    evaluation_metric: str
    pass_threshold: float | None = None
    #: Ours: the sentence encoder that a cosine is of; the only one there is, if left out.
    x_model: _Name | None = None


class Message(words.Request):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | dict[str, Any] | list[dict[str, Any]]
    type: str | None = None

    def rendered(self, facts: dict[str, Any]) -> dict[str, str]:
        parts = self.content if isinstance(self.content, list) else [self.content]
        texts = [part if isinstance(part, str) else part.get("text") for part in parts]
        if not all(isinstance(text, str) for text in texts):
            raise Bad("A judge's messages hold text only.", param="input.content")
        text = "".join(str(text) for text in texts)
        return {"role": self.role, "content": templates.render(text, facts)}


class ScoreModel(words.Request, tag="score_model", tag_field="type"):
    name: _Name
    model: _Name
    input: Annotated[list[Message], msgspec.Meta(min_length=1, max_length=50)]
    range: Annotated[list[float], msgspec.Meta(min_length=2, max_length=2)] | None = None
    pass_threshold: float | None = None
    sampling_params: dict[str, Any] | None = None


class LabelModel(words.Request, tag="label_model", tag_field="type"):
    name: _Name
    model: _Name
    input: Annotated[list[Message], msgspec.Meta(min_length=1, max_length=50)]
    labels: Annotated[list[_Name], msgspec.Meta(min_length=1, max_length=100)]
    passing_labels: Annotated[list[_Name], msgspec.Meta(min_length=1, max_length=100)]
    sampling_params: dict[str, Any] | None = None


class Python(words.Request, tag="python", tag_field="type"):
    name: _Name
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=python.SOURCE_BYTES)]
    #: Whatever it says: there is one Python here, with its standard library.
    image_tag: str | None = None
    pass_threshold: float | None = None


class Multi(words.Request, tag="multi", tag_field="type"):
    name: _Name
    graders: dict[str, StringCheck | TextSimilarity | ScoreModel | LabelModel | Python]
    calculate_output: str


Single = StringCheck | TextSimilarity | ScoreModel | LabelModel | Python
Grader = Single | Multi


def read(given: Any, *, param: str = "grader") -> Grader:
    """A checked grader; Bad naming what is wrong with it."""
    grader = parsed(given, param=param)
    check(grader, param)
    return grader


def parsed(given: Any, *, param: str = "grader") -> Grader:
    """A grader that was checked when it was stored."""
    try:
        return msgspec.convert(given, Grader)
    except msgspec.ValidationError as error:
        raise words.misshapen(str(error), under=param) from error


def check(grader: Grader, param: str) -> None:
    """Bad where its parts are well-formed each but cannot work together."""
    if isinstance(grader, TextSimilarity):
        if grader.evaluation_metric not in similarity.METRICS:
            raise Bad(
                f"evaluation_metric {grader.evaluation_metric[:40]!r} is not served here; there "
                f"is {', '.join(similarity.METRICS)}.",
                param=f"{param}.evaluation_metric",
                code="unsupported_metric",
            )
    elif isinstance(grader, LabelModel):
        if strange := set(grader.passing_labels) - set(grader.labels):
            raise Bad(f"{min(strange)!r} is not among the labels.", param=f"{param}.passing_labels")
    elif isinstance(grader, ScoreModel):
        if grader.range is not None and not grader.range[0] < grader.range[1]:
            raise Bad("range is a lower and a higher number.", param=f"{param}.range")
    elif isinstance(grader, Python):
        _check_python(grader, param)
    elif isinstance(grader, Multi):
        _check_multi(grader, param)


def _check_python(grader: Python, param: str) -> None:
    """Loaded once, in its jail: a source that cannot be is told now, not row by row."""
    try:
        with python.PythonGrader(grader.source) as jailed:
            jailed.start()
    except python.GraderFault as error:
        raise Bad(
            f"source: {error}", param=f"{param}.source", code="python_grader_runtime_error"
        ) from error
    except python.NoJail as error:
        raise Bad(str(error), param=f"{param}.type", code="unsupported_grader") from error


def _check_multi(grader: Multi, param: str) -> None:
    if not 1 <= len(grader.graders) <= _MOST_GRADERS:
        raise Bad(f"A multi grader has 1 to {_MOST_GRADERS}.", param=f"{param}.graders")
    for name, each in grader.graders.items():
        check(each, f"{param}.graders.{name}")
    try:
        formula.check(grader.calculate_output, set(grader.graders))
    except formula.BadFormula as error:
        raise Bad(
            f"calculate_output: {error}.",
            param=f"{param}.calculate_output",
            code="formula_parse_error",
        ) from error
