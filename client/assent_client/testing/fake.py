"""The fake as tests hold it: clients, operations, and the hands of the people."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from assent_client._async.client import AsyncAssent
from assent_client._sync.client import Assent
from assent_client.bodies import Seconds, seconds
from assent_client.shown import TaskInfo
from assent_client.testing.answers import parse_actions
from assent_client.testing.closing import time_out_due
from assent_client.testing.operations import Operation
from assent_client.testing.schemas import check_schema
from assent_client.testing.store import Caller, Row, Store, is_pending, shown
from assent_client.testing.tasks import decide_task
from assent_client.testing.transport import AsyncFakeTransport, FakeServer, FakeTransport
from assent_client.testing.voting import deciders, voters

URL = "http://assent.test"


class FakeAssent:
    """An Assent in memory.

    Its clients are the real ones; only the way to the server is replaced. People act when a test
    tells them to: at once, or, with `on_task`, as soon as the code under test waits for them.

    Args:
        agents: the slugs of the agents; all may ask people.
    """

    def __init__(self, *agents: str) -> None:
        self._store = Store(agents=dict.fromkeys(agents or ("support",), True))
        for name in ("ann", "abe"):
            self.person(name)
        self._keys: dict[str, Caller] = {}
        self._server = FakeServer(self._store, self._keys, self._act)
        self._hands: list[Callable[[TaskInfo], object]] = []
        self._handed: set[str] = set()

    def key(self, scopes: str = "runs,read", *, agent: str | None = None) -> str:
        """An API key with these scopes."""
        text = f"fake {scopes} {agent or ''}".strip()
        self._keys[text] = Caller(text, frozenset(scopes.split(",")), agent)
        return text

    def client(self, scopes: str = "runs,read", *, agent: str | None = None) -> Assent:
        """A client that blocks."""
        transport = FakeTransport(self._server)
        return Assent(URL, self.key(scopes, agent=agent), transport=transport)

    def async_client(self, scopes: str = "runs,read", *, agent: str | None = None) -> AsyncAssent:
        """A client for asyncio."""
        transport = AsyncFakeTransport(self._server)
        return AsyncAssent(URL, self.key(scopes, agent=agent), transport=transport)

    def person(self, name: str, *groups: str) -> None:
        """Add somebody who may decide, beside `ann` and `abe`, or put them into groups."""
        self._store.people[name] = frozenset(groups)

    def operation(
        self,
        name: str,
        perform: Callable[[Mapping[str, Any]], Any] | None = None,
        *,
        needs_approval: bool | Callable[[Mapping[str, Any]], bool] = True,
        effect: str = "once",
        actions: Sequence[str | Mapping[str, Any]] = (),
        timeout: Seconds | None = None,
        allow_edit: bool = False,
        parameters: Mapping[str, Any] | None = None,
        quorum: int | None = None,
        reviewers: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Say what agents may call.

        Args:
            name: `integration.operation`.
            perform: the service: gets the arguments and returns the body of its answer, an
                `Answer` with another status, or raises `NoAnswer`. Left out, the agent runs the
                operation itself, as with `@requires_approval`.
            needs_approval: whether a person is asked; may look at the arguments.
            effect: read, idempotent or once.
            actions: what the person may choose from; approve and reject where left out.
            timeout: the deadline of the decision.
            allow_edit: whether the person may edit the arguments.
            parameters: the JSON Schema of the arguments; anything fits where it is left out.
            quorum: how many people must agree.
            reviewers: the names of those who may decide: `users`, `groups`.

        Raises:
            ValueError: the schema has a keyword that the fake does not check.
        """
        check_schema(parameters or {})
        asks = needs_approval if callable(needs_approval) else lambda _: bool(needs_approval)
        self._store.operations[name] = Operation(
            name,
            perform,
            asks,
            effect,
            parse_actions(list(actions), for_call=True),
            None if timeout is None else seconds(timeout),
            allow_edit,
            parameters or {},
            quorum,
            reviewers,
            self._store.stamp(),
        )

    def block(self, operation: str, reason: str) -> None:
        """From now on the guard blocks calls of this operation."""
        self._store.blocks[operation] = reason

    def forbid_tasks(self, agent: str) -> None:
        """Switch off that this agent may ask people."""
        self._store.agents[agent] = False

    @property
    def pending(self) -> list[TaskInfo]:
        """What waits for people, oldest first."""
        with self._server.lock:
            rows = [row for row in self._store.tasks.values() if is_pending(row)]
            return [TaskInfo.read(shown(row)) for row in rows]

    def on_task(self, hand: Callable[[TaskInfo], object]) -> None:
        """Let a hand look at each task once, as soon as somebody waits for it.

        So a test needs neither threads nor sleeping:
        `fake.on_task(lambda task: fake.approve(task.id, "fine"))`.
        """
        self._hands.append(hand)

    def approve(self, task: str | None = None, comment: str | None = None, **more: Any) -> TaskInfo:
        """Decide with `approve`, as a person; the only pending task where none is named."""
        return self.perform("approve", task, comment=comment, **more)

    def reject(self, task: str | None = None, comment: str | None = None, **more: Any) -> TaskInfo:
        """Decide with `reject`, as a person; the only pending task where none is named."""
        return self.perform("reject", task, comment=comment, **more)

    def answer(self, value: Any, task: str | None = None, **more: Any) -> TaskInfo:
        """Answer a question: a text, a number, the id of an option, or an escalation."""
        with self._server.lock:
            found = self._pending(task)
            escalation = found["kind"] == "aitl_escalation"
            action = "answer" if escalation else found["actions"][0]["name"]
            return self.perform(action, found["id"], value=value, **more)

    def perform(
        self, action: str, task: str | None = None, *, by: str | None = None, **more: Any
    ) -> TaskInfo:
        """Decide with any action, as a person in the back office.

        Args:
            action: its name.
            task: its id; the only pending one where left out.
            by: who; where left out, the first who may decide and has not voted.
            **more: `comment`, `value`, `metadata`, `draft`, as in the HTTP contract.

        Raises:
            LookupError: no task is pending, several are, or it is not for this person.
        """
        with self._server.lock:
            row = self._pending(task)
            body = {name: value for name, value in more.items() if value is not None}
            body = {"action": action, "revision": row["revision"], **body}
            name = self._person_for(row, by)
            person = {"type": "user", "id": name, "name": name}
            done = decide_task(self._store, row, body, by=person)
            if done["outcome"] is not None:
                done["outcome"]["channel"] = "backoffice"
            return TaskInfo.read(shown(done))

    def let_pass(self, duration: Seconds) -> None:
        """Let time pass: everything that is due by then happens, oldest first."""
        with self._server.lock:
            self._store.moved += timedelta(seconds=seconds(duration))
            time_out_due(self._store)

    def _pending(self, task: str | None) -> Row:
        if task is not None:
            return self._store.tasks[task]
        rows = [row for row in self._store.tasks.values() if is_pending(row)]
        if len(rows) != 1:
            raise LookupError(f"{len(rows)} tasks are pending; say which one is meant.")
        return rows[0]

    def _person_for(self, row: Row, by: str | None) -> str:
        able = deciders(self._store, row["reviewers"])
        if by is not None:
            if by not in able:
                raise LookupError(f"The task is for {', '.join(able)}, not for {by}.")
            return by
        left = [name for name in able if name not in voters(row)]
        return (left or able)[0]

    def _act(self) -> None:
        for task in self.pending:
            for hand in self._hands:
                if task.id not in self._handed:
                    hand(task)
            if self._hands:
                self._handed.add(task.id)
