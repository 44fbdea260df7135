"""Runs the code of a Markdown page: its Python and shell blocks, in order, as one reader would.

A comment before a block says what happens beside it:

    <!-- person: approve fine -->    somebody decides whatever the block asks, with that action
    <!-- person: answer blue -->     … answers it with that value
    <!-- time: 49 hours -->          so much time passes once something waits
    <!-- prints -->                  before a text block: the block above printed this
    <!-- starts -->                  the lines of a shell block are started side by side, and run on
"""

import contextlib
import io
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.harness.server import PROJECT, Server, free_port

FENCE = re.compile(
    r"(?:^<!-- (?P<note>[^\n]*?) -->\n)?^```(?P<kind>[^\n]*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
HOURS = re.compile(r"(\d+) hours?")
LINKED = (
    ".venv",
    "manage.py",
    "docs",
    "Makefile",
    "requirements.lock",
    "requirements-dev.lock",
)


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    kind: str
    code: str
    note: str
    line: int


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            found["kind"].strip(),
            found["code"],
            found["note"] or "",
            text.count("\n", 0, found.start("code")) + 1,
        )
        for found in FENCE.finditer(text)
    ]


class Reader:
    """Somebody who types a page's blocks, one after the other.

    Args:
        server: where it runs.
        page: the page.
        folder: an empty folder, in which the project seems to lie.
    """

    def __init__(self, server: Server, page: Path, folder: Path) -> None:
        self.server, self.page, self.folder = server, page, folder
        self.names: dict[str, Any] = {"__name__": "page"}
        self.said = ""
        for name in LINKED:
            (folder / name).symlink_to(PROJECT / name)
        # A copy: installing from a folder leaves files in it.
        shutil.copytree(PROJECT / "client", folder / "client")
        self.exports = ""

    def read(self) -> int:
        """Run every block; returns how many were run."""
        count = 0
        for block in blocks_of(self.page):
            count += self._follow(block)
        return count

    def _follow(self, block: Block) -> bool:
        if block.note == "prints":
            assert self.said == block.code, f"{self.page.name}:{block.line} prints {self.said!r}"
            return True
        kind, _, name = block.kind.partition(" ")
        if kind not in ("python", "sh"):
            return False
        if block.note == "starts":
            self._start(block)
            return True
        with self._beside(block.note):
            if name:
                (self.folder / name).write_text(block.code, encoding="utf-8")
            elif kind == "python":
                self._python(block)
            else:
                self._shell(block)
        return True

    def _python(self, block: Block) -> None:
        # The lines keep their numbers, for whoever reads a traceback.
        code = compile("\n" * (block.line - 1) + block.code, str(self.page), "exec")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, self.names)
        self.said = printed.getvalue()

    def _shell(self, block: Block) -> None:
        script = self.server_is_at(block.code)
        # What a reader has done already, or what would not end, is tried without doing it.
        script = re.sub(r"^make ", "make --dry-run ", script, flags=re.MULTILINE)
        exported = "\n".join(re.findall(r"^(?:export .*|\w+\(\) .*)$", script, re.MULTILINE))
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{self.exports}\n{script}"],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{self.page.name}:{block.line}\n{done.stdout}{done.stderr}"
        self.exports += "\n" + exported
        self.said = done.stdout

    def _start(self, block: Block) -> None:
        """Start each line, commands of `manage.py` to their end; the others must run on."""
        port = free_port()
        environment = {**self.environment(), "PYTHONPATH": str(PROJECT), "ASSENT_NUDGE": "off"}
        running: list[tuple[str, subprocess.Popen[str]]] = []
        with contextlib.ExitStack() as stack:
            for line in block.code.replace("--port 8000", f"--port {port}").splitlines():
                process = subprocess.Popen(
                    ["bash", "-c", f"exec {line}"],
                    cwd=self.folder,
                    env=environment,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                )
                stack.callback(process.wait)
                stack.callback(process.kill)
                if "manage.py" in line:
                    _, said = process.communicate(timeout=120)
                    assert process.returncode == 0, f"{line}: {said}"
                else:
                    running.append((line, process))
            until = time.monotonic() + 60
            while not _answers(f"http://127.0.0.1:{port}/healthz"):
                assert time.monotonic() < until, block.code
                time.sleep(0.2)
            time.sleep(3)
            for line, process in running:
                assert process.poll() is None, f"{line}: {process.communicate()[1]}"

    def server_is_at(self, text: str) -> str:
        """The text with this server's address, and a key where a reader puts theirs."""
        text = text.replace("http://127.0.0.1:8000", self.server.url)
        return text.replace("assent_…", self.server.key("runs,read"))

    def environment(self) -> dict[str, str]:
        """What the reader has set."""
        return {
            **self.server.environment,
            "PYTHONPATH": str(PROJECT / "client"),
            **keys(self.server),
        }

    @contextlib.contextmanager
    def _beside(self, note: str) -> Iterator[None]:
        """Have somebody act, or time pass, while a block runs."""
        if not note:
            yield
            return
        word, _, rest = note.partition(": ")
        other = Other(self.server, word, rest)
        other.start()
        try:
            yield
        finally:
            other.stop()


