"""Training over REST: what may be set, what a job would need, the jobs and what they tell."""

from __future__ import annotations

from django.urls import path

from slipway.training.api import asking, one

urlpatterns = [
    path("training/methods", asking.MethodsView.as_view()),
    path("training/token-lengths", asking.TokenLengthsView.as_view()),
    path("training/token-lengths/rows", asking.MeasuredRowsView.as_view()),
    path("jobs", asking.JobsView.as_view()),
    path("jobs/estimate", asking.EstimateView.as_view()),
    path("jobs/<uuid:job_id>", one.JobView.as_view()),
    path("jobs/<uuid:job_id>/cancel", one.CancelView.as_view()),
    path("jobs/<uuid:job_id>/pause", one.PauseView.as_view()),
    path("jobs/<uuid:job_id>/resume", one.ResumeView.as_view()),
    path("jobs/<uuid:job_id>/retry", one.RetryView.as_view()),
    path("jobs/<uuid:job_id>/events", one.EventsView.as_view()),
    path("jobs/<uuid:job_id>/logs", one.LogsView.as_view()),
    path("jobs/<uuid:job_id>/metrics", one.MetricsView.as_view()),
    path("jobs/<uuid:job_id>/metrics.csv", one.MetricsCsvView.as_view()),
    path("jobs/<uuid:job_id>/checkpoints", one.CheckpointsView.as_view()),
]
