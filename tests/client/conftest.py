"""One world in two makes: every test that asks for `world` runs on the fake and on the server."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import httpx2
import pytest

from assent_client import Assent, AsyncAssent, TaskInfo
from assent_client.testing import Answer, FakeAssent, NoAnswer
from tests.answers import Answer as Read
from tests.harness.receiver import Receiver
from tests.harness.server import Server

try:
    from tests import contract_check
except ImportError:  # on the oldest Python the product is not there
    contract_check = None


class World(Protocol):
    """What the suite needs of a server, be it real or not."""

    def assent(self, scopes: str = "runs,read", agent: str | None = None) -> Assent:
        """A client with a key of these scopes."""

    def async_assent(self, scopes: str = "runs,read") -> AsyncAssent:
        """The same for asyncio."""

    def as_person(self, task: str, action: str, *, by: str = "ann", **more: Any) -> None:
        """Decide as somebody in the back office."""

    def let_pass(self, duration: timedelta) -> None:
        """Let time pass, and do what is due then."""

    def refunds(self) -> list[Mapping[str, Any]]:
        """The refunds that the payments service has really made."""

    @property
    def decider(self) -> Assent:
        """A client that may decide."""


class Checked(httpx2.BaseTransport):
    """Holds every request and answer against the OpenAPI document, the fake's as the server's."""

    def __init__(self, inner: httpx2.BaseTransport) -> None:
        self.inner = inner

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        body = request.read()
        response = self.inner.handle_request(request)
        response.read()
        contract_check.check(request.method, request.url.raw_path.decode(), body, Read(response))
        return response

    def close(self) -> None:
        self.inner.close()


class AsyncChecked(httpx2.AsyncBaseTransport):
    """The same for asyncio."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self.inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        response = await self.inner.handle_async_request(request)
        await response.aread()
        contract_check.check(request.method, request.url.raw_path.decode(), body, Read(response))
        return response

    async def aclose(self) -> None:
        await self.inner.aclose()


Client = TypeVar("Client", Assent, AsyncAssent)


def checked(client: Client) -> Client:
    """The client, held to the document; where the product is not installed, as it is."""
    if contract_check is not None:
        http = client._wire._http
        wrap = AsyncChecked if isinstance(client, AsyncAssent) else Checked
        http._transport = wrap(http._transport)
    return client


class FakeWorld:
    """The fake, with the demo's payments service and operations of the agent's own."""

    def __init__(self) -> None:
        self.fake = FakeAssent("support", "research")
        self.made: list[Mapping[str, Any]] = []
        self.lost: list[Mapping[str, Any]] = []
        self.fake.operation(
            "payments.refund",
            self._refund,
            needs_approval=lambda a: a["amount"] > 100,
            parameters=REFUND,
        )
        self.fake.operation("payments.short", self._refund, timeout=60)
        self.fake.operation("payments.refund_or_hold", self._refund, actions=PAY_ACTIONS)
        for name, effect in LOCAL.items():
            self.fake.operation(f"local.{name}", effect=effect, allow_edit=True)
        self.fake.operation("local.free", effect="once", needs_approval=False)
        nowhere = Answer(404, {"error": "There is no such thing."})
        self.fake.operation("payments.nowhere", lambda _: nowhere, needs_approval=False)
        self.fake.operation("flaky.lost", self._lose, needs_approval=False)
        self.fake.operation("payments.forbidden", self._refund)
        self.fake.block("payments.forbidden", "Never this.")

    def _refund(self, arguments: Mapping[str, Any]) -> Any:
        self.made.append(arguments)
        return {"id": f"re_{len(self.made)}", **arguments}

    def _lose(self, arguments: Mapping[str, Any]) -> Any:
        self.lost.append(arguments)
        raise NoAnswer("The connection was closed.")

    def assent(self, scopes: str = "runs,read", agent: str | None = None) -> Assent:
        return checked(self.fake.client(scopes, agent=agent))

    def async_assent(self, scopes: str = "runs,read") -> AsyncAssent:
        return checked(self.fake.async_client(scopes))

    def as_person(self, task: str, action: str, *, by: str = "ann", **more: Any) -> None:
        self.fake.perform(action, task, by=by, **more)

    def let_pass(self, duration: timedelta) -> None:
        self.fake.let_pass(duration)

    def refunds(self) -> list[Mapping[str, Any]]:
        return self.made

    @property
    def decider(self) -> Assent:
        return checked(self.fake.client("decide,read"))


