"""Health, and who may take how much of the cluster, over HTTP."""

from __future__ import annotations

from django.urls import path

from slipway.capacity.api.health import HealthView, MachineView
from slipway.capacity.api.pools import (
    CapacityView,
    PoolsView,
    PoolView,
    SharesView,
    ShareView,
)

urlpatterns = [
    path("health", HealthView.as_view()),
    path("health/machine", MachineView.as_view()),
    path("capacity", CapacityView.as_view()),
    path("capacity/pools", PoolsView.as_view()),
    path("capacity/pools/<uuid:pool_id>", PoolView.as_view()),
    path("capacity/pools/<uuid:pool_id>/shares", SharesView.as_view()),
    path("capacity/pools/<uuid:pool_id>/shares/<uuid:project_id>", ShareView.as_view()),
]
