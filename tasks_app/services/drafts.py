"""The work that may be edited before a decision: saved by revision, kept with its history.

For a call the work is its arguments. An edit is fitted to the operation's schema, screened and
judged anew, and frozen into the request that a decision then binds: what was decided is what
runs (promise 3).
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import unified_diff
from typing import Any, NoReturn
from uuid import UUID

from accounts_app import crypto, strict_json
from accounts_app.errors import Conflict, FieldError, Invalid
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import Unit, unit_of_work
from guard_app.services.screening import Verdict, record_refused_edit, screen
from guard_app.states import MILD, GuardEffect
from integrations_app.models import ToolCall
from integrations_app.pointers import exists, get, unmask
from integrations_app.services.approval import approval_need
from integrations_app.services.freezing import freeze, full_arguments
from tasks_app.kinds import check_draft
from tasks_app.models import DraftRevision, UserTask
from tasks_app.policies import check_may_edit
from tasks_app.services.access import get_task, pending_task
from tasks_app.services.call_moves import check_arguments, row_of
from tasks_app.services.claims import check_claim
from tasks_app.services.closing import check_revision, subject_of
from tasks_app.states import About

register_verbs(
    {
        "task.edited": "edited the work",
        "task.edit_blocked": "tried an edit that the guard blocks",
    }
)
_EDITED = {
    "rule": "A person edited the arguments; the rule alone would no longer ask.",
    "outcome": "always",
    "facts": [],
}


class EditBlocked(Invalid):
    """The guard blocks the edited arguments; nothing of the edit is kept.

    Args:
        verdict: about those arguments.
    """

    def __init__(self, verdict: Verdict) -> None:
        detail = f"The guard blocks these arguments: {' '.join(verdict.explanations)}"
        super().__init__([FieldError("draft", "blocked", detail)])
        self.rules = [str(reason["rule"]) for reason in verdict.why]
        self.hits = verdict.hits


@contextmanager
def noting_blocked_edits(actor: Actor, task_id: UUID) -> Iterator[None]:
    """Write down an edit that the guard blocked, and its hits, once all that it began is undone."""
    try:
        yield
    except EditBlocked as refusal:
        task = get_task(actor, task_id)
        with unit_of_work() as unit:
            unit.audit(actor, "task.edit_blocked", subject_of(task), {"rules": refusal.rules})
            if task.tool_call is not None:
                record_refused_edit(unit, actor, task.tool_call, refusal.hits)
        raise


def save_draft(
    actor: Actor,
    task_id: UUID,
    revision: int | None,
    read: Callable[[], Any],
    *,
    claim_token: UUID | None = None,
) -> UserTask:
    """Save the work of a pending task, and raise its revision.

    Args:
        actor: from the credential.
        task_id: the task.
        revision: the revision that was edited.
        read: reads the new work; asked last, so that a loser learns who was faster.
        claim_token: of the lease under which a person began, if they had one.

    Raises:
        Forbidden: see `check_may_edit`.
        Conflict: it had its end, `stale_revision` with the present work, or a person whose task
            another holds.
        PreconditionRequired: no revision was sent.
        Invalid: too long; for a call, arguments that do not fit, or that the guard would block.
    """
    check_may_edit(actor, get_task(actor, task_id))
    with noting_blocked_edits(actor, task_id), pending_task(actor, task_id) as (unit, task):
        check_claim(actor, task, claim_token)
        check_revision(task, revision, always=True)
        edit(unit, actor, task, read())
    return get_task(actor, task_id)


def edit(unit: Unit, actor: Actor, task: UserTask, draft: Any) -> None:
    """Save the work in a transaction that holds the run's lock; the same work changes nothing.

    `task` is brought to what was saved.

    Raises:
        Invalid: see `save_draft`.
        Conflict: `stale_revision`, something changed the task meanwhile.
    """
    check_draft(draft, "draft")
    is_call = task.tool_call is not None and task.about == About.CALL
    columns = _edit_call(unit, task.tool_call, draft) if is_call else {"draft": draft}
    if columns is None or (not is_call and _same(task.draft, draft)):
        return
    columns["revision"] = task.revision + 1
    rows = UserTask.objects.pending().filter(pk=task.pk, revision=task.revision)
    if not rows.update(**columns, updated_at=unit.now):
        text = "The task changed meanwhile; look again."
        raise Conflict(text, code="stale_revision")
    for name, value in columns.items():
        setattr(task, name, value)
    keep_revision(unit, actor, task)
    facts = {"revision": task.revision, "digest": task.digest}
    unit.audit(actor, "task.edited", subject_of(task), facts)
    unit.wake(task.pk)


def _same(present: Any, given: Any) -> bool:
    """Whether two values are the same JSON; to Python 1, 1.0 and true are equal."""
    return json.dumps(present, sort_keys=True) == json.dumps(given, sort_keys=True)


def _edit_call(unit: Unit, call: Any, draft: Any) -> dict[str, Any] | None:
    """Bring the call to the edited arguments; None where they are the same."""
    if not isinstance(draft, dict):
        _refuse("Must be an object: the arguments of the call.")
    present = full_arguments(call)
    arguments = unmask(draft, present, call.operation.sensitive)
    if _same(present, arguments):
        return None
    check_arguments(call.operation, arguments, field="/draft")
    need = approval_need(call.operation, call.run, arguments)
    columns = {
        **freeze(call.operation, call.run, arguments, call_id=call.pk, field="/draft").columns(),
        "why": need.why or [_EDITED],
    }
    row_of(call).update(**columns)
    for name, value in columns.items():
        setattr(call, name, value)
    return {
        "draft": call.arguments,
        "digest": call.request_digest,
        "why": call.why,
        "guard_said": _screen_again(unit, call),
    }


def _screen_again(unit: Unit, call: ToolCall) -> dict[str, Any] | None:
    """What the guard says about edited arguments, where it pauses them."""
    verdict = screen(unit, call, again=True)
    if verdict.effect in MILD:
        return None  # A person is looking at it already: the incident counts the hit.
    if verdict.effect != GuardEffect.REVIEW:
        raise EditBlocked(verdict)
    return verdict.as_review()


def keep_revision(unit: Unit, actor: Actor, task: UserTask) -> None:
    """Write the present work into the history."""
    revision = DraftRevision(
        workspace_id=task.workspace_id,
        created_at=unit.now,
        task=task,
        revision=task.revision,
        draft=task.draft,
        by=actor.as_json(),
        channel=actor.channel,
    )
    if task.tool_call is not None:
        plain = json.dumps(full_arguments(task.tool_call), ensure_ascii=False).encode()
        revision.sealed = crypto.seal(plain, place=_place(revision))
    revision.save(force_insert=True)


def _place(revision: DraftRevision) -> str:
    return f"draft_revision:{revision.pk}"


def history(actor: Actor, task_id: UUID) -> list[DraftRevision]:
    """The saved states of a visible task's work, oldest first.

    Raises:
        NotFound: not visible.
    """
    return list(get_task(actor, task_id).draft_revisions.order_by("revision"))


def edited_by(tasks: Iterable[UserTask]) -> dict[UUID, str]:
    """Who last edited the work of each of these tasks; those that nobody edited are left out."""
    ids = [task.pk for task in tasks if task.revision > 1]
    if not ids:
        return {}
    rows = DraftRevision.objects.filter(task__in=ids, revision__gt=1).order_by("revision")
    return {row.task_id: str(row.by.get("name", "")) for row in rows.only("task_id", "by")}


def hidden_edits(task: UserTask) -> list[str]:
    """Pointers to the sensitive arguments of a call that were edited since it was asked for.

    Raises:
        Unreadable: what was sealed was altered, or its key is gone.
    """
    call = task.tool_call
    first = task.draft_revisions.order_by("revision").first() if call else None
    if call is None or first is None or first.sealed is None:
        return []
    before = strict_json.loads(crypto.unseal(first.sealed, place=_place(first)))
    after = full_arguments(call)
    return [
        pointer
        for pointer in call.operation.sensitive
        if exists(after, pointer)
        and not (exists(before, pointer) and _same(get(before, pointer), get(after, pointer)))
    ]


def difference(before: Any, after: Any) -> list[str]:
    """What changed between two states of the work, as the lines of a unified diff."""
    return list(unified_diff(_lines(before), _lines(after), "initial", "current", lineterm=""))


def _lines(value: Any) -> list[str]:
    if isinstance(value, str):
        return value.splitlines()
    return json.dumps(value, ensure_ascii=False, indent=2).splitlines()


def _refuse(detail: str) -> NoReturn:
    raise Invalid([FieldError("draft", "invalid_value", detail)])
