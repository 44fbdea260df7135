"""An example of each body; the tests check it against its shape."""

from typing import Any

from config.contract.words import RUN_ID, SESSION_ID, TASK_ID

BODIES: dict[str, Any] = {
    "AgentBody": {"name": "Support agent", "tasks_enabled": True},
    "SessionBody": {"agent": "support", "key": "ticket-4711", "participant": "ann@example.com"},
    "RunBody": {"session": SESSION_ID},
    "CompleteBody": {"output": {"refunded": 900}},
    "FailBody": {"error": "The customer has hung up."},
    "ReasonBody": {"reason": "The customer has hung up."},
    "CallBody": {
        "run": RUN_ID,
        "operation": "payments.refund",
        "arguments": {"charge": "ch_4711", "amount": 900},
        "key": "refund-4711",
        "reason": "The parcel never arrived.",
    },
    "ClientResultBody": {"output": {"deleted": 3}},
    "TaskBody": {
        "agent": "support",
        "kind": "multi_option",
        "title": "Which warehouse ships this order?",
        "options": [{"id": "ber", "label": "Berlin"}, {"id": "ham", "label": "Hamburg"}],
        "timeout_seconds": 3600,
    },
    "DecideBody": {"action": "approve", "comment": "The charge is theirs.", "revision": 1},
    "ShortcutBody": {"comment": "The charge is theirs."},
    "BulkBody": {"items": [{"task": TASK_ID, "action": "approve", "revision": 1}]},
    "DraftBody": {"draft": {"charge": "ch_4711", "amount": 90}, "revision": 1},
    "MetadataBody": {"ticket": 4711},
    "CommentBody": {"text": "I have asked the warehouse."},
    "QuestionBody": {"question": "Which parcel?"},
    "InformationBody": {"text": "The one of Tuesday."},
    "ExtendBody": {"timeout_seconds": 3600},
    "IntegrationBody": {
        "name": "Payments",
        "kind": "http",
        "base_url": "https://payments.example.com",
        "auth": {"type": "bearer", "token": "secret"},
    },
    "OperationBody": {
        "name": "Refund a charge",
        "method": "POST",
        "path": "/refunds",
        "effect": "once",
        "parameters": {
            "type": "object",
            "required": ["charge", "amount"],
            "properties": {"charge": {"type": "string"}, "amount": {"type": "number"}},
        },
        "requires_approval": True,
        "approval": {"when": "args.amount > 100"},
    },
    "ImportBody": {
        "document": {
            "openapi": "3.1.0",
            "info": {"title": "Payments", "version": "1"},
            "paths": {
                "/charges/{id}": {
                    "get": {
                        "operationId": "getCharge",
                        "parameters": [
                            {
                                "name": "id",
                                "in": "path",
                                "required": True,
                                "schema": {"type": "string"},
                            }
                        ],
                        "responses": {"200": {"description": "The charge"}},
                    }
                }
            },
        }
    },
    "MessageBody": {"role": "agent", "text": "May I refund this?", "task": TASK_ID},
    "InputBody": {"text": "Yes, all of it."},
    "ReplayBody": {"rule": "refunds-of-a-run", "from": "2026-01-01", "to": "2026-02-01"},
    "RuleBody": {
        "name": "Refunds of a run",
        "detector": "call_count",
        "parameters": {"scope": "run", "limit": 3},
        "applies_to": {"operations": ["payments.refund"]},
        "effect": "review",
        "enabled": True,
    },
    "WebhookBody": {
        "url": "https://example.com/assent",
        "events": ["task.created", "task.completed"],
        "enabled": True,
    },
}
