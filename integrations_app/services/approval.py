"""Does a call need approval, and why: asked when it comes and again before it is sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from accounts_app.clock import db_now
from integrations_app import conditions
from integrations_app.conditions import Fact
from integrations_app.models import Operation, Run
from integrations_app.pointers import parse as parse_pointer
from integrations_app.policies import read_policy


@dataclass(frozen=True, slots=True)
class Need:
    """Whether a person is asked, and the facts that a card shows.

    Args:
        required: a person is asked.
        why: one object for each reason: `rule` (the text), `outcome` (true, failed, always) and
            `facts` (the values that the rule looked at).
    """

    required: bool
    why: list[dict[str, Any]]


def approval_need(operation: Operation, run: Run, arguments: Mapping[str, Any]) -> Need:
    """Ask the operation's policy; a rule that fails to evaluate asks a person (promise 9)."""
    until = run.agent.approval_required_until
    if until is not None and until > db_now():
        text = f"Every call of this agent needs approval until {until:%Y-%m-%d %H:%M} UTC."
        return Need(required=True, why=[{"rule": text, "outcome": "always", "facts": []}])
    if not operation.asks_first:
        return Need(required=False, why=[])
    policy = read_policy(operation.approval)
    if not policy.when:
        text = "Every call of this operation needs approval."
        return Need(required=True, why=[{"rule": text, "outcome": "always", "facts": []}])
    values = variables(run, arguments)
    try:
        true = conditions.evaluate(policy.when, values)
    except conditions.ConditionFailed as error:
        reason = {"rule": policy.when, "outcome": "failed", "facts": [], "detail": str(error)}
        return Need(required=True, why=[reason])
    if not true:
        return Need(required=False, why=[])
    facts = [
        {"path": fact.path, "value": fact.value}
        for fact in conditions.explain(policy.when, values)
        if not _is_sensitive(fact, operation.sensitive)
    ]
    return Need(required=True, why=[{"rule": policy.when, "outcome": "true", "facts": facts}])


def variables(run: Run, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What a condition can look at."""
    session = run.session
    return {
        "args": dict(arguments),
        "agent": run.agent.slug,
        "session": {
            "id": str(session.pk),
            "participant": session.participant,
            "metadata": session.metadata,
        },
        "run": {
            "id": str(run.pk),
            "parent": str(run.parent_id) if run.parent_id else None,
            "metadata": run.metadata,
        },
    }


def _is_sensitive(fact: Fact, pointers: list[str]) -> bool:
    """Whether the fact shows a sensitive argument, a part of one, or something around one."""
    if fact.steps[:1] != ("args",):
        return False
    inside = tuple(map(str, fact.steps[1:]))
    for pointer in pointers:
        tokens = parse_pointer(pointer)
        shorter = min(len(tokens), len(inside))
        if tokens[:shorter] == inside[:shorter]:
            return True
    return False
