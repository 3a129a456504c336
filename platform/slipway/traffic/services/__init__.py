"""What traffic does for others: rules and external models, for the gateway and its door."""

from __future__ import annotations

from slipway.traffic.services.aliases import (
    AliasFact,
    aliases_of,
    all_aliases,
    drop_alias,
    drop_aliases,
    give_alias,
)
from slipway.traffic.services.changes import follow, numbers, touched
from slipway.traffic.services.externals import (
    ExternalFact,
    Place,
    all_externals,
    change,
    check,
    external_row,
    forget,
    place_of,
    purpose_of,
    register,
    resolve,
    tls,
)
from slipway.traffic.services.rules import RuleFact, all_rules, lift_rule, set_rule

__all__ = [
    "AliasFact",
    "ExternalFact",
    "Place",
    "RuleFact",
    "aliases_of",
    "all_aliases",
    "all_externals",
    "all_rules",
    "change",
    "check",
    "drop_alias",
    "drop_aliases",
    "external_row",
    "follow",
    "forget",
    "give_alias",
    "lift_rule",
    "numbers",
    "place_of",
    "purpose_of",
    "register",
    "resolve",
    "set_rule",
    "tls",
    "touched",
]
