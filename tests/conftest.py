"""What every test can ask for: the database, the cast with its roles, the tests' clock."""

import copy
import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from django.db import connection
from hypothesis import HealthCheck, settings

from accounts_app import audit_triggers
from accounts_app.models import Agent, ClockOffset, User, Workspace
from accounts_app.scoping import Actor, system_actor
from accounts_app.services.agents import put_agent
from accounts_app.services.api_keys import create_api_key
from accounts_app.services.members import create_member, create_workspace, member_actor
from integrations_app.models import Integration
from tests import postgres_template, sqlite_template
from tests.api_client import Answer, Api
from tests.harness.catalogue import OPERATIONS, TOKEN
from tests.harness.figures import Figures, summarize
from tests.harness.receiver import Receiver
from tests.harness.server import Server
from tests.harness.snapshot import Snapshot

# How fast something is is measured in benchmarks; a busy machine fails no test.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The product in processes of its own, with the demo; mark its users with
    `xdist_group("server")`, so that parallel runs start it once."""
    running = Server(tmp_path_factory.mktemp("server") / "home")
    try:
        yield running.start()
    finally:
        running.stop()


OWN_STACK = {"server", "contract"}
"""Groups whose tests start an embedded installation of their own."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what need not run once more for another database, and what needs Chromium."""
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group is not None and group.args[0] in OWN_STACK:
            item.add_marker("own_stack")
        if "chrome" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Figures stand at the end, where they are found."""
    summarize(terminalreporter)


@pytest.fixture
def figures(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Figures:
    """What the test has to say in numbers."""
    return Figures(request.node, capsys)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    """On PostgreSQL the test database begins as a copy of a migrated one."""
    if connection.vendor == "postgresql":
        chosen = connection.settings_dict
        chosen["TEST"]["TEMPLATE"] = postgres_template.ensure(postgres_template.url_of(chosen))


@pytest.fixture(scope="session")
def django_db_keepdb(django_db_modify_db_settings: None) -> bool:
    """Whether a migrated database stands there already, so that only what is new is migrated."""
    return sqlite_template.put_in_place(connection.settings_dict)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: object) -> None:
    """Tests that flush tables need the audit trail's triggers lifted; one test sets them."""
    with django_db_blocker.unblock():
        sqlite_template.keep(connection.settings_dict)
        audit_triggers.remove(connection)


@dataclass
class Cast:
    """The demo's people, in a fresh workspace and its neighbour."""

    workspace: Workspace
    other: Workspace
    support: Agent
    research: Agent

    def actor(self, username: str) -> Actor:
        return member_actor(User.objects.get(username=username))

    def key(self, scopes: str = "runs,read", **options: object) -> str:
        """The text of a new key of the workspace."""
        workspace = options.pop("workspace", self.workspace)
        name = options.pop("name", f"key {scopes} {sorted(options)} {ClockOffset.__name__}")
        return create_api_key(
            system_actor(workspace.pk),
            name=f"{name}",
            scopes=scopes.split(","),
            **options,
        )[1]


PASSWORD = "correct-horse-battery"
ROLES = {
    "admin": "workspace_admin",
    "ann": "operator",
    "abe": "operator",
    "bob": "viewer",
    "gus": "guard_analyst",
    "ida": "integration_admin",
    "aud": "auditor",
}


def make_cast() -> Cast:
    """Write the cast into the database of the running test."""
    workspace = create_workspace(slug="demo", name="Demo")
    other = create_workspace(slug="other", name="Other")
    system = system_actor(workspace.pk)
    for username, role in ROLES.items():
        create_member(
            system,
            username=username,
            roles=[role],
            password=PASSWORD,
            email=f"{username}@example.com",
        )
    create_member(system_actor(other.pk), username="cora", roles=["operator"], password=PASSWORD)
    support, _ = put_agent(system, slug="support", name="Support", tasks_enabled=True)
    research, _ = put_agent(system, slug="research", name="Research", tasks_enabled=True)
    return Cast(workspace, other, support, research)


