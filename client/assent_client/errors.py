"""What can go wrong, one class for each thing that a caller may want to do something about.

`ApiError` and below are the server's refusals, by the contract's `code`. `CallNotDone` and below
are ends of a tool call other than success. `Unreachable` and `StillWaiting` say nothing about
what was asked for: it may be asked for again.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assent_client.shown import CallInfo, CallResult, Decider


class AssentError(Exception):
    """The root of everything that this package raises."""


class Unreachable(AssentError):
    """No whole answer came, for as long as the client was willing to ask.

    Whether the last request arrived is not known; with a key it is safe to make it again.
    """


class StillWaiting(AssentError):
    """The time that the caller was willing to wait is over; what was waited for goes on.

    Args:
        path: what was waited for.
        shown: its last known state; None if the server never answered.
    """

    def __init__(self, path: str, shown: Mapping[str, Any] | None) -> None:
        status = (shown or {}).get("status", "not known")
        super().__init__(f"{path} has no end yet; its status is {status}.")
        self.path = path
        self.shown = shown


class Unreported(AssentError):
    """A gated function ran, and its result could not be reported.

    Attributes:
        call: the call; report it again with `tool_call(call.id).report(…)`.
        result: what the function returned.
    """

    def __init__(self, call: "CallInfo", result: Any) -> None:
        super().__init__(f"{call.operation} has run; the server does not know it yet.")
        self.call = call
        self.result = result


class ApiError(AssentError):
    """The server refused.

    Attributes:
        status: the HTTP status.
        code: the stable code of the contract.
        detail: one sentence for people.
        facts: the whole problem document.
        request_id: what to name when asking the operator.
    """

    def __init__(self, status: int, facts: Mapping[str, Any], request_id: str = "") -> None:
        self.status = status
        self.facts = dict(facts)
        self.code = str(facts.get("code") or f"http_{status}")
        self.detail = str(facts.get("detail") or facts.get("title") or f"Status {status}.")
        self.request_id = request_id
        super().__init__(f"{self.code}: {self.detail}")

    @property
    def temporary(self) -> bool:
        """Whether the same request may succeed a little later."""
        return self.status in (429, 500, 502, 503, 504) or self.code == "in_progress"


class NotAuthenticated(ApiError):
    """The key is missing, unknown, revoked or expired."""


class Forbidden(ApiError):
    """Visible, but not permitted."""


class InsufficientScope(Forbidden):
    """The key lacks a scope, for instance `decide`."""


class DashboardOnly(Forbidden):
    """Only a person in the back office may decide this kind of task."""


class SelfReviewForbidden(Forbidden):
    """Whoever started the session may not approve its calls."""


class WrongAgent(Forbidden):
    """The key is bound to another agent."""


class TasksNotEnabled(Forbidden):
    """An admin must first allow this agent to ask people."""


class NotEditable(Forbidden):
    """The draft may not be edited, or not by this key."""


class NotFound(ApiError):
    """Not there, or another workspace's: both read the same."""


class Conflict(ApiError):
    """The state has changed meanwhile."""

    @property
    def task(self) -> Mapping[str, Any] | None:
        """The task as it is now, where the conflict is about one."""
        found = self.facts.get("task")
        return found if isinstance(found, Mapping) else None


class AlreadyCompleted(Conflict):
    """Somebody else decided first."""


class AlreadyCancelled(Conflict):
    """The run dropped the task."""


class DeadlinePassed(Conflict):
    """The task timed out before the decision arrived."""


class StaleRevision(Conflict):
    """What is decided on has changed since it was looked at."""


class AlreadyVoted(Conflict):
    """This key has voted on the task before."""


class IdempotencyMismatch(Conflict):
    """The key was used for something else."""


class KeyExists(Conflict):
    """A task with this key exists, and `on_conflict` is `fail`."""


class RunEnded(Conflict):
    """The run has ended."""


class SessionEnded(Conflict):
    """The session has ended."""


class OperationDisabled(Conflict):
    """An admin switched the operation off."""


class AgentFrozen(Conflict):
    """An admin stopped the agent."""


class AlreadyExecuting(Conflict):
    """The call is under way and cannot be cancelled."""


class AlreadyFinished(Conflict):
    """The call has had its end."""


class NotExecuting(Conflict):
    """The call is not allowed yet, or is none that takes a result."""


class AmbiguousTask(Conflict):
    """Several tasks of the run are pending: name the one that is meant."""


