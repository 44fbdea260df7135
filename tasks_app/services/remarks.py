"""What is said about a pending task without deciding it, and what is noted on it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from accounts_app.errors import FieldError, Forbidden, Invalid
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import Unit
from accounts_app.states import ActorType, Scope
from tasks_app.models import Comment, UserTask
from tasks_app.policies import check_may_comment, check_may_decide, check_may_edit
from tasks_app.services.access import get_task, pending_task
from tasks_app.services.closing import subject_of
from tasks_app.services.drafts import edit
from tasks_app.services.messages import say
from tasks_app.services.notifying import tell_of_answer
from tasks_app.states import CommentType, MessageRole

register_verbs(
    {
        "task.commented": "commented",
        "task.asked": "asked the agent back",
        "task.informed": "answered what was asked back",
        "task.noted": "changed the metadata",
    }
)
_UNCHANGED = object()


@dataclass(frozen=True, slots=True)
class Information:
    """What an agent answers; `draft` where it changes the work with it."""

    text: str
    draft: Any = _UNCHANGED


def comment(actor: Actor, task_id: UUID, read: Callable[[], str]) -> Comment:
    """Say something about a pending task; it decides nothing, and its revision stays.

    Raises:
        Forbidden: see `check_may_comment`.
        Conflict: it had its end.
        Invalid: the text is blank.
    """
    check_may_comment(actor, get_task(actor, task_id))
    with pending_task(actor, task_id) as (unit, task):
        return _say(unit, actor, task, CommentType.COMMENT, read())


def ask(actor: Actor, task_id: UUID, read: Callable[[], str]) -> Comment:
    """Ask the agent back, in its run; the task keeps its place in the queue, and its revision.

    Raises:
        Forbidden: whoever may not decide may not ask.
        Conflict: it had its end.
        Invalid: the question is blank.
    """
    check_may_decide(actor, get_task(actor, task_id))
    with pending_task(actor, task_id) as (unit, task):
        question = _say(unit, actor, task, CommentType.QUESTION, read(), field="question")
        UserTask.objects.filter(pk=task.pk).update(question=question.text, updated_at=unit.now)
        say(unit, actor, task.run, MessageRole.USER, question.text, task=task)
    return question


def inform(actor: Actor, task_id: UUID, read: Callable[[], Information]) -> Comment:
    """Answer for the agent; what is decided on has changed with it, so the revision rises.

    Raises:
        Forbidden: `insufficient_scope`, or with a draft what `check_may_edit` says.
        Conflict: it had its end.
        Invalid: the text is blank, or the draft does not fit.
    """
    get_task(actor, task_id)
    if actor.type != ActorType.API_KEY:
        raise Forbidden("Only the agent answers what it was asked.")
    actor.require_scope(Scope.RUNS)
    with pending_task(actor, task_id) as (unit, task):
        information = read()
        before = task.revision
        if information.draft is not _UNCHANGED:
            check_may_edit(actor, task)
            edit(unit, actor, task, information.draft)
        if task.revision == before:
            task.revision += 1
        UserTask.objects.filter(pk=task.pk).update(
            question=None, revision=task.revision, updated_at=unit.now
        )
        tell_of_answer(unit, actor, task)
        return _say(unit, actor, task, CommentType.INFORMATION, information.text)


def merge_metadata(actor: Actor, task_id: UUID, read: Callable[[], Mapping[str, Any]]) -> UserTask:
    """Merge members into a pending task's metadata at the top level; later wins.

    Raises:
        Forbidden: `insufficient_scope`, or a person who may not decide.
        Conflict: it had its end.
        Invalid: nothing to merge.
    """
    _check_may_note(actor, get_task(actor, task_id))
    with pending_task(actor, task_id) as (unit, task):
        members = read()
        if not members:
            raise Invalid([FieldError("metadata", "required", "Send at least one member.")])
        UserTask.objects.filter(pk=task.pk).update(
            metadata={**task.metadata, **members}, updated_at=unit.now
        )
        unit.audit(actor, "task.noted", subject_of(task), {"members": sorted(members)})
        unit.wake(task.pk)
    return get_task(actor, task_id)


def _check_may_note(actor: Actor, task: UserTask) -> None:
    if actor.type == ActorType.API_KEY:
        actor.require_scope(Scope.RUNS, Scope.DECIDE)
    else:
        check_may_decide(actor, task)


def comments(actor: Actor, task_id: UUID) -> list[Comment]:
    """What was said about a visible task, oldest first.

    Raises:
        NotFound: not visible.
    """
    return list(get_task(actor, task_id).comment_rows.order_by("created_at", "pk"))


def _say(
    unit: Unit, actor: Actor, task: UserTask, type: CommentType, text: str, *, field: str = "text"
) -> Comment:
    if not text.strip():
        raise Invalid([FieldError(field, "invalid_value", "Must not be blank.")])
    said = Comment.objects.create(
        workspace_id=task.workspace_id,
        created_at=unit.now,
        task=task,
        type=type,
        text=text,
        by=actor.as_json(),
        channel=actor.channel,
        revision=task.revision,
    )
    verbs = {
        CommentType.COMMENT: "task.commented",
        CommentType.QUESTION: "task.asked",
        CommentType.INFORMATION: "task.informed",
    }
    unit.audit(actor, verbs[type], subject_of(task), {"text": text, "revision": task.revision})
    unit.wake(task.pk)
    return said
