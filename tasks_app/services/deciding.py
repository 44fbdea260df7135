"""The one decision service: whoever decides, by whatever way, comes through here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from accounts_app.clock import db_now
from accounts_app.errors import Conflict, NotFound, PreconditionRequired
from accounts_app.faults import fault
from accounts_app.scoping import Actor
from accounts_app.services.unit import unit_of_work
from integrations_app.actions import from_json
from integrations_app.services.locks import lock_run
from integrations_app.services.sessions import settle_run
from tasks_app.kinds import Answer, Question, check_answer
from tasks_app.models import UserTask
from tasks_app.policies import check_may_decide
from tasks_app.services.call_tasks import apply_decision
from tasks_app.services.closing import complete, refuse_closed


@dataclass(frozen=True, slots=True)
class Decide:
    """What somebody sends to decide a task.

    Args:
        answer: action, value and comment.
        metadata: merged into the task's at the top level, later wins.
        on_behalf_of: recorded as claimed, never believed.
    """

    answer: Answer
    metadata: Mapping[str, Any] = field(default_factory=dict)
    on_behalf_of: str | None = None


def get_task(actor: Actor, task_id: UUID) -> UserTask:
    """One visible task.

    Raises:
        NotFound: not there, or not visible to this actor.
    """
    rows = UserTask.objects.visible_to(actor).select_related(
        "agent", "session", "run__session", "tool_call__operation__integration", "claimed_by"
    )
    task: UserTask | None = rows.filter(pk=task_id).first()
    if task is None:
        raise NotFound("There is no such task.")
    return task


def question_of(task: UserTask) -> Question:
    """What the task asks, for the validator."""
    return Question(task.kind, from_json(task.actions), task.options, task.input or {})


def decide(
    actor: Actor, task_id: UUID, revision: int | None, read: Callable[[], Decide]
) -> UserTask:
    """Decide a task; of all who race for it, one wins (promise 2).

    Args:
        actor: from the credential.
        task_id: the task.
        revision: the revision that they looked at, if they said so.
        read: reads and checks what they sent; asked last, so that a loser learns who decided
            and never that an answer was wrong.

    Returns:
        The task as it is now.

    Raises:
        NotFound: not visible.
        Forbidden: not permitted; see `check_may_decide`.
        Conflict: somebody or the deadline was faster, or the revision is stale; the fact
            `task` is its id.
        PreconditionRequired: the task changed since it was made, and no revision was sent.
        Invalid: the answer does not fit.
    """
    check_may_decide(actor, get_task(actor, task_id))
    fault("decide.before_tx")
    with unit_of_work() as unit:
        lock_run(get_task(actor, task_id).run_id)
        task = get_task(actor, task_id)
        try:
            _check_state(task, revision)
        except (Conflict, PreconditionRequired) as refusal:
            refusal.facts["task"] = task.pk
            raise
        act = read()
        checked = check_answer(question_of(task), act.answer)
        fault("decide.in_tx")
        won = complete(
            unit,
            actor,
            task,
            checked,
            metadata={**task.metadata, **act.metadata},
            on_behalf_of=act.on_behalf_of,
        )
        if not won:
            raise _lost(actor, task_id)
        detail = checked.comment or f"{checked.action.label} by {actor.name}."
        apply_decision(
            unit,
            actor,
            task,
            action=checked.action.name,
            effect=checked.action.effect,
            detail=detail,
        )
        settle_run(unit, task.run_id)
        fault("decide.before_commit")
    fault("decide.after_commit")
    return get_task(actor, task_id)


def _check_state(task: UserTask, revision: int | None) -> None:
    refuse_closed(task)
    if task.due_at is not None and task.due_at <= db_now():
        when = task.due_at.strftime("%Y-%m-%d %H:%M:%S UTC")
        raise Conflict(f"The deadline passed at {when}.", code="deadline_passed")
    if revision is None and task.revision > 1:
        text = f"What is decided on has changed; look again and send `revision` {task.revision}."
        raise PreconditionRequired(text)
    if revision is not None and revision != task.revision:
        text = f"You looked at revision {revision}; the present one is {task.revision}."
        raise Conflict(text, code="stale_revision")


def _lost(actor: Actor, task_id: UUID) -> Conflict:
    task = get_task(actor, task_id)
    try:
        _check_state(task, task.revision)
    except Conflict as refusal:
        refusal.facts["task"] = task.pk
        return refusal
    text = "The task changed meanwhile; look again."
    return Conflict(text, code="stale_revision", facts={"task": task.pk})
