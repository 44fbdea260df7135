from integrations_app.models.calls import Attempt, Clearance, OutboxEvent, ToolCall
from integrations_app.models.catalogue import Integration, Operation
from integrations_app.models.sessions import Run, Session
from integrations_app.models.webhooks import Delivery, Webhook

__all__ = [
    "Attempt",
    "Clearance",
    "Delivery",
    "Integration",
    "Operation",
    "OutboxEvent",
    "Run",
    "Session",
    "ToolCall",
    "Webhook",
]
