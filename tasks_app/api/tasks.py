import datetime as dt
from typing import Any, ClassVar

import django_filters
from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Coalesce
from django.http import HttpResponse, QueryDict
from rest_framework.request import Request
from rest_framework.response import Response

from accounts_app.api.fields import (
    AnyJson,
    Flag,
    Key,
    Object,
    Reference,
    StrictSerializer,
    Text,
    Whole,
)
from accounts_app.api.paging import NEWEST_FIRST, Order, page_of
from accounts_app.api.views import READERS, ApiView
from accounts_app.errors import Conflict, FieldError, Invalid, PreconditionRequired
from accounts_app.models import AuditEntry
from accounts_app.states import Scope
from integrations_app.api.sessions import ReasonBody
from integrations_app.models import Run
from tasks_app.api.shown import show_event, show_result, show_task, tasks_to_show
from tasks_app.kinds import Answer
from tasks_app.models import UserTask
from tasks_app.policies import check_may_decide
from tasks_app.services.call_tasks import withdraw_task
from tasks_app.services.closing import refuse_closed
from tasks_app.services.creating import TaskRequest, create_task
from tasks_app.services.deciding import Decide, decide
from tasks_app.states import GROUPS, Kind, TaskStatus

NEVER = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)
ORDERS = {
    "-created_at": NEWEST_FIRST,
    "created_at": Order("created_at", descending=False),
    "due_at": Order("due_or_never", descending=False),
}


class TaskBody(StrictSerializer):
    not_yet: ClassVar = frozenset({"reviewers", "quorum", "remind_before_seconds"})

    run = Reference(required=False, allow_null=True)
    agent = Text(required=False, allow_null=True)
    kind = Text(required=False, max_length=20)
    title = Text(max_length=200, allow_blank=True)
    description = Text(required=False, allow_blank=True, allow_null=True, max_length=20_000)
    key = Key()
    on_conflict = Text(required=False)
    participant = Text(required=False, allow_blank=True, allow_null=True, max_length=254)
    actions = AnyJson(required=False, allow_null=True)
    options = AnyJson(required=False, allow_null=True)
    input = AnyJson(required=False, allow_null=True)
    draft = AnyJson(required=False, allow_null=True)
    metadata = Object(required=False, allow_null=True)
    timeout_seconds = AnyJson(required=False, allow_null=True)
    on_timeout = AnyJson(required=False, allow_null=True)
    survive_parent_close = Flag(required=False)


class TaskShown(TaskBody):
    id = Text()
    status = Text()
    session = Text()
    tool_call = Text(allow_null=True)
    incident = Text(allow_null=True)
    initial_work = AnyJson(allow_null=True)
    revision = Whole()
    due_at = Text(allow_null=True)
    quorum = Whole(allow_null=True)
    votes = AnyJson()
    reviewers = AnyJson(allow_null=True)
    claimed_by = Text(allow_null=True)
    claim_expires_at = Text(allow_null=True)
    api_completable = Flag()
    stale = AnyJson(allow_null=True)
    outcome = Object(allow_null=True)
    created_at = Text()
    updated_at = Text()
    completed_at = Text(allow_null=True)
    url = Text()


class DecideBody(StrictSerializer):
    not_yet: ClassVar = frozenset({"draft"})

    action = Text(required=False, allow_null=True, allow_blank=True)
    value = AnyJson(required=False, allow_null=True)
    comment = Text(required=False, allow_blank=True, allow_null=True)
    metadata = Object(required=False, allow_null=True)
    revision = Whole(required=False, allow_null=True)
    on_behalf_of = Text(required=False, allow_blank=True, allow_null=True, max_length=254)


class ShortcutBody(StrictSerializer):
    not_yet: ClassVar = frozenset({"draft"})

    value = AnyJson(required=False, allow_null=True)
    comment = Text(required=False, allow_blank=True, allow_null=True)
    metadata = Object(required=False, allow_null=True)
    revision = Whole(required=False, allow_null=True)
    on_behalf_of = Text(required=False, allow_blank=True, allow_null=True, max_length=254)


class ResultShown(StrictSerializer):
    task = Text()
    key = Text(allow_null=True)
    status = Text()
    completed = Flag()
    timed_out = Flag()
    performed_action = Text(allow_null=True)
    value = AnyJson(allow_null=True)
    comment = Text(allow_null=True)
    initial_work = AnyJson(allow_null=True)
    final_work = AnyJson(allow_null=True)
    metadata = Object()
    completed_at = Text(allow_null=True)
    completed_by = Object(allow_null=True)


