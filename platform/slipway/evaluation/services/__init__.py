"""What others may ask of evaluation; every function tells its errors."""

from slipway.evaluation.services.asking import Ask, create_run
from slipway.evaluation.services.changing import cancel, delete, resume, retry
from slipway.evaluation.services.gates import Finding, Rule, judge
from slipway.evaluation.services.people import DIMENSIONS, board, given_by, rate
from slipway.evaluation.services.reading import (
    RowPage,
    download_address,
    row_page,
    run,
    runs,
    scoreboard,
)

__all__ = [
    "DIMENSIONS",
    "Ask",
    "Finding",
    "RowPage",
    "Rule",
    "board",
    "cancel",
    "create_run",
    "delete",
    "download_address",
    "given_by",
    "judge",
    "rate",
    "resume",
    "retry",
    "row_page",
    "run",
    "runs",
    "scoreboard",
]