class RevisionRequired(ApiError):
    """What is decided on has changed since it was created: say which revision was looked at."""


class Invalid(ApiError):
    """The body was understood and cannot be accepted; `errors` says which field and why."""

    @property
    def errors(self) -> list[dict[str, Any]]:
        """`{field, code, detail}` for each member that is wrong."""
        found = self.facts.get("errors")
        return [dict(item) for item in found] if isinstance(found, list) else []


class UnknownAction(Invalid):
    """The task does not offer this action; the text lists those it offers."""


class CommentRequired(Invalid):
    """This action needs a comment."""


class NotSupported(Invalid):
    """The server knows this member of the contract, and does not do it yet."""


class Throttled(ApiError):
    """Too many requests, for longer than the client was willing to hold back."""


class ServerError(ApiError):
    """The server failed, for longer than the client was willing to ask again."""


BY_CODE: dict[str, type[ApiError]] = {
    "not_authenticated": NotAuthenticated,
    "insufficient_scope": InsufficientScope,
    "dashboard_only": DashboardOnly,
    "self_review_forbidden": SelfReviewForbidden,
    "wrong_agent": WrongAgent,
    "tasks_not_enabled": TasksNotEnabled,
    "not_editable": NotEditable,
    "already_completed": AlreadyCompleted,
    "already_cancelled": AlreadyCancelled,
    "deadline_passed": DeadlinePassed,
    "stale_revision": StaleRevision,
    "already_voted": AlreadyVoted,
    "idempotency_mismatch": IdempotencyMismatch,
    "key_exists": KeyExists,
    "run_ended": RunEnded,
    "session_ended": SessionEnded,
    "operation_disabled": OperationDisabled,
    "agent_frozen": AgentFrozen,
    "already_executing": AlreadyExecuting,
    "already_finished": AlreadyFinished,
    "not_executing": NotExecuting,
    "ambiguous_task": AmbiguousTask,
    "revision_required": RevisionRequired,
    "unknown_action": UnknownAction,
    "comment_required": CommentRequired,
    "not_supported": NotSupported,
    "throttled": Throttled,
}
BY_STATUS: dict[int, type[ApiError]] = {
    401: NotAuthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    422: Invalid,
    428: RevisionRequired,
    429: Throttled,
}


def refusal(status: int, facts: Mapping[str, Any], request_id: str = "") -> ApiError:
    """The error for a refusal: by its code where that has a class, else by its status."""
    fallback = ServerError if status >= 500 else ApiError
    by_status = BY_STATUS.get(status, fallback)
    chosen = BY_CODE.get(str(facts.get("code")), by_status)
    # A code of another status (a 422 `not_found` on a field) must not change what it is.
    kind = chosen if issubclass(chosen, by_status) else by_status
    return kind(status, facts, request_id)


class CallNotDone(AssentError):
    """A tool call ended without success.

    Attributes:
        call: the call as the server shows it.
        code: the server's code for why, for instance `rejected` or `no_answer`.
        detail: the server's sentence for the agent.
        comment: what the person said; None where nobody said anything.
        decided_by: who decided; None where nobody did.
    """

    def __init__(
        self,
        call: "CallInfo",
        *,
        detail: str | None = None,
        comment: str | None = None,
        decided_by: "Decider | None" = None,
    ) -> None:
        error = call.error or {}
        self.call = call
        self.code = str(error.get("code") or call.status)
        self.detail = detail or str(error.get("detail") or "")
        self.comment = comment
        self.decided_by = decided_by
        said = f": {comment or self.detail}" if comment or self.detail else "."
        super().__init__(f"{call.operation} {call.status.replace('_', ' ')}{said}")


class Rejected(CallNotDone):
    """A person decided against it; it was not sent."""


class TimedOut(CallNotDone):
    """Nobody decided before the deadline; it was not sent."""


class Blocked(CallNotDone):
    """The guard stopped it; it was not sent."""


class Cancelled(CallNotDone):
    """It was dropped, with its run or by the agent; it was not sent."""


class Failed(CallNotDone):
    """It was performed and went wrong; `result` is the service's answer, where there was one."""

    @property
    def result(self) -> "CallResult | None":
        """What the service answered."""
        return self.call.result


class OutcomeUnknown(CallNotDone):
    """It was begun and nobody can say whether it happened; a person settles it.

    Never do it again on your own account: that is what the state exists to prevent.
    """
