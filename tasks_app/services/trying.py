"""Try an operation out: the real way, in a session and run of the person who tries."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef

from accounts_app.errors import Conflict, NotFound
from accounts_app.models import Agent
from accounts_app.scoping import Actor
from accounts_app.services.unit import unit_of_work
from accounts_app.states import Permission
from integrations_app.models import Operation, Session, ToolCall
from integrations_app.services.ending import end_session
from integrations_app.services.sessions import open_run, open_session
from integrations_app.states import CALL_OPEN, SessionStatus
from tasks_app.models import UserTask
from tasks_app.services.calls import request_call

MAX_ENDED = 20


def try_operation(
    actor: Actor, operation: Operation, *, agent: Agent, arguments: Mapping[str, Any]
) -> ToolCall:
    """Ask for a call as an agent would: screened, approved where that is required, then sent.

    Whoever tries has started the session, so the self-review rule holds for them. What they tried
    before, and in which nothing is left to come, ends.

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
    _end_earlier(actor, than=session)
    return call


def _end_earlier(actor: Actor, *, than: Session) -> None:
    # Keys have owners, who are the starters of the agents' sessions: a person opens only tries.
    mine = Session.objects.visible_to(actor).filter(
        starter_id=actor.user_id,
        opened_by=than.opened_by,
        status=SessionStatus.ACTIVE,
        created_at__lt=than.created_at,
    )
    calls = ToolCall.objects.filter(run__session=OuterRef("pk"), status__in=CALL_OPEN)
    waiting = UserTask.objects.pending().filter(session=OuterRef("pk"))
    for session in mine.filter(~Exists(calls), ~Exists(waiting)).order_by("created_at")[:MAX_ENDED]:
        with suppress(Conflict):
            end_session(actor, session, SessionStatus.ENDED, lambda: "")


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
