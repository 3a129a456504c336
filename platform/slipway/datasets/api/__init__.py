"""REST routes of datasets."""

from django.urls import path

from slipway.datasets.api import changing, datasets, errands, versions

urlpatterns = [
    path("dataset-formats", datasets.FormatsView.as_view()),
    path("datasets", datasets.DatasetsView.as_view()),
    path("datasets/<uuid:dataset_id>", datasets.DatasetView.as_view()),
    path("datasets/<uuid:dataset_id>/restore", datasets.DatasetRestoreView.as_view()),
    path("datasets/<uuid:dataset_id>/versions", versions.VersionsView.as_view()),
    path("dataset-versions/<uuid:version_id>", versions.VersionView.as_view()),
    path("dataset-versions/<uuid:version_id>/upload", versions.UploadView.as_view()),
    path("dataset-versions/<uuid:version_id>/upload/finish", versions.FinishView.as_view()),
    path("dataset-versions/<uuid:version_id>/import", versions.ImportView.as_view()),
    path("dataset-versions/<uuid:version_id>/publish", versions.PublishView.as_view()),
    path("dataset-versions/<uuid:version_id>/events", versions.EventsView.as_view()),
    path("dataset-versions/<uuid:version_id>/faults", versions.FaultsView.as_view()),
    path("dataset-versions/<uuid:version_id>/rows", versions.RowsView.as_view()),
    path("dataset-versions/<uuid:version_id>/statistics", versions.StatisticsView.as_view()),
    path("dataset-versions/<uuid:version_id>/edits", changing.EditsView.as_view()),
    path("dataset-versions/<uuid:version_id>/lines/<int:number>", changing.LineView.as_view()),
    path(
        "dataset-versions/<uuid:version_id>/diff/<uuid:other_version_id>",
        changing.DiffView.as_view(),
    ),
    path("dataset-versions/<uuid:version_id>/corrected", errands.CorrectedView.as_view()),
    path("dataset-versions/<uuid:version_id>/split", errands.SplitView.as_view()),
    path("dataset-versions/<uuid:version_id>/leaks", errands.LeaksView.as_view()),
    path("dataset-versions/<uuid:version_id>/export", errands.ExportsView.as_view()),
    path("dataset-exports/<uuid:export_id>", errands.ExportView.as_view()),
    path("dataset-leaks/<uuid:check_id>", errands.LeakView.as_view()),
]
