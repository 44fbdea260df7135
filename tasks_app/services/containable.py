"""What containing an agent would do, counted before anybody does it; nothing is changed here."""

from dataclasses import dataclass

from accounts_app.models import Agent
from accounts_app.scoping import Actor
from guard_app.models import Detection, Incident
from integrations_app.models import Clearance, Run, Session, ToolCall
from integrations_app.states import (
    CALL_OPEN,
    RUN_OPEN,
    CallStatus,
    IntegrationKind,
    SessionStatus,
)
from tasks_app.models import UserTask
from tasks_app.reading import readable_sessions
from tasks_app.services.closing import ending_with
from tasks_app.states import ABOUT_A_CALL

MAX_NAMED = 100
_ASKING = (CallStatus.AWAITING_REVIEW, CallStatus.AWAITING_APPROVAL)


@dataclass(frozen=True, slots=True)
class Open:
    """How much of an agent is open.

    Args:
        unsent: calls of which nothing was sent.
        queued: those of them that may be sent: approved, or nobody had to be asked.
        unapproved: those of the queued ones without an approval; a review that passed is none.
        asking: those of the unsent ones that wait for a person.
        sent: calls that are on their way, and cannot be called back.
        tasks: pending ones about the unsent calls.
        staying: its other pending tasks, alerts and questions.
        runs: those that are not over.
    """

    unsent: int
    queued: int
    unapproved: int
    asking: int
    sent: int
    tasks: int
    staying: int
    runs: int

    @property
    def pending(self) -> int:
        """All of its tasks that wait for a person."""
        return self.tasks + self.staying


@dataclass(frozen=True, slots=True)
class Ends:
    """What ends with the active sessions of an incident's calls.

    Args:
        named: sessions that the person may know of, the oldest first.
        number: of all of them.
        runs: how many open runs.
        calls: of how many calls nothing was sent, nor will be.
        tasks: how many pending tasks are cancelled.
    """

    named: list[Session]
    number: int
    runs: int
    calls: int
    tasks: int

    @property
    def unnamed(self) -> int:
        return self.number - len(self.named)


def active_sessions(incident: Incident) -> list[Session]:
    """The sessions of an incident's calls that are still active, in the order of their keys.

    A call that is there only because a person tried to edit it is none of them.
    """
    hits = Detection.objects.of_calls().filter(incident=incident)
    rows = Session.objects.filter(
        runs__tool_calls__detections__in=hits, status=SessionStatus.ACTIVE
    )
    return list(rows.distinct().order_by("pk"))


def what_is_open(agent: Agent) -> Open:
    """What freezing the agent stops, and what cancelling cancels."""
    calls = ToolCall.objects.filter(agent=agent, status__in=CALL_OPEN)
    sent = calls.filter(status=CallStatus.EXECUTING, sent_at__isnull=False)
    unsent = calls.exclude(status=CallStatus.EXECUTING, sent_at__isnull=False)
    queued = unsent.filter(status__in=(CallStatus.QUEUED, CallStatus.EXECUTING))
    approved = Clearance.objects.filter(call__agent=agent)
    unapproved = queued.exclude(operation__integration__kind=IntegrationKind.CLIENT)
    pending = UserTask.objects.pending().filter(agent=agent)
    tasks = pending.filter(tool_call__in=calls, about__in=ABOUT_A_CALL).count()
    return Open(
        unsent=unsent.count(),
        queued=queued.count(),
        unapproved=unapproved.exclude(pk__in=approved.values("call")).count(),
        asking=unsent.filter(status__in=_ASKING).count(),
        sent=sent.count(),
        tasks=tasks,
        staying=pending.count() - tasks,
        runs=Run.objects.filter(agent=agent, status__in=RUN_OPEN).count(),
    )


def what_ends_with(actor: Actor, incident: Incident) -> Ends:
    """What terminating the sessions of an incident's calls ends."""
    sessions = active_sessions(incident)
    runs = Run.objects.filter(session__in=sessions, status__in=RUN_OPEN)
    calls = ToolCall.objects.filter(run__in=runs, status__in=CALL_OPEN)
    named = readable_sessions(actor).filter(pk__in=[session.pk for session in sessions])
    return Ends(
        named=list(named.select_related("agent").order_by("created_at")[:MAX_NAMED]),
        number=len(sessions),
        runs=runs.count(),
        calls=calls.exclude(status=CallStatus.EXECUTING, sent_at__isnull=False).count(),
        tasks=ending_with(runs).count(),
    )
