"""What answers look like."""

from accounts_app.states import ActorType, Channel
from config.contract.catalogue import (
    AGENT,
    DELIVERY,
    DETECTION,
    IMPORTED,
    INCIDENT,
    INTEGRATION,
    OPERATION,
    REPLAY,
    RULE,
    TOOLS,
    WEBHOOK,
)
from config.contract.words import (
    COUNT,
    DIGEST,
    FLAG,
    ID,
    JSON,
    MOMENT,
    NUMBER,
    OBJECT,
    SLUG,
    TEXT,
    URL,
    Schema,
    many,
    null,
    one_of,
    ref,
    shape,
)
from integrations_app.actions import STYLES
from integrations_app.states import (
    CallStatus,
    RunStatus,
    SessionStatus,
)
from tasks_app.states import CancelReason, CommentType, Kind, MessageRole, TaskStatus

ACTOR = shape({"type": one_of(ActorType.values), "id": TEXT, "name": TEXT})
DECIDER = shape({**ACTOR["properties"], "on_behalf_of": null(TEXT)})
ACTION = shape(
    {
        "name": {**TEXT, "minLength": 1, "maxLength": 120},
        "label": TEXT,
        "comment_required": FLAG,
        "style": one_of(STYLES),
    },
    {"effect": {**one_of(("proceed", "stop")), "description": "For calls: whether it runs."}},
)
OPTION = shape({"id": TEXT, "label": TEXT}, {"description": null(TEXT)})
REVIEWERS = shape({}, {"users": many(TEXT), "groups": many(TEXT)})
ESCALATION = shape(
    {"reviewers": REVIEWERS, "timeout_seconds": NUMBER},
    {"on_timeout": {**JSON, "description": "What then; at most five levels in all."}},
)
ON_TIMEOUT: Schema = {
    "description": "What happens where nobody decides in time.",
    "anyOf": [
        {"const": "return"},
        shape({"action": TEXT}, additionalProperties=False),
        shape({"escalate": ESCALATION}, additionalProperties=False),
    ],
}
APPROVAL = shape(
    {
        "actions": many(ref("Action")),
        "timeout_seconds": null(NUMBER),
        "on_timeout": ON_TIMEOUT,
        "quorum": null({"type": "integer", "minimum": 1}),
        "reviewers": null(REVIEWERS),
        "allow_edit": FLAG,
        "allow_self_review": FLAG,
        "when": {**null(TEXT), "description": "A CEL expression."},
    }
)
INPUT: Schema = shape(
    {},
    {
        "minimum": null(NUMBER),
        "maximum": null(NUMBER),
        "integer": null(FLAG),
        "min_length": null(COUNT),
        "max_length": null(COUNT),
        "pattern": null(TEXT),
    },
)
OUTCOME = shape(
    {
        "action": null(TEXT),
        "value": JSON,
        "comment": null(TEXT),
        "completed": FLAG,
        "timed_out": FLAG,
        "cancelled_reason": null(one_of(CancelReason.values)),
        "decided_by": null(ref("Decider")),
        "decided_at": MOMENT,
        "channel": one_of(Channel.values),
        "summary": TEXT,
    }
)
VOTE = shape(
    {
        "by": ref("Decider"),
        "action": TEXT,
        "comment": null(TEXT),
        "revision": COUNT,
        "at": MOMENT,
    },
    {"value": JSON},
)
TASK = shape(
    {
        "id": ID,
        "key": null(TEXT),
        "kind": one_of(Kind.values),
        "status": one_of(TaskStatus.values),
        "title": TEXT,
        "description": TEXT,
        "agent": SLUG,
        "session": ID,
        "run": ID,
        "tool_call": null(ID),
        "incident": null(ID),
        "participant": null(TEXT),
        "actions": many(ref("Action")),
        "options": many(ref("Option")),
        "input": null(INPUT),
        "initial_work": JSON,
        "draft": JSON,
        "revision": COUNT,
        "metadata": OBJECT,
        "due_at": null(MOMENT),
        "on_timeout": ON_TIMEOUT,
        "survive_parent_close": FLAG,
        "quorum": null({"type": "integer", "minimum": 1}),
        "votes": many(ref("Vote")),
        "reviewers": null(REVIEWERS),
        "claimed_by": null(TEXT),
        "claim_expires_at": null(MOMENT),
        "api_completable": FLAG,
        "stale": null(shape({"changed": many(TEXT)})),
        "outcome": null(ref("Outcome")),
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "completed_at": null(MOMENT),
        "url": URL,
    }
)
RESULT = shape(
    {
        "task": ID,
        "key": null(TEXT),
        "status": one_of(TaskStatus.values),
        "completed": {**FLAG, "description": "Only when a person or integrator acted."},
        "timed_out": FLAG,
        "performed_action": null(TEXT),
        "value": JSON,
        "comment": null(TEXT),
        "initial_work": JSON,
        "final_work": JSON,
        "metadata": OBJECT,
        "completed_at": null(MOMENT),
        "completed_by": null(ref("Decider")),
    }
)
CALL_SHOWN = [status for status in CallStatus.values if status != CallStatus.RECEIVED]
CALL = shape(
    {
        "id": ID,
        "run": ID,
        "operation": {"type": "string", "description": "integration.operation"},
        "operation_version": COUNT,
        "arguments": OBJECT,
        "arguments_digest": DIGEST,
        "status": one_of(CALL_SHOWN),
        "task": null(ID),
        "incident": null(ID),
        "result": null(
            shape(
                {},
                {
                    "status_code": null({"type": "integer"}),
                    "headers": {"type": "object", "additionalProperties": TEXT},
                    "body": JSON,
                    "truncated": FLAG,
                },
            )
        ),
        "error": null(shape({"code": TEXT, "detail": TEXT})),
        "attempts": COUNT,
        "key": null(TEXT),
        "reason": TEXT,
        "created_at": MOMENT,
        "decided_at": null(MOMENT),
        "started_at": null(MOMENT),
        "finished_at": null(MOMENT),
        "url": URL,
    }
)
SESSION = shape(
    {
        "id": ID,
        "agent": SLUG,
        "key": null(TEXT),
        "participant": null(TEXT),
        "title": TEXT,
        "status": one_of(SessionStatus.values),
        "metadata": OBJECT,
        "created_at": MOMENT,
        "ended_at": null(MOMENT),
        "url": URL,
    }
)
RUN = shape(
    {
        "id": ID,
        "session": ID,
        "agent": SLUG,
        "parent_run": null(ID),
        "key": null(TEXT),
        "title": TEXT,
        "status": one_of(RunStatus.values),
        "metadata": OBJECT,
        "waiting_on": shape({"tasks": many(ID), "tool_calls": many(ID)}),
        "output": JSON,
        "error": JSON,
        "created_at": MOMENT,
        "ended_at": null(MOMENT),
        "url": URL,
    }
)
COMMENT = shape(
    {
        "id": ID,
        "task": ID,
        "type": one_of(CommentType.values),
        "text": TEXT,
        "by": ref("Actor"),
        "channel": one_of(Channel.values),
        "revision": COUNT,
        "at": MOMENT,
    }
)
EVENT = shape({"id": ID, "type": TEXT, "at": MOMENT, "actor": ref("Actor"), "data": OBJECT})
BULK = shape(
    {"results": many(shape({"task": JSON, "status": {"type": "integer"}, "code": null(TEXT)}))}
)
MESSAGE = shape(
    {
        "id": ID,
        "run": ID,
        "role": one_of(MessageRole.values),
        "text": TEXT,
        "scope": TEXT,
        "task": {**null(ID), "description": "The task that it hints at."},
        "created_at": MOMENT,
    }
)
LAST_TASK = shape({"task": null(ID), "pending": many(ID)})
INPUT_GIVEN = shape({"task": null(ref("Task")), "message": null(ref("Message"))})
TIMELINE_ITEM = shape(
    {"at": MOMENT, "type": one_of(("message", "tool_call", "task", "event", "run"))},
    additionalProperties=True,
    description="With the members of what it is about.",
)
STATS = shape(
    {
        "pending": COUNT,
        "completed": {**COUNT, "description": "Without those that timed out."},
        "timed_out": COUNT,
        "cancelled": COUNT,
        "total": COUNT,
        "median_seconds_to_decision": null(NUMBER),
    }
)
PROBLEM = shape(
    {
        "type": {"type": "string", "format": "uri"},
        "title": TEXT,
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": TEXT,
        "code": TEXT,
    },
    {
        "errors": many(shape({"field": TEXT, "code": TEXT, "detail": TEXT})),
        "task": {"anyOf": [ref("Task"), {"type": "null"}], "description": "As it is now."},
        "existing": ID,
        "tasks": many(ID),
        "pending": many(ID),
        "revision": COUNT,
        "draft": JSON,
    },
    description="A problem document (RFC 9457); `code` is stable, `detail` is for people.",
)
SHAPES: dict[str, Schema] = {
    "Action": ACTION,
    "Actor": ACTOR,
    "Agent": AGENT,
    "Approval": APPROVAL,
    "Bulk": BULK,
    "Call": CALL,
    "Comment": COMMENT,
    "Decider": DECIDER,
    "Delivery": DELIVERY,
    "Detection": DETECTION,
    "Event": EVENT,
    "Import": IMPORTED,
    "Incident": INCIDENT,
    "Input": INPUT_GIVEN,
    "Integration": INTEGRATION,
    "LastTask": LAST_TASK,
    "Message": MESSAGE,
    "Operation": OPERATION,
    "Option": OPTION,
    "Outcome": OUTCOME,
    "Problem": PROBLEM,
    "Replay": REPLAY,
    "Result": RESULT,
    "Rule": RULE,
    "Run": RUN,
    "Session": SESSION,
    "Stats": STATS,
    "Task": TASK,
    "TimelineItem": TIMELINE_ITEM,
    "Tools": TOOLS,
    "Vote": VOTE,
    "Webhook": WEBHOOK,
}
PARTS = frozenset(
    {"Action", "Actor", "Approval", "Decider", "Option", "Outcome", "Problem", "Task", "Vote"}
)
"""Shapes that others are made of, which no endpoint answers by itself."""
