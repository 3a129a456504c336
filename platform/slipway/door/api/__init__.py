"""REST routes of the OpenAI door, mounted at /v1/."""

from django.urls import path, re_path

from slipway.door.api import files, manners, uploads

urlpatterns = [
    path("files", files.FilesView.as_view()),
    path("files/<str:file_id>", files.FileView.as_view()),
    path("files/<str:file_id>/content", files.ContentView.as_view()),
    path("uploads", uploads.UploadsView.as_view()),
    path("uploads/<str:upload_id>", uploads.UploadView.as_view()),
    path("uploads/<str:upload_id>/parts", uploads.PartsView.as_view()),
    path("uploads/<str:upload_id>/complete", uploads.CompleteView.as_view()),
    path("uploads/<str:upload_id>/cancel", uploads.CancelView.as_view()),
    re_path(r"^.*$", manners.UnknownView.as_view()),
]
