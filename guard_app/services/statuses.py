"""Which calls count for what (the contract: blocked ones as attempts, amounts where they ran)."""

from integrations_app.states import CALL_FOR_NOTHING, CallStatus

_NOT_RUN = (
    CallStatus.RECEIVED,
    CallStatus.BLOCKED,
    CallStatus.REJECTED,
    CallStatus.TIMED_OUT,
    CallStatus.CANCELLED,
)
_WAITS = (CallStatus.AWAITING_REVIEW, CallStatus.AWAITING_APPROVAL)
LET_THROUGH = tuple(status for status in CallStatus if status not in (*_NOT_RUN, *_WAITS))
"""Sent, or about to be."""

RAN_OR_WAITS = tuple(
    status for status in CallStatus if status not in (CallStatus.RECEIVED, *CALL_FOR_NOTHING)
)
"""Whose amounts are spent, or may still be."""
