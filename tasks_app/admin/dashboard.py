"""The first page: what waits, for how long, and how quickly it is decided."""

from django.http import HttpRequest, HttpResponse

from accounts_app.backoffice.pages import Page, leads_to, register
from accounts_app.clock import db_now
from integrations_app.states import SessionStatus
from tasks_app import dashboard
from tasks_app.admin.sessions import with_waiting
from tasks_app.first_steps import first_steps
from tasks_app.reading import readable_sessions, sees_every_session
from tasks_app.scoping import sees_every_task, sees_sorts_of_tasks
from tasks_app.services.ending import may_end

RECENT = 8
NOTHING_WAITS, NOTHING_SHOWN = "Nothing waits.", "Nothing waits that your roles show you."


@register("dashboard/", "dashboard")
class DashboardPage(Page):
    """Figures over the visible rows, plotted, with the same figures as tables."""

    title = "Dashboard"
    template_name = "tasks_app/dashboard.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        now = db_now()
        decided, speed = dashboard.decisions_by_day(self.actor, now)
        sessions = readable_sessions(self.actor).filter(status=SessionStatus.ACTIVE)
        recent = with_waiting(sessions, self.actor).order_by("-created_at", "-pk")[:RECENT]
        waiting, shown = dashboard.waiting_by_age(self.actor, now), list(recent)
        # To whom the roles show none, an empty figure would say that there are none.
        sees = sees_sorts_of_tasks(self.actor)
        return self.render(
            steps=first_steps(self.actor),
            nothing_waits=NOTHING_WAITS if sees_every_task(self.actor) else NOTHING_SHOWN,
            sees_tasks=sees or not (waiting.is_empty and decided.is_empty),
            sees_sessions=sees or bool(shown),
            lists_sessions=leads_to(self.actor, "sessions"),
            sees_every_session=sees_every_session(self.actor),
            alarms=dashboard.alarms(self.actor, now),
            waiting=waiting,
            decided=decided,
            speed=speed,
            sessions=shown,
            may_end=may_end(self.actor),
            now=now,
        )
