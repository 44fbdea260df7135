"""Messages of a run, the task that they hint at, input, and the run's timeline."""

from typing import Any, ClassVar

from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts_app.api.fields import AnyJson, Object, Reference, StrictSerializer, Text, Whole
from accounts_app.api.paging import Order, Source, merged_page, page_of
from accounts_app.api.views import READERS
from accounts_app.clock import utc_text
from accounts_app.errors import Conflict, FieldError, Invalid, PreconditionRequired
from accounts_app.models import AuditEntry
from accounts_app.states import Scope
from integrations_app.api.sessions import SessionApiView
from integrations_app.models import Run, ToolCall
from tasks_app.api.runs import RunApiView
from tasks_app.api.shown import (
    calls_to_show,
    runs_to_show,
    show_call,
    show_event,
    show_run,
    show_task,
    show_task_now,
    tasks_to_show,
)
from tasks_app.models import Message, UserTask
from tasks_app.services.conversing import Input, give_input, last_task, post_message

OLDEST_FIRST = Order("created_at", descending=False)
MAX_SCOPE = 200


class MessageBody(StrictSerializer):
    role = Text()
    text = Text(allow_blank=True)
    scope = Text(required=False, allow_blank=True, allow_null=True, max_length=MAX_SCOPE)
    task = Reference(required=False, allow_null=True)


class MessageShown(StrictSerializer):
    id = Text()
    run = Text()
    role = Text()
    text = Text()
    scope = Text()
    task = Text(allow_null=True)
    created_at = Text()


class LastTaskShown(StrictSerializer):
    task = Text(allow_null=True)
    pending = serializers.ListField(child=Text())


class InputBody(StrictSerializer):
    task = Reference(required=False, allow_null=True)
    action = Text(required=False, allow_null=True, allow_blank=True)
    value = AnyJson(required=False, allow_null=True)
    text = Text(required=False, allow_null=True, allow_blank=True)
    comment = Text(required=False, allow_null=True, allow_blank=True)
    metadata = Object(required=False, allow_null=True)
    revision = Whole(required=False, allow_null=True)


class InputShown(StrictSerializer):
    task = Object(allow_null=True)
    message = Object(allow_null=True)


class TimelineItemShown(StrictSerializer):
    at = Text()
    type = Text()


def show_message(message: Message) -> dict[str, Any]:
    """A message as the contract writes it."""
    return {
        "id": str(message.pk),
        "run": str(message.run_id),
        "role": message.role,
        "text": message.text,
        "scope": message.scope,
        "task": str(message.task_id) if message.task_id else None,
        "created_at": utc_text(message.created_at),
    }


class MessagesView(RunApiView):
    """What was said in a run, oldest first."""

    bodies: ClassVar = {"POST": MessageBody}
    serializer_class = MessageShown
    lists = creates = True

    def get(self, request: Request, pk: str) -> HttpResponse:
        run = self.get_run(pk)
        self.actor.require_scope(*READERS)
        self.refuse_unknown({"cursor", "limit"})
        rows = Message.objects.visible_to(self.actor).filter(run=run)
        return Response(page_of(request, rows, show_message, OLDEST_FIRST))

    def post(self, request: Request, pk: str) -> HttpResponse:
        data = self.parsed()
        run = self.get_run(pk)
        self.actor.require_scope(Scope.RUNS)
        body = self.body(MessageBody, data)

        def act() -> tuple[int, dict[str, Any]]:
            message = post_message(
                self.actor,
                run,
                role=body["role"],
                text=body["text"],
                scope=body.get("scope") or "",
                task=body.get("task"),
            )
            return 201, show_message(message)

        return self.answer(act)


class LastTaskView(SessionApiView):
    """The task that a session's conversation is about, in one scope."""

    serializer_class = LastTaskShown
    query: ClassVar = ("scope",)

    def get(self, request: Request, pk: str) -> HttpResponse:
        session = self.get_session(pk)
        self.actor.require_scope(*READERS)
        self.refuse_unknown({"scope"})
        scope = request.query_params.get("scope", "")
        if len(scope) > MAX_SCOPE or "\0" in scope:
            detail = f"At most {MAX_SCOPE} characters, without NUL."
            raise Invalid([FieldError("scope", "invalid_value", detail)])
        found = last_task(self.actor, session, scope)
        return Response(
            {
                "task": str(found.task.pk) if found.task else None,
                "pending": [str(task.pk) for task in found.pending],
            }
        )


class InputView(RunApiView):
    """An answer to the run's pending task, or something said in it."""

    bodies: ClassVar = {"POST": InputBody}
    serializer_class = InputShown

    def post(self, request: Request, pk: str) -> HttpResponse:
        data = self.parsed()
        run = self.get_run(pk)
        self.actor.require_scope(Scope.DECIDE)
        body = self.body(InputBody, data)
        given = Input(**{name: value for name, value in body.items() if value is not None})

        def act() -> tuple[int, dict[str, Any]]:
            task, message = give_input(self.actor, run, given)
            shown = {
                "task": self.task(task) if task else None,
                "message": show_message(message) if message else None,
            }
            return 200, shown

        try:
            return self.answer(act)
        except (Conflict, PreconditionRequired) as refusal:
            if "task" in refusal.facts:
                refusal.facts["task"] = self.task(UserTask(pk=refusal.facts["task"]))
            raise

    def task(self, task: UserTask) -> dict[str, Any]:
        return show_task_now(task.pk, self.link)


class TimelineView(RunApiView):
    """Everything that happened in a run, in order."""

    serializer_class = TimelineItemShown
    lists = True

    def get(self, request: Request, pk: str) -> HttpResponse:
        run = self.get_run(pk)
        self.actor.require_scope(*READERS)
        self.refuse_unknown({"cursor", "limit"})
        return Response(merged_page(request, self.sources(run)))

    def sources(self, run: Run) -> list[Source]:
        link = self.link
        runs = Run.objects.visible_to(self.actor).filter(pk=run.pk)
        runs |= Run.objects.visible_to(self.actor).filter(parent=run)
        calls = ToolCall.objects.visible_to(self.actor).filter(run=run)
        tasks = UserTask.objects.visible_to(self.actor).filter(run=run)
        messages = Message.objects.visible_to(self.actor).filter(run=run)
        ids = [run.pk, *calls.values_list("pk", flat=True), *tasks.values_list("pk", flat=True)]
        events = AuditEntry.objects.in_workspace(run.workspace_id).filter(
            target_type__in=("run", "tool_call", "task"), target_id__in=map(str, ids)
        )
        return [
            _source("run", runs_to_show(runs), lambda row: show_run(row, link)),
            _source("message", messages, show_message),
            _source(
                "tool_call", calls_to_show(calls), lambda row: show_call(row, link, in_list=True)
            ),
            _source("task", tasks_to_show(tasks), lambda row: show_task(row, link)),
            # A message stands in the timeline itself.
            _source("event", events.exclude(verb="message.posted"), _show_event, "at"),
        ]


def _source(type: str, rows: Any, show: Any, column: str = "created_at") -> Source:
    def item(row: Any) -> dict[str, Any]:
        return {**show(row), "at": utc_text(getattr(row, column)), "type": type}

    return Source(rows, column, item)


def _show_event(entry: AuditEntry) -> dict[str, Any]:
    shown = show_event(entry)
    return {**shown, "event": shown["type"], "target": entry.target_id}
