"""Assent's Python client: ask people before an AI agent acts.

`Assent` blocks, `AsyncAssent` is for asyncio; both do the same. Start at `open_session`.
"""

from assent_client._async.calls import AsyncToolCall
from assent_client._async.catalogue import AsyncCallTools
from assent_client._async.client import AsyncAssent
from assent_client._async.gate import AsyncGated
from assent_client._async.sessions import AsyncRun, AsyncSession
from assent_client._async.tasks import AsyncTask, AsyncTasks
from assent_client._async.tools import AsyncTaskTools
from assent_client._async.wire import VERSION
from assent_client._sync.calls import ToolCall
from assent_client._sync.catalogue import CallTools
from assent_client._sync.client import Assent
from assent_client._sync.gate import Gated
from assent_client._sync.sessions import Run, Session
from assent_client._sync.tasks import Task, Tasks
from assent_client._sync.tools import TaskTools
from assent_client.bodies import TaskFields
from assent_client.errors import (
    AlreadyCancelled,
    AlreadyCompleted,
    ApiError,
    AssentError,
    Blocked,
    CallNotDone,
    Cancelled,
    CommentRequired,
    Conflict,
    DashboardOnly,
    DeadlinePassed,
    Failed,
    Forbidden,
    IdempotencyMismatch,
    InsufficientScope,
    Invalid,
    NotAuthenticated,
    NotFound,
    OutcomeUnknown,
    Rejected,
    RevisionRequired,
    RunEnded,
    SelfReviewForbidden,
    SessionEnded,
    StaleRevision,
    StillWaiting,
    TasksNotEnabled,
    TimedOut,
    UnknownAction,
    Unreachable,
    Unreported,
)
from assent_client.proposals import Proposal
from assent_client.shown import (
    Action,
    CallInfo,
    CallResult,
    Comment,
    Decider,
    Message,
    TaskInfo,
    TaskResult,
)

__version__ = VERSION
__all__ = [
    "Action",
    "AlreadyCancelled",
    "AlreadyCompleted",
    "ApiError",
    "Assent",
    "AssentError",
    "AsyncAssent",
    "AsyncCallTools",
    "AsyncGated",
    "AsyncRun",
    "AsyncSession",
    "AsyncTask",
    "AsyncTaskTools",
    "AsyncTasks",
    "AsyncToolCall",
    "Blocked",
    "CallInfo",
    "CallNotDone",
    "CallResult",
    "CallTools",
    "Cancelled",
    "Comment",
    "CommentRequired",
    "Conflict",
    "DashboardOnly",
    "DeadlinePassed",
    "Decider",
    "Failed",
    "Forbidden",
    "Gated",
    "IdempotencyMismatch",
    "InsufficientScope",
    "Invalid",
    "Message",
    "NotAuthenticated",
    "NotFound",
    "OutcomeUnknown",
    "Proposal",
    "Rejected",
    "RevisionRequired",
    "Run",
    "RunEnded",
    "SelfReviewForbidden",
    "Session",
    "SessionEnded",
    "StaleRevision",
    "StillWaiting",
    "Task",
    "TaskFields",
    "TaskInfo",
    "TaskResult",
    "TaskTools",
    "Tasks",
    "TasksNotEnabled",
    "TimedOut",
    "ToolCall",
    "UnknownAction",
    "Unreachable",
    "Unreported",
]