class EventShown(StrictSerializer):
    id = Text()
    type = Text()
    at = Text()
    actor = Object()

    def get_fields(self) -> dict[str, Any]:
        # `data` as an attribute would hide the serializer's own.
        return {**super().get_fields(), "data": Object()}


class TaskFilter(django_filters.FilterSet):
    status = django_filters.ChoiceFilter(choices=TaskStatus.choices)
    kind = django_filters.CharFilter(method="by_kind")
    group = django_filters.ChoiceFilter(
        choices=[(name, name) for name in GROUPS], method="by_group"
    )
    agent = django_filters.CharFilter(field_name="agent__slug")
    session = django_filters.UUIDFilter(field_name="session")
    run = django_filters.UUIDFilter(field_name="run")
    participant = django_filters.CharFilter(lookup_expr="iexact")
    outcome = django_filters.CharFilter(field_name="action")
    timed_out = django_filters.ChoiceFilter(
        choices=[("true", "true"), ("false", "false")], method="by_timed_out"
    )
    q = django_filters.CharFilter(method="by_text")
    due_before = django_filters.IsoDateTimeFilter(field_name="due_at", lookup_expr="lt")
    created_after = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_before = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = UserTask
        fields: tuple[str, ...] = ()

    def by_kind(self, rows: QuerySet[UserTask], _: str, __: str) -> QuerySet[UserTask]:
        given = self.data.getlist("kind") if isinstance(self.data, QueryDict) else []
        names = [name for text in given for name in text.split(",")]
        unknown = [name for name in names if name not in Kind.values]
        if unknown:
            detail = f"Choose from {', '.join(Kind.values)}."
            raise Invalid([FieldError("kind", "invalid_value", detail)])
        return rows.filter(kind__in=names)

    def by_group(self, rows: QuerySet[UserTask], _: str, name: str) -> QuerySet[UserTask]:
        return rows.filter(kind__in=GROUPS[name])

    def by_timed_out(self, rows: QuerySet[UserTask], _: str, text: str) -> QuerySet[UserTask]:
        return rows.filter(timed_out=text == "true")

    def by_text(self, rows: QuerySet[UserTask], _: str, text: str) -> QuerySet[UserTask]:
        if "\0" in text:
            raise Invalid([FieldError("q", "invalid_value", "Must not contain NUL.")])
        return rows.filter(Q(title__icontains=text) | Q(description__icontains=text))


class TaskApiView(ApiView):
    """What the addresses of tasks share."""

    serializer_class: type[StrictSerializer] = TaskShown

    def get_task(self, pk: str) -> UserTask:
        return self.get_visible(tasks_to_show(UserTask.objects.visible_to(self.actor)), pk)

    def shown(self, task: UserTask) -> dict[str, Any]:
        return show_task(tasks_to_show(UserTask.objects.filter(pk=task.pk)).get(), self.link)


class TasksView(TaskApiView):
    """Ask a person, or list what was asked."""

    bodies: ClassVar = {"POST": TaskBody}
    lists = creates = True
    filterset_class = TaskFilter
    query: ClassVar = ("ordering",)

    def get(self, request: Request) -> HttpResponse:
        self.actor.require_scope(*READERS)
        rows = self.filtered(TaskFilter, UserTask.objects.visible_to(self.actor), "ordering")
        name = request.query_params.get("ordering", "-created_at")
        if name not in ORDERS:
            detail = f"Choose from {', '.join(ORDERS)}."
            raise Invalid([FieldError("ordering", "invalid_value", detail)])
        if name == "due_at":
            rows = rows.annotate(due_or_never=Coalesce("due_at", Value(NEVER)))
        return Response(
            page_of(
                request,
                tasks_to_show(rows),
                lambda task: show_task(task, self.link),
                ORDERS[name],
            )
        )

    def post(self, request: Request) -> HttpResponse:
        data = self.parsed()
        self.actor.require_scope(Scope.RUNS)
        body = self.body(TaskBody, data)
        run, agent = None, None
        if body.get("run") is not None:
            runs = Run.objects.visible_to(self.actor).select_related("session", "agent")
            run = self.refer(runs, body["run"], "run")
            agent = run.agent
        if body.get("agent") is not None:
            agent = self.refer_agent(body["agent"])
        if agent is None:
            raise Invalid([FieldError("run", "required", "Name the run, or the agent.")])
        if run is not None and run.agent_id != agent.pk:
            detail = "The run belongs to another agent."
            raise Invalid([FieldError("agent", "invalid_value", detail)])
        asked = self.read(body)

        def act() -> tuple[int, dict[str, Any]]:
            task, created = create_task(self.actor, asked, run=run, agent=agent)
            return 201 if created else 200, self.shown(task)

        return self.answer(act)

    def read(self, body: dict[str, Any]) -> TaskRequest:
        names = TaskRequest.__slots__
        given = {name: body[name] for name in names if body.get(name) is not None}
        return TaskRequest(**given)


