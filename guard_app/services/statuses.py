"""Which calls count for what (the contract: blocked ones as attempts, amounts where they ran)."""

from integrations_app.states import CALL_FOR_NOTHING, CALL_WAITS_FOR_PERSON, CallStatus

_NOT_SENT = {CallStatus.RECEIVED, *CALL_WAITS_FOR_PERSON, *CALL_FOR_NOTHING} - {CallStatus.FAILED}
LET_THROUGH = tuple(status for status in CallStatus if status not in _NOT_SENT)
"""Sent, or about to be."""

RAN_OR_WAITS = tuple(
    status for status in CallStatus if status not in (CallStatus.RECEIVED, *CALL_FOR_NOTHING)
)
"""Whose amounts are spent, or may still be."""
