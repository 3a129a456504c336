"""What others may ask of evaluation; every function tells its errors."""

from slipway.evaluation.services.asking import Ask, create_run
from slipway.evaluation.services.changing import cancel, delete, retry
from slipway.evaluation.services.gates import Finding, Rule, judge
from slipway.evaluation.services.reading import (
    RowPage,
    download_address,
    row_page,
    run,
    runs,
    scoreboard,
)

__all__ = [
    "Ask",
    "Finding",
    "RowPage",
    "Rule",
    "cancel",
    "create_run",
    "delete",
    "download_address",
    "judge",
    "retry",
    "row_page",
    "run",
    "runs",
    "scoreboard",
]
