"""Row policies of PostgreSQL over all that belongs to a tenant; SQLite has none."""

from __future__ import annotations

from typing import Any

from django.db import migrations

from slipway.core import tenants

_OF_ORGANISATION = (
    "tenancy_identityprovider", "tenancy_scimtoken", "tenancy_provisioned", "audit_entry",
    "metering_pricebook", "metering_budget", "metering_spendalert", "metering_reservation",
    "metering_credit", "quotas_request", "notices_target",
)  # fmt: skip
_OF_PROJECT = (
    "metering_usagerecord", "metering_entry", "metering_rollup", "limits_ratelimit",
    "datasets_dataset", "datasets_version", "datasets_export", "datasets_leakcheck",
    "registry_model", "registry_modelversion", "registry_export", "registry_upload",
    "training_trainingjob", "evaluation_evaluationrun",
    "deployments_deployment", "deployments_revision",
    "traffic_rule", "traffic_external", "traffic_promptpolicy",
    "traffic_loggedprompt", "traffic_feedback",
    "door_asked", "door_file", "door_upload", "door_finetune", "door_batch", "door_eval",
    "door_evalrun", "door_conversation", "door_response", "door_storedcompletion",
    "door_moderationpolicy",
)  # fmt: skip
#: Price books of nobody are everybody's; entries of nobody are of those who are not let in.
_SHARED, _OWNERLESS = {"metering_pricebook"}, {"audit_entry"}


def _spread(apps: Any, editor: Any) -> None:
    if editor.connection.vendor != "postgresql":
        return
    for column, tables in (("organisation_id", _OF_ORGANISATION), ("project_id", _OF_PROJECT)):
        for table in tables:
            shared, ownerless = table in _SHARED, table in _OWNERLESS
            editor.execute(tenants.protect(table, column, shared=shared, ownerless=ownerless))


def _take_up(apps: Any, editor: Any) -> None:
    if editor.connection.vendor == "postgresql":
        for table in _OF_ORGANISATION + _OF_PROJECT:
            editor.execute(tenants.release(table))


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0001_initial"),
        ("tenancy", "0004_signed_in"),
        ("audit", "0001_initial"),
        ("metering", "0004_spend_alerts"),
        ("limits", "0002_share"),
        ("quotas", "0002_scope"),
        ("datasets", "0002_bin"),
        ("registry", "0002_bin"),
        ("training", "0006_lists"),
        ("evaluation", "0004_lists"),
        ("deployments", "0003_charged_until"),
        ("traffic", "0005_feedback"),
        ("door", "0005_tune_key"),
        ("notices", "0003_spend_alerts"),
    ]
    operations = [migrations.RunPython(_spread, _take_up)]
