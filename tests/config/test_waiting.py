"""What the waiting layer holds, wakes, strips and passes through."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from uuid import uuid4

import pytest

from config.hub import Hub
from config.waiting import REASK_SECRET, Message, Receive, Scope, Send, StillPending, WaitingLayer

pytestmark = pytest.mark.enable_socket

TOPIC = "0190a1b2-0000-7000-8000-00000000abcd"
PATH = f"/api/v1/tasks/{TOPIC}/result"


class QuietSource:
    """Wakes nobody; tests wake through the hub."""

    def mark(self) -> None:
        pass

    async def run(self, hub: Hub) -> None:
        await asyncio.Event().wait()


class View:
    """An inner application: pending until told otherwise, and a record of what reached it."""

    def __init__(self) -> None:
        self.pending = True
        self.mark, self.words = b"1", b"pending"
        self.scopes: list[Scope] = []
        self.asked = asyncio.Event()
        self.while_asking: Callable[[], Awaitable[None]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pending = self.pending
        self.scopes.append(scope)
        if self.while_asking:
            await self.while_asking()
        headers = [(b"content-type", b"application/json"), (b"x-request-id", b"r1")]
        if pending:
            headers.append((b"X-Assent-Pending", self.mark))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        body = self.words if pending else b"done"
        await send({"type": "http.response.body", "body": body[:3], "more_body": True})
        await send({"type": "http.response.body", "body": body[3:]})
        self.asked.set()

    def reasks(self) -> list[bytes]:
        return [dict(scope["headers"]).get(b"x-assent-reask", b"") for scope in self.scopes]


class Client:
    """One request and what came back."""

    def __init__(self, layer: WaitingLayer, query: str, **changes: Any) -> None:
        self.layer = layer
        self.scope: Scope = {
            "type": "http",
            "method": "GET",
            "path": PATH,
            "query_string": query.encode("latin-1"),
            "headers": [],
            **changes,
        }
        self.gone = asyncio.Event()
        self.sent: list[Message] = []
        self._begun = False

    async def receive(self) -> Message:
        if not self._begun:
            self._begun = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def run(self) -> None:
        await self.layer(self.scope, self.receive, self.send)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return list(self.sent[0]["headers"])


class Stage:
    """A layer with its view and hub."""

    def __init__(self, **options: Any) -> None:
        self.view = View()
        self.hub = Hub(QuietSource())
        self.layer = WaitingLayer(self.view, self.hub, **options)

    def client(self, query: str = "wait=5", **changes: Any) -> Client:
        return Client(self.layer, query, **changes)

    async def held(self, query: str = "wait=5", **changes: Any) -> tuple[Client, Any]:
        client = self.client(query, **changes)
        task = asyncio.create_task(client.run())
        await self.view.asked.wait()
        await asyncio.sleep(0)
        return client, task


def play(scenario: Callable[[Stage], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def main() -> None:
        stage = Stage(**options)
        try:
            async with asyncio.timeout(5):
                await scenario(stage)
        finally:
            await stage.hub.stop()
        assert len(stage.hub) == 0
        assert stage.layer.waiters == 0

    asyncio.run(main())


def test_a_settled_answer_is_given_at_once_with_its_headers() -> None:
    async def scenario(stage: Stage) -> None:
        stage.view.pending = False
        client = stage.client()
        await client.run()
        assert client.body == b"done"
        assert client.headers == [(b"content-type", b"application/json"), (b"x-request-id", b"r1")]

    play(scenario)


def test_a_pending_answer_is_held_until_woken_and_asked_again() -> None:
    async def scenario(stage: Stage) -> None:
        client, task = await stage.held()
        assert client.sent == []
        stage.view.pending = False
        stage.hub.wake(TOPIC)
        await task
        assert client.body == b"done"
        assert stage.view.reasks() == [b"", REASK_SECRET.encode()]

    play(scenario)


def test_a_wake_of_something_else_changes_nothing() -> None:
    async def scenario(stage: Stage) -> None:
        client, task = await stage.held()
        stage.hub.wake("0190a1b2-0000-7000-8000-000000000000")
        await asyncio.sleep(0.01)
        assert len(stage.view.scopes) == 1
        client.gone.set()
        await task

    play(scenario)


def test_a_wake_that_changed_nothing_keeps_holding() -> None:
    async def scenario(stage: Stage) -> None:
        client, task = await stage.held()
        stage.view.asked.clear()
        for _ in range(10):
            stage.hub.wake(TOPIC)
        await stage.view.asked.wait()
        await asyncio.sleep(0.01)
        assert len(stage.view.scopes) == 2
        assert client.sent == []
        client.gone.set()
        await task

    play(scenario)


def test_a_wake_while_the_view_answers_leads_to_a_new_question() -> None:
    async def scenario(stage: Stage) -> None:
        async def decide() -> None:
            stage.view.pending = False
            stage.hub.wake(TOPIC)
            await asyncio.sleep(0)

        stage.view.while_asking = decide
        client = stage.client()
        await client.run()
        assert client.body == b"done"
        assert len(stage.view.scopes) == 2

    play(scenario)


def test_when_the_time_is_over_the_present_state_is_the_answer() -> None:
    async def scenario(stage: Stage) -> None:
        client = stage.client("wait=0.05")
        began = asyncio.get_running_loop().time()
        await client.run()
        assert asyncio.get_running_loop().time() - began >= 0.045
        assert client.sent[0]["status"] == 200
        assert client.body == b"pending"
        assert b"x-assent-pending" not in {name.lower() for name, _ in client.headers}
        assert len(stage.view.scopes) >= 2

    play(scenario)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "wait=",
        "wait=0",
        "wait=-1",
        "wait=61",
        "wait=60.0001",
        "wait=abc",
        "wait=nan",
        "wait=inf",
        "wait=1e1",
        "wait=1&wait=2",
        "wait=%D9%A1",
        "wait=" + "9" * 400,
        "wait=\xff",
        "await=5",
    ],
)
def test_a_malformed_or_missing_wish_is_left_to_the_view(query: str) -> None:
    async def scenario(stage: Stage) -> None:
        client = stage.client(query)
        await client.run()
        assert client.body == b"pending"
        assert stage.view.scopes[0]["query_string"] == query.encode("latin-1")
        assert b"x-assent-pending" not in {name.lower() for name, _ in client.headers}

    play(scenario)


@pytest.mark.parametrize("query", ["wait=60", "wait=.5", "wait=5.25", "a=b&wait=3", "wait=3."])
def test_a_proper_wish_is_granted(query: str) -> None:
    async def scenario(stage: Stage) -> None:
        client, task = await stage.held(query)
        assert stage.layer.waiters == 1
        client.gone.set()
        await task

    play(scenario)


@pytest.mark.parametrize(
    "changes",
    [{"method": "POST"}, {"path": "/api/v1/tasks"}, {"path": f"/review/{TOPIC}"}],
)
def test_other_requests_are_not_held_but_stripped(changes: dict[str, Any]) -> None:
    async def scenario(stage: Stage) -> None:
        client = stage.client(**changes)
        await client.run()
        assert client.body == b"pending"
        assert b"x-assent-pending" not in {name.lower() for name, _ in client.headers}

    play(scenario)


def test_the_topic_is_the_last_id_of_the_path_in_any_case() -> None:
    async def scenario(stage: Stage) -> None:
        path = f"/api/v1/runs/0190a1b2-0000-7000-8000-000000000000/x/{TOPIC.upper()}"
        _, task = await stage.held(path=path)
        stage.view.pending = False
        stage.hub.wake(TOPIC)
        await task

    play(scenario)


def test_a_view_that_hangs_keeps_no_other_from_its_end() -> None:
    async def scenario(stage: Stage) -> None:
        stuck, never = stage.client("wait=0.03"), asyncio.Event()
        stage.view.while_asking = never.wait  # type: ignore[assignment]
        waits = asyncio.create_task(stuck.run())
        await asyncio.sleep(0)
        stage.view.while_asking = None
        for _ in range(3):
            other = stage.client("wait=0.05")
            await other.run()
            assert other.body == b"pending"
        assert not waits.done()
        never.set()
        await waits
        assert stuck.body == b"pending"

    play(scenario)


def test_those_who_are_woken_at_once_are_asked_for_a_few_at_a_time() -> None:
    async def scenario(stage: Stage) -> None:
        clients = [stage.client() for _ in range(10)]
        tasks = [asyncio.create_task(client.run()) for client in clients]
        while stage.view.reasks() != [b""] * 10:
            await asyncio.sleep(0)
        asked: list[int] = []
        now = 0

        async def count() -> None:
            nonlocal now
            now += 1
            asked.append(now)
            await asyncio.sleep(0)
            now -= 1

        stage.view.while_asking, stage.view.pending = count, False
        stage.hub.wake(TOPIC)
        await asyncio.gather(*tasks)
        assert len(asked) == 10
        assert max(asked) == 3
        assert {client.body for client in clients} == {b"done"}

    play(scenario, together=3)


def test_news_waits_for_none_of_those_who_merely_come() -> None:
    async def scenario(stage: Stage) -> None:
        client, task = await stage.held()
        answered = asyncio.Event()

        async def slow_for_others() -> None:
            if stage.view.scopes[-1]["path"] != PATH:
                await answered.wait()

        stage.view.while_asking = slow_for_others
        others = [stage.client(path=f"/api/v1/tasks/{uuid4()}/result") for _ in range(5)]
        coming = [asyncio.create_task(other.run()) for other in others]
        while len(stage.view.scopes) < 1 + 3:
            await asyncio.sleep(0)
        stage.view.pending = False
        stage.hub.wake(TOPIC)
        await task
        assert client.body == b"done"
        assert len(stage.view.scopes) == 1 + 3 + 1
        answered.set()
        stage.layer.release()
        await asyncio.gather(*coming)

    play(scenario, together=3)


def looking(found: list[str]) -> tuple[StillPending, list[list[str]]]:
    """Finds those pending, and a record of what was asked."""
    asked: list[list[str]] = []

    def look(topics: list[str]) -> list[str]:
        asked.append(topics)
        return found

    return StillPending(look), asked


def test_an_answer_that_stays_is_given_when_the_time_is_over_without_asking_the_view() -> None:
    still, looked = looking([TOPIC])

    async def scenario(stage: Stage) -> None:
        stage.view.mark = b"same"
        clients = [stage.client("wait=0.05") for _ in range(20)]
        await asyncio.gather(*(client.run() for client in clients))
        assert stage.view.reasks() == [b""] * 20
        for client in clients:
            assert client.body == b"pending"
            assert client.sent[0]["status"] == 200
            assert client.headers == [
                (b"content-type", b"application/json"),
                (b"x-request-id", b"r1"),
            ]
        assert 1 <= len(looked) < 5
        assert {topic for topics in looked for topic in topics} == {TOPIC}

    play(scenario, still_pending=still)


def test_the_view_is_asked_where_the_news_was_lost() -> None:
    still, looked = looking([])

    async def scenario(stage: Stage) -> None:
        stage.view.mark = b"same"
        client, task = await stage.held("wait=0.05")
        stage.view.pending = False
        await task
        assert client.body == b"done"
        assert looked == [[TOPIC]]

    play(scenario, still_pending=still)


def test_the_view_is_asked_where_nobody_can_say_what_is_pending() -> None:
    def look(topics: list[str]) -> list[str]:
        raise OSError("The database is away.")

    async def scenario(stage: Stage) -> None:
        stage.view.mark = b"same"
        client, task = await stage.held("wait=0.05")
        await task
        assert client.body == b"pending"
        assert stage.view.reasks() == [b"", REASK_SECRET.encode()]

    play(scenario, still_pending=StillPending(look))


def test_an_answer_that_may_change_is_asked_for_at_the_end() -> None:
    still, looked = looking([TOPIC])

    async def scenario(stage: Stage) -> None:
        _, task = await stage.held("wait=0.05")
        await task
        assert stage.view.reasks() == [b"", REASK_SECRET.encode()]
        assert looked == []

    play(scenario, still_pending=still)


def test_news_that_decides_nothing_is_in_the_answer_at_the_end() -> None:
    still, _ = looking([TOPIC])

    async def scenario(stage: Stage) -> None:
        stage.view.mark = b"same"
        client, task = await stage.held("wait=0.2")
        stage.view.asked.clear()
        stage.view.words = b"edited"
        stage.hub.wake(TOPIC)
        await stage.view.asked.wait()
        await task
        assert client.body == b"edited"
        assert len(stage.view.scopes) == 2

    play(scenario, still_pending=still)


def test_who_stops_asks_the_view_once_more() -> None:
    still, looked = looking([TOPIC])

    async def scenario(stage: Stage) -> None:
        stage.view.mark = b"same"
        client, task = await stage.held()
        stage.view.pending = False
        stage.layer.release()
        await task
        assert (client.body, looked) == (b"done", [])

    play(scenario, still_pending=still)


def test_who_is_cancelled_from_outside_while_woken_stays_cancelled() -> None:
    async def scenario(stage: Stage) -> None:
        client, task = await stage.held()
        stage.hub.wake(TOPIC)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert client.sent == []

    play(scenario)


def test_a_request_that_was_woken_can_be_given_a_time_limit_inside() -> None:
    """An interruption that was taken up leaves no trace in the task, or limits inside would err."""

    async def scenario(stage: Stage) -> None:
        _, task = await stage.held()
        seen = []

        async def look() -> None:
            running = asyncio.current_task()
            assert running is not None
            seen.append(running.cancelling())

        stage.view.while_asking, stage.view.pending = look, False
        stage.hub.wake(TOPIC)
        await task
        assert seen == [0]

    play(scenario)


def test_a_client_that_goes_away_ends_its_wait() -> None:
    async def scenario(stage: Stage) -> None:
        client, task = await stage.held()
        client.gone.set()
        await task
        assert client.sent == []
        assert len(stage.hub) == 0

    play(scenario)


def test_a_client_that_went_away_while_the_view_answered_gets_nothing() -> None:
    async def scenario(stage: Stage) -> None:
        client = stage.client()

        async def leave() -> None:
            client.gone.set()
            await asyncio.sleep(0.01)

        stage.view.while_asking = leave
        await client.run()
        assert client.sent == []

    play(scenario)


def test_no_client_can_pass_for_the_layer() -> None:
    async def scenario(stage: Stage) -> None:
        stage.view.pending = False
        headers = [
            (b"x-assent-reask", REASK_SECRET.encode()),
            (b"X-Assent-Reask", b"1"),
            (b"x_assent_reask", REASK_SECRET.encode()),
            (b"x-assent_reask", b"1"),
            (b"authorization", b"Bearer key"),
        ]
        for query in ("wait=5", ""):
            await stage.client(query, headers=headers).run()
        for scope in stage.view.scopes:
            assert scope["headers"] == [(b"authorization", b"Bearer key")]

    play(scenario)


def test_beyond_the_limit_the_present_state_is_given_at_once() -> None:
    async def scenario(stage: Stage) -> None:
        held, task = await stage.held()
        late = stage.client()
        await late.run()
        assert late.body == b"pending"
        held.gone.set()
        await task

    play(scenario, limit=1)


def test_when_the_server_stops_everybody_gets_the_present_state() -> None:
    async def scenario(stage: Stage) -> None:
        client, task = await stage.held("wait=60")
        stage.layer.release()
        await task
        assert client.body == b"pending"
        late = stage.client("wait=60")
        await late.run()
        assert late.body == b"pending"

    play(scenario)


def test_a_view_that_fails_leaves_no_waiter_behind() -> None:
    async def scenario(stage: Stage) -> None:
        async def fail() -> None:
            raise RuntimeError("broken view")

        stage.view.while_asking = fail
        with pytest.raises(RuntimeError, match="broken view"):
            await stage.client().run()

    play(scenario)
