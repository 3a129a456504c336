"""REST for models: import, versions with files and lineage, aliases, exports, uploads."""

from __future__ import annotations

from django.urls import path

from slipway.registry.api import models, transfers

_UPLOAD = "models/uploads/<uuid:upload_id>"
_VERSION = "model-versions/<uuid:version_id>"
urlpatterns = [
    path("models", models.ModelsView.as_view()),
    path("models/import", models.ImportView.as_view()),
    path("models/uploads", transfers.UploadsView.as_view()),
    path(_UPLOAD, transfers.UploadView.as_view()),
    path(f"{_UPLOAD}/parts/<int:number>", transfers.UploadPartView.as_view()),
    path(f"{_UPLOAD}/finish", transfers.UploadFinishView.as_view()),
    path("models/<uuid:model_id>", models.ModelView.as_view()),
    path("models/<uuid:model_id>/versions", models.ModelVersionsView.as_view()),
    path("models/<uuid:model_id>/aliases/<str:alias>", models.AliasView.as_view()),
    path("model-versions", models.VersionsView.as_view()),
    path(_VERSION, models.VersionView.as_view()),
    path(f"{_VERSION}/restore", models.RestoreView.as_view()),
    path(f"{_VERSION}/lineage", models.LineageView.as_view()),
    path(f"{_VERSION}/events", models.VersionEventsView.as_view()),
    path(f"{_VERSION}/exports", transfers.ExportsView.as_view()),
    path("model-exports/<uuid:export_id>", transfers.ExportView.as_view()),
]
