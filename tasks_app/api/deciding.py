from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts_app.api.fields import AnyJson, Object, StrictSerializer, Text, Whole, parse_id
from accounts_app.api.statuses import status_of
from accounts_app.errors import Conflict, DomainError, PreconditionRequired
from accounts_app.states import Scope
from integrations_app.api.sessions import ReasonBody
from tasks_app.api.tasks import TaskApiView, misread_revision
from tasks_app.kinds import Answer
from tasks_app.policies import check_may_decide, check_may_edit
from tasks_app.services.access import get_task
from tasks_app.services.bulk import BulkItem, bulk_decide
from tasks_app.services.call_tasks import withdraw_task
from tasks_app.services.deciding import NO_DRAFT, Decide, decide

NOBODY = UUID(int=0)
"""The id of no task."""


class ShortcutBody(StrictSerializer):
    value = AnyJson(required=False, allow_null=True)
    comment = Text(required=False, allow_blank=True, allow_null=True)
    metadata = Object(required=False, allow_null=True)
    draft = AnyJson(required=False, allow_null=True)
    revision = Whole(required=False, allow_null=True)
    on_behalf_of = Text(required=False, allow_blank=True, allow_null=True, max_length=254)


class DecideBody(ShortcutBody):
    action = Text(required=False, allow_null=True, allow_blank=True)


class BulkItemBody(StrictSerializer):
    task = AnyJson()
    action = Text(required=False, allow_null=True, allow_blank=True)
    value = AnyJson(required=False, allow_null=True)
    comment = Text(required=False, allow_blank=True, allow_null=True)
    revision = Whole(required=False, allow_null=True)


class BulkBody(StrictSerializer):
    items = serializers.ListField(child=Object())


class BulkShown(StrictSerializer):
    results = serializers.ListField(child=Object())


def decide_of(body: dict[str, Any], *, action: str | None = None) -> Decide:
    """What a checked body asks for."""
    draft = body.get("draft")
    return Decide(
        answer=Answer(action or body.get("action"), body.get("value"), body.get("comment")),
        metadata=body.get("metadata") or {},
        on_behalf_of=body.get("on_behalf_of") or None,
        draft=NO_DRAFT if draft is None else draft,
    )


class TaskCompleteView(TaskApiView):
    """Decide a task."""

    form: type[StrictSerializer] = DecideBody
    bodies: ClassVar = {"POST": DecideBody}
    shortcut: str | None = None

    def post(self, request: Request, pk: str) -> HttpResponse:
        data = self.parsed()
        task = get_task(self.actor, parse_id(pk) or NOBODY)
        # Before a kept answer is given again, too.
        check_may_decide(self.actor, task)
        if isinstance(data, dict) and data.get("draft") is not None:
            check_may_edit(self.actor, task)

        def act() -> tuple[int, dict[str, Any]]:
            decide(self.actor, task.pk, self.seen(data), lambda: self.read(data))
            return 200, self.shown(task)

        with self.telling(task, data):
            return self.answer(act)

    def read(self, data: Any) -> Decide:
        """Check the body; this comes last, so that a loser learns who was faster."""
        return decide_of(self.body(self.form, data), action=self.shortcut)


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

        def read() -> str:
            return self.body(ReasonBody, data).get("reason") or ""

        try:
            return Response(self.shown(withdraw_task(self.actor, task, read)))
        except Conflict as refusal:
            refusal.facts["task"] = self.shown(task)
            raise


class TaskBulkView(TaskApiView):
    """Decide many tasks, each for itself."""

    bodies: ClassVar = {"POST": BulkBody}
    serializer_class = BulkShown

    def post(self, request: Request) -> HttpResponse:
        data = self.parsed()
        self.actor.require_scope(Scope.DECIDE)
        items = self.body(BulkBody, data)["items"]
        given = bulk_decide(self.actor, [self.item(raw) for raw in items])
        refusals = [self.alone(raw, each) for raw, each in zip(items, given, strict=True)]
        results = [
            {
                "task": raw.get("task"),
                "status": 200 if refusal is None else status_of(refusal),
                "code": None if refusal is None else refusal.code,
            }
            for raw, refusal in zip(items, refusals, strict=True)
        ]
        return Response({"results": results})

    def alone(self, raw: dict[str, Any], refusal: DomainError | None) -> DomainError | None:
        """What the item would have been answered alone."""
        if isinstance(refusal, PreconditionRequired):
            return misread_revision(raw) or refusal
        return refusal

    def item(self, raw: dict[str, Any]) -> BulkItem:
        return BulkItem(
            task_id=parse_id(raw.get("task")) or NOBODY,
            revision=self.seen(raw),
            read=lambda: decide_of(self.body(BulkItemBody, raw)),
        )
