"""The product as its users run it: one command in a process of its own, on a free port.

Where the database in this process stands in for nothing: what is killed here is really killed.
"""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2

PROJECT = Path(__file__).resolve().parents[2]
START_SECONDS = 240.0
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH")
"""What of this process's environment the server sees: none of the tests' secrets or switches."""


DECIDE = """
import json
from uuid import UUID
from accounts_app.models import User
from accounts_app.services.members import member_actor
from tasks_app.kinds import Answer
from tasks_app.models import UserTask
from tasks_app.services.deciding import Decide, decide

def decide_as(text):
    asked = json.loads(text)
    actor = member_actor(User.objects.get(username=asked["username"]))
    task = UserTask.objects.get(pk=asked["task"])
    answer = Answer(asked["action"], asked.get("value"), asked.get("comment"))
    decide(actor, task.pk, task.revision, lambda: Decide(answer))
"""
CONTAIN = """
from accounts_app.models import Agent, User
from accounts_app.services.members import member_actor
from tasks_app.services import containment

def contain_as(username, act, agent, reason):
    actor = member_actor(User.objects.get(username=username))
    row = Agent.objects.get(workspace=actor.workspace_id, slug=agent)
    getattr(containment, f"{act}_agent")(actor, row.pk, reason)
"""


class Server:
    """An embedded installation with the demo in it.

    Args:
        home: ASSENT_HOME; what is written there outlives `kill` and `stop`.
        **environment: further variables.
    """

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.port = free_port()
        self.environment = {
            **{name: os.environ[name] for name in KEPT if name in os.environ},
            "ASSENT_HOME": str(home),
            "PORT": str(self.port),
            "ASSENT_DEMO_PAYMENTS_PORT": str(free_port()),
            "ASSENT_DEMO_PASSWORD": "correct-horse-battery",
            "ASSENT_THROTTLE_PER_MINUTE": "0",
            "DJANGO_SETTINGS_MODULE": "tests.harness.server_settings",
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None
        self._keys: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What the server has written so far."""
        return (self.home / "server.log").read_text(encoding="utf-8", errors="replace")

    def start(self) -> "Server":
        """Start it and wait until it answers.

        Raises:
            RuntimeError: it ended or did not answer in time; the text holds its log.
        """
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.home / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "config.supervisor"],
                cwd=PROJECT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            try:
                if httpx2.get(f"{self.url}/healthz", timeout=2, trust_env=False).is_success:
                    return self
            except httpx2.TransportError:
                time.sleep(0.1)
        self.kill()
        raise RuntimeError(f"The server did not start:\n{self.log}")

    def kill(self) -> None:
        """SIGKILL: its children die with it, and nobody tidies up."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, as an operator would."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(timeout=30)
        self.process = None
        # The children's ports are free only when the children have gone.
        until = time.monotonic() + 10
        while time.monotonic() < until and not _free(self.port):
            time.sleep(0.05)

    def manage(self, *arguments: str) -> str:
        """Run a management command on this installation; returns what it prints."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"manage.py {' '.join(arguments)}: {done.stderr}")
        return done.stdout.strip()

    def key(self, scopes: str, *more: str) -> str:
        """A key of the demo workspace with these scopes; the same text gives the same key."""
        name = " ".join((scopes, *more))
        if name not in self._keys:
            self._keys[name] = self.manage(
                "create_api_key", "--workspace", "demo", "--name", name, "--scopes", scopes, *more
            )
        return self._keys[name]

    def take_keys(self, other: "Server") -> None:
        """Use the keys of an installation whose database this one has."""
        self._keys |= other._keys

    def ask(self, scopes: str, method: str, path: str, body: Any = None) -> Any:
        """One request with a key of these scopes; returns the JSON, or raises on a refusal."""
        headers = {"Authorization": f"Bearer {self.key(scopes)}"}
        with httpx2.Client(headers=headers, timeout=70, trust_env=False) as client:
            answer = client.request(method, f"{self.url}/api/v1/{path}", json=body)
        if answer.is_error:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def decide_as(self, username: str, task: str, action: str, **more: Any) -> None:
        """Decide as a member in the back office would; through the same service."""
        arguments = json.dumps({"username": username, "task": task, "action": action, **more})
        self.manage("shell", "--no-imports", "-c", f"{DECIDE}\ndecide_as({arguments!r})")

    def contain_as(self, username: str, act: str, agent: str, reason: str) -> None:
        """Freeze or thaw an agent as a member in the back office would; by the same service."""
        code = f"{CONTAIN}\ncontain_as({username!r}, {act!r}, {agent!r}, {reason!r})"
        self.manage("shell", "--no-imports", "-c", code)

    def refunds(self) -> list[dict[str, Any]]:
        """The refunds that the demo's payments service has really made."""
        path = self.home / "demo_payments.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        effects = [json.loads(line) for line in lines]
        return [effect["request"] for effect in effects if effect["kind"] == "refund"]

    def move_clock(self, seconds: float) -> None:
        """Move the database's clock forward for all processes, and do what is due then."""
        with sqlite3.connect(self.home / "assent.sqlite3", timeout=20) as database:
            database.execute(
                "INSERT INTO accounts_app_clockoffset (id, seconds) VALUES (1, ?)"
                " ON CONFLICT (id) DO UPDATE SET seconds = seconds + excluded.seconds",
                (seconds,),
            )
        self.manage("sweep")


def free_port() -> int:
    """A port of the loopback that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
