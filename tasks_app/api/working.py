"""What is done on a pending task without deciding it."""

from typing import Any, ClassVar

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from accounts_app.api.fields import AnyJson, Number, Object, StrictSerializer, Text, Whole
from accounts_app.api.views import READERS, utc_text
from accounts_app.errors import FieldError, Invalid
from accounts_app.states import Scope
from tasks_app.api.tasks import TaskApiView
from tasks_app.models import Comment
from tasks_app.policies import check_may_comment, check_may_decide, check_may_edit
from tasks_app.services.drafts import save_draft
from tasks_app.services.extending import extend
from tasks_app.services.remarks import Information, ask, comment, inform, merge_metadata

MAX_TEXT = 10_000


class DraftBody(StrictSerializer):
    draft = AnyJson(allow_null=True)
    revision = Whole(required=False, allow_null=True)


class DraftShown(StrictSerializer):
    draft = AnyJson(allow_null=True)
    revision = Whole()


class MetadataBody(StrictSerializer):
    """Any members; they are merged."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            raise Invalid([FieldError("metadata", "invalid_value", "Must be an object.")])
        return data


class CommentBody(StrictSerializer):
    text = Text(allow_blank=True, max_length=MAX_TEXT)


class QuestionBody(StrictSerializer):
    question = Text(allow_blank=True, max_length=MAX_TEXT)


class InformationBody(StrictSerializer):
    text = Text(allow_blank=True, max_length=MAX_TEXT)
    draft = AnyJson(required=False, allow_null=True)


class ExtendBody(StrictSerializer):
    timeout_seconds = Number()


class CommentShown(StrictSerializer):
    id = Text()
    task = Text()
    type = Text()
    text = Text()
    by = Object()
    channel = Text()
    revision = Whole()
    at = Text()


def show_comment(said: Comment) -> dict[str, Any]:
    """What was said about a task."""
    return {
        "id": str(said.pk),
        "task": str(said.task_id),
        "type": said.type,
        "text": said.text,
        "by": said.by,
        "channel": said.channel,
        "revision": said.revision,
        "at": utc_text(said.created_at),
    }


class TaskDraftView(TaskApiView):
    """The work that is edited before a decision; sensitive arguments of a call are masked.

    A mask that comes back where it was shown stands for the value that it masks.
    """

    bodies: ClassVar = {"PUT": DraftBody}
    serializer_class = DraftShown

    def get(self, request: Request, pk: str) -> HttpResponse:
        task = self.get_task(pk)
        self.actor.require_scope(*READERS)
        self.refuse_unknown(set())
        return Response({"draft": task.draft, "revision": task.revision})

    def put(self, request: Request, pk: str) -> HttpResponse:
        data = self.parsed()
        task = self.get_task(pk)
        check_may_edit(self.actor, task)

        def read() -> Any:
            return self.body(DraftBody, data)["draft"]

        with self.telling(task, data):
            done = save_draft(self.actor, task.pk, self.seen(data), read)
        return Response({"draft": done.draft, "revision": done.revision})


class TaskMetadataView(TaskApiView):
    """Members merged into a task's metadata."""

    bodies: ClassVar = {"PATCH": MetadataBody}

    def patch(self, request: Request, pk: str) -> HttpResponse:
        data = self.parsed()
        task = self.get_task(pk)
        self.actor.require_scope(Scope.RUNS, Scope.DECIDE)
        with self.telling(task):
            done = merge_metadata(self.actor, task.pk, lambda: self.members(data))
        return Response(self.shown(done))

    def members(self, data: Any) -> dict[str, Any]:
        self.refuse_unkeepable()
        if not isinstance(data, dict):
            raise Invalid([FieldError("body", "invalid_value", "The body must be a JSON object.")])
        return data


class TaskCommentsView(TaskApiView):
    """Something said about a task; it decides nothing."""

    bodies: ClassVar = {"POST": CommentBody}
    serializer_class = CommentShown
    creates = True

    def post(self, request: Request, pk: str) -> HttpResponse:
        data = self.parsed()
        task = self.get_task(pk)
        check_may_comment(self.actor, task)

        def act() -> tuple[int, dict[str, Any]]:
            said = comment(self.actor, task.pk, lambda: self.body(CommentBody, data)["text"])
            return 201, show_comment(said)

        with self.telling(task):
            return self.answer(act)


class TaskAskView(TaskApiView):
    """The agent is asked back; the task keeps its place."""

    bodies: ClassVar = {"POST": QuestionBody}
    serializer_class = CommentShown
    creates = True

    def post(self, request: Request, pk: str) -> HttpResponse:
        data = self.parsed()
        task = self.get_task(pk)
        check_may_decide(self.actor, task)

        def act() -> tuple[int, dict[str, Any]]:
            said = ask(self.actor, task.pk, lambda: self.body(QuestionBody, data)["question"])
            return 201, show_comment(said)

        with self.telling(task):
            return self.answer(act)


class TaskInformationView(TaskApiView):
    """The agent's answer to what it was asked back; the revision rises."""

    bodies: ClassVar = {"POST": InformationBody}
    serializer_class = CommentShown
    creates = True

    def post(self, request: Request, pk: str) -> HttpResponse:
        data = self.parsed()
        task = self.get_task(pk)
        self.actor.require_scope(Scope.RUNS)
        if isinstance(data, dict) and data.get("draft") is not None:
            check_may_edit(self.actor, task)

        def read() -> Information:
            body = self.body(InformationBody, data)
            if body.get("draft") is None:
                return Information(body["text"])
            return Information(body["text"], body["draft"])

        def act() -> tuple[int, dict[str, Any]]:
            return 201, show_comment(inform(self.actor, task.pk, read))

        with self.telling(task):
            return self.answer(act)


class TaskExtendView(TaskApiView):
    """More time for a pending task."""

    bodies: ClassVar = {"POST": ExtendBody}

    def post(self, request: Request, pk: str) -> HttpResponse:
        data = self.parsed()
        task = self.get_task(pk)
        check_may_decide(self.actor, task)

        def read() -> Any:
            return self.body(ExtendBody, data)["timeout_seconds"]

        with self.telling(task):
            return Response(self.shown(extend(self.actor, task.pk, read)))
