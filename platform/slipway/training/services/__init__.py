"""What others may ask of training; every function tells its errors."""

from slipway.training.services.asking import Ask, Plan, create_job, plan, schema
from slipway.training.services.changing import cancel, delete, retry
from slipway.training.services.estimates import Estimate, compared
from slipway.training.services.reading import (
    Lineage,
    checkpoints,
    job,
    jobs,
    lineage,
    metric_names,
    metric_points,
    tracking_run,
)

__all__ = [
    "Ask",
    "Estimate",
    "Lineage",
    "Plan",
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
