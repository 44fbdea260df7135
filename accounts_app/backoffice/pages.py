"""Own pages of the back office: a class for each, registered by its address.

A page parses, asks a service and shows; rules live in services. A GET changes nothing; whatever
acts is a POST with its CSRF token. Registered pages are served by the admin site, which lets in
members only.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views import View

from accounts_app.backoffice.refusals import in_words
from accounts_app.backoffice.requests import actor_of, seen_from
from accounts_app.errors import Conflict, DomainError, Forbidden, NotFound
from accounts_app.models import User, Workspace
from accounts_app.scoping import Actor
from accounts_app.services.switching import workspaces_of
from accounts_app.states import Permission

REFUSED, UNDONE = "accounts_app/refused.html", "Nothing was changed"
MAX_NAMED = 2  # A sentence that lists more rights than that helps nobody.
Wrap = Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]


class Page(View):
    """A page of the back office.

    Attributes:
        title: what the header and the tab say.
        template_name: extends `admin/base_site.html`, or is a part of a page for htmx.
        permissions: any one of them is needed; empty lets every member in.
        parents: what the header shows before the title, as pairs of text and page name.
    """

    title: ClassVar[str] = ""
    template_name: ClassVar[str] = ""
    permissions: ClassVar[Sequence[Permission]] = ()
    parents: ClassVar[Sequence[tuple[str, str]]] = ()

    @property
    def actor(self) -> Actor:
        return actor_of(self.request)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Let in whoever may see the page, and turn refusals into what a browser expects.

        What is not to be seen here, and is in another workspace of this person, is offered there:
        a link in a message does not know which workspace they are in.

        Raises:
            Http404: not there, or not visible to this person.
            PermissionDenied: visible, but not permitted.
        """
        named = self._named()
        if named is not None:
            return self._offer(named, status=200)
        try:
            return self._answer(request, *args, **kwargs)
        except (NotFound, Http404) as refusal:
            there = self._elsewhere(*args, **kwargs)
            if there is not None:
                return self._offer(there, status=404)
            raise Http404(str(refusal)) from refusal
        except Forbidden as refusal:
            there = self._elsewhere(*args, **kwargs)
            if there is not None:
                return self._offer(there, status=403)
            raise PermissionDenied(refusal.detail) from refusal
        except DomainError as refusal:
            return self.refused(refusal)

    def _answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.check_permissions()
        self.prepare(**kwargs)
        return super().dispatch(request, *args, **kwargs)

    def _others(self) -> list[Workspace]:
        """The other workspaces of this person, where a whole page is asked for."""
        request = self.request
        is_page = request.method in ("GET", "HEAD") and "HX-Request" not in request.headers
        if not is_page or not isinstance(request.user, User):
            return []
        return [row for row in workspaces_of(request.user) if row.pk != self.actor.workspace_id]

    def _named(self) -> Workspace | None:
        """The other workspace that the address names, as the link to a queue does."""
        slug = self.request.GET.get("workspace", "")
        return next((row for row in self._others() if row.slug == slug), None) if slug else None

    def _elsewhere(self, *args: Any, **kwargs: Any) -> Workspace | None:
        """The other workspace in which this address shows something to this person."""
        for workspace in self._others():
            with seen_from(self.request, workspace.pk):
                try:
                    answer = self._answer(self.request, *args, **kwargs)
                except (DomainError, Http404, PermissionDenied):
                    continue
            if answer.status_code == 200:
                return workspace
        return None

    def _offer(self, workspace: Workspace, *, status: int) -> TemplateResponse:
        return self.render(
            template="accounts_app/elsewhere.html",
            status=status,
            title="In another workspace",
            there=workspace,
            here=Workspace.objects.get(pk=self.actor.workspace_id),
            wanted=self.request.get_full_path(),
        )

    def refused(self, refusal: DomainError) -> HttpResponseBase:
        """What a form that our own pages never send gets: the reason, and nothing changed."""
        status = 409 if isinstance(refusal, Conflict) else 422
        return self.render(
            template=REFUSED, status=status, title=UNDONE, detail=in_words(refusal, {})
        )

    def http_method_not_allowed(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """An address of a form that was opened as a page, as after signing in again."""
        allowed = super().http_method_not_allowed(request, *args, **kwargs)
        detail = "Nothing is shown here: a form leads here. Go back to its page, and send it again."
        answer = self.render(template=REFUSED, status=405, title=UNDONE, detail=detail)
        answer.headers["Allow"] = allowed.headers["Allow"]
        return answer

    def prepare(self, **names: Any) -> None:
        """Fetch what the address names, before the page is shown or acts.

        Raises:
            NotFound: not there, or not visible to this person.
        """

    def check_permissions(self) -> None:
        """Refuse a person whose roles do not lead here.

        Raises:
            Forbidden: naming what would be needed.
        """
        wanted = self.permissions
        if not wanted or any(self.actor.can(permission) for permission in wanted):
            return
        if len(wanted) > MAX_NAMED:
            raise Forbidden("Your roles do not lead to this page.")
        needed = " or ".join(permission.label for permission in wanted)
        raise Forbidden(f"Your roles do not include {needed}.")

    def render(
        self, *, template: str = "", status: int = 200, title: str = "", **more: Any
    ) -> TemplateResponse:
        """The page, with everything that the frame around it needs."""
        crumbs = [{"title": text, "link": reverse(name)} for text, name in self.parents]
        context = {
            **admin.site.each_context(self.request),
            "title": title or self.title,
            "crumbs": crumbs,
            "actor": self.actor,
            **more,
        }
        return TemplateResponse(
            self.request, template or self.template_name, context, status=status
        )

    def part(self, template: str, *, status: int = 200, **more: Any) -> TemplateResponse:
        """A part of a page, for htmx: without the frame, so without its queries."""
        return TemplateResponse(
            self.request, template, {"actor": self.actor, **more}, status=status
        )

    def act(self, do: Callable[[], str], *, then: str) -> HttpResponse:
        """Do what a form asks for, say how it went, and go on.

        Args:
            do: calls the service and returns the sentence that says what was done.
            then: the address to go to.
        """
        try:
            messages.success(self.request, do())
        except (NotFound, Forbidden):
            raise
        except DomainError as refusal:
            messages.error(self.request, in_words(refusal, {}))
        return HttpResponseRedirect(then)


_registered: dict[str, tuple[str, type[View]]] = {}


def register(route: str, name: str) -> Callable[[type[Page]], type[Page]]:
    """Serve a page at this address.

    Args:
        route: below `/admin/`, as for `django.urls.path`.
        name: its name in the namespace `admin`.

    Raises:
        ValueError: the name is taken.
    """

    def add(page: type[Page]) -> type[Page]:
        if name in _registered:
            raise ValueError(f"Two pages are named {name!r}.")
        _registered[name] = (route, page)
        return page

    return add


def leads_to(actor: Actor, name: str) -> bool:
    """Whether the roles of this person lead to a page, for a link to it.

    Args:
        actor: who would follow the link.
        name: of the page, as it was registered.
    """
    _, page = _registered[name]
    wanted = getattr(page, "permissions", ())
    return not wanted or any(actor.can(permission) for permission in wanted)


def page_urls(wrap: Wrap) -> list[URLPattern]:
    """The addresses of all registered pages, behind the site's own check."""
    return [
        path(route, wrap(page.as_view()), name=name) for name, (route, page) in _registered.items()
    ]
