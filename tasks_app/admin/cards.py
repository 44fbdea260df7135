"""A task as a card: what its reader may see of it, and what they may do with it."""

import datetime as dt
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from accounts_app.errors import Forbidden
from accounts_app.models import User
from accounts_app.scoping import Actor
from accounts_app.states import ActorType, Permission
from integrations_app.actions import from_json
from tasks_app.admin.card import Card, Earlier, Trouble, Typed
from tasks_app.admin.reasons import reasons_of
from tasks_app.admin.request import RequestShown, request_of
from tasks_app.admin.summary import summary_of
from tasks_app.admin.text import NOTHING, Shown, one_line, shown, visible
from tasks_app.models import Comment, UserTask, Vote
from tasks_app.policies import check_may_edit, may_decide, sees_context
from tasks_app.selectors import earlier_decisions, lookers_of, token_of
from tasks_app.services.drafts import edited_by
from tasks_app.services.voting import voter_of
from tasks_app.states import About, TaskStatus

EVERYTHING_MASKED = ("",)
EARLIER_SHOWN = 5


def cards_of(
    actor: Actor,
    tasks: Sequence[Any],
    now: dt.datetime,
    *,
    reveal: frozenset[UUID] = frozenset(),
    alone: bool = False,
    typed: Typed | None = None,
    trouble: Trouble | None = None,
) -> list[Card]:
    """The cards of tasks that came through `with_everything` and `with_tokens`.

    Args:
        actor: who reads.
        tasks: visible ones.
        now: the database's time.
        reveal: tasks whose sensitive values are shown; the caller has recorded that.
        alone: the page shows one task only, so nothing in it is folded away.
        typed: what was typed before the card is shown again.
        trouble: why it was not done.
    """
    earlier = earlier_decisions(actor, [task for task in tasks if sees_context(actor, task)])
    ids = [task.pk for task in tasks]
    votes, comments = _by_task(Vote, ids), _by_task(Comment, ids)
    emails = _emails(tasks)
    looking, editors = lookers_of(actor, ids, now), edited_by(tasks)
    cards = []
    for task in tasks:
        by = (task.decided_by or {}).get("id", "")
        cards.append(
            _card(
                actor,
                task,
                now,
                earlier=earlier,
                revealed=task.pk in reveal,
                votes=[vote for vote in votes[task.pk] if vote.revision == task.revision],
                comments=comments[task.pk],
                looking=looking[task.pk],
                editor=editors.get(task.pk, ""),
                decided_by_email=emails.get(by, ""),
                alone=alone,
                typed=typed or Typed(),
                trouble=trouble,
            )
        )
    return cards


def _card(
    actor: Actor,
    task: UserTask,
    now: dt.datetime,
    *,
    earlier: Mapping[tuple[UUID, UUID], list[UserTask]],
    revealed: bool,
    votes: Sequence[Vote],
    comments: Sequence[Comment],
    looking: Sequence[str],
    editor: str,
    decided_by_email: str,
    alone: bool,
    typed: Typed,
    trouble: Trouble | None,
) -> Card:
    full = sees_context(actor, task)
    masked = actor.can(Permission.SEE_MASKED) and not full
    seen = full or (masked and revealed)
    is_open = task.status == TaskStatus.PENDING
    outcome, style = outcome_of(task)
    voted = _voted(actor, task, votes)
    return Card(
        task=task,
        token=token_of(task, looking),
        is_open=is_open,
        sees_context=seen,
        can_reveal_with_reason=masked and not revealed,
        cannot_decide=(may_decide(actor, task) or voted) if is_open else "",
        title=visible(task.title),
        title_is_agents=task.tool_call is None,
        summary=summary_of(task.tool_call, hides=not full) if task.tool_call else "",
        request=_request(task, full=full, masked=masked, revealed=revealed, alone=alone),
        said=shown(task.description) if seen else NOTHING,
        work=_work(task) if seen else NOTHING,
        why=reasons_of(task) if seen else (),
        earlier=_earlier(task, earlier) if full else None,
        actions=from_json(task.actions),
        reviewers=_reviewers(task),
        votes=votes,
        comments=comments if seen else (),
        claim=_claim(actor, task, now),
        looking=_looking(looking) if is_open else "",
        edited_by=visible(editor) if seen else "",
        can_edit=is_open and seen and not voted and _may_edit(actor, task),
        is_mine=_claim(actor, task, now) == "you",
        due=due_style(task, now) if is_open else "",
        outcome=outcome,
        outcome_style=style,
        decided_by_email=decided_by_email,
        typed=typed,
        trouble=trouble,
        is_alone=alone,
        options=[{name: visible(text) for name, text in item.items()} for item in task.options],
    )


