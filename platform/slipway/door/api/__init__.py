"""REST routes of the OpenAI door, mounted at /v1/."""

from django.urls import path, re_path

from slipway.door.api import (
    batches,
    completions,
    conversations,
    document,
    evals,
    files,
    graders,
    manners,
    moderate,
    organization,
    permissions,
    responses,
    tuning,
    uploads,
)

urlpatterns = [
    path("openapi.json", document.DocumentView.as_view()),
    path("files", files.FilesView.as_view()),
    path("files/<str:file_id>", files.FileView.as_view()),
    path("files/<str:file_id>/content", files.ContentView.as_view()),
    path("uploads", uploads.UploadsView.as_view()),
    path("uploads/<str:upload_id>", uploads.UploadView.as_view()),
    path("uploads/<str:upload_id>/parts", uploads.PartsView.as_view()),
    path("uploads/<str:upload_id>/complete", uploads.CompleteView.as_view()),
    path("uploads/<str:upload_id>/cancel", uploads.CancelView.as_view()),
    path("fine_tuning/jobs", tuning.JobsView.as_view()),
    path("fine_tuning/jobs/<str:job_id>", tuning.JobView.as_view()),
    path("fine_tuning/jobs/<str:job_id>/events", tuning.EventsView.as_view()),
    path("fine_tuning/jobs/<str:job_id>/checkpoints", tuning.CheckpointsView.as_view()),
    *(
        path(f"fine_tuning/jobs/<str:job_id>/{verb}", tuning.VerbView.as_view(verb=verb))
        for verb in ("cancel", "pause", "resume")
    ),
    path(
        "fine_tuning/checkpoints/<str:checkpoint>/permissions",
        permissions.PermissionsView.as_view(),
    ),
    path(
        "fine_tuning/checkpoints/<str:checkpoint>/permissions/<str:permission_id>",
        permissions.PermissionView.as_view(),
    ),
    path("fine_tuning/alpha/graders/run", graders.RunView.as_view()),
    path("fine_tuning/alpha/graders/validate", graders.ValidateView.as_view()),
    path("batches", batches.BatchesView.as_view()),
    path("batches/<str:batch_id>", batches.BatchView.as_view()),
    path("batches/<str:batch_id>/cancel", batches.CancelView.as_view()),
    path("batches/<str:batch_id>/retry", batches.RetryView.as_view()),
    path("evals", evals.EvalsView.as_view()),
    path("evals/<str:eval_id>", evals.EvalView.as_view()),
    path("evals/<str:eval_id>/runs", evals.RunsView.as_view()),
    path("evals/<str:eval_id>/runs/<str:run_id>", evals.RunView.as_view()),
    path("evals/<str:eval_id>/runs/<str:run_id>/cancel", evals.CancelRunView.as_view()),
    path("evals/<str:eval_id>/runs/<str:run_id>/output_items", evals.ItemsView.as_view()),
    path(
        "evals/<str:eval_id>/runs/<str:run_id>/output_items/<str:item_id>",
        evals.ItemView.as_view(),
    ),
    path("chat/completions", completions.CompletionsView.as_view()),
    path("chat/completions/<str:name>", completions.CompletionView.as_view()),
    path("chat/completions/<str:name>/messages", completions.MessagesView.as_view()),
    # POST /v1/responses and /v1/moderations themselves are answered in `live`, before Django.
    path("responses/<str:response_id>", responses.ResponseView.as_view()),
    path("responses/<str:response_id>/cancel", responses.CancelView.as_view()),
    path("responses/<str:response_id>/input_items", responses.InputItemsView.as_view()),
    path("conversations", conversations.ConversationsView.as_view()),
    path("conversations/<str:conversation_id>", conversations.ConversationView.as_view()),
    path("conversations/<str:conversation_id>/items", conversations.ItemsView.as_view()),
    path(
        "conversations/<str:conversation_id>/items/<str:item_id>", conversations.ItemView.as_view()
    ),
    path("moderations/policy", moderate.PolicyView.as_view()),
    *organization.urlpatterns,
    path("models/<path:model>", tuning.ModelView.as_view()),
    re_path(r"^.*$", manners.UnknownView.as_view()),
]
