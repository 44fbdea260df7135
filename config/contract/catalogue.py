"""What answers about integrations, webhooks and the guard look like."""

from config.contract.words import (
    COUNT,
    FLAG,
    ID,
    MOMENT,
    NUMBER,
    OBJECT,
    SLUG,
    TEXT,
    URL,
    many,
    null,
    one_of,
    ref,
    shape,
)
from guard_app.states import Detector, GuardEffect, IncidentStatus, Severity
from integrations_app.states import (
    PING,
    AuthType,
    DeliveryStatus,
    Effect,
    EventType,
    IntegrationKind,
    Method,
)

AGENT = shape(
    {
        "slug": SLUG,
        "name": TEXT,
        "tasks_enabled": FLAG,
        "description": TEXT,
        "enabled": FLAG,
        "frozen": {**FLAG, "description": "By the guard: nothing of it starts."},
        "approval_required_until": null(MOMENT),
        "created_at": MOMENT,
    }
)
INTEGRATION = shape(
    {
        "slug": SLUG,
        "name": TEXT,
        "kind": one_of(IntegrationKind.values),
        "base_url": null(TEXT),
        "auth": shape(
            {"type": one_of(AuthType.values)}, {"username": TEXT, "name": TEXT, "set": FLAG}
        ),
        "default_headers": {"type": "object", "additionalProperties": TEXT},
        "requires_approval": FLAG,
        "allow_private_network": FLAG,
        "enabled": FLAG,
        "created_at": MOMENT,
    }
)
OPERATION = shape(
    {
        "slug": SLUG,
        "integration": SLUG,
        "operation": {"type": "string", "description": "integration.operation"},
        "name": TEXT,
        "description": TEXT,
        "method": null(one_of(Method.values)),
        "path": null(TEXT),
        "parameters": {**OBJECT, "description": "A JSON Schema, draft 2020-12."},
        "effect": one_of(Effect.values),
        "requires_approval": {**FLAG, "description": "Whether calls ask a person first."},
        "approval": ref("Approval"),
        "sensitive": many(TEXT),
        "timeout_seconds": NUMBER,
        "enabled": FLAG,
        "version": COUNT,
        "created_at": MOMENT,
    }
)
TOOLS = shape(
    {
        "tools": many({**OBJECT, "description": "In the vendor's shape."}),
        "operations": {
            "type": "object",
            "additionalProperties": TEXT,
            "description": "Which operation each tool's name stands for.",
        },
    }
)
IMPORTED = shape(
    {
        "created": many(TEXT),
        "updated": many(TEXT),
        "skipped": many(shape({"operation": TEXT, "reason": TEXT})),
    }
)
WEBHOOK = shape(
    {
        "slug": SLUG,
        "url": URL,
        "events": many(one_of(EventType.values)),
        "allow_private_network": FLAG,
        "enabled": FLAG,
        "disabled_reason": null(TEXT),
        "former_secret_until": null(MOMENT),
        "created_at": MOMENT,
    },
    {"secret": {"type": "string", "pattern": "^whsec_", "description": "Only where it is new."}},
)
DELIVERY = shape(
    {
        "id": {**ID, "description": "The `webhook-id` of every attempt."},
        "type": one_of([*EventType.values, PING]),
        "subject": ID,
        "status": one_of(DeliveryStatus.values),
        "attempts": COUNT,
        "last_status_code": null(COUNT),
        "last_error": null(TEXT),
        "next_attempt_at": null(MOMENT),
        "delivered_at": null(MOMENT),
        "created_at": MOMENT,
    }
)
RULE = shape(
    {
        "slug": SLUG,
        "name": TEXT,
        "detector": one_of(Detector.values),
        "parameters": OBJECT,
        "applies_to": shape(
            {}, {"agents": many(SLUG), "operations": many(TEXT), "sessions": many(ID)}
        ),
        "effect": one_of(GuardEffect.values),
        "enabled": FLAG,
        "shadow": {**FLAG, "description": "Hits are recorded and hold nothing up."},
        "asynchronous": FLAG,
        "version": COUNT,
        "created_at": MOMENT,
    }
)
DETECTION = shape(
    {
        "id": ID,
        "rule": SLUG,
        "effect": one_of(GuardEffect.values),
        "shadow": FLAG,
        "decided": {**FLAG, "description": "Whether this hit is what held the call up."},
        "failed": {**FLAG, "description": "The rule could not be evaluated."},
        "tool_call": ID,
        "agent": SLUG,
        "operation": {"type": "string", "description": "integration.operation"},
        "incident": null(ID),
        "explanation": TEXT,
        "at": MOMENT,
    }
)
INCIDENT = shape(
    {
        "id": ID,
        "rule": SLUG,
        "agent": SLUG,
        "operation": {"type": "string", "description": "integration.operation"},
        "status": one_of(IncidentStatus.values),
        "severity": one_of(Severity.values),
        "count": COUNT,
        "first_seen_at": MOMENT,
        "last_seen_at": MOMENT,
        "tool_calls": many(ID),
        "tasks": many(ID),
        "previous": null(ID),
        "assignee": null(TEXT),
        "closed_at": null(MOMENT),
        "url": URL,
    }
)
WOULD = ("alert", "review", "block", "terminate_session")
REPLAY = shape(
    {
        "id": ID,
        "rule": OBJECT,
        "from": MOMENT,
        "to": MOMENT,
        "status": one_of(("running", "done")),
        "total": null(COUNT),
        "calls": COUNT,
        "hits": COUNT,
        "would": shape(dict.fromkeys(WOULD, COUNT)),
        "decided": shape(dict.fromkeys(("approved", "rejected", "none"), COUNT)),
        "missed_rejected": COUNT,
        "created_at": MOMENT,
        "finished_at": null(MOMENT),
    }
)
