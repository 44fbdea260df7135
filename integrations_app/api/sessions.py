from typing import Any, ClassVar

import django_filters
from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from accounts_app.api.fields import Key, Object, StrictSerializer, Text
from accounts_app.api.filters import OneOf
from accounts_app.api.paging import page_of
from accounts_app.api.views import READERS, ApiView, utc_text
from accounts_app.states import Scope
from integrations_app.models import Session
from integrations_app.services.ending import end_session
from integrations_app.services.sessions import open_session
from integrations_app.states import SessionStatus


class SessionBody(StrictSerializer):
    agent = Text()
    key = Key()
    participant = Text(required=False, allow_blank=True, allow_null=True, max_length=254)
    title = Text(required=False, allow_blank=True, allow_null=True, max_length=200)
    metadata = Object(required=False, allow_null=True)


class SessionShown(SessionBody):
    id = Text()
    status = Text()
    created_at = Text()
    ended_at = Text(allow_null=True)
    url = Text()


class ReasonBody(StrictSerializer):
    reason = Text(required=False, allow_blank=True, allow_null=True, max_length=10_000)


class NoBody(StrictSerializer):
    pass


class SessionFilter(django_filters.FilterSet):
    agent = django_filters.CharFilter(field_name="agent__slug")
    status = OneOf(choices=SessionStatus.choices)
    participant = django_filters.CharFilter(lookup_expr="iexact")

    class Meta:
        model = Session
        fields: tuple[str, ...] = ()


class SessionApiView(ApiView):
    """What the addresses of sessions share."""

    serializer_class: type[StrictSerializer] = SessionShown

    def get_session(self, pk: str) -> Session:
        rows = Session.objects.visible_to(self.actor).select_related("agent")
        return self.get_visible(rows, pk)

    def show(self, session: Session) -> dict[str, Any]:
        return {
            "id": str(session.pk),
            "agent": session.agent.slug,
            "key": session.key,
            "participant": session.participant or None,
            "title": session.title,
            "status": session.status,
            "metadata": session.metadata,
            "created_at": utc_text(session.created_at),
            "ended_at": utc_text(session.ended_at),
            "url": self.link("session", session.pk),
        }


class SessionsView(SessionApiView):
    """Open a session, or list them."""

    bodies: ClassVar = {"POST": SessionBody}
    lists = creates = True
    filterset_class = SessionFilter

    def get(self, request: Request) -> HttpResponse:
        self.actor.require_scope(*READERS)
        rows = Session.objects.visible_to(self.actor).select_related("agent")
        return Response(page_of(request, self.filtered(SessionFilter, rows), self.show))

    def post(self, request: Request) -> HttpResponse:
        data = self.parsed()
        self.actor.require_scope(Scope.RUNS)
        body = self.body(SessionBody, data)
        agent = self.refer_agent(body["agent"])

        def act() -> tuple[int, dict[str, Any]]:
            session, created = open_session(
                self.actor,
                agent=agent,
                key=body.get("key"),
                participant=body.get("participant") or "",
                title=body.get("title") or "",
                metadata=body.get("metadata") or {},
            )
            return 201 if created else 200, self.show(session)

        return self.answer(act)


class SessionView(SessionApiView):
    """One session; with `wait` it is answered when it has ended."""

    query: ClassVar = ("wait",)

    def get(self, request: Request, pk: str) -> HttpResponse:
        session = self.get_session(pk)
        self.actor.require_scope(*READERS)
        terminal = session.status != SessionStatus.ACTIVE
        return self.waited(self.show(session), terminal=terminal)


class SessionEndView(SessionApiView):
    """End a session, and the runs in it."""

    status = SessionStatus.ENDED
    form: type[StrictSerializer] = NoBody
    bodies: ClassVar = {"POST": NoBody}

    def post(self, request: Request, pk: str) -> HttpResponse:
        data = self.parsed()
        session = self.get_session(pk)
        self.actor.require_scope(Scope.RUNS)

        def read() -> str:
            return self.body(self.form, data).get("reason") or ""

        return Response(self.show(end_session(self.actor, session, self.status, read)))


class SessionTerminateView(SessionEndView):
    """Terminate a session, and the runs in it."""

    status = SessionStatus.TERMINATED
    form = ReasonBody
    bodies: ClassVar = {"POST": ReasonBody}
