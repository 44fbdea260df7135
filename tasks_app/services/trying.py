"""Try an operation out: the real way, in a session and run of the person who tries."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from accounts_app.errors import NotFound
from accounts_app.models import Agent
from accounts_app.scoping import Actor
from accounts_app.services.unit import unit_of_work
from accounts_app.states import Permission
from integrations_app.models import Operation, ToolCall
from integrations_app.services.sessions import open_run, open_session
from tasks_app.services.calls import request_call


def try_operation(
    actor: Actor, operation: Operation, *, agent: Agent, arguments: Mapping[str, Any]
) -> ToolCall:
    """Ask for a call as an agent would: screened, approved where that is required, then sent.

    Whoever tries has started the session, so the self-review rule holds for them.

    Raises:
        Forbidden: the actor may not change operations, or the agent may not ask people.
        Invalid: the arguments do not fit; nothing is opened.
        Conflict: the operation is disabled, or the agent is frozen.
    """
    actor.require(Permission.WRITE_CATALOGUE)
    title = f"Try it: {operation.name}"[:200]
    with unit_of_work():
        session, _ = open_session(actor, agent=agent, participant=actor.name, title=title)
        run, _ = open_run(actor, session=session, title=title)
        call, _ = request_call(
            actor, run=run, operation=operation, arguments=arguments, reason="Tried by a person."
        )
    return call


def tried_call(actor: Actor, operation: Operation, pk: UUID) -> ToolCall:
    """A call that this person tried.

    Raises:
        NotFound: not there, or somebody else's.
    """
    rows = ToolCall.objects.visible_to(actor).select_related("operation__integration", "run")
    call = rows.filter(pk=pk, operation=operation, run__session__starter_id=actor.user_id).first()
    if call is None:
        raise NotFound("You tried no such call.")
    return call
