"""The admin site as the product's front: members only, and the pages of every part."""

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path

from accounts_app.backoffice.base import SafeModelAdmin
from accounts_app.backoffice.pages import page_urls
from accounts_app.backoffice.requests import is_member
from accounts_app.models import User, Workspace
from accounts_app.services.switching import workspaces_of
from config.navigation import counts, person_links, sidebar

if TYPE_CHECKING:
    _Site = AdminSite
else:
    from unfold.sites import UnfoldAdminSite as _Site


# Django's own pages that have no use here: signing in and passwords have theirs, and the others
# answer about rows of every workspace.
LEFT_OUT = frozenset({"password_change", "password_change_done", "autocomplete", "view_on_site"})
THEMES = (("light", "Light"), ("dark", "Dark"), ("auto", "System"))


class BackOffice(_Site):
    """Whoever is an active member of a workspace is let in; each page asks for more."""

    site_title = site_header = "Assent"
    index_title = "Dashboard"
    enable_nav_sidebar = True
    index_template = "config/index.html"

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Serve safe model pages only; those that libraries bring show every workspace's rows."""
        if admin_class is not None and issubclass(admin_class, SafeModelAdmin):
            super().register(model_or_iterable, admin_class, **options)

    def has_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active) and is_member(request)

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The one sign-in page of the product; nothing is signed in here.

        Whoever is signed in and a member of nothing is told so: the sign-in page would only send
        them back.
        """
        if request.user.is_authenticated and not is_member(request):
            return TemplateResponse(request, "account/no_member.html", status=403)
        return redirect_to_login(request.GET.get("next", "/admin/"), settings.LOGIN_URL)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        return {
            **super().each_context(request),
            "person_links": person_links(),
            "workspaces": _workspaces(request),
            "theme_choices": THEMES,
        }

    def get_urls(self) -> list[Any]:
        return [
            path("search/", self.admin_view(_no_search)),
            path("counts/", self.admin_view(live_counts), name="counts"),
            *page_urls(self.admin_view),
            *(url for url in super().get_urls() if getattr(url, "name", "") not in LEFT_OUT),
        ]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The first page that the person's roles lead to."""
        links = [item["link"] for group in sidebar(request) for item in group["items"]]
        return HttpResponseRedirect(links[0]) if links else super().index(request, extra_context)


def _workspaces(request: HttpRequest) -> list[Workspace]:
    return workspaces_of(request.user) if isinstance(request.user, User) else []


def _no_search(request: HttpRequest) -> HttpResponse:
    # The theme's own search keeps results by user, whatever their workspace.
    raise Http404


def live_counts(request: HttpRequest) -> HttpResponse:
    """The navigation's counts as they are now, asked for every few seconds."""
    return TemplateResponse(request, "config/counts.html", {"counts": counts(request)})