@pytest.fixture
def move_clock() -> Callable[[float], None]:
    """Move the database's clock forward by so many seconds, for all processes."""

    def move(seconds: float) -> None:
        row, _ = ClockOffset.objects.get_or_create(pk=1)
        ClockOffset.objects.filter(pk=1).update(seconds=row.seconds + seconds)

    return move


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@dataclass
class World:
    """A workspace with a payments service at the receiver, and keys for each side."""

    cast: Cast
    agent: Api
    decider: Api
    admin: Api
    receiver: Receiver

    def run(self, **members: object) -> str:
        """Open a session and a run of the support agent; the run's id."""
        opened = self.agent.post("sessions", {"agent": "support", **members}).ok(201)
        return str(self.agent.post("runs", {"session": opened["id"]}).ok(201)["id"])

    def refund(self, amount: float, run: str | None = None, **members: object) -> Answer:
        """Ask for a refund."""
        body = {
            "run": run or self.run(),
            "operation": "payments.refund",
            "arguments": {"charge": "ch_1", "amount": amount},
            **members,
        }
        return self.agent.post("tool-calls", body)

    def operation(self, slug: str = "refund", **members: object) -> Answer:
        """Bring an operation of the payments service to this state."""
        body = {**OPERATIONS[slug], **members}
        return self.admin.put(f"integrations/payments/operations/{slug}", body)

    def rule(self, slug: str = "large", **members: object) -> Answer:
        """Bring a guard rule to this state; by itself it lets large refunds be reviewed."""
        body = {
            "name": "Large refunds",
            "detector": "condition",
            "parameters": {"when": "args.amount > 5000"},
            "applies_to": {"operations": ["payments.refund"]},
            "effect": "review",
            "enabled": True,
            **members,
        }
        return self.admin.put(f"guard/rules/{slug}", body)


def write_payments(cast: Cast, url: str) -> list[str]:
    """Write the payments service and a key for each side.

    Args:
        cast: in whose workspace.
        url: where the service is.

    Returns:
        The keys of the agent, of who decides and of the admin.
    """
    tokens = [
        cast.key(f"{scope},read", name=name)
        for name, scope in (("agent", "runs"), ("decider", "decide"), ("admin", "admin"))
    ]
    admin = Api(tokens[-1])
    body = {
        "name": "Payments",
        "kind": "http",
        "base_url": url,
        "auth": {"type": "bearer", "token": TOKEN},
        "allow_private_network": True,
    }
    admin.put("integrations/payments", body).ok(201)
    for slug, operation in OPERATIONS.items():
        admin.put(f"integrations/payments/operations/{slug}", operation).ok(201)
    return tokens


def make_world(cast: Cast, receiver: Receiver) -> World:
    """Write the payments service and the keys into the database of the running test."""
    return World(cast, *map(Api, write_payments(cast, receiver.url)), receiver)


class Beginnings:
    """The cast, alone and with its payments service: written once, put back for each test."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Snapshot, Cast]] = {}
        self.tokens: list[str] = []

    def cast(self, request: pytest.FixtureRequest) -> Cast:
        """Write the rows that this test asks for; `world` gives them a receiver."""
        wants_world = {"world", "shared_world"} & set(request.fixturenames)
        kind = "world" if wants_world else "cast"
        if kind in self._kept:
            snapshot, cast = self._kept[kind]
            snapshot.put_back()
        else:
            snapshot, cast = Snapshot(), make_cast()
            if wants_world:
                self.tokens = write_payments(cast, "http://127.0.0.1:9")
            snapshot.take()
            self._kept[kind] = snapshot, cast
        return copy.deepcopy(cast)

    def world(self, cast: Cast, receiver: Receiver) -> World:
        """The world over those rows, with its payments service at this receiver."""
        Integration.objects.filter(slug="payments").update(base_url=receiver.url)
        return World(cast, *map(Api, self.tokens), receiver)


@pytest.fixture(scope="session")
def beginnings() -> Beginnings:
    return Beginnings()


@pytest.fixture
def cast(request: pytest.FixtureRequest, db: None, beginnings: Beginnings) -> Cast:
    return beginnings.cast(request)


@pytest.fixture
def shared_cast(
    request: pytest.FixtureRequest, transactional_db: None, beginnings: Beginnings
) -> Cast:
    """The cast where several connections must see it."""
    return beginnings.cast(request)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def world(cast: Cast, receiver: Receiver, beginnings: Beginnings) -> World:
    return beginnings.world(cast, receiver)


@pytest.fixture
def shared_world(shared_cast: Cast, receiver: Receiver, beginnings: Beginnings) -> World:
    return beginnings.world(shared_cast, receiver)
