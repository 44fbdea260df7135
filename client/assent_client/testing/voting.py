"""Who may decide, and how many must agree, in the fake."""

from collections.abc import Mapping
from typing import Any

from assent_client.testing.refusals import Refused, check_members, invalid
from assent_client.testing.store import Row, Store, normal, shown

WITH_QUORUM = ("approval", "hitl", "multi_option")


def read_reviewers(store: Store, raw: Any) -> Row | None:
    """The names of those who may decide.

    Raises:
        Refused: nobody is named, or somebody whom `FakeAssent.person` did not add.
    """
    if raw is None:
        return None
    if not isinstance(raw, Mapping):
        raise invalid("reviewers", 'Must be an object like {"users": ["ann"], "groups": []}.')
    check_members(raw, "users", "groups")
    groups = frozenset().union(*store.people.values())
    for kind, known in (("users", frozenset(store.people)), ("groups", groups)):
        for number, name in enumerate(raw.get(kind) or ()):
            if name not in known:
                raise invalid(f"reviewers.{kind}.{number}", "There is nobody so.", "not_found")
    named = {kind: list(raw.get(kind) or ()) for kind in ("users", "groups")}
    if not any(named.values()):
        raise invalid("reviewers", "Name somebody.")
    return named


def read_quorum(store: Store, raw: Any, reviewers: Row | None) -> int | None:
    """How many must agree.

    Raises:
        Refused: no number, or more than there are.
    """
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, int) or raw < 1:
        raise invalid("quorum", "Must be a whole number from 1 to 100.")
    number = len(deciders(store, reviewers))
    if raw > number:
        detail = f"No more than {number} may decide, so a quorum of {raw} is never reached."
        raise invalid("quorum", detail)
    return raw


def deciders(store: Store, reviewers: Mapping[str, Any] | None) -> list[str]:
    """The people who may decide, in the order in which they were added."""
    if reviewers is None:
        return list(store.people)
    groups = set(reviewers.get("groups") or ())
    users = set(reviewers.get("users") or ())
    return [name for name, of in store.people.items() if name in users or of & groups]


def refuse_second_vote(task: Row, by: Row) -> None:
    """One vote for each voter and revision.

    Raises:
        Refused: `already_voted`.
    """
    if task["quorum"] is not None and by["name"] in voters(task):
        detail = f"{by['name']} has voted on this revision."
        raise Refused("already_voted", detail, task=shown(task))


def voters(task: Row) -> list[str]:
    """Who has voted on the present revision."""
    return [vote["by"]["name"] for vote in task["votes"] if vote["revision"] == task["revision"]]


def is_decided(store: Store, task: Row, action: Row, value: Any, comment: Any, by: Row) -> bool:
    """Note the vote, where a quorum is asked; whether the task is decided by it."""
    if task["quorum"] is None:
        return True
    vote = {
        "by": by,
        "action": action["name"],
        "value": value,
        "comment": comment,
        "revision": task["revision"],
        "at": store.stamp(),
    }
    task["votes"] = [*task["votes"], vote]
    actor = {name: by[name] for name in ("type", "id", "name")}
    store.note("task.voted", task, actor, action=action["name"])
    if action.get("effect", "stop" if action["name"] == "reject" else "proceed") == "stop":
        return True
    agreeing = [
        vote
        for vote in task["votes"]
        if (vote["revision"], vote["action"]) == (task["revision"], action["name"])
        and normal(vote["value"]) == normal(value)
    ]
    return len(agreeing) >= int(task["quorum"])