class ServerWorld:
    """The product in its processes, with the same operations."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._clients: list[Assent] = []

    def assent(self, scopes: str = "runs,read", agent: str | None = None) -> Assent:
        more = ["--agent", agent] if agent else []
        self._clients.append(checked(Assent(self.server.url, self.server.key(scopes, *more))))
        return self._clients[-1]

    def async_assent(self, scopes: str = "runs,read") -> AsyncAssent:
        return checked(AsyncAssent(self.server.url, self.server.key(scopes)))

    def as_person(self, task: str, action: str, *, by: str = "ann", **more: Any) -> None:
        self.server.decide_as(by, task, action, **more)

    def let_pass(self, duration: timedelta) -> None:
        self.server.move_clock(duration.total_seconds())

    def refunds(self) -> list[Mapping[str, Any]]:
        return self.server.refunds()

    @property
    def decider(self) -> Assent:
        return self.assent("decide,read")

    def close(self) -> None:
        for client in self._clients:
            client.close()


REFUND = {
    "type": "object",
    "required": ["charge", "amount"],
    "additionalProperties": False,
    "properties": {"charge": {"type": "string"}, "amount": {"type": "number"}},
}
LOCAL = {"wipe": "once", "note": "idempotent"}
PAY_ACTIONS = [{"name": "pay", "effect": "proceed"}, {"name": "hold", "comment_required": True}]
PAYMENT = {
    "name": "Refund",
    "method": "POST",
    "path": "/refunds",
    "effect": "once",
    "requires_approval": True,
}


@pytest.fixture(scope="session")
def furnished(server: Server) -> Iterator[Server]:
    """The server with the operations of the suite, and a service that drops its callers."""
    with Receiver() as receiver:
        furnish(server, receiver.url)
        yield server


def furnish(server: Server, flaky_url: str) -> None:
    """Put the operations of the suite."""
    put = "integrations/payments/operations"
    server.ask(
        "admin,read", "PUT", f"{put}/short", {**PAYMENT, "approval": {"timeout_seconds": 60}}
    )
    choice = {**PAYMENT, "approval": {"actions": PAY_ACTIONS}}
    server.ask("admin,read", "PUT", f"{put}/refund_or_hold", choice)
    body: dict[str, Any] = {"name": "Local", "kind": "client", "requires_approval": True}
    server.ask("admin,read", "PUT", "integrations/local", body)
    for name, effect in LOCAL.items():
        body = {"name": name, "effect": effect, "approval": {"allow_edit": True}}
        server.ask("admin,read", "PUT", f"integrations/local/operations/{name}", body)
    body = {"name": "free", "effect": "once", "requires_approval": False}
    server.ask("admin,read", "PUT", "integrations/local/operations/free", body)
    at_once = {**PAYMENT, "requires_approval": False}
    server.ask("admin,read", "PUT", f"{put}/nowhere", {**at_once, "path": "/nowhere"})
    body = {"name": "Flaky", "kind": "http", "base_url": flaky_url, "allow_private_network": True}
    server.ask("admin,read", "PUT", "integrations/flaky", body)
    server.ask("admin,read", "PUT", f"{put}/forbidden", PAYMENT)
    put_rule(server, "payments.forbidden", "block")
    body = {"name": "reviewed", "effect": "once", "requires_approval": True}
    server.ask("admin,read", "PUT", "integrations/local/operations/reviewed", body)
    put_rule(server, "local.reviewed", "review")
    lost = {**at_once, "path": "/drop-after-effect/lost"}
    server.ask("admin,read", "PUT", "integrations/flaky/operations/lost", lost)


def put_rule(server: Server, operation: str, effect: str) -> None:
    """A guard rule that hits every call of an operation."""
    rule = {
        "name": f"{effect} {operation}",
        "detector": "condition",
        "parameters": {"when": "true"},
        "applies_to": {"operations": [operation]},
        "effect": effect,
        "enabled": True,
    }
    slug = operation.replace(".", "-")
    server.ask("admin,read", "PUT", f"guard/rules/{effect}-{slug}", rule)


@pytest.fixture(
    params=[
        "fake",
        pytest.param(
            "server", marks=[pytest.mark.enable_socket, pytest.mark.xdist_group("server")]
        ),
    ]
)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "fake":
        yield FakeWorld()
        return
    made = ServerWorld(request.getfixturevalue("furnished"))
    yield made
    made.close()


@pytest.fixture
def job() -> str:
    """A key that no other test uses; the server keeps what earlier ones did."""
    return f"job {uuid.uuid4()}"


@pytest.fixture
def meanwhile() -> Iterator[Callable[..., None]]:
    """Act a moment later, in another thread, while the test waits."""
    timers: list[threading.Timer] = []

    def act(what: Callable[[], object], after: float = 0.3) -> None:
        timers.append(threading.Timer(after, what))
        timers[-1].start()

    yield act
    for timer in timers:
        timer.join()


PATIENCE = 120.0
"""Seconds that something may take that another thread or process does meanwhile."""


def until(holds: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """What `holds` gives, once that is true; asked again and again."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.05)
    return found


def only_pending(assent: Assent, **filters: Any) -> TaskInfo:
    """The one pending task that the filters let through, as soon as it is there."""
    (found,) = until(lambda: list(assent.tasks.list(status="pending", **filters)))
    return found
