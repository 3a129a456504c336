"""What traffic does for others: rules and external models, for the gateway and its door."""

from __future__ import annotations

from slipway.core.outward import Place, place_of, resolve, tls
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
    all_externals,
    change,
    external_row,
    forget,
    purpose_of,
    register,
)
from slipway.traffic.services.feedback import give as give_feedback
from slipway.traffic.services.feedback import given as feedback_given
from slipway.traffic.services.feedback import take_back as take_feedback_back
from slipway.traffic.services.health import check, tend
from slipway.traffic.services.prompts import (
    Said,
    lift_policy,
    logged_projects,
    policy_of,
    set_policy,
)
from slipway.traffic.services.prompts import delete as delete_prompts
from slipway.traffic.services.prompts import forget as forget_prompts
from slipway.traffic.services.prompts import log as log_prompts
from slipway.traffic.services.prompts import logged as logged_prompts
from slipway.traffic.services.prompts import read as read_prompt
from slipway.traffic.services.rules import RuleFact, all_rules, lift_rule, rule_of, set_rule

__all__ = [
    "AliasFact",
    "ExternalFact",
    "Place",
    "RuleFact",
    "Said",
    "aliases_of",
    "all_aliases",
    "all_externals",
    "all_rules",
    "change",
    "check",
    "delete_prompts",
    "drop_alias",
    "drop_aliases",
    "external_row",
    "feedback_given",
    "follow",
    "forget",
    "forget_prompts",
    "give_alias",
    "give_feedback",
    "lift_policy",
    "lift_rule",
    "log_prompts",
    "logged_projects",
    "logged_prompts",
    "numbers",
    "place_of",
    "policy_of",
    "purpose_of",
    "read_prompt",
    "register",
    "resolve",
    "rule_of",
    "set_policy",
    "set_rule",
    "take_feedback_back",
    "tend",
    "tls",
    "touched",
]
