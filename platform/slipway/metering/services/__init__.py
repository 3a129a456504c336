"""What others may ask of metering: take usage in, sum it up, price it, and keep it in bounds."""

from slipway.metering.services.budgets import (
    BudgetFact,
    BudgetSpent,
    budget_facts,
    lift_monthly_limit,
    monthly_limit,
    raise_alerts,
    release,
    reserve,
    set_monthly_limit,
)
from slipway.metering.services.ledger import (
    BUCKETS,
    GROUPS,
    Total,
    forget_finished,
    ingest_spool,
    record_of,
    records_of,
    requests_of,
    totals,
    was_asked,
)
from slipway.metering.services.prices import cost, price_facts
from slipway.metering.services.rollups import add_entry, counted
from slipway.metering.services.spend import Line, cost_of, lines, spent

__all__ = [
    "BUCKETS",
    "GROUPS",
    "BudgetFact",
    "BudgetSpent",
    "Line",
    "Total",
    "add_entry",
    "budget_facts",
    "cost",
    "cost_of",
    "counted",
    "forget_finished",
    "ingest_spool",
    "lift_monthly_limit",
    "lines",
    "monthly_limit",
    "price_facts",
    "raise_alerts",
    "record_of",
    "records_of",
    "release",
    "requests_of",
    "reserve",
    "set_monthly_limit",
    "spent",
    "totals",
    "was_asked",
]
