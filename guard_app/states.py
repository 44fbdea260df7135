"""What a guard rule can do, and where an incident stands, as data."""

from django.db.models import TextChoices

from accounts_app.moves import Moves


class GuardEffect(TextChoices):
    """What happens to a call that a rule hits, from the mildest to the strictest."""

    ALLOW = "allow", "Allow"
    ALERT = "alert", "Alert"
    REVIEW = "review", "Pause for review"
    BLOCK = "block", "Block"
    TERMINATE_SESSION = "terminate_session", "Terminate the session"


WHAT_HAPPENS: dict[GuardEffect, str] = {
    GuardEffect.ALLOW: "only the hit is recorded; it overrides no other rule.",
    GuardEffect.ALERT: "the call goes on, and analysts get an alert.",
    GuardEffect.REVIEW: "the call waits until an analyst lets it go on, or rejects it.",
    GuardEffect.BLOCK: "the call is not sent, and nobody is asked.",
    GuardEffect.TERMINATE_SESSION: "the call is not sent, and its session ends with all in it.",
}
"""Each effect in a sentence that goes on after its name."""

STRICTNESS = {effect: rank for rank, effect in enumerate(GuardEffect)}
MILD = frozenset({GuardEffect.ALLOW, GuardEffect.ALERT})


class Detector(TextChoices):
    """What a rule looks for; the contract's list."""

    CONDITION = "condition", "A condition is true"
    CALL_COUNT = "call_count", "Too many calls"
    REPEATED_CALL = "repeated_call", "The same call again and again"
    BUDGET = "budget", "A sum over its budget"
    RATE_BASELINE = "rate_baseline", "Faster than this agent usually is"
    VALUE_RANGE = "value_range", "A number or size out of its usual range"
    NEW_VALUE = "new_value", "A value never seen before"
    NEW_OPERATION = "new_operation", "An operation new to this agent"
    OFF_HOURS = "off_hours", "Outside of the agent's hours"
    FAILURE_BURST = "failure_burst", "A burst of failures or rejections"
    SENSITIVE_DATA = "sensitive_data", "Secrets or personal data in arguments"
    INJECTION = "injection", "Hidden instructions in arguments"
    CHAIN = "chain", "Read from a source, then sent to a sink"


class CountScope(TextChoices):
    """Among which calls a detector counts."""

    RUN = "run", "Run, with its sub-agents"
    SESSION = "session", "Session"
    PARTICIPANT = "participant", "Participant"
    AGENT = "agent", "Agent"


class IncidentStatus(TextChoices):
    OPEN = "open", "Open"
    ACKNOWLEDGED = "acknowledged", "Acknowledged"
    RESOLVED = "resolved", "Resolved"
    DISMISSED = "dismissed", "Dismissed as a false positive"


_INCIDENT_ENDS = frozenset({IncidentStatus.RESOLVED, IncidentStatus.DISMISSED})
INCIDENT_OPEN = (IncidentStatus.OPEN, IncidentStatus.ACKNOWLEDGED)
INCIDENT_MOVES: Moves = {
    IncidentStatus.OPEN: _INCIDENT_ENDS | {IncidentStatus.ACKNOWLEDGED},
    IncidentStatus.ACKNOWLEDGED: _INCIDENT_ENDS,
}


class Severity(TextChoices):
    LOW = "low", "Low"
    MEDIUM = "medium", "Medium"
    HIGH = "high", "High"
    CRITICAL = "critical", "Critical"


SEVERITY_OF: dict[GuardEffect, Severity] = {
    GuardEffect.ALLOW: Severity.LOW,
    GuardEffect.ALERT: Severity.LOW,
    GuardEffect.REVIEW: Severity.MEDIUM,
    GuardEffect.BLOCK: Severity.HIGH,
    GuardEffect.TERMINATE_SESSION: Severity.CRITICAL,
}


class ReplayStatus(TextChoices):
    RUNNING = "running", "Running"
    DONE = "done", "Done"


REPLAY_MOVES: Moves = {ReplayStatus.RUNNING: frozenset({ReplayStatus.DONE})}
