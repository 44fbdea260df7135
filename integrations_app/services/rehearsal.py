"""What a condition would have done: asked of the calls that came lately, changing nothing."""

from dataclasses import dataclass

from accounts_app.crypto import Unreadable
from accounts_app.scoping import Actor
from integrations_app import conditions
from integrations_app.models import Operation, ToolCall
from integrations_app.services.approval import variables
from integrations_app.services.freezing import full_arguments

LOOKED_AT = 20


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Of how many recent calls a person would have been asked.

    Args:
        total: how many calls were looked at.
        asked: for how many the condition was true, or could not be evaluated.
        failed: for how many it could not be evaluated; a person is asked then as well.
        reason: why, for the first of those.
    """

    total: int
    asked: int
    failed: int
    reason: str = ""


def would_have_asked(actor: Actor, operation: Operation, when: str) -> Rehearsal:
    """Evaluate a condition over the operation's latest calls.

    Args:
        actor: sees the calls.
        operation: whose calls.
        when: a CEL expression; blank asks for every call.

    Raises:
        ConditionFailed: the text is no usable condition.
    """
    calls = list(
        ToolCall.objects.visible_to(actor)
        .filter(operation=operation)
        .select_related("run__session", "run__agent")[:LOOKED_AT]
    )
    if not when.strip():
        return Rehearsal(total=len(calls), asked=len(calls), failed=0)
    conditions.check(when)
    asked, reasons = 0, []
    for call in calls:
        try:
            asked += conditions.evaluate(when, variables(call.run, full_arguments(call)))
        except (conditions.ConditionFailed, Unreadable) as error:
            asked += 1
            reasons.append(str(error))
    return Rehearsal(len(calls), asked, len(reasons), reasons[0] if reasons else "")
