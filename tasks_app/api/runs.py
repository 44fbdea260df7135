from typing import Any, ClassVar

import django_filters
from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from accounts_app.api.fields import AnyJson, Key, Object, Reference, StrictSerializer, Text
from accounts_app.api.filters import IdFilter, OneOf
from accounts_app.api.paging import page_of
from accounts_app.api.views import READERS, ApiView
from accounts_app.errors import FieldError, Invalid
from accounts_app.states import Scope
from integrations_app.api.sessions import ReasonBody
from integrations_app.models import Run, Session
from integrations_app.services.ending import LastWords, end_run
from integrations_app.services.sessions import open_run
from integrations_app.states import RUN_OPEN, RunStatus
from tasks_app.api.shown import runs_to_show, show_run


class RunBody(StrictSerializer):
    session = Reference()
    key = Key()
    parent_run = Reference(required=False, allow_null=True)
    agent = Text(required=False, allow_null=True)
    title = Text(required=False, allow_blank=True, allow_null=True, max_length=200)
    metadata = Object(required=False, allow_null=True)


class RunShown(RunBody):
    id = Text()
    status = Text()
    waiting_on = Object()
    output = AnyJson(allow_null=True)
    error = AnyJson(allow_null=True)
    created_at = Text()
    ended_at = Text(allow_null=True)
    url = Text()


class CompleteBody(StrictSerializer):
    output = AnyJson(required=False, allow_null=True)


class FailBody(StrictSerializer):
    error = AnyJson()


class RunFilter(django_filters.FilterSet):
    agent = django_filters.CharFilter(field_name="agent__slug")
    session = IdFilter(field_name="session")
    status = OneOf(choices=RunStatus.choices)

    class Meta:
        model = Run
        fields: tuple[str, ...] = ()


class RunApiView(ApiView):
    """What the addresses of runs share."""

    serializer_class: type[StrictSerializer] = RunShown

    def get_run(self, pk: str) -> Run:
        return self.get_visible(Run.objects.visible_to(self.actor).select_related("session"), pk)

    def shown(self, run: Run) -> dict[str, Any]:
        return show_run(runs_to_show(Run.objects.filter(pk=run.pk)).get(), self.link)


class RunsView(RunApiView):
    """Open a run in a session, or list them."""

    bodies: ClassVar = {"POST": RunBody}
    lists = creates = True
    filterset_class = RunFilter

    def get(self, request: Request) -> HttpResponse:
        self.actor.require_scope(*READERS)
        rows = self.filtered(RunFilter, Run.objects.visible_to(self.actor))
        return Response(page_of(request, runs_to_show(rows), lambda run: show_run(run, self.link)))

    def post(self, request: Request) -> HttpResponse:
        data = self.parsed()
        self.actor.require_scope(Scope.RUNS)
        body = self.body(RunBody, data)
        sessions = Session.objects.visible_to(self.actor).select_related("agent")
        session = self.refer(sessions, body["session"], "session")
        parent = None
        if body.get("parent_run") is not None:
            parent = self.refer(
                Run.objects.visible_to(self.actor), body["parent_run"], "parent_run"
            )
        agent = self.refer_agent(body["agent"]) if body.get("agent") is not None else None

        def act() -> tuple[int, dict[str, Any]]:
            run, created = open_run(
                self.actor,
                session=session,
                agent=agent,
                parent=parent,
                key=body.get("key"),
                title=body.get("title") or "",
                metadata=body.get("metadata") or {},
            )
            return 201 if created else 200, self.shown(run)

        return self.answer(act)


class RunView(RunApiView):
    """One run."""

    query: ClassVar = ("wait",)

    def get(self, request: Request, pk: str) -> HttpResponse:
        run = self.get_run(pk)
        self.actor.require_scope(*READERS)
        return self.waited(self.shown(run), terminal=run.status not in RUN_OPEN)


class RunEndView(RunApiView):
    """End a run; subclasses say how."""

    form: type[StrictSerializer] = CompleteBody
    bodies: ClassVar = {"POST": CompleteBody}
    status = RunStatus.COMPLETED

    def post(self, request: Request, pk: str) -> HttpResponse:
        data = self.parsed()
        run = self.get_run(pk)
        self.actor.require_scope(Scope.RUNS)
        end_run(self.actor, run, self.status, lambda: self.read(data))
        return Response(self.shown(run))

    def read(self, data: Any) -> LastWords:
        """Check the body; this comes last, so that a loser learns that the run has ended."""
        body = self.body(self.form, data)
        if self.form is FailBody and body["error"] in (None, "", {}):
            raise Invalid([FieldError("error", "required", "Say what went wrong.")])
        return LastWords(body.get("output"), body.get("error"), body.get("reason") or "")


class RunCompleteView(RunEndView):
    """Complete a run, with its output."""


class RunFailView(RunEndView):
    """Fail a run, with its error."""

    form = FailBody
    bodies: ClassVar = {"POST": FailBody}
    status = RunStatus.FAILED


class RunTerminateView(RunEndView):
    """Terminate a run."""

    form = ReasonBody
    bodies: ClassVar = {"POST": ReasonBody}
    status = RunStatus.TERMINATED
