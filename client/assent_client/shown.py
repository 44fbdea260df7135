"""The server's objects as values (pure). Members that are new to this version stay in `raw`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Json = Mapping[str, Any]
ENDS = frozenset(
    {"succeeded", "failed", "rejected", "blocked", "timed_out", "cancelled", "unknown"}
)


def moment(text: str | None) -> datetime | None:
    """A time of the contract."""
    # Before Python 3.11 `fromisoformat` does not read the Z.
    return None if text is None else datetime.fromisoformat(text.replace("Z", "+00:00"))


@dataclass(frozen=True, slots=True)
class Action:
    """Something that a person may choose."""

    name: str
    label: str
    comment_required: bool = False
    style: str = "default"


@dataclass(frozen=True, slots=True)
class Decider:
    """Who decided: a user, an API key or the system."""

    type: str
    id: str | None
    name: str | None
    on_behalf_of: str | None = None

    @classmethod
    def read(cls, shown: Json | None) -> "Decider | None":
        if shown is None:
            return None
        names = ("type", "id", "name", "on_behalf_of")
        return cls(**{name: shown.get(name) for name in names})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """A user task as it was when it was asked for."""

    id: str
    kind: str
    status: str
    title: str
    description: str
    agent: str
    session: str
    run: str
    tool_call: str | None
    participant: str | None
    actions: tuple[Action, ...]
    options: tuple[Json, ...]
    initial_work: Any
    draft: Any
    revision: int
    metadata: Json
    due_at: datetime | None
    completed_at: datetime | None
    performed_action: str | None
    value: Any
    comment: str | None
    timed_out: bool
    cancelled_reason: str | None
    decided_by: Decider | None
    api_completable: bool
    url: str
    raw: Json = field(repr=False)

    @classmethod
    def read(cls, shown: Json) -> "TaskInfo":
        """From the contract's task."""
        outcome = shown.get("outcome") or {}
        return cls(
            id=shown["id"],
            kind=shown["kind"],
            status=shown["status"],
            title=shown["title"],
            description=shown.get("description") or "",
            agent=shown["agent"],
            session=shown["session"],
            run=shown["run"],
            tool_call=shown.get("tool_call"),
            participant=shown.get("participant"),
            actions=tuple(
                Action(
                    item["name"],
                    item.get("label") or item["name"],
                    bool(item.get("comment_required")),
                    item.get("style") or "default",
                )
                for item in shown["actions"]
            ),
            options=tuple(shown.get("options") or ()),
            initial_work=shown.get("initial_work"),
            draft=shown.get("draft"),
            revision=shown["revision"],
            metadata=shown.get("metadata") or {},
            due_at=moment(shown.get("due_at")),
            completed_at=moment(shown.get("completed_at")),
            performed_action=outcome.get("action"),
            value=outcome.get("value"),
            comment=outcome.get("comment"),
            timed_out=bool(outcome.get("timed_out")),
            cancelled_reason=outcome.get("cancelled_reason"),
            decided_by=Decider.read(outcome.get("decided_by")),
            api_completable=bool(shown.get("api_completable")),
            url=shown["url"],
            raw=shown,
        )

    @property
    def is_pending(self) -> bool:
        return self.status == "pending"

    @property
    def is_completed(self) -> bool:
        """Whether it was answered or timed out; a cancelled task was neither."""
        return self.status == "completed"

    @property
    def available_actions(self) -> list[str]:
        """The names that `perform` takes."""
        return [action.name for action in self.actions]

    def as_text(self) -> str:
        """The task in four lines, for a model to read."""
        if self.is_pending:
            status = "Pending"
        elif self.timed_out:
            status = "Timed out"
        elif self.is_completed:
            status = f"Completed ({self.performed_action})"
        else:
            status = f"Cancelled ({self.cancelled_reason})"
        draft = "None" if self.draft is None else self.draft
        return (
            f"Task: {self.title}\n"
            f"Status: {status}\n"
            f"Available Actions: {', '.join(self.available_actions)}\n"
            f"Draft: {draft}"
        )


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a task came to.

    `completed` is true only when a person or an integrator acted; on a time-out `timed_out` is
    true and `performed_action` and `comment` are None. A task that its run dropped is neither.
    """

    task: str
    key: str | None
    status: str
    completed: bool
    timed_out: bool
    performed_action: str | None
    value: Any
    comment: str | None
    initial_work: Any
    final_work: Any
    metadata: Json
    completed_at: datetime | None
    completed_by: Decider | None

    @classmethod
    def read(cls, shown: Json) -> "TaskResult":
        """From the contract's task result."""
        return cls(
            task=shown["task"],
            key=shown.get("key"),
            status=shown["status"],
            completed=shown["completed"],
            timed_out=shown["timed_out"],
            performed_action=shown.get("performed_action"),
            value=shown.get("value"),
            comment=shown.get("comment"),
            initial_work=shown.get("initial_work"),
            final_work=shown.get("final_work"),
            metadata=shown.get("metadata") or {},
            completed_at=moment(shown.get("completed_at")),
            completed_by=Decider.read(shown.get("completed_by")),
        )

    @property
    def cancelled(self) -> bool:
        """Whether the run dropped it: nobody decided anything."""
        return self.status == "cancelled"


