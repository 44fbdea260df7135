"""The bodies of requests (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, TypedDict

Seconds = float | timedelta


class TaskFields(TypedDict, total=False):
    """What a task may be asked for with, beside its title.

    Durations are seconds or `timedelta`; everything else is as in the HTTP contract. Exactly one
    of `run` and `agent` says who asks, unless the task is asked for through a run.
    """

    run: str
    agent: str
    kind: str
    description: str
    key: str
    on_conflict: str
    participant: str
    actions: Sequence[str | Mapping[str, Any]]
    options: Sequence[Mapping[str, Any]]
    input: Mapping[str, Any]
    draft: Any
    metadata: Mapping[str, Any]
    timeout: Seconds
    on_timeout: str | Mapping[str, Any]
    survive_parent_close: bool
    reviewers: Mapping[str, Sequence[str]]
    quorum: int
    remind_before: Sequence[Seconds]


def seconds(duration: Seconds) -> float:
    """A duration in seconds."""
    return duration.total_seconds() if isinstance(duration, timedelta) else duration


def present(**members: Any) -> dict[str, Any]:
    """The members that were given."""
    return {name: value for name, value in members.items() if value is not None}


def task_body(title: str, asked: TaskFields, run: str | None) -> dict[str, Any]:
    """The body of `POST tasks`.

    Raises:
        TypeError: a member that does not exist, or no run and no agent.
    """
    unknown = sorted(set(asked) - set(TaskFields.__annotations__))
    if unknown:
        known = ", ".join(TaskFields.__annotations__)
        raise TypeError(f"Unknown: {', '.join(unknown)}. Known: {known}.")
    body: dict[str, Any] = {"title": title, **present(**dict(asked))}
    if run is not None:
        body.setdefault("run", run)
    if not {"run", "agent"} & body.keys():
        raise TypeError("Say which run or which agent asks: run=… or agent=….")
    if "timeout" in body:
        body["timeout_seconds"] = seconds(body.pop("timeout"))
    if "remind_before" in body:
        body["remind_before_seconds"] = [seconds(item) for item in body.pop("remind_before")]
    return body
