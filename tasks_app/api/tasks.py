from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict
from typing import Any, ClassVar

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from accounts_app.api.fields import (
    AnyJson,
    Flag,
    Key,
    Number,
    Object,
    Reference,
    StrictSerializer,
    Text,
    Whole,
    parse_id,
)
from accounts_app.api.filters import read_moment
from accounts_app.api.paging import Order, page_of
from accounts_app.api.views import READERS, ApiView
from accounts_app.errors import Conflict, FieldError, Invalid, PreconditionRequired
from accounts_app.models import Agent, AuditEntry
from accounts_app.statements import planned_for_its_values
from accounts_app.states import Scope
from integrations_app.models import Run
from tasks_app.api.shown import (
    RESULT_COLUMNS,
    show_event,
    show_result,
    show_task,
    show_task_now,
    task_to_show,
    tasks_to_show,
)
from tasks_app.api.task_filters import ORDERS, TaskFilter
from tasks_app.models import UserTask
from tasks_app.scoping import DUE_OR_NEVER
from tasks_app.services.creating import TaskRequest, check_kind, check_may_ask, create_task
from tasks_app.states import Kind, TaskStatus
from tasks_app.stats import task_stats


class TaskBody(StrictSerializer):
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
    reviewers = AnyJson(required=False, allow_null=True)
    quorum = AnyJson(required=False, allow_null=True)
    remind_before_seconds = AnyJson(required=False, allow_null=True)


class TaskShown(TaskBody):
    id = Text()
    status = Text()
    session = Text()
    tool_call = Text(allow_null=True)
    incident = Text(allow_null=True)
    initial_work = AnyJson(allow_null=True)
    revision = Whole()
    due_at = Text(allow_null=True)
    votes = AnyJson()
    claimed_by = Text(allow_null=True)
    claim_expires_at = Text(allow_null=True)
    api_completable = Flag()
    stale = AnyJson(allow_null=True)
    outcome = Object(allow_null=True)
    created_at = Text()
    updated_at = Text()
    completed_at = Text(allow_null=True)
    url = Text()


class StatsShown(StrictSerializer):
    pending = Whole()
    completed = Whole()
    timed_out = Whole()
    cancelled = Whole()
    total = Whole()
    median_seconds_to_decision = Number(allow_null=True)


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


def misread_revision(data: Any) -> Invalid | None:
    """Where a revision is missing: the refusal of something else that was sent as one."""
    if not isinstance(data, dict) or data.get("revision") is None:
        return None
    return Invalid([FieldError("revision", "invalid_value", "Must be a whole number.")])


