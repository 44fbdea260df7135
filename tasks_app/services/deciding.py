"""The one decision service: whoever decides, by whatever way, comes through here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from accounts_app.errors import Conflict
from accounts_app.faults import fault
from accounts_app.scoping import Actor
from accounts_app.services.unit import Unit
from integrations_app.actions import from_json
from integrations_app.services.sessions import settle_run
from tasks_app.kinds import Answer, CheckedAnswer, Question, check_answer
from tasks_app.models import UserTask
from tasks_app.policies import check_may_decide, check_may_edit
from tasks_app.services.access import get_task, pending_task
from tasks_app.services.call_tasks import apply_decision
from tasks_app.services.claims import check_claim
from tasks_app.services.closing import check_open, check_revision, complete
from tasks_app.services.drafts import edit, noting_blocked_edits
from tasks_app.services.messages import tell_asking_run
from tasks_app.services.voting import cast_vote, check_has_not_voted

NO_DRAFT = object()


@dataclass(frozen=True, slots=True)
class Decide:
    """What somebody sends to decide a task.

    Args:
        answer: action, value and comment.
        metadata: merged into the task's at the top level, later wins.
        on_behalf_of: recorded as claimed, never believed.
        draft: saved and decided on in one step, where it is given.
    """

    answer: Answer
    metadata: Mapping[str, Any] = field(default_factory=dict)
    on_behalf_of: str | None = None
    draft: Any = NO_DRAFT


def question_of(task: UserTask) -> Question:
    """What the task asks, for the validator."""
    return Question(task.kind, from_json(task.actions), task.options, task.input or {})


def decide(
    actor: Actor,
    task_id: UUID,
    revision: int | None,
    read: Callable[[], Decide],
    *,
    claim_token: UUID | None = None,
) -> UserTask:
    """Decide a task; of all who race for it, one wins (promise 2).

    Args:
        actor: from the credential.
        task_id: the task.
        revision: the revision that they looked at, if they said so.
        read: reads and checks what they sent; asked last, so that a loser learns who decided
            and never that an answer was wrong.
        claim_token: of the lease under which a person began, if they had one.

    Returns:
        The task as this act left it; still pending after a vote that is short of the quorum.

    Raises:
        NotFound: not visible.
        Forbidden: not permitted; see `check_may_decide`, and with a draft `check_may_edit`.
        Conflict: somebody or the deadline was faster, the revision is stale, or they voted
            before; a person whose task another holds; the fact `task` is its id.
        PreconditionRequired: the task changed since it was made, and no revision was sent.
        Invalid: the answer does not fit.
    """
    fault("decide.before_tx")
    with (
        noting_blocked_edits(actor, task_id),
        pending_task(actor, task_id, allowed=check_may_decide) as (unit, task),
    ):
        check_claim(actor, task, claim_token)
        check_revision(task, revision)
        if task.quorum is not None:
            check_has_not_voted(actor, task)
        act = read()
        checked = check_answer(question_of(task), act.answer)
        if act.draft is not NO_DRAFT:
            check_may_edit(actor, task)
            edit(unit, actor, task, act.draft)
        fault("decide.in_tx")
        if task.quorum is None or cast_vote(unit, actor, task, checked, act.on_behalf_of):
            _settle(unit, actor, task, checked, act)
        elif act.metadata:
            UserTask.objects.filter(pk=task.pk).update(metadata={**task.metadata, **act.metadata})
        fault("decide.before_commit")
    fault("decide.after_commit")
    return task


def _settle(unit: Unit, actor: Actor, task: UserTask, checked: CheckedAnswer, act: Decide) -> None:
    """Complete the task, and move its call and run along."""
    metadata = {**task.metadata, **act.metadata}
    if not complete(unit, actor, task, checked, metadata=metadata, on_behalf_of=act.on_behalf_of):
        raise _lost(actor, task.pk)
    detail = checked.comment or f"{checked.action.label} by {actor.name}."
    name, effect = checked.action.name, checked.action.effect
    apply_decision(unit, actor, task, action=name, effect=effect, detail=detail)
    tell_asking_run(unit, actor, task, checked)
    settle_run(unit, task.run_id)


def _lost(actor: Actor, task_id: UUID) -> Conflict:
    try:
        check_open(get_task(actor, task_id))
    except Conflict as refusal:
        return refusal
    return Conflict("The task changed meanwhile; look again.", code="stale_revision")
