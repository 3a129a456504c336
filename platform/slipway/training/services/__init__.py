"""What others may ask of training; every function tells its errors."""

from slipway.training.services.asking import Ask, Plan, create_job, plan, schema
from slipway.training.services.changing import cancel, delete, retry
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
    "job",
    "jobs",
    "lineage",
    "metric_names",
    "metric_points",
    "plan",
    "retry",
    "schema",
    "tracking_run",
]