class TaskApiView(ApiView):
    """What the addresses of tasks share."""

    serializer_class: type[StrictSerializer] = TaskShown

    def get_task(self, pk: str) -> UserTask:
        task: UserTask = self.get_visible(UserTask.objects.visible_to(self.actor), pk)
        return task

    def shown(self, task: UserTask) -> dict[str, Any]:
        return show_task_now(task.pk, self.link)

    @contextmanager
    def telling(self, task: UserTask, data: Any = None) -> Iterator[None]:
        """A conflict that leaves the block shows the task as it is now.

        Args:
            task: what is acted on.
            data: the body, where it may name a revision.

        Raises:
            Invalid: a revision is needed, and what was sent as one is none.
        """
        try:
            yield
        except (Conflict, PreconditionRequired) as refusal:
            misread = misread_revision(data)
            if isinstance(refusal, PreconditionRequired) and misread is not None:
                raise misread from refusal
            if "task" in refusal.facts:
                refusal.facts["task"] = self.shown(task)
            raise

    @staticmethod
    def seen(data: Any) -> int | None:
        """The revision that a body names; whether it is well formed is checked with the rest."""
        given = data.get("revision") if isinstance(data, dict) else None
        return given if isinstance(given, int) and not isinstance(given, bool) else None


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
            rows = rows.annotate(due_or_never=DUE_OR_NEVER)
        with planned_for_its_values() if "q" in request.query_params else nullcontext():
            found = page_of(
                request,
                tasks_to_show(rows),
                lambda task: show_task(task, self.link),
                ORDERS[name],
            )
        return Response(found)

    def post(self, request: Request) -> HttpResponse:
        data = self.parsed()
        self.actor.require_scope(Scope.RUNS)
        try:
            body = self.body(TaskBody, data)
            run, agent = self.asking(body)
        except Invalid:
            self.refuse_forbidden(data)
            raise
        asked = self.read(body)

        def act() -> tuple[int, dict[str, Any]]:
            task, created = create_task(self.actor, asked, run=run, agent=agent)
            return 201 if created else 200, self.shown(task)

        try:
            return self.answer(act)
        except Conflict as refusal:
            if "existing" in refusal.facts:
                refusal.facts["task"] = self.shown(UserTask(pk=refusal.facts["existing"]))
            raise

    def asking(self, body: dict[str, Any]) -> tuple[Run | None, Agent]:
        """The run that asks, if one is named, and the agent.

        Raises:
            Invalid: neither is named, one is not there, or they do not belong together.
            Forbidden: `wrong_agent`.
        """
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
        return run, agent

    def refuse_forbidden(self, data: Any) -> None:
        """Of a bad body: refuse what is not permitted first, as far as it can be read.

        Raises:
            Forbidden: `kind_not_creatable`, `wrong_agent` or `tasks_not_enabled`.
        """
        given = data if isinstance(data, dict) else {}
        kind = given.get("kind")
        kind = kind if isinstance(kind, str) else Kind.APPROVAL
        check_kind(kind)
        agent, slug = None, given.get("agent")
        identity = parse_id(given.get("run"))
        if isinstance(slug, str) and "\0" not in slug:
            with suppress(Invalid):
                agent = self.refer_agent(slug)
        elif slug is None and identity is not None:
            runs = Run.objects.visible_to(self.actor).select_related("agent")
            run = runs.filter(pk=identity).first()
            agent = None if run is None else run.agent
        if agent is not None:
            check_may_ask(agent, kind)

    def read(self, body: dict[str, Any]) -> TaskRequest:
        names = TaskRequest.__slots__
        given = {name: body[name] for name in names if body.get(name) is not None}
        return TaskRequest(**given)


class TaskStatsView(TaskApiView):
    """Exact figures about the tasks created in a time."""

    serializer_class = StatsShown
    query: ClassVar = ("from", "to", "agent", "participant")

    def get(self, request: Request) -> HttpResponse:
        self.actor.require_scope(*READERS)
        self.refuse_unknown(set(self.query))
        self.refuse_unclear({"agent", "participant"})
        given = request.query_params
        since, until = read_moment(given.get("from"), "from"), read_moment(given.get("to"), "to")
        if since > until:
            raise Invalid([FieldError("from", "invalid_value", "Must not be after `to`.")])
        for name in ("agent", "participant"):
            if "\0" in given.get(name, ""):
                raise Invalid([FieldError(name, "invalid_value", "Must not contain NUL.")])
        found = task_stats(
            self.actor,
            since,
            until,
            agent=given.get("agent", ""),
            participant=given.get("participant", ""),
        )
        return Response({**asdict(found), "total": found.total})


class TaskView(TaskApiView):
    """One task."""

    query: ClassVar = ("wait",)

    def get(self, request: Request, pk: str) -> HttpResponse:
        task = self.get_visible(task_to_show(UserTask.objects.visible_to(self.actor)), pk)
        self.actor.require_scope(*READERS)
        return self.waited(show_task(task, self.link), terminal=task.status != TaskStatus.PENDING)


class TaskResultView(TaskApiView):
    """What a task came to; with `wait` it is answered when the task has its end."""

    query: ClassVar = ("wait",)

    serializer_class = ResultShown

    def get(self, request: Request, pk: str) -> HttpResponse:
        rows = UserTask.objects.visible_to(self.actor).only(*RESULT_COLUMNS)
        task = self.get_visible(rows, pk)
        self.actor.require_scope(*READERS)
        terminal = task.status != TaskStatus.PENDING
        return self.waited(show_result(task), terminal=terminal, stays=True)


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