def _request(
    task: UserTask, *, full: bool, masked: bool, revealed: bool, alone: bool
) -> RequestShown | None:
    """What would be sent; nothing for a viewer, all masked for an auditor."""
    call = task.tool_call
    if call is None or not (full or masked):
        return None
    if masked and not revealed:
        return request_of(call, mask=EVERYTHING_MASKED, everything=alone)
    return request_of(call, mask=() if revealed else call.operation.sensitive, everything=alone)


def _work(task: UserTask) -> Shown:
    """What an agent hands over to be looked at; a call's arguments stand in its request."""
    if task.tool_call is not None or task.draft is None:
        return NOTHING
    if isinstance(task.draft, str):
        return shown(task.draft, limit=1200)
    return shown(json.dumps(task.draft, ensure_ascii=False, indent=2), limit=1200)


def _earlier(task: UserTask, found: Mapping[tuple[UUID, UUID], list[UserTask]]) -> Earlier | None:
    if task.tool_call is None or task.about != About.CALL:
        return None
    before = [
        other
        for other in found.get((task.agent_id, task.tool_call.operation_id), [])
        if other.pk != task.pk
    ]
    labels = Counter(_label(other) for other in before)
    return Earlier(labels.most_common(), before[:EARLIER_SHOWN], len(before))


def _reviewers(task: UserTask) -> str:
    """The names of the reviewers, as they were given."""
    named = task.reviewers or {}
    return visible(", ".join([*named.get("users", []), *named.get("groups", [])])) or "others"


def _voted(actor: Actor, task: UserTask, votes: Sequence[Vote]) -> str:
    """What this person voted on the present revision; each has one vote."""
    mine = next((vote for vote in votes if vote.voter == voter_of(actor)), None)
    if mine is None:
        return ""
    labels = {action.name: action.label for action in from_json(task.actions)}
    label = one_line(labels.get(mine.action, mine.action))
    return f"You voted “{label}”; it waits for others."


def _claim(actor: Actor, task: UserTask, now: dt.datetime) -> str:
    if task.claimed_by is None or (task.claim_expires_at and task.claim_expires_at <= now):
        return ""
    return "you" if task.claimed_by_id == actor.user_id else task.claimed_by.get_username()


def _looking(names: Sequence[str]) -> str:
    """Who else has it open, as a sentence; a third name and more are counted."""
    if not names:
        return ""
    if len(names) == 1:
        return f"{names[0]} has it open too"
    others = len(names) - 2
    last = f" and {others} more" if others else ""
    return f"{names[0]}{', ' if others else ' and '}{names[1]}{last} have it open too"


def _may_edit(actor: Actor, task: UserTask) -> bool:
    if task.tool_call is None and task.draft is None:
        return False
    try:
        check_may_edit(actor, task)
    except Forbidden:
        return False
    return True


def due_style(task: UserTask, now: dt.datetime) -> str:
    """How near the deadline is: red only when it is, so that red still says something."""
    if task.due_at is None:
        return ""
    left = (task.due_at - now).total_seconds()
    near = max(300.0, min(3600.0, (task.timeout_seconds or 0) / 10))
    return "past" if left <= 0 else "near" if left <= near else "far"


def _label(task: UserTask) -> str:
    labels = {action["name"]: action["label"] for action in task.actions}
    return visible(str(labels.get(task.action, task.action)))


def outcome_of(task: UserTask) -> tuple[str, str]:
    """The outcome in a word or two, and the style of its badge."""
    if task.status == TaskStatus.PENDING:
        return "", ""
    if task.status == TaskStatus.CANCELLED:
        return "Cancelled", ""
    if task.timed_out:
        return f"Timed out: {_label(task)}" if task.action else "Timed out", "warn"
    action: dict[str, Any] = next(
        (item for item in task.actions if item["name"] == task.action), {}
    )
    if action.get("effect") == "stop" or action.get("style") == "danger":
        return _label(task), "bad"
    return _label(task), "good"


def _by_task(model: type[Vote] | type[Comment], ids: Sequence[UUID]) -> dict[UUID, list[Any]]:
    found: dict[UUID, list[Any]] = defaultdict(list)
    for row in model.objects.filter(task__in=ids).order_by("created_at", "pk"):
        found[row.task_id].append(row)
    return found


def _emails(tasks: Sequence[UserTask]) -> dict[str, str]:
    """The addresses of the people who decided, by the id that the outcome holds."""
    ids = {
        task.decided_by["id"]
        for task in tasks
        if task.decided_by and task.decided_by.get("type") == ActorType.USER
    }
    people = User.objects.filter(pk__in=ids) if ids else User.objects.none()
    return {str(person.pk): person.email for person in people}
