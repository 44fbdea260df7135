"""Conversations: messages of a run, the task that they hint at, and input that may decide."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn
from uuid import UUID

from accounts_app.errors import Conflict, FieldError, Invalid
from accounts_app.scoping import Actor
from accounts_app.services.unit import unit_of_work
from accounts_app.states import ActorType, Scope
from integrations_app.models import Run, Session
from tasks_app.kinds import MAX_TEXT, Answer
from tasks_app.models import Message, UserTask
from tasks_app.services.deciding import Decide, decide
from tasks_app.services.messages import say
from tasks_app.states import DASHBOARD_ONLY, Kind, MessageRole, TaskStatus


def post_message(
    actor: Actor, run: Run, *, role: str, text: str, scope: str = "", task: UUID | None = None
) -> Message:
    """Say something in a run; whatever it says, it decides nothing.

    Args:
        actor: whose credential.
        run: a visible run.
        role: who speaks.
        text: what is said.
        scope: the topic; none is the default one.
        task: the task of the same session that it hints at.

    Raises:
        Invalid: a blank text, an unknown role, or a task that is not of this session.
    """
    if role not in MessageRole.values:
        _refuse("role", f"Choose from {', '.join(MessageRole.values)}.")
    _check_text(text)
    linked = None
    if task is not None:
        rows = UserTask.objects.visible_to(actor).filter(session=run.session_id)
        linked = rows.filter(pk=task).first()
        if linked is None:
            _refuse("task", "There is no such task in this session.", "not_found")
    with unit_of_work() as unit:
        return say(unit, actor, run, MessageRole(role), text, scope=scope, task=linked)


def _check_text(text: str) -> None:
    if not text.strip():
        _refuse("text", "Must not be blank.")
    if len(text) > MAX_TEXT:
        _refuse("text", f"At most {MAX_TEXT} characters.", "too_long")


@dataclass(frozen=True, slots=True)
class LastTask:
    """What the conversation of a scope is about: its newest task, and all that are pending."""

    task: UserTask | None
    pending: list[UserTask]


def last_task(actor: Actor, session: Session, scope: str = "") -> LastTask:
    """The task of the newest linked message of a session in a scope, and the pending ones."""
    linked = Message.objects.visible_to(actor).filter(
        session=session, scope=scope, task__isnull=False
    )
    visible = UserTask.objects.visible_to(actor)
    newest = linked.filter(task__in=visible).order_by("-created_at", "-pk").first()
    pending = visible.filter(status=TaskStatus.PENDING, pk__in=linked.values("task"))
    return LastTask(newest.task if newest else None, list(pending.order_by("created_at", "pk")))


@dataclass(frozen=True, slots=True)
class Input:
    """The body of `POST runs/{id}/input`, with types checked."""

    task: UUID | None = None
    action: str | None = None
    value: Any = None
    text: str | None = None
    comment: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    revision: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is given that could answer a task, or be said."""
        given = (self.action, self.value, self.text, self.comment)
        return all(item is None for item in given) and not self.metadata

    @property
    def is_text_alone(self) -> bool:
        return self.text is not None and self.action is None and self.value is None


def give_input(actor: Actor, run: Run, given: Input) -> tuple[UserTask | None, Message | None]:
    """Answer the run's pending task, or say something in it.

    Returns:
        The task, where one was answered (or voted on), or the message.

    Raises:
        Forbidden: `insufficient_scope`, or what `decide` says.
        Invalid: nothing given; a task that is not of this run; an answer that does not fit.
        Conflict: `ambiguous_task` listing the ids; `no_pending_task`; or what `decide` says.
    """
    if actor.type == ActorType.API_KEY:
        actor.require_scope(Scope.DECIDE)
    if given.is_empty:
        _refuse("action", "Give an action, a value or a text.", "required")
    if given.text is not None and not given.is_text_alone:
        _refuse("text", "Send a text alone, or an action and a value.")
    if given.task is not None:
        task = UserTask.objects.visible_to(actor).filter(run=run, pk=given.task).first()
        if task is None:
            _refuse("task", "There is no such task in this run.", "not_found")
        if given.is_text_alone and task.kind != Kind.TEXT:
            _refuse("text", "A text alone answers a task of kind text only; send an action.")
        return _decide(actor, task, given), None
    pending = UserTask.objects.visible_to(actor).pending().filter(run=run)
    if given.is_text_alone:
        task = _only(pending.filter(kind=Kind.TEXT))
        if task is None:
            return None, _say(actor, run, given)
        return _decide(actor, task, given), None
    task = _only(pending.exclude(kind__in=DASHBOARD_ONLY))
    if task is None:
        text = "No task of this run waits for an answer that may come this way."
        raise Conflict(text, code="no_pending_task")
    return _decide(actor, task, given), None


def _only(rows: Any) -> UserTask | None:
    found: list[UserTask] = list(rows.order_by("created_at", "pk")[:100])
    if len(found) > 1:
        text = "Several tasks of this run are pending; name one of them as `task`."
        raise Conflict(
            text, code="ambiguous_task", facts={"tasks": [str(task.pk) for task in found]}
        )
    return found[0] if found else None


def _decide(actor: Actor, task: UserTask, given: Input) -> UserTask:
    value = given.text if given.is_text_alone else given.value
    act = Decide(Answer(given.action, value, given.comment), metadata=given.metadata)
    return decide(actor, task.pk, given.revision, lambda: act)


def _say(actor: Actor, run: Run, given: Input) -> Message:
    text = given.text or ""
    _check_text(text)
    with unit_of_work() as unit:
        return say(unit, actor, run, MessageRole.USER, text)


def _refuse(field: str, detail: str, code: str = "invalid_value") -> NoReturn:
    raise Invalid([FieldError(field, code, detail)])