@dataclass(frozen=True, slots=True)
class CallResult:
    """What the service answered, or what the agent reported (then without a status code)."""

    status_code: int | None
    headers: Mapping[str, str]
    body: Any
    truncated: bool = False

    @classmethod
    def read(cls, shown: Json | None) -> "CallResult | None":
        if shown is None:
            return None
        return cls(
            shown.get("status_code"),
            shown.get("headers") or {},
            shown.get("body"),
            bool(shown.get("truncated")),
        )


@dataclass(frozen=True, slots=True)
class CallInfo:
    """A tool call as it was when it was asked for."""

    id: str
    run: str
    operation: str
    arguments: Json
    status: str
    task: str | None
    result: CallResult | None
    error: Json | None
    attempts: int
    key: str | None
    reason: str
    url: str
    raw: Json = field(repr=False)

    @classmethod
    def read(cls, shown: Json) -> "CallInfo":
        """From the contract's tool call."""
        return cls(
            id=shown["id"],
            run=shown["run"],
            operation=shown["operation"],
            arguments=shown["arguments"],
            status=shown["status"],
            task=shown.get("task"),
            result=CallResult.read(shown.get("result")),
            error=shown.get("error"),
            attempts=shown.get("attempts") or 0,
            key=shown.get("key"),
            reason=shown.get("reason") or "",
            url=shown["url"],
            raw=shown,
        )

    @property
    def is_over(self) -> bool:
        """Whether it has its end; `unknown` counts as one."""
        return self.status in ENDS

    @property
    def waits_for_person(self) -> bool:
        return self.status in ("awaiting_review", "awaiting_approval")


@dataclass(frozen=True, slots=True)
class Comment:
    """Something said about a task: a comment, a question, or information."""

    id: str
    task: str
    type: str
    text: str
    revision: int
    at: datetime | None

    @classmethod
    def read(cls, shown: Json) -> "Comment":
        return cls(
            shown["id"],
            shown["task"],
            shown["type"],
            shown["text"],
            shown["revision"],
            moment(shown.get("at")),
        )


@dataclass(frozen=True, slots=True)
class Message:
    """One line of a run's conversation; `task` links it to a user task."""

    id: str
    run: str
    role: str
    text: str
    scope: str
    task: str | None
    created_at: datetime | None

    @classmethod
    def read(cls, shown: Json) -> "Message":
        return cls(
            shown["id"],
            shown["run"],
            shown["role"],
            shown["text"],
            shown.get("scope") or "",
            shown.get("task"),
            moment(shown.get("created_at")),
        )
