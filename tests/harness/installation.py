"""An installation whose processes are handled one by one, on either database and broker.

Web, worker, sweeper and scheduler are the supervisor's own commands; here they are started, killed
and made to fail separately, and a real service outside records what reached it.
"""

import ctypes
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psycopg

from config.supervisor import PR_SET_PDEATHSIG, Child, commands
from tests import postgres_template
from tests.answers import Answer
from tests.harness.catalogue import OPERATIONS, TOKEN
from tests.harness.receiver import Receiver
from tests.harness.server import PROJECT, START_SECONDS, Server

PATIENCE = 120.0
"""Seconds that something may take that other processes do, on a machine that has more to do."""

ENDED = {"succeeded", "failed", "rejected", "blocked", "timed_out", "cancelled", "unknown"}
PREPARE = """
import os
from pathlib import Path
from config.home import ensure_home
home = Path(os.environ["ASSENT_HOME"])
ensure_home(home)
if not os.environ.get("DATABASE_URL"):
    from tests.sqlite_template import furnish
    furnish(home)
from config.supervisor import prepare
prepare(demo=True)
"""


class LiveApi:
    """The tests' client, over the wire.

    Args:
        url: of the web process.
        token: the key; empty sends none.
    """

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.http = httpx2.Client(timeout=70, trust_env=False)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        sent = {**self.headers, **{name.replace("_", "-"): v for name, v in headers.items()}}
        sent.setdefault("Content-Type", "application/json")
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body)
        target = path if path.startswith("/") else f"/api/v1/{path}"
        return Answer(self.http.request(method, self.url + target, content=data, headers=sent))

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.ask("POST", path, body, **headers)

    def put(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.ask("PUT", path, body, **headers)


class Installation(Server):
    """The product on one machine, process by process.

    Args:
        home: ASSENT_HOME.
        database_url: of an empty database; empty is the embedded one.
        broker_url: empty is the embedded one.
        **environment: further variables for all processes.
    """

    def __init__(
        self, home: Path, *, database_url: str = "", broker_url: str = "", **environment: str
    ) -> None:
        chosen = {"DATABASE_URL": database_url, "BROKER_URL": broker_url}
        super().__init__(home, **{k: v for k, v in chosen.items() if v}, **environment)
        self.database_url = database_url
        self.children: dict[str, Child] = {}
        self.pool = ThreadPoolExecutor(64)

    def prepare(self) -> "Installation":
        """Migrate and seed, as the first start does."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        subprocess.run(
            [sys.executable, "-c", PREPARE], cwd=PROJECT, env=self.environment, check=True
        )
        return self

    def start(self, *names: str, faults: str = "", skew: float = 0) -> "Installation":
        """Start processes: web, worker, sweeper, scheduler; all of them when none is named.

        Args:
            names: which.
            faults: `point=action` pairs for them.
            skew: seconds by which their clock is wrong.
        """
        environment = {**self.environment, "ASSENT_FAULTS": faults}
        environment["ASSENT_TEST_SKEW"] = str(skew)
        for child in commands("127.0.0.1", self.port, demo=False):
            if not names or child.name in names:
                self._launch(child, child.name, environment)
        if not names or "web" in names:
            self._until_it_answers()
        return self

    def start_several(self, name: str, number: int) -> list[str]:
        """Start a process so many times, as nobody should; by these names each is killed."""
        environment = {**self.environment, "ASSENT_FAULTS": "", "ASSENT_TEST_SKEW": "0"}
        several = [f"{name} {position}" for position in range(1, number + 1)]
        for each in several:
            (child,) = [c for c in commands("127.0.0.1", self.port, demo=False) if c.name == name]
            self._launch(child, each, environment)
        return several

    def _launch(self, child: Child, name: str, environment: dict[str, str]) -> None:
        with (self.home / "server.log").open("ab") as log:
            child.process = subprocess.Popen(
                child.command,
                cwd=PROJECT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        self.children[name] = child

    def kill(self, *names: str) -> None:
        """SIGKILL, these or all."""
        self.signal(signal.SIGKILL, *names)

    def stop(self) -> None:
        """SIGTERM to all; what does not end in time is killed."""
        for child in self.children.values():
            child.signal(signal.SIGTERM)
        until = time.monotonic() + 8
        for child in self.children.values():
            if child.process is not None:
                try:
                    child.process.wait(max(0.1, until - time.monotonic()))
                except subprocess.TimeoutExpired:
                    child.signal(signal.SIGKILL)
                    child.process.wait()
        self.children.clear()
        self.pool.shutdown(wait=False, cancel_futures=True)

    def signal(self, number: int, *names: str) -> None:
        """Send a signal to processes and wait until they have ended."""
        for name in names or tuple(self.children):
            child = self.children.pop(name)
            child.signal(number)
            if child.process is not None:
                child.process.wait(timeout=60)

    def has_died(self, name: str, within: float = PATIENCE) -> int:
        """Wait until a process has ended by itself; returns its status."""
        process = self.children.pop(name).process
        assert process is not None
        return process.wait(timeout=within)

    def api(self, scopes: str, *more: str) -> LiveApi:
        return LiveApi(self.url, self.key(scopes, *more))

    def probe(self, receiver: Receiver) -> None:
        """Let the payments service be the receiver."""
        admin = self.api("admin,read")
        integration = {
            "name": "Payments",
            "kind": "http",
            "base_url": receiver.url,
            "auth": {"type": "bearer", "token": TOKEN},
            "allow_private_network": True,
        }
        admin.put("integrations/payments", integration).ok()
        for slug, operation in OPERATIONS.items():
            admin.put(f"integrations/payments/operations/{slug}", operation).ok()

    def refund(self, agent: LiveApi, amount: float, **members: Any) -> Answer:
        """Ask for a refund in a run of its own, or in the `run` given."""
        run = members.pop("run", None) or open_run(agent)
        body = {
            "run": run,
            "operation": "payments.refund",
            "arguments": {"charge": "ch_1", "amount": amount},
            **members,
        }
        return agent.post("tool-calls", body)

    def waiting(self, agent: LiveApi, path: str, seconds: float = 30) -> "Future[Answer]":
        """An agent that waits, on a connection of its own; the answer carries `arrived_at`."""

        def wait() -> Answer:
            client = LiveApi(self.url)
            client.headers = agent.headers
            answer = client.get(f"{path}?wait={seconds}")
            answer.arrived_at = time.monotonic()  # type: ignore[attr-defined]
            return answer

        return self.pool.submit(wait)

    def settled(self, api: LiveApi, call: str, within: float = PATIENCE) -> Answer:
        """The call once it has ended."""
        until = time.monotonic() + within
        while True:
            answer = api.get(f"tool-calls/{call}?wait=5").ok()
            if answer["status"] in ENDED or time.monotonic() > until:
                return answer

    def move_clock(self, seconds: float) -> None:
        """Move the database's clock forward for all processes; they do what is due by then."""
        self.execute(
            "INSERT INTO accounts_app_clockoffset (id, seconds) VALUES (1, :seconds)"
            " ON CONFLICT (id) DO UPDATE SET seconds = accounts_app_clockoffset.seconds"
            " + excluded.seconds",
            seconds=seconds,
        )

    def execute(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Run one statement on the database, past the product; returns the rows, if any."""
        if self.database_url:
            with psycopg.connect(self.database_url) as database:
                for name in values:
                    statement = statement.replace(f":{name}", f"%({name})s")
                cursor = database.execute(statement, values)  # type: ignore[arg-type]
                return cursor.fetchall() if cursor.description else []
        with sqlite3.connect(self.home / "assent.sqlite3", timeout=20) as embedded:
            return embedded.execute(statement, values).fetchall()

    def _until_it_answers(self) -> None:
        process = self.children["web"].process
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and process is not None and process.poll() is None:
            try:
                if httpx2.get(f"{self.url}/healthz", timeout=5, trust_env=False).is_success:
                    return
            except httpx2.TransportError:
                time.sleep(0.05)
        raise RuntimeError(f"The web process did not start:\n{self.log[-3000:]}")


def _die_with_parent() -> None:
    """A test run that is killed leaves no installation behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def open_run(agent: LiveApi) -> str:
    session = agent.post("sessions", {"agent": "support"}).ok(201)
    return str(agent.post("runs", {"session": session["id"]}).ok(201)["id"])


def until(what: Callable[[], bool], within: float = PATIENCE) -> None:
    """Wait until something is so."""
    end = time.monotonic() + within
    while not what():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


@contextmanager
def database_of_its_own(server_url: str, *, migrated: bool = False) -> Iterator[str]:
    """A new database on a server, dropped afterwards.

    Args:
        server_url: of any database of the server.
        migrated: whether its tables stand there already; else it is empty.
    """
    name = f"assent_live_{uuid.uuid4().hex[:12]}"
    base = server_url.rpartition("/")[0]
    with psycopg.connect(f"{base}/postgres", autocommit=True) as server:
        if migrated:
            postgres_template.copy(server_url, name)
        else:
            server.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        try:
            yield f"{base}/{name}"
        finally:
            server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")  # type: ignore[arg-type]


@contextmanager
def vhost_of_its_own() -> Iterator[str]:
    """A virtual host of the machine's RabbitMQ, deleted afterwards; its address."""
    name = f"assent_{uuid.uuid4().hex[:12]}"
    _rabbitmqctl("add_vhost", name)
    try:
        _rabbitmqctl("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
        yield f"amqp://guest:guest@127.0.0.1:5672/{name}"
    finally:
        _rabbitmqctl("delete_vhost", name)


def purge(broker_url: str) -> None:
    """Throw away every message of a virtual host."""
    for queue in ("calls", "sweeps"):
        _rabbitmqctl("purge_queue", "-p", broker_url.rpartition("/")[2], queue)


def queues_of(broker_url: str) -> dict[str, int]:
    """The queues of a virtual host, with how many listen to each."""
    listed = _rabbitmqctl(
        "list_queues",
        "-p",
        broker_url.rpartition("/")[2],
        "name",
        "consumers",
        "--no-table-headers",
    )
    return {name: int(number) for name, number in map(str.split, listed.splitlines())}


def kept_for_later(broker_url: str) -> int:
    """How many messages RabbitMQ keeps until they are due."""
    listed = _rabbitmqctl(
        "list_queues", "-p", broker_url.rpartition("/")[2], "name", "messages", "--no-table-headers"
    )
    rows = [line.split() for line in listed.splitlines()]
    return sum(int(row[1]) for row in rows if row[0].startswith("celery_delayed_"))


def _rabbitmqctl(*arguments: str) -> str:
    done = subprocess.run(
        ["rabbitmqctl", "--quiet", *arguments], capture_output=True, text=True, env=os.environ
    )
    if done.returncode:
        raise RuntimeError(f"rabbitmqctl {' '.join(arguments)}: {done.stderr or done.stdout}")
    return done.stdout
