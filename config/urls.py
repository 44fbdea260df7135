from django.urls import include, path

from config import service

urlpatterns = [
    path("api/v1/", include("config.api")),
    path("healthz", service.healthz),
    path("readyz", service.readyz),
    path("metrics", service.metrics),
]
