"""Where each REST route is answered; every domain names its own below /api/v1."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularRedocView, SpectacularSwaggerView

from slipway.backends.objects.folder_urls import urlpatterns as storage

DOMAINS = [
    "editions",
    "tenancy",
    "audit",
    "capacity",
    "datasets",
    "registry",
    "training",
    "evaluation",
    "deployments",
    "traffic",
    "metering",
    "limits",
    "plans",
    "quotas",
    "live",
    "overview",
    "notices",
    "signup",
    "firstboot",
    "leaving",
]


urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/v1/docs", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("api/v1/redoc", SpectacularRedocView.as_view(url_name="schema"), name="redoc"),
    *(path("api/v1/", include(f"slipway.{domain}.api")) for domain in DOMAINS),
    path("v1/", include("slipway.door.api")),
    path("scim/v2/", include("slipway.tenancy.api.scim")),
    path("storage/", include(storage)),
    path("", include("slipway.console")),
]
