"""Statuses and their allowed moves, as data (the section “States” of the design)."""

from django.db.models import TextChoices

from accounts_app.moves import Moves


class SessionStatus(TextChoices):
    ACTIVE = "active", "Active"
    ENDED = "ended", "Ended"
    TERMINATED = "terminated", "Terminated"


SESSION_MOVES: Moves = {
    SessionStatus.ACTIVE: frozenset({SessionStatus.ENDED, SessionStatus.TERMINATED}),
}


class RunStatus(TextChoices):
    RUNNING = "running", "Running"
    WAITING = "waiting", "Waiting"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    TERMINATED = "terminated", "Terminated"


_RUN_ENDS = frozenset({RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.TERMINATED})
RUN_OPEN = (RunStatus.RUNNING, RunStatus.WAITING)
RUN_MOVES: Moves = {
    RunStatus.RUNNING: _RUN_ENDS | {RunStatus.WAITING},
    RunStatus.WAITING: _RUN_ENDS | {RunStatus.RUNNING},
}


class CallStatus(TextChoices):
    """Where a tool call stands."""

    RECEIVED = "received", "Received"
    AWAITING_REVIEW = "awaiting_review", "Awaiting review"
    AWAITING_APPROVAL = "awaiting_approval", "Awaiting approval"
    QUEUED = "queued", "Queued"
    EXECUTING = "executing", "Executing"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    UNKNOWN = "unknown", "Unknown"
    REJECTED = "rejected", "Rejected"
    BLOCKED = "blocked", "Blocked"
    TIMED_OUT = "timed_out", "Timed out"
    CANCELLED = "cancelled", "Cancelled"


_OUT = frozenset({CallStatus.REJECTED, CallStatus.TIMED_OUT, CallStatus.CANCELLED})
CALL_MOVES: Moves = {
    CallStatus.RECEIVED: frozenset(
        {
            CallStatus.AWAITING_REVIEW,
            CallStatus.AWAITING_APPROVAL,
            CallStatus.QUEUED,
            CallStatus.EXECUTING,
            CallStatus.BLOCKED,
            CallStatus.CANCELLED,
        }
    ),
    CallStatus.AWAITING_REVIEW: _OUT
    | {
        CallStatus.AWAITING_APPROVAL,
        CallStatus.QUEUED,
        CallStatus.EXECUTING,
        CallStatus.BLOCKED,
    },
    CallStatus.AWAITING_APPROVAL: _OUT
    | {
        CallStatus.QUEUED,
        CallStatus.EXECUTING,
        CallStatus.AWAITING_REVIEW,
        CallStatus.BLOCKED,
    },
    CallStatus.QUEUED: frozenset(
        {
            CallStatus.EXECUTING,
            CallStatus.AWAITING_APPROVAL,
            CallStatus.CANCELLED,
            CallStatus.BLOCKED,
        }
    ),
    CallStatus.EXECUTING: frozenset(
        {
            CallStatus.SUCCEEDED,
            CallStatus.FAILED,
            CallStatus.UNKNOWN,
            CallStatus.QUEUED,
            CallStatus.AWAITING_APPROVAL,
            CallStatus.CANCELLED,
            CallStatus.BLOCKED,
        }
    ),
    CallStatus.UNKNOWN: frozenset({CallStatus.SUCCEEDED, CallStatus.FAILED, CallStatus.QUEUED}),
}
CALL_OPEN = (
    CallStatus.RECEIVED,
    CallStatus.AWAITING_REVIEW,
    CallStatus.AWAITING_APPROVAL,
    CallStatus.QUEUED,
    CallStatus.EXECUTING,
)
CALL_FOR_NOTHING = (
    CallStatus.FAILED,
    CallStatus.REJECTED,
    CallStatus.BLOCKED,
    CallStatus.TIMED_OUT,
    CallStatus.CANCELLED,
)
"""Ended, and nothing is known to have come of it."""

CALL_WAITS_FOR_PERSON = (CallStatus.AWAITING_REVIEW, CallStatus.AWAITING_APPROVAL)


class IntegrationKind(TextChoices):
    HTTP = "http", "HTTP service"
    CLIENT = "client", "Run by the agent"


class AuthType(TextChoices):
    NONE = "none", "None"
    BEARER = "bearer", "Bearer token"
    BASIC = "basic", "User name and password"
    HEADER = "header", "A header"


class Effect(TextChoices):
    """What doing it twice would mean."""

    READ = "read", "Read: changes nothing"
    IDEMPOTENT = "idempotent", "Idempotent: twice is as good as once"
    ONCE = "once", "Once: never twice"


class Method(TextChoices):
    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"


class EndReason(TextChoices):
    """Why a run's tasks are dropped with it."""

    RUN_ENDED = "run_ended", "The run ended"
    SESSION_ENDED = "session_ended", "The session ended"
    SESSION_TERMINATED = "session_terminated", "The session was terminated"
    PARENT_ENDED = "parent_ended", "The parent run ended"


class EventType(TextChoices):
    """What a webhook can be told of; the contract's list."""

    TASK_CREATED = "task.created", "A task was created"
    TASK_COMPLETED = "task.completed", "A task was decided"
    TASK_TIMED_OUT = "task.timed_out", "A task timed out"
    TASK_CANCELLED = "task.cancelled", "A task was cancelled"
    TOOL_CALL_FINISHED = "tool_call.finished", "A tool call has its end"
    INCIDENT_OPENED = "incident.opened", "An incident was opened"
    INCIDENT_CLOSED = "incident.closed", "An incident was closed"
    RUN_ENDED = "run.ended", "A run ended"


PING = "webhook.ping"


class DeliveryStatus(TextChoices):
    """Where a delivery stands."""

    PENDING = "pending", "Pending"
    DELIVERED = "delivered", "Delivered"
    FAILED = "failed", "Failed, tried again"
    DEAD = "dead", "Given up"


DELIVERY_OPEN = (DeliveryStatus.PENDING, DeliveryStatus.FAILED)
DELIVERY_MOVES: Moves = {
    DeliveryStatus.PENDING: frozenset(
        {
            DeliveryStatus.PENDING,
            DeliveryStatus.DELIVERED,
            DeliveryStatus.FAILED,
            DeliveryStatus.DEAD,
        }
    ),
    DeliveryStatus.FAILED: frozenset(
        {
            DeliveryStatus.PENDING,
            DeliveryStatus.DELIVERED,
            DeliveryStatus.FAILED,
            DeliveryStatus.DEAD,
        }
    ),
    DeliveryStatus.DELIVERED: frozenset({DeliveryStatus.PENDING}),
    DeliveryStatus.DEAD: frozenset({DeliveryStatus.PENDING}),
}
