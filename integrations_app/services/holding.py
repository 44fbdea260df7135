"""After a restore: everything that was in flight waits for an admin (promise 17).

A backup is older than what happened after it. What it shows as queued may have been sent long
ago, so that nothing of it goes out before somebody has looked.
"""

from collections.abc import Sequence
from uuid import UUID

from django.db.models import QuerySet

from accounts_app.errors import NotFound
from accounts_app.models import Workspace
from accounts_app.scoping import Actor, system_actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import unit_of_work
from accounts_app.states import ActorType, Permission
from integrations_app.models import Delivery, ToolCall
from integrations_app.services.hooks import hooks
from integrations_app.services.outbox import DELIVER
from integrations_app.states import CALL_OPEN, DELIVERY_OPEN, CallStatus

EXECUTE = "tasks_app.execute_call"

register_verbs(
    {
        "workspace.restored": "put everything in flight on hold after a restore",
        "call.released": "released the call that was on hold",
        "deliveries.released": "released the webhook deliveries that were on hold",
    }
)


def held_calls(actor: Actor) -> QuerySet[ToolCall]:
    """The calls on hold that this actor may know of, oldest first."""
    rows: QuerySet[ToolCall] = ToolCall.objects.visible_to(actor).filter(held=True)
    return rows.select_related("operation__integration", "run", "agent").order_by(
        "created_at", "pk"
    )


def held_deliveries(actor: Actor) -> QuerySet[Delivery]:
    """The webhook deliveries on hold in the actor's workspace."""
    rows: QuerySet[Delivery] = Delivery.objects.visible_to(actor).filter(held=True)
    return rows


def hold_everything() -> dict[str, int]:
    """Put on hold, in every workspace, whatever would still go out by itself.

    Tasks can be decided meanwhile; a call that is approved stays on hold all the same.

    Returns:
        How many calls and webhook deliveries were put on hold, and how many notifications were
        dropped: people see what waits in the queue.
    """
    done = {"calls_held": 0, "deliveries_held": 0, "notifications_dropped": 0}
    for workspace in Workspace.objects.order_by("slug"):
        with unit_of_work() as unit:
            calls = ToolCall.objects.in_workspace(workspace.pk).filter(
                status__in=[*CALL_OPEN, CallStatus.UNKNOWN], held=False
            )
            deliveries = Delivery.objects.in_workspace(workspace.pk).filter(
                status__in=DELIVERY_OPEN, held=False
            )
            facts = {
                "calls": calls.update(held=True),
                "deliveries": deliveries.update(held=True),
                "notifications": hooks.restored(workspace.pk),
            }
            actor = system_actor(workspace.pk, "restored")
            unit.audit(
                actor, "workspace.restored", ("workspace", workspace.pk, workspace.slug), facts
            )
        done["calls_held"] += facts["calls"]
        done["deliveries_held"] += facts["deliveries"]
        done["notifications_dropped"] += facts["notifications"]
    return done


def release_calls(actor: Actor, call_ids: Sequence[UUID]) -> int:
    """Let calls on hold go on from where they stand; each with an audit entry.

    Args:
        actor: an admin of the workspace, or Assent's own command.
        call_ids: which.

    Returns:
        How many were on hold.

    Raises:
        Forbidden: the actor may not manage the workspace.
        NotFound: one of the ids is no call of the workspace.
    """
    _check_may_release(actor)
    with unit_of_work() as unit:
        rows = ToolCall.objects.visible_to(actor).filter(pk__in=call_ids)
        found = list(rows.select_related("operation__integration").order_by("pk"))
        if len(found) != len(set(call_ids)):
            raise NotFound("There is no such call.")
        released = 0
        for call in found:
            if not ToolCall.objects.filter(pk=call.pk, held=True).update(held=False):
                continue
            released += 1
            unit.audit(actor, "call.released", ("tool_call", call.pk, call.operation.reference))
            unit.wake(call.pk)
            if call.status == CallStatus.QUEUED:
                unit.ring(EXECUTE, call.pk)
    return released


def release_deliveries(actor: Actor) -> int:
    """Let the workspace's webhook deliveries on hold go out; returns how many.

    Raises:
        Forbidden: the actor may not manage the workspace.
    """
    _check_may_release(actor)
    with unit_of_work() as unit:
        rows = Delivery.objects.in_workspace(actor.workspace_id).filter(held=True)
        webhooks = set(rows.values_list("webhook_id", flat=True))
        released = rows.update(held=False)
        if released:
            target = ("workspace", actor.workspace_id, "")
            unit.audit(actor, "deliveries.released", target, {"number": released})
        for webhook_id in sorted(webhooks):
            unit.ring(DELIVER, webhook_id)
    return released


def _check_may_release(actor: Actor) -> None:
    if actor.type != ActorType.SYSTEM:
        actor.require(Permission.MANAGE_WORKSPACE)
