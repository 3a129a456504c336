"""What others may ask of training; every function tells its errors."""

from slipway.training.services.asking import (
    Ask,
    Plan,
    create_job,
    lengths,
    plan,
    rows_between,
    schema,
    set_aside,
)
from slipway.training.services.changing import (
    cancel,
    delete,
    forget_checkpoints,
    pause,
    resume,
    retry,
)
from slipway.training.services.estimates import Estimate, compared
from slipway.training.services.reading import (
    AdapterCheckpoint,
    Lineage,
    adapter_checkpoints,
    checkpoints,
    job,
    jobs,
    lineage,
    metric_names,
    metric_points,
    tracking_run,
)

__all__ = [
    "AdapterCheckpoint",
    "Ask",
    "Estimate",
    "Lineage",
    "Plan",
    "adapter_checkpoints",
    "cancel",
    "checkpoints",
    "compared",
    "create_job",
    "delete",
    "forget_checkpoints",
    "job",
    "jobs",
    "lengths",
    "lineage",
    "metric_names",
    "metric_points",
    "pause",
    "plan",
    "resume",
    "retry",
    "rows_between",
    "schema",
    "set_aside",
    "tracking_run",
]
