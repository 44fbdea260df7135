"""Processes that die: each act runs in a fork of a process that has everything loaded.

A fork takes milliseconds where a worker takes seconds to start, so that thousands of deaths by
SIGKILL, with database connections of their own, fit into a minute. The parent of the forks never
touches the database.
"""

import gc
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

KILLED, FAILED, LEFT = -signal.SIGKILL, 3, 4


class Zygote:
    """The handle of the process that forks.

    Args:
        database_url: of the database that the acts work on.
    """

    def __init__(self, database_url: str) -> None:
        environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "DJANGO_SETTINGS_MODULE": "tests.harness.zygote_settings",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.harness.zygote"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self, act: str, *args: Any, faults: str = "") -> None:
        """Let a process do something, and do not wait for its end."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"act": act, "args": args, "faults": faults}) + "\n")
        self.process.stdin.flush()

    def end(self) -> int:
        """How the process ended: 0, FAILED, LEFT, or the negative number of a signal."""
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def do(self, act: str, *args: Any, faults: str = "") -> int:
        """Let a process do something, and wait for its end."""
        self.begin(act, *args, faults=faults)
        return self.end()


@contextmanager
def zygote(database_url: str) -> Iterator[Zygote]:
    running = Zygote(database_url)
    try:
        yield running
    finally:
        assert running.process.stdin is not None
        running.process.stdin.close()
        running.process.wait(timeout=20)


def do_here(act: str, *args: Any) -> None:
    """Do in this process what a fork would.

    Raises:
        RuntimeError: a request was answered with 500 or above.
    """
    from uuid import UUID

    from guard_app.services.replays import run_replay
    from integrations_app.services.deliveries import deliver
    from integrations_app.services.execution import execute
    from tasks_app.services.sweeping import sweep
    from tests.api_client import Api

    if act == "execute":
        execute(UUID(args[0]))
    elif act == "sweep":
        sweep(execute_here=False)
    elif act == "replay":
        if not run_replay(UUID(args[0])):
            raise SystemExit(LEFT)
    elif act == "deliver":
        deliver(UUID(args[0]))
    else:
        token, method, path, body = args
        answer = Api(token, checked=False).ask(method, path, body)
        if answer.status >= 500:
            raise RuntimeError(str(answer))


def _child(job: dict[str, Any]) -> int:
    from accounts_app.faults import InjectedFault

    def leave(*_: object) -> None:
        # As a worker's cold shutdown does: at any bytecode, also inside a commit.
        raise SystemExit(LEFT)

    signal.signal(signal.SIGQUIT, leave)
    os.environ["ASSENT_FAULTS"] = job["faults"]
    try:
        do_here(job["act"], *job["args"])
    except (InjectedFault, RuntimeError):
        return FAILED
    except SystemExit:
        return LEFT
    return 0


def main() -> None:
    import django

    django.setup()
    from django.urls import get_resolver

    _ = get_resolver().url_patterns
    # What a process loads with its first request, which no fork should load again.
    do_here("ask", "", "GET", "nowhere", None)
    assert threading.active_count() == 1
    # What no fork touches needs no copy in it.
    gc.disable()
    gc.freeze()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os._exit(_child(json.loads(line)))
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
