"""User tasks: asking a person, and a handle for what was asked."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from assent_client._async.wire import AsyncWire
from assent_client.bodies import Seconds, TaskFields, present, seconds, task_body
from assent_client.errors import Conflict, StaleRevision, StillWaiting, Unreachable
from assent_client.shown import Comment, TaskInfo, TaskResult

if TYPE_CHECKING:
    from typing_extensions import Unpack

QUESTION_SECONDS = 5.0
"""How often a wait that answers questions looks whether there is one."""

_UNSET = object()
_ASKED = "task.asked"
_ASIDES = (_ASKED, "task.informed")


class AsyncTask:
    """One user task, known by its id.

    The handle remembers the newest revision that it has seen, and decides on that one: if what is
    decided on has changed since, the decision is refused with `StaleRevision`.
    """

    def __init__(self, wire: AsyncWire, task_id: str, seen: int | None = None) -> None:
        self._wire = wire
        self.id = task_id
        self._seen = seen

    def __repr__(self) -> str:
        return f"<Task {self.id}>"

    async def info(self) -> TaskInfo:
        """Title, status, actions, draft, outcome: the task as it is now."""
        return self._note(await self._wire.get(f"tasks/{self.id}"))

    async def result(
        self,
        timeout: float | None = None,
        *,
        on_question: Callable[[str], Awaitable[str | None]] | None = None,
    ) -> TaskResult:
        """Wait for its end, through restarts of either side, any number of times.

        Args:
            timeout: seconds; None waits for ever.
            on_question: answers what the person asks back meanwhile; None leaves it open.

        Raises:
            StillWaiting: it is still pending then.
        """
        path = f"tasks/{self.id}/result"
        if on_question is None:
            return TaskResult.read(await self._wire.wait(path, _has_ended, timeout))
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = QUESTION_SECONDS if until is None else until - time.monotonic()
            try:
                shown = await self._wire.wait(
                    path, _has_ended, max(0.0, min(QUESTION_SECONDS, left))
                )
            except StillWaiting:
                if left < QUESTION_SECONDS:
                    raise
                await self._answer(on_question)
            else:
                return TaskResult.read(shown)

    async def _answer(self, on_question: Callable[[str], Awaitable[str | None]]) -> None:
        """Answer an open question, if there is one and the server can be reached."""
        try:
            question = await self.question()
            if question is not None:
                reply = await on_question(question)
                if reply:
                    await self.information(reply)
        except (Unreachable, Conflict):
            # Away for a while, or decided in between: the wait finds out.
            return

    async def perform(
        self,
        action: str | None = None,
        comment: str | None = None,
        *,
        value: Any = None,
        draft: Any = _UNSET,
        metadata: Mapping[str, Any] | None = None,
        revision: int | None = None,
        on_behalf_of: str | None = None,
    ) -> TaskInfo:
        """Decide, with a key that has the scope `decide`.

        Args:
            action: the name of an offered action; may be left out where the kind has one.
            comment: for the agent and the record.
            value: the option's id, the text or the number that is asked for.
            draft: saves this work and decides on it, in one step.
            metadata: merged into the task's.
            revision: what was looked at; the newest that this handle has seen where left out.
            on_behalf_of: the person who said so, recorded as claimed.

        Raises:
            AlreadyCompleted, AlreadyCancelled, DeadlinePassed, StaleRevision: too late.
            Invalid, Forbidden: not so, or not by this key.
        """
        body = self._decision(comment, value, draft, metadata, revision, on_behalf_of)
        return self._note(
            await self._wire.post(f"tasks/{self.id}/complete", body | present(action=action))
        )

    async def approve(self, comment: str | None = None, *, revision: int | None = None) -> TaskInfo:
        """Decide with `approve`; refused where the task does not offer it."""
        body = self._decision(comment, None, _UNSET, None, revision, None)
        return self._note(await self._wire.post(f"tasks/{self.id}/approve", body))

    async def reject(self, comment: str | None = None, *, revision: int | None = None) -> TaskInfo:
        """Decide with `reject`; refused where the task does not offer it."""
        body = self._decision(comment, None, _UNSET, None, revision, None)
        return self._note(await self._wire.post(f"tasks/{self.id}/reject", body))

    async def draft(self) -> Any:
        """The current work in progress."""
        shown = await self._wire.get(f"tasks/{self.id}/draft")
        self._seen = shown["revision"]
        return shown["draft"]

    async def update_draft(self, draft: Any, *, revision: int | None = None) -> int:
        """Save the work in progress.

        Args:
            draft: any JSON value.
            revision: what it was made from; the newest that this handle has seen where left out,
                or else the present one.

        Returns:
            The new revision.

        Raises:
            StaleRevision: somebody else saved meanwhile.
        """
        if revision is None:
            revision = self._seen
        if revision is None:
            revision = int((await self._wire.get(f"tasks/{self.id}/draft"))["revision"])
        try:
            shown = await self._wire.put(
                f"tasks/{self.id}/draft", {"draft": draft, "revision": revision}
            )
        except StaleRevision as error:
            # The answer to an earlier attempt of this very request may have been lost.
            now = error.task or {}
            if now.get("revision") != revision + 1 or now.get("draft") != draft:
                raise
            shown = now
        self._seen = int(shown["revision"])
        return self._seen

    async def initial_work(self) -> Any:
        """The draft with which the task was created."""
        return (await self.info()).initial_work

    async def actions(self) -> list[str]:
        """The names of the actions that it offers."""
        return (await self.info()).available_actions

    async def update_metadata(self, **members: Any) -> TaskInfo:
        """Merge members into the metadata while the task is pending."""
        return self._note(await self._wire.patch(f"tasks/{self.id}/metadata", members))

    async def cancel(self, reason: str = "") -> TaskInfo:
        """Withdraw it."""
        path = f"tasks/{self.id}/cancel"
        shown = await self._wire.end(path, {"reason": reason}, done="already_cancelled")
        return self._note(shown) if shown is not None else await self.info()

    async def comment(self, text: str) -> Comment:
        """Say something that decides nothing."""
        return Comment.read(await self._wire.post(f"tasks/{self.id}/comments", {"text": text}))

    async def ask(self, question: str) -> Comment:
        """Ask the agent back, as the one who decides; the task stays where it is."""
        return Comment.read(await self._wire.post(f"tasks/{self.id}/ask", {"question": question}))

    async def question(self) -> str | None:
        """What the agent was asked back and has not answered yet."""
        said = [item for item in await self.events() if item["type"] in _ASIDES]
        return str(said[-1]["data"]["text"]) if said and said[-1]["type"] == _ASKED else None

    async def information(self, text: str, *, draft: Any = None) -> Comment:
        """Answer what the agent was asked back; the revision rises by it.

        Args:
            text: the answer.
            draft: the work, changed to fit; None leaves it as it is.
        """
        body = {"text": text} | present(draft=draft)
        said = Comment.read(await self._wire.post(f"tasks/{self.id}/information", body))
        self._seen = said.revision
        return said

    async def extend(self, duration: Seconds) -> TaskInfo:
        """Give it so much more time, as the one who decides, while its deadline has not passed."""
        body = {"timeout_seconds": seconds(duration)}
        return self._note(await self._wire.post_unkeyed(f"tasks/{self.id}/extend", body))

    async def events(self) -> list[dict[str, Any]]:
        """The audit trail of the task, oldest first."""
        return [item async for item in pages(self._wire, f"tasks/{self.id}/events", {})]

    def _note(self, shown: Mapping[str, Any]) -> TaskInfo:
        info = TaskInfo.read(shown)
        self._seen = info.revision
        return info

    def _decision(
        self,
        comment: str | None,
        value: Any,
        draft: Any,
        metadata: Mapping[str, Any] | None,
        revision: int | None,
        on_behalf_of: str | None,
    ) -> dict[str, Any]:
        body = present(
            comment=comment,
            value=value,
            metadata=metadata,
            revision=self._seen if revision is None else revision,
            on_behalf_of=on_behalf_of,
        )
        return body if draft is _UNSET else body | {"draft": draft}


class AsyncTasks:
    """Asking people, for an agent or for one run."""

    def __init__(self, wire: AsyncWire, run: str | None = None) -> None:
        self._wire = wire
        self._run = run

    async def start(self, title: str, **asked: Unpack[TaskFields]) -> AsyncTask:
        """Ask a person, and go on; `TaskFields` says what can be asked for."""
        shown = await self._wire.post("tasks", task_body(title, asked, self._run))
        return AsyncTask(self._wire, shown["id"], shown["revision"])

    async def create(self, title: str, **asked: Unpack[TaskFields]) -> str:
        """Ask a person and forget about it; returns the id."""
        return (await self.start(title, **asked)).id

    async def create_and_wait(
        self,
        title: str,
        *,
        wait: float | None = None,
        on_question: Callable[[str], Awaitable[str | None]] | None = None,
        **asked: Unpack[TaskFields],
    ) -> TaskResult:
        """Ask a person and wait for the end.

        Args:
            title: what is asked.
            wait: seconds that this process waits; the task's own deadline is `timeout`.
            on_question: answers what the person asks back meanwhile; None leaves it open.
            **asked: everything else.

        Raises:
            StillWaiting: `wait` is over; the task goes on. With a `key`, asking again finds it.
        """
        task = await self.start(title, **asked)
        return await task.result(wait, on_question=on_question)

    async def result(self, task: AsyncTask | str, timeout: float | None = None) -> TaskResult:
        """Wait for the end of a task, by its handle or id."""
        handle = task if isinstance(task, AsyncTask) else AsyncTask(self._wire, task)
        return await handle.result(timeout)

    async def list(self, **filters: Any) -> AsyncIterator[TaskInfo]:
        """Every task that the filters of the contract let through, newest first."""
        asked = dict(filters) if self._run is None else {"run": self._run, **filters}
        async for shown in pages(self._wire, "tasks", asked):
            yield TaskInfo.read(shown)


async def pages(
    wire: AsyncWire, path: str, filters: Mapping[str, Any]
) -> AsyncIterator[dict[str, Any]]:
    """The objects of a list, page after page."""
    query: Mapping[str, Any] = {"limit": 100, **filters}
    while True:
        page = await wire.get(path, query)
        for shown in page["results"]:
            yield shown
        if page["next"] is None:
            return
        query = query_of(page["next"])


def query_of(address: str) -> dict[str, str]:
    """The query of an address; its host may be one that only the server knows."""
    return dict(parse_qsl(urlsplit(address).query))


def _has_ended(shown: Mapping[str, Any]) -> bool:
    return bool(shown["status"] != "pending")
