"""Routes of /v1 to files, fine-tuning jobs, batches and evals."""

from __future__ import annotations

from slipway.door.api import (
    batches,
    evals,
    graders,
    permissions,
    tuning,
    uploads,
)
from slipway.door.api.document.words import (
    AFTER,
    FREE,
    ORDER,
    PAGE,
    STRING,
    Operation,
    Query,
    Schema,
    gone,
    limit,
    listed,
    one_of,
    ref,
    thing,
)

_FILE: Schema = {"type": "string", "format": "binary"}
_JOB = "/fine_tuning/jobs/{job_id}"
_CHECKPOINT = "/fine_tuning/checkpoints/{checkpoint}"
_RUN = "/evals/{eval_id}/runs/{run_id}"

OPERATIONS: dict[str, dict[str, Operation]] = {
    "/files": {
        "get": Operation(
            id="listFiles", tells="Files, newest first.", answer=listed(ref("File")),
            query=(AFTER, limit(10_000), ORDER, Query(name="purpose")),
        ),
        "post": Operation(
            id="createFile", tells="Upload a file of at most 512 MiB.", answer=ref("File"),
            form={
                "type": "object",
                "properties": {"file": _FILE, "purpose": STRING},
                "required": ["file", "purpose"],
            },
        ),
    },
    "/files/{file_id}": {
        "get": Operation(id="getFile", tells="One file.", answer=ref("File")),
        "delete": Operation(id="deleteFile", tells="Delete it.", answer=gone("file")),
    },
    "/files/{file_id}/content": {
        "get": Operation(id="getFileContent", tells="Its bytes.", answer=_FILE, bytes=True)
    },
    "/uploads": {
        "post": Operation(
            id="createUpload", tells="Begin a file that comes in parts.", answer=ref("Upload"),
            body=uploads._New,
        )
    },
    "/uploads/{upload_id}": {
        "get": Operation(id="getUpload", tells="With the parts received.", answer=ref("Upload"))
    },
    "/uploads/{upload_id}/parts": {
        "post": Operation(
            id="addUploadPart", tells="A part of at most 64 MiB.", answer=ref("UploadPart"),
            form={"type": "object", "properties": {"data": _FILE}, "required": ["data"]},
        )
    },
    "/uploads/{upload_id}/complete": {
        "post": Operation(
            id="completeUpload", tells="Make the parts a file, in this order.",
            answer=ref("Upload"), body=uploads._Complete,
        )
    },
    "/uploads/{upload_id}/cancel": {
        "post": Operation(id="cancelUpload", tells="Forget it.", answer=ref("Upload"))
    },
    "/fine_tuning/jobs": {
        "get": Operation(
            id="listFineTuningJobs", tells="Jobs, newest first.",
            answer=listed(ref("FineTuningJob")), query=PAGE,
        ),
        "post": Operation(
            id="createFineTuningJob", tells="Tune a model with a file.",
            answer=ref("FineTuningJob"), body=tuning._New,
        ),
    },
    _JOB: {"get": Operation(id="getFineTuningJob", tells="One.", answer=ref("FineTuningJob"))},
    **{
        f"{_JOB}/{verb}": {
            "post": Operation(
                id=f"{verb}FineTuningJob", tells=f"{verb.title()} it.", answer=ref("FineTuningJob")
            )
        }
        for verb in ("cancel", "pause", "resume")
    },
    f"{_JOB}/events": {
        "get": Operation(
            id="listFineTuningEvents", tells="What happened, newest first.",
            answer=listed(ref("FineTuningEvent")), query=(AFTER, limit(1000)),
        )
    },
    f"{_JOB}/checkpoints": {
        "get": Operation(
            id="listFineTuningCheckpoints", tells="Checkpoints, newest first.",
            answer=listed(ref("FineTuningCheckpoint")), query=PAGE,
        )
    },
    f"{_CHECKPOINT}/permissions": {
        "get": Operation(
            id="listCheckpointPermissions", tells="Projects that may ask it.",
            answer=listed(ref("CheckpointPermission")),
            query=(
                *PAGE, Query(name="project_id"),
                Query(name="order", schema=one_of("ascending", "descending")),
            ),
        ),
        "post": Operation(
            id="createCheckpointPermissions", tells="Let projects of the organisation ask it.",
            answer=listed(ref("CheckpointPermission")), body=permissions._New,
        ),
    },
    f"{_CHECKPOINT}/permissions/{{permission_id}}": {
        "delete": Operation(
            id="deleteCheckpointPermission", tells="That project may no longer ask it.",
            answer=thing("checkpoint.permission", id=STRING, deleted={"type": "boolean"}),
        )
    },
    "/fine_tuning/alpha/graders/run": {
        "post": Operation(
            id="runGrader", tells="Grade one sample.", answer=ref("GraderRun"), body=graders._Run
        )
    },
    "/fine_tuning/alpha/graders/validate": {
        "post": Operation(
            id="validateGrader", tells="Have a grader checked.", answer=thing(grader=FREE),
            body=graders._Validate,
        )
    },
    "/batches": {
        "get": Operation(
            id="listBatches", tells="Batches, newest first.", answer=listed(ref("Batch")),
            query=(*PAGE, ORDER),
        ),
        "post": Operation(
            id="createBatch", tells="Have the requests of a file asked.", answer=ref("Batch"),
            body=batches._New,
        ),
    },
    "/batches/{batch_id}": {
        "get": Operation(id="getBatch", tells="One batch.", answer=ref("Batch"))
    },
    "/batches/{batch_id}/cancel": {
        "post": Operation(id="cancelBatch", tells="Ask no more.", answer=ref("Batch"))
    },
    "/batches/{batch_id}/retry": {
        "post": Operation(
            id="retryBatch", tells="Ask again what failed or was not reached.", answer=ref("Batch")
        )
    },
    "/evals": {
        "get": Operation(
            id="listEvals", tells="Evals, oldest first.", answer=listed(ref("Eval")),
            query=(
                *PAGE, ORDER,
                Query(name="order_by", schema=one_of("created_at", "updated_at")),
            ),
        ),
        "post": Operation(
            id="createEval", tells="Say what is judged and how.", answer=ref("Eval"),
            body=evals._New, status=201,
        ),
    },
    "/evals/{eval_id}": {
        "get": Operation(id="getEval", tells="One eval.", answer=ref("Eval")),
        "post": Operation(
            id="changeEval", tells="Its name and metadata.", answer=ref("Eval"), body=evals._Change
        ),
        "delete": Operation(
            id="deleteEval", tells="Delete it with its runs.",
            answer=thing("eval.deleted", deleted={"type": "boolean"}, eval_id=STRING),
        ),
    },
    "/evals/{eval_id}/runs": {
        "get": Operation(
            id="listEvalRuns", tells="Runs, oldest first.", answer=listed(ref("EvalRun")),
            query=(*PAGE, ORDER, Query(name="status")),
        ),
        "post": Operation(
            id="createEvalRun", tells="Judge a model, or answers at hand.", answer=ref("EvalRun"),
            body=evals._NewRun, status=201,
        ),
    },
    _RUN: {
        "get": Operation(id="getEvalRun", tells="One run.", answer=ref("EvalRun")),
        "post": Operation(id="cancelEvalRun", tells="Judge no more.", answer=ref("EvalRun")),
        "delete": Operation(
            id="deleteEvalRun", tells="Delete it.",
            answer=thing("eval.run.deleted", deleted={"type": "boolean"}, run_id=STRING),
        ),
    },
    f"{_RUN}/cancel": {
        "post": Operation(
            id="cancelEvalRunToo", tells="The same, where clients ask for it.",
            answer=ref("EvalRun"),
        )
    },
    f"{_RUN}/output_items": {
        "get": Operation(
            id="listOutputItems", tells="Rows, as they stand in the source.",
            answer=listed(ref("OutputItem")),
            query=(*PAGE, ORDER, Query(name="status", schema=one_of("pass", "fail", "error"))),
        )
    },
    f"{_RUN}/output_items/{{item_id}}": {
        "get": Operation(id="getOutputItem", tells="One row.", answer=ref("OutputItem"))
    },
}  # fmt: skip
