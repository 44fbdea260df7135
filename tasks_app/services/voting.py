"""Quorum: several distinct people must agree, on the same revision.

Votes are written and counted under the run's lock, so that two last votes cannot both believe
that one is missing.
"""

from accounts_app.errors import Conflict
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import Unit
from accounts_app.strict_json import canonical
from tasks_app.kinds import CheckedAnswer
from tasks_app.models import UserTask, Vote
from tasks_app.services.closing import subject_of

register_verbs({"task.voted": "voted"})


def voter_of(actor: Actor) -> str:
    """Who counts as one voter: the person, whatever their keys; else the key."""
    if actor.user_id is not None:
        return f"user:{actor.user_id}"
    return f"{actor.type.value}:{actor.id}"


def check_has_not_voted(actor: Actor, task: UserTask) -> None:
    """Refuse a second vote on the same revision.

    Raises:
        Conflict: `already_voted`.
    """
    mine = Vote.objects.filter(task=task, voter=voter_of(actor), revision=task.revision).first()
    if mine is not None:
        when = mine.created_at.strftime("%Y-%m-%d %H:%M:%S UTC")
        text = f"You voted {mine.action!r} on this revision at {when}."
        raise Conflict(text, code="already_voted")


def cast_vote(
    unit: Unit, actor: Actor, task: UserTask, checked: CheckedAnswer, on_behalf_of: str | None
) -> bool:
    """Write a vote down; returns whether the task is decided with it.

    Args:
        unit: the transaction; it holds the run's lock.
        actor: who votes.
        task: with a quorum, at the revision that they saw.
        checked: what they vote for; one vote that stops decides alone.
        on_behalf_of: as claimed.
    """
    Vote.objects.create(
        workspace_id=task.workspace_id,
        created_at=unit.now,
        task=task,
        voter=voter_of(actor),
        by={**actor.as_json(), "on_behalf_of": on_behalf_of},
        action=checked.action.name,
        value=checked.value,
        comment=checked.comment,
        revision=task.revision,
        digest=task.digest,
        channel=actor.channel,
    )
    agreeing = _agreeing(task, checked)
    facts = {"action": checked.action.name, "revision": task.revision, "votes": agreeing}
    unit.audit(actor, "task.voted", subject_of(task), {**facts, "quorum": task.quorum})
    unit.wake(task.pk)
    return stops(checked) or agreeing >= (task.quorum or 1)


def stops(checked: CheckedAnswer) -> bool:
    """Whether one such vote ends the task: `reject`, or an action with the effect `stop`."""
    return checked.action.effect == "stop" or (
        not checked.action.effect and checked.action.name == "reject"
    )


def _agreeing(task: UserTask, checked: CheckedAnswer) -> int:
    rows = Vote.objects.filter(task=task, revision=task.revision, action=checked.action.name)
    wanted = canonical(checked.value)
    return sum(canonical(value) == wanted for value in rows.values_list("value", flat=True))
