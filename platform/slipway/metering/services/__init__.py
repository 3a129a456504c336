"""What others may ask of metering: take usage in, sum it up, price it, and keep it in bounds."""

from slipway.metering.services.budgets import (
    BudgetFact,
    BudgetSpent,
    budget_facts,
    raise_alerts,
    release,
    reserve,
)
from slipway.metering.services.ledger import (
    BUCKETS,
    GROUPS,
    forget_finished,
    ingest_spool,
    record_of,
    records_of,
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
    "add_entry",
    "budget_facts",
    "cost",
    "cost_of",
    "counted",
    "forget_finished",
    "ingest_spool",
    "lines",
    "price_facts",
    "raise_alerts",
    "record_of",
    "records_of",
    "release",
    "reserve",
    "spent",
    "totals",
    "was_asked",
]