class Other(threading.Thread):
    """Whoever, or whatever, acts on the tasks that come up meanwhile."""

    def __init__(self, server: Server, word: str, rest: str) -> None:
        super().__init__(daemon=True)
        self.server, self.word, self.rest = server, word, rest
        self.over = threading.Event()
        self.seen = {task["id"] for task in self.pending()}

    def pending(self) -> list[dict[str, Any]]:
        path = "tasks?status=pending&limit=100"
        return list(self.server.ask("decide,read", "GET", path)["results"])

    def run(self) -> None:
        while not self.over.wait(0.2):
            for task in self.pending():
                if task["id"] not in self.seen:
                    self.seen.add(task["id"])
                    self.act(task)

    def act(self, task: dict[str, Any]) -> None:
        if self.word == "time":
            found = HOURS.fullmatch(self.rest)
            assert found, self.rest
            self.server.move_clock(3600.0 * int(found[1]))
            return
        action, _, text = self.rest.partition(" ")
        if task["kind"] == "aitl_escalation":
            self.server.decide_as("ann", task["id"], action, value=text)
            return
        body: dict[str, Any] = {"action": action}
        if action == "answer":
            value = float(text) if task["kind"] == "number" else text
            value = int(value) if isinstance(value, float) and value.is_integer() else value
            body = {"value": value}
        elif text:
            body["comment"] = text
        self.server.ask("decide,read", "POST", f"tasks/{task['id']}/complete", body)

    def stop(self) -> None:
        self.over.set()
        self.join(120)


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=5, trust_env=False).is_success
    except httpx2.TransportError:
        return False


def keys(server: Server) -> dict[str, str]:
    """The variables that the pages read their keys from."""
    return {
        "ASSENT_URL": server.url,
        "ASSENT_KEY": server.key("runs,read"),
        "ASSENT_DECIDE_KEY": server.key("decide,read"),
        "ASSENT_ADMIN_KEY": server.key("admin,read"),
    }


def demo_service(server: Server) -> dict[str, str]:
    """The demo's payments service, as the service of somebody who reads a guide."""
    code = (
        "import os; from config.demo_payments import demo_token; from config.home import *;"
        "from pathlib import Path; home = Path(os.environ['ASSENT_HOME']);"
        "print(demo_token(load_home_secrets(home)['SECRET_KEY']))"
    )
    port = server.environment["ASSENT_DEMO_PAYMENTS_PORT"]
    token = server.manage("shell", "--no-imports", "-c", code)
    return {"BILLING_URL": f"http://127.0.0.1:{port}", "BILLING_TOKEN": token}


def environment_of(server: Server) -> dict[str, str]:
    """Everything that a page's Python may find in its environment."""
    return {**os.environ, **keys(server), **demo_service(server)}
