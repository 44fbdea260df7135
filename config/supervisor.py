"""One command for one machine: `python -m config.supervisor` runs web, worker and scheduler.

The children die with it, whatever ends it, and are started again when they die by themselves.
"""

import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from types import FrameType

import django
from django.apps import apps
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import Error as DatabaseError
from django.db import connections

from config.celery import CALLS, SWEEPS, WEBHOOKS
from config.home import (
    LOOPBACK,
    HomeError,
    demo_payments_port,
    ensure_home,
    port_is_free,
    read_notice,
)

PROJECT = Path(__file__).resolve().parent.parent
TICK_SECONDS = 0.1
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
STEADY_SECONDS = 10.0
"""A child that lived so long is restarted at once again when it dies."""

GRACE_SECONDS = 8.0
OPEN_FILES = 16_384
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def say(text: str) -> None:
    """Print one line about one event, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@dataclass
class Child:
    """A process that is kept alive.

    Args:
        name: what people call it.
        command: the program and its arguments.
    """

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    pause: float = FIRST_PAUSE_SECONDS
    started_at: float = 0.0
    due_at: float = field(default_factory=time.monotonic)

    def start(self) -> None:
        """Start the process in a session of its own, so that Ctrl-C reaches only the parent.

        Raises:
            OSError: the program cannot be started.
        """
        parent = os.getpid()

        def die_with_parent() -> None:
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

        self.process = subprocess.Popen(  # noqa: S603 - commands of our own
            self.command,
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        self.started_at = time.monotonic()
        say(f"{self.name} started (process {self.process.pid})")

    def look_after(self) -> None:
        """Start it when that is due; note its death and when to start it again."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.due_at:
                self.start()
            return
        status = self.process.poll()
        if status is None:
            return
        if now - self.started_at > STEADY_SECONDS:
            self.pause = FIRST_PAUSE_SECONDS
        say(f"{self.name} ended ({_ending(status)}), starts again in {self.pause:g} s")
        self.process, self.due_at = None, now + self.pause
        self.pause = min(2 * self.pause, LONGEST_PAUSE_SECONDS)

    def signal(self, number: int) -> None:
        """Send a signal to the process and whatever it started, if it runs."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, number)


class Supervisor:
    """Keeps children alive until it is told to stop.

    Args:
        children: what to run.
        url: the address to name once the web process answers.
        at: host and port where it answers.
    """

    def __init__(self, children: Sequence[Child], *, url: str, at: tuple[str, int]) -> None:
        self.children = children
        self.url = url
        self.at = at
        self.stopping = False
        self.notice = ""

    def listen(self) -> None:
        """Take SIGINT, SIGTERM and SIGHUP as the wish to stop.

        More of them change nothing: `make` passes on what its whole group has got already.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def run(self) -> None:
        """Run until told to stop, and stop everything.

        Raises:
            OSError: a program cannot be started.
        """
        announced = False
        try:
            while not self.stopping:
                for child in self.children:
                    child.look_after()
                if not announced and _answers(self.at):
                    announced = True
                    say(f"Assent is ready at {self.url}")
                    if self.notice:
                        say(self.notice)
                time.sleep(TICK_SECONDS)
        finally:
            self._stop()

    def _stop(self) -> None:
        say("stopping")
        for child in self.children:
            child.signal(signal.SIGTERM)
        until = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < until and any(map(_runs, self.children)):
            time.sleep(TICK_SECONDS / 2)
        for child in filter(_runs, self.children):
            say(f"{child.name} did not end in time and was killed")
            child.signal(signal.SIGKILL)
        for child in self.children:
            if child.process is not None:
                child.process.wait()
        say("stopped")

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True


