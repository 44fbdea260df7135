"""What every page of the back office needs before its own code runs."""

import zoneinfo
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from accounts_app.backoffice.requests import actor_of, is_member
from accounts_app.models import User, WorkspaceSettings
from accounts_app.services.profile import has_second_factor

BACK_OFFICE = "/admin/"
WANTED = "wanted_before_second_factor"
"""In the session: the page that the set-up of a second factor stood before."""


class TimeZoneMiddleware:
    """Times on pages are in the reader's zone; the API speaks UTC and is left alone."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(BACK_OFFICE) or not isinstance(request.user, User):
            return self.get_response(request)
        with timezone.override(_zone(request.user.time_zone)):
            return self.get_response(request)


def _zone(name: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return zoneinfo.ZoneInfo("UTC")


class SecondFactorMiddleware:
    """Where the workspace requires a second factor, nothing else is shown before it is set up."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(BACK_OFFICE):
            return self.get_response(request)
        if _is_missing(request):
            if _is_page(request):
                request.session[WANTED] = request.get_full_path()
            return HttpResponseRedirect(reverse("mfa_activate_totp"))
        if WANTED in request.session and _is_page(request):
            del request.session[WANTED]
        return self.get_response(request)


def _is_page(request: HttpRequest) -> bool:
    """Whether a person followed a link, instead of a script asking for a part or for figures."""
    asks_for = request.headers.get("Sec-Fetch-Dest", "document")
    return (
        request.method == "GET" and "HX-Request" not in request.headers and asks_for == "document"
    )


def _is_missing(request: HttpRequest) -> bool:
    user = request.user
    if not isinstance(user, User) or not is_member(request):
        return False
    rows = WorkspaceSettings.objects.filter(pk=actor_of(request).workspace_id)
    return rows.filter(require_second_factor=True).exists() and not has_second_factor(user)
