from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from config import service

handler400 = "config.problems.bad_request"
handler404 = "config.problems.page_not_found"
handler500 = "config.problems.server_error"
urlpatterns = [
    path("", RedirectView.as_view(url="/admin/")),
    path("favicon.ico", RedirectView.as_view(url="/static/assent/favicon.svg")),
    path("admin/", admin.site.urls),
    path("accounts/", include("config.signing_in")),
    path("api/v1/", include("config.api")),
    path("healthz", service.healthz),
    path("readyz", service.readyz),
    path("metrics", service.metrics),
]