class TaskView(TaskApiView):
    """One task."""

    query: ClassVar = ("wait",)

    def get(self, request: Request, pk: str) -> HttpResponse:
        task = self.get_task(pk)
        self.actor.require_scope(*READERS)
        return self.waited(self.shown(task), terminal=task.status != TaskStatus.PENDING)


class TaskResultView(TaskApiView):
    """What a task came to; with `wait` it is answered when the task has its end."""

    query: ClassVar = ("wait",)

    serializer_class = ResultShown

    def get(self, request: Request, pk: str) -> HttpResponse:
        task = self.get_task(pk)
        self.actor.require_scope(*READERS)
        return self.waited(show_result(task), terminal=task.status != TaskStatus.PENDING)


class TaskCompleteView(TaskApiView):
    """Decide a task."""

    form: type[StrictSerializer] = DecideBody
    bodies: ClassVar = {"POST": DecideBody}
    shortcut: str | None = None

    def post(self, request: Request, pk: str) -> HttpResponse:
        data = self.parsed()
        task = self.get_task(pk)
        check_may_decide(self.actor, task)
        seen = data.get("revision") if isinstance(data, dict) else None
        revision = seen if isinstance(seen, int) and not isinstance(seen, bool) else None

        def act() -> tuple[int, dict[str, Any]]:
            done = decide(self.actor, task.pk, revision, lambda: self.read(data))
            return 200, self.shown(done)

        try:
            return self.answer(act)
        except (Conflict, PreconditionRequired) as refusal:
            if "task" in refusal.facts:
                refusal.facts["task"] = self.shown(task)
            raise

    def read(self, data: Any) -> Decide:
        """Check the body; this comes last, so that a loser learns who was faster."""
        body = self.body(self.form, data)
        action = self.shortcut or body.get("action")
        return Decide(
            answer=Answer(action, body.get("value"), body.get("comment")),
            metadata=body.get("metadata") or {},
            on_behalf_of=body.get("on_behalf_of") or None,
        )


class TaskApproveView(TaskCompleteView):
    """Decide a task with `approve`."""

    form = ShortcutBody
    bodies: ClassVar = {"POST": ShortcutBody}
    shortcut = "approve"


class TaskRejectView(TaskCompleteView):
    """Decide a task with `reject`."""

    form = ShortcutBody
    bodies: ClassVar = {"POST": ShortcutBody}
    shortcut = "reject"


class TaskCancelView(TaskApiView):
    """Withdraw a task."""

    bodies: ClassVar = {"POST": ReasonBody}

    def post(self, request: Request, pk: str) -> HttpResponse:
        data = self.parsed()
        task = self.get_task(pk)
        self.actor.require_scope(Scope.RUNS)
        try:
            refuse_closed(task)
            reason = self.body(ReasonBody, data).get("reason") or ""
            return Response(self.shown(withdraw_task(self.actor, task, reason)))
        except Conflict as refusal:
            refusal.facts["task"] = self.shown(task)
            raise


class TaskEventsView(TaskApiView):
    """The audit trail of one task."""

    lists = True

    serializer_class = EventShown

    def get(self, request: Request, pk: str) -> HttpResponse:
        task = self.get_task(pk)
        self.actor.require_scope(*READERS)
        self.refuse_unknown({"cursor", "limit"})
        rows = AuditEntry.objects.in_workspace(task.workspace_id).filter(
            target_type="task", target_id=str(task.pk)
        )
        return Response(page_of(request, rows, show_event, Order("at", descending=False)))
