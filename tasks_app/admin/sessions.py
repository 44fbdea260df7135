"""Sessions: found, opened, marked complete and terminated."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from accounts_app.backoffice.lists import say_unread
from accounts_app.backoffice.pages import Page, register
from accounts_app.clock import db_now
from accounts_app.errors import DomainError, Forbidden, NotFound
from accounts_app.links import page_path
from accounts_app.models import Agent
from accounts_app.states import Permission
from integrations_app.models import Run, Session
from integrations_app.states import SessionStatus
from tasks_app.admin.containing import status_of, trouble_of
from tasks_app.admin.filters import after_of, after_text, link_with
from tasks_app.admin.run import RUN_STYLES
from tasks_app.admin.text import one_line
from tasks_app.models import UserTask
from tasks_app.reading import readable_sessions, sees_every_session
from tasks_app.services.ending import end_by_person, get_session, may_end, what_ends

READERS = (
    Permission.SEE_ALL_TASKS,
    Permission.SEE_OWN_QUEUE,
    Permission.SEE_SUMMARIES,
    Permission.SEE_ANOMALIES,
    Permission.SEE_MASKED,
)
READ = {
    "status": ("the status", SessionStatus.values.__contains__),
    "after": ("the place in the list", after_of),
}
PAGE_SIZE = 40
MAX_RUNS = 200
STYLES = {SessionStatus.ACTIVE: "accent", SessionStatus.TERMINATED: "bad"}


def with_waiting(rows: QuerySet[Session], actor: Any) -> QuerySet[Session]:
    """Sessions with how many visible tasks wait in each."""
    tasks = UserTask.objects.visible_to(actor).pending().filter(session=OuterRef("pk"))
    number = tasks.order_by().values("session").annotate(number=Count("pk")).values("number")
    return rows.select_related("agent").annotate(waiting=Coalesce(Subquery(number), 0))


@register("sessions/", "sessions")
class SessionsPage(Page):
    """Sessions, newest first."""

    title = "Sessions"
    template_name = "tasks_app/sessions.html"
    permissions = READERS

    def get(self, request: HttpRequest) -> HttpResponse:
        query = request.GET
        rows = readable_sessions(self.actor)
        status = query.get("status", "")
        status = status if status in SessionStatus.values else ""
        if status:
            rows = rows.filter(status=status)
        if agent := query.get("agent", "").replace("\0", ""):
            rows = rows.filter(agent__slug=agent)
        if text := query.get("q", "").replace("\0", "").strip()[:200]:
            rows = rows.filter(title__icontains=text) | rows.filter(participant__iexact=text)
        if after := after_of(query.get("after", "")):
            rows = rows.filter(created_at__lt=after[0]) | rows.filter(
                created_at=after[0], pk__lt=after[1]
            )
        say_unread(request, READ)
        found = list(with_waiting(rows, self.actor).order_by("-created_at", "-pk")[: PAGE_SIZE + 1])
        sessions = found[:PAGE_SIZE]
        more = after_text(sessions[-1], "newest") if len(found) > PAGE_SIZE else ""
        return self.render(
            sessions=sessions,
            now=db_now(),
            query=query,
            statuses=SessionStatus.choices,
            agents=Agent.objects.visible_to(self.actor).order_by("name").only("name", "slug"),
            more_link=f"{link_with(query)}&after={more}" if more else "",
            is_filtered=bool(status or agent or text),
            sees_every_session=sees_every_session(self.actor),
            may_manage=self.actor.can(Permission.MANAGE_WORKSPACE),
        )


@register("review/sessions/<uuid:pk>/", "session")
class SessionPage(Page):
    """One session with its runs and what waits in it."""

    template_name = "tasks_app/session.html"
    parents = (("Sessions", "admin:sessions"),)

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        session = get_session(self.actor, pk)
        runs = Run.objects.filter(session=session).select_related("agent", "parent")
        tasks = UserTask.objects.visible_to(self.actor).filter(session=session)
        return self.render(
            title=one_line(str(session), 120),
            session=session,
            session_style=STYLES.get(SessionStatus(session.status), ""),
            runs=list(runs.order_by("-created_at")[:MAX_RUNS]),
            run_styles=RUN_STYLES,
            waiting=list(tasks.pending().select_related("agent").order_by("created_at")[:50]),
            may_end=may_end(self.actor) and session.status == SessionStatus.ACTIVE,
            now=db_now(),
        )


class EndPage(Page):
    """Ask for a confirmation that names what will be cancelled, then end the session."""

    template_name = "tasks_app/end_session.html"
    parents = (("Sessions", "admin:sessions"),)
    terminate = True

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        return self.show(pk)

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        reason = request.POST.get("reason", "")
        try:
            session = end_by_person(self.actor, pk, terminate=self.terminate, reason=reason)
        except (NotFound, Forbidden):
            raise
        except DomainError as refusal:
            return self.show(pk, reason, refusal=refusal)
        done = "terminated" if self.terminate else "marked complete"
        messages.success(request, f"The session “{one_line(str(session), 80)}” is {done}.")
        return HttpResponseRedirect(page_path("session", pk))

    def show(
        self, pk: UUID, reason: str = "", *, refusal: DomainError | None = None
    ) -> HttpResponse:
        """The confirmation, with the reason that was typed and why it was refused."""
        session = get_session(self.actor, pk)
        if not may_end(self.actor):
            raise Forbidden("Your roles do not include ending sessions.")
        verb = "Terminate" if self.terminate else "Mark complete"
        return self.render(
            status=status_of(refusal),
            title=f"{verb}: {one_line(str(session), 80)}",
            session=session,
            terminate=self.terminate,
            ending=what_ends(self.actor, session),
            is_over=session.status != SessionStatus.ACTIVE,
            reason=reason,
            trouble=trouble_of(refusal),
        )


@register("review/sessions/<uuid:pk>/terminate/", "session_terminate")
class TerminatePage(EndPage):
    """Terminate a session."""


@register("review/sessions/<uuid:pk>/complete/", "session_complete")
class CompletePage(EndPage):
    """Mark a session complete."""

    terminate = False
