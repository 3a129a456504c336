"""What /v1 answers with, object by object."""

from __future__ import annotations

from slipway.door.api.document.words import (
    BOOLEAN,
    FREE,
    INTEGER,
    METADATA,
    NUMBER,
    STRING,
    Schema,
    many,
    null_or,
    one_of,
    ref,
    thing,
)

_TIME = INTEGER
_TEXT, _LATER = null_or(STRING), null_or(_TIME)
_SPEND = {
    "threshold_amount": INTEGER,
    "currency": STRING,
    "interval": STRING,
    "enforcement": thing(status=one_of("inactive", "enforcing")),
}
_TOKENS = thing(prompt_tokens=INTEGER, completion_tokens=INTEGER, total_tokens=INTEGER)

OBJECTS: dict[str, Schema] = {
    "Error": thing(
        error=thing(message=STRING, type=STRING, param=_TEXT, code=_TEXT),
    ),
    "Model": thing("model", id=STRING, created=_TIME, owned_by=STRING, root=_TEXT, parent=_TEXT),
    "File": thing(
        "file",
        id=STRING,
        bytes=INTEGER,
        created_at=_TIME,
        filename=STRING,
        purpose=STRING,
        status=one_of("uploaded", "processed", "error"),
        status_details=_TEXT,
        expires_at=_LATER,
    ),
    "Upload": thing(
        "upload",
        id=STRING,
        bytes=INTEGER,
        created_at=_TIME,
        filename=STRING,
        purpose=STRING,
        status=one_of("pending", "completed", "cancelled", "expired"),
        expires_at=_TIME,
        file=null_or(ref("File")),
    ),
    "UploadPart": thing("upload.part", id=STRING, created_at=_TIME, upload_id=STRING),
    "FineTuningJob": thing(
        "fine_tuning.job",
        id=STRING,
        created_at=_TIME,
        finished_at=_LATER,
        estimated_finish=_LATER,
        model=STRING,
        fine_tuned_model=_TEXT,
        organization_id=STRING,
        status=one_of(
            "validating_files", "queued", "running", "paused", "succeeded", "failed", "cancelled"
        ),
        hyperparameters=FREE,
        method=FREE,
        seed=INTEGER,
        training_file=STRING,
        validation_file=_TEXT,
        result_files=many(STRING),
        trained_tokens=null_or(INTEGER),
        metadata=METADATA,
        error=null_or(thing(code=_TEXT, message=STRING, param=_TEXT)),
    ),
    "FineTuningEvent": thing(
        "fine_tuning.job.event",
        id=STRING,
        created_at=_TIME,
        level=one_of("info", "warn", "error"),
        message=STRING,
        type=one_of("message", "metrics"),
        data=null_or(FREE),
    ),
    "FineTuningCheckpoint": thing(
        "fine_tuning.job.checkpoint",
        id=STRING,
        created_at=_TIME,
        fine_tuned_model_checkpoint=STRING,
        step_number=INTEGER,
        fine_tuning_job_id=STRING,
        metrics=FREE,
    ),
    "CheckpointPermission": thing(
        "checkpoint.permission", id=STRING, created_at=_TIME, project_id=STRING
    ),
    "GraderRun": thing(
        reward=NUMBER,
        sub_rewards=FREE,
        model_grader_token_usage_per_model=FREE,
        metadata=thing(
            name=STRING, type=STRING, execution_time=NUMBER, scores=FREE,
            token_usage=null_or(INTEGER), sampled_model_name=_TEXT, errors=FREE,
        ),
    ),
    "Batch": thing(
        "batch",
        id=STRING,
        endpoint=STRING,
        model=_TEXT,
        errors=null_or(FREE),
        input_file_id=STRING,
        completion_window=STRING,
        status=one_of(
            "validating", "failed", "in_progress", "finalizing", "completed", "expired",
            "cancelling", "cancelled",
        ),
        output_file_id=_TEXT,
        error_file_id=_TEXT,
        created_at=_TIME,
        in_progress_at=_LATER,
        expires_at=_LATER,
        finalizing_at=_LATER,
        completed_at=_LATER,
        failed_at=_LATER,
        expired_at=_LATER,
        cancelling_at=_LATER,
        cancelled_at=_LATER,
        request_counts=thing(total=INTEGER, completed=INTEGER, failed=INTEGER),
        metadata=METADATA,
    ),
    "Eval": thing(
        "eval",
        id=STRING,
        name=STRING,
        created_at=_TIME,
        metadata=METADATA,
        data_source_config=FREE,
        testing_criteria=many(FREE),
    ),
    "EvalRun": thing(
        "eval.run",
        id=STRING,
        eval_id=STRING,
        status=one_of("queued", "in_progress", "completed", "canceled", "failed"),
        model=STRING,
        name=STRING,
        created_at=_TIME,
        report_url=STRING,
        result_counts=thing(total=INTEGER, errored=INTEGER, failed=INTEGER, passed=INTEGER),
        per_model_usage=many(FREE),
        per_testing_criteria_results=many(FREE),
        data_source=FREE,
        metadata=METADATA,
        error=FREE,
    ),
    "OutputItem": thing(
        "eval.run.output_item",
        id=STRING,
        run_id=STRING,
        eval_id=STRING,
        created_at=_TIME,
        status=one_of("pass", "fail", "error"),
        datasource_item_id=INTEGER,
        datasource_item=FREE,
        results=many(FREE),
        sample=FREE,
    ),
    "ChatCompletion": thing(
        "chat.completion", id=STRING, created=_TIME, model=STRING, choices=many(FREE), usage=_TOKENS
    ),
    "Completion": thing(
        "text_completion", id=STRING, created=_TIME, model=STRING, choices=many(FREE), usage=_TOKENS
    ),
    "Embeddings": thing("list", data=many(FREE), model=STRING, usage=FREE),
    "Response": thing(
        "response", id=STRING, created_at=NUMBER, model=STRING, status=STRING, output=many(FREE)
    ),
    "Conversation": thing("conversation", id=STRING, created_at=_TIME, metadata=METADATA),
    "ModerationPolicy": thing("moderation.policy"),
    "Project": thing(
        "organization.project",
        id=STRING,
        name=STRING,
        created_at=_TIME,
        archived_at=_LATER,
        status=one_of("active", "archived"),
    ),
    "OrganizationUser": thing(
        "organization.user", id=STRING, name=STRING, email=_TEXT, role=STRING, added_at=_TIME
    ),
    "ProjectUser": thing(
        "organization.project.user", id=STRING, name=STRING, email=_TEXT, role=STRING,
        added_at=_TIME,
    ),
    "ProjectKey": thing(
        "organization.project.api_key",
        id=STRING,
        name=STRING,
        redacted_value=STRING,
        created_at=_TIME,
        last_used_at=_LATER,
        owner=FREE,
        owner_project_access=one_of("active", "inactive"),
    ),
    "ServiceAccount": thing(
        "organization.project.service_account",
        id=STRING,
        name=STRING,
        role=one_of("owner", "member", "none"),
        created_at=_TIME,
    ),
    "ServiceAccountKey": thing(
        "organization.project.service_account.api_key",
        id=STRING,
        name=STRING,
        value=STRING,
        created_at=_TIME,
    ),
    "AdminKey": thing(
        "organization.admin_api_key",
        id=STRING,
        name=STRING,
        redacted_value=STRING,
        created_at=_TIME,
        last_used_at=_LATER,
        owner=FREE,
    ),
    "RateLimit": thing(
        "project.rate_limit",
        id=STRING,
        model=STRING,
        max_requests_per_1_minute=INTEGER,
        max_tokens_per_1_minute=INTEGER,
    ),
    "SpendLimit": thing("organization.spend_limit", **_SPEND),
    "ProjectSpendLimit": thing("project.spend_limit", **_SPEND),
    **{
        name: thing(
            f"{kind}.spend_alert", id=STRING, threshold_amount=INTEGER, currency=STRING,
            interval=one_of("month"),
            notification_channel=thing(
                type=one_of("email"), recipients=many(STRING), subject_prefix=null_or(STRING)
            ),
        )
        for name, kind in (("SpendAlert", "organization"), ("ProjectSpendAlert", "project"))
    },
    "Invite": thing(
        "organization.invite",
        id=STRING,
        email=STRING,
        role=one_of("owner", "reader"),
        status=one_of("accepted", "expired", "pending"),
        created_at=_TIME,
        expires_at=_TIME,
        accepted_at=_LATER,
        projects=many(FREE),
    ),
    "Group": thing(
        "group", id=STRING, name=STRING, created_at=_TIME, group_type=STRING,
        is_scim_managed=BOOLEAN,
    ),
    "Role": thing(
        "role", id=STRING, name=STRING, description=_TEXT, permissions=many(STRING),
        predefined_role=BOOLEAN, resource_type=STRING,
    ),
    "GroupUser": thing(id=STRING, name=STRING, email=_TEXT),
    "AuditEvent": thing(id=STRING, type=STRING, effective_at=_TIME, actor=FREE),
    "Buckets": thing(
        "page",
        data=many(thing("bucket", start_time=_TIME, end_time=_TIME, results=many(FREE))),
        has_more=BOOLEAN,
        next_page=_TEXT,
    ),
}  # fmt: skip
