from integrations_app.models.calls import Attempt, Clearance, OutboxEvent, ToolCall
from integrations_app.models.catalogue import Integration, Operation
from integrations_app.models.sessions import Run, Session

__all__ = [
    "Attempt",
    "Clearance",
    "Integration",
    "Operation",
    "OutboxEvent",
    "Run",
    "Session",
    "ToolCall",
]
