"""Kinds of tasks, their statuses and reasons, as data."""

from django.db.models import TextChoices

from accounts_app.moves import Moves


class TaskStatus(TextChoices):
    PENDING = "pending", "Pending"
    COMPLETED = "completed", "Completed"
    CANCELLED = "cancelled", "Cancelled"


TASK_MOVES: Moves = {
    TaskStatus.PENDING: frozenset({TaskStatus.COMPLETED, TaskStatus.CANCELLED}),
}


class Kind(TextChoices):
    """What a person is asked for."""

    APPROVAL = "approval", "Approval"
    HITL = "hitl", "HITL"
    MULTI_OPTION = "multi_option", "Choice"
    TEXT = "text", "Text"
    NUMBER = "number", "Number"
    AITL_ESCALATION = "aitl_escalation", "AITL escalation"
    ANOMALY_REVIEW = "anomaly_review", "Anomaly review"
    ANOMALY_ALERT = "anomaly_alert", "Anomaly alert"


APPROVALS = frozenset({Kind.APPROVAL, Kind.HITL})
ANOMALIES = frozenset({Kind.ANOMALY_REVIEW, Kind.ANOMALY_ALERT})
DASHBOARD_ONLY = frozenset({Kind.AITL_ESCALATION, *ANOMALIES})
# Self-review is off for these; only an operation's policy can allow it.
SEPARATED = frozenset({Kind.APPROVAL, Kind.HITL, Kind.ANOMALY_REVIEW})
# Where several people can be asked to agree on the same thing.
WITH_QUORUM = frozenset({*APPROVALS, Kind.MULTI_OPTION})
NEVER_BLOCKING = frozenset({Kind.ANOMALY_ALERT})

GROUPS: dict[str, frozenset[Kind]] = {
    "approvals": APPROVALS,
    "aitl": frozenset({Kind.AITL_ESCALATION}),
    "anomaly": ANOMALIES,
    "input": frozenset({Kind.MULTI_OPTION, Kind.TEXT, Kind.NUMBER}),
}


class About(TextChoices):
    """What a decision on the task moves."""

    NOTHING = "nothing", "Nothing but the task"
    CALL = "call", "Whether a call runs"
    REVIEW = "review", "Whether a call that the guard paused goes on"
    OUTCOME = "outcome", "Whether a call has happened"


# A pending task about these stands between a call and its way on.
ABOUT_A_CALL = frozenset({About.CALL, About.REVIEW})


class CancelReason(TextChoices):
    """Why a task was dropped; the contract's list."""

    RUN_ENDED = "run_ended", "The run ended"
    SESSION_ENDED = "session_ended", "The session ended"
    SESSION_TERMINATED = "session_terminated", "The session was terminated"
    PARENT_ENDED = "parent_ended", "The parent run ended"
    REPLACED = "replaced", "Replaced by a newer task"
    WITHDRAWN = "withdrawn", "Withdrawn"
    OPERATION_CHANGED = "operation_changed", "The operation was disabled or no longer fits"


class OutcomeAction(TextChoices):
    """The actions of a task that asks whether a call happened."""

    IT_HAPPENED = "it_happened", "It happened"
    IT_DID_NOT = "it_did_not", "It did not happen"
    SEND_AGAIN = "send_again", "Send it again"


class CommentType(TextChoices):
    """What was said about a task without deciding it."""

    COMMENT = "comment", "Comment"
    QUESTION = "question", "Question to the agent"
    INFORMATION = "information", "Answer of the agent"


class MessageRole(TextChoices):
    """Who speaks in a run."""

    USER = "user", "Person"
    AGENT = "agent", "Agent"
    SYSTEM = "system", "System"


PRESENCE_SECONDS = 45
"""So long a task counts as open somewhere after it was last said to be."""


class NoticeKind(TextChoices):
    """Of what a member is told; `test` is what they send themselves to try it."""

    NEW = "new", "A new task that I may decide"
    MINE = "mine", "A task that names me, or is handed to me"
    REMINDER = "reminder", "A deadline comes near"
    ESCALATED = "escalated", "A task that is escalated to me"
    ANSWERED = "answered", "The agent answered what I asked back"
    TIMED_OUT = "timed_out", "A task of mine timed out"
    UNROUTABLE = "unroutable", "A task that nobody can decide"
    INCIDENT = "incident", "The guard opened an incident"
    TEST = "test", "A test"


class NoticeTime(TextChoices):
    """How soon a member wants to be told."""

    IMMEDIATE = "immediate", "At once"
    DIGEST = "digest", "In the digest"
    OFF = "off", "Never"


DEFAULT_TIMES: dict[str, NoticeTime] = {kind.value: NoticeTime.IMMEDIATE for kind in NoticeKind} | {
    NoticeKind.TIMED_OUT.value: NoticeTime.DIGEST
}


class NoticeStatus(TextChoices):
    """Where a notification is on its way."""

    PENDING = "pending", "Waits"
    SENT = "sent", "Sent"
    DROPPED = "dropped", "Not needed any more"
    FAILED = "failed", "Given up"


NOTICE_MOVES: Moves = {
    NoticeStatus.PENDING: frozenset({NoticeStatus.SENT, NoticeStatus.DROPPED, NoticeStatus.FAILED}),
}