def commands(host: str, port: int, *, demo: bool) -> list[Child]:
    """What makes up an installation on one machine.

    Args:
        host: where the web process listens.
        port: its port.
        demo: whether the demo's payments service runs too.
    """
    python = sys.executable
    web = (
        f"-m uvicorn config.asgi:application --host {host} --port {port} --no-server-header "
        "--no-proxy-headers --ws none --lifespan on --timeout-graceful-shutdown 5 "
        "--no-access-log --log-level warning"
    )
    worker = (
        "-m celery --quiet -A config worker "
        "--pool threads --without-gossip --without-mingle --without-heartbeat -l warning"
    )
    # Slow calls must not hold up deadlines.
    calls = f"{worker} --concurrency 8 -Q {CALLS},{WEBHOOKS} -n calls@%h"
    sweeps = f"{worker} --concurrency 1 -Q {SWEEPS} -n sweeps@%h"
    beat = "-m celery --quiet -A config beat -l warning --pidfile="
    children = [
        Child("web", [python, *web.split()]),
        Child("worker", [python, *calls.split()]),
        Child("sweeper", [python, *sweeps.split()]),
        Child("scheduler", [python, *beat.split()]),
    ]
    if demo:
        children.append(Child("demo payments", [python, "-m", "config.demo_payments"]))
    return children


def prepare(*, demo: bool) -> None:
    """Bring the database up to date, and seed the demo the first time.

    Args:
        demo: whether a demo is wanted.

    Raises:
        CommandError: a command refused, with its sentence.
        HomeError: a setting cannot be worked with, or the database does not answer.
    """
    django.setup()
    _require_sound_settings()
    _require_database()
    call_command("migrate", interactive=False, verbosity=0)
    workspaces = apps.get_model("accounts_app", "Workspace")._default_manager
    if demo and not workspaces.filter(slug="demo").exists():
        call_command("seed_demo", stdout=StringIO())
    connections.close_all()


def main(environ: Mapping[str, str] = os.environ) -> int:
    """Run an installation until it is told to stop.

    Returns:
        0 after a stop that was asked for, 1 where it cannot start.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    # Whatever is written from here on is for its owner alone.
    os.umask(0o077)
    host, demo = environ.get("ASSENT_HOST") or LOOPBACK, environ.get("ASSENT_DEMO", "1") == "1"
    port = environ.get("PORT") or "8000"
    try:
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
            raise HomeError(f"PORT must be a number from 1 to 65535, not {port!r}.")
        _require_free(host, int(port), "PORT")
        supervisor = Supervisor(
            commands(host, int(port), demo=demo),
            url=f"http://{f'[{host}]' if ':' in host else host}:{port}/",
            at=(_reachable(host), int(port)),
        )
        supervisor.listen()
        home = Path(environ.get("ASSENT_HOME") or PROJECT / "var").resolve()
        os.environ["ASSENT_HOME"] = str(home)
        ensure_home(home)
        if demo:
            payments = demo_payments_port(home)
            _require_free(LOOPBACK, payments, "ASSENT_DEMO_PAYMENTS_PORT")
            os.environ["ASSENT_DEMO_PAYMENTS_PORT"] = str(payments)
        say("bringing the database up to date")
        prepare(demo=demo)
        supervisor.notice = read_notice(home) if demo else ""
    except (HomeError, CommandError, ImproperlyConfigured, DatabaseError) as error:
        sys.stderr.write(f"Assent cannot start. {error}\n")
        return 1
    _allow_many_files()
    supervisor.run()
    return 0


def _require_sound_settings() -> None:
    """Refuse what the processes would only end over and over again for."""
    errors = [found for found in run_checks() if found.is_serious()]
    if errors:
        raise HomeError(" ".join(f"{error.msg} {error.hint or ''}".strip() for error in errors))


def _require_database() -> None:
    try:
        connections["default"].ensure_connection()
    except DatabaseError as error:
        reason = " ".join(str(error).split())
        raise HomeError(
            f"The database does not answer; start it, or set DATABASE_URL to one that does"
            f" (postgresql://user:password@host:port/name). It said: {reason}"
        ) from error


def _require_free(host: str, port: int, name: str) -> None:
    if not port_is_free(host, port):
        raise HomeError(
            f"Port {port} on {host} is taken by another program; stop that, or set {name} to "
            "another port."
        )


def _reachable(host: str) -> str:
    return {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound


def _answers(at: tuple[str, int]) -> bool:
    try:
        socket.create_connection(at, timeout=TICK_SECONDS).close()
    except OSError:
        return False
    return True


def _runs(child: Child) -> bool:
    return child.process is not None and child.process.poll() is None


def _ending(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"


def _allow_many_files() -> None:
    """Every waiting request is an open file; the usual limit of 1,024 is too low for them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    sys.exit(main())
