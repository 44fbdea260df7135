"""Starts each peer in its own environment, on a database of its own, for a bounded time."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from benchmarks.measures import Figures
from tests.harness.installation import database_of_its_own
from tests.harness.server import PROJECT

BENCHMARKS = PROJECT / "benchmarks"
PEERS = {"dbos": "DBOS", "langgraph": "LangGraph", "viewflow": "Viewflow"}


def interpreter(peer: str) -> Path:
    return BENCHMARKS / f".venv-{peer}" / "bin" / "python"


def run(
    server: str, say: Callable[[str], None], *, rounds: int, seconds: float, limit: float
) -> dict[str, Figures]:
    """Figures of every peer that is installed; each other one is told with what is missing.

    Args:
        server: URL of the PostgreSQL server.
        say: tells progress.
        rounds: decisions one after another.
        seconds: how long eight clients work.
        limit: seconds after which a peer is ended, start and warm-up included.
    """
    found: dict[str, Figures] = {}
    for peer, name in PEERS.items():
        python = interpreter(peer)
        if not python.exists():
            say(f"  {name} is left out: `make benchmarks/.venv-{peer}` has not installed it.")
            continue
        say(f"  {name}: at most {limit:.0f} s")
        with database_of_its_own(server) as database:
            words = [str(python), "-m", f"benchmarks.peers.with_{peer}", database]
            words += ["--rounds", str(rounds), "--seconds", str(seconds)]
            try:
                ended = subprocess.run(
                    words,
                    cwd=PROJECT,
                    env={**os.environ, "PYTHONPATH": str(PROJECT)},
                    capture_output=True,
                    text=True,
                    timeout=limit,
                )
            except subprocess.TimeoutExpired:
                say(f"  {name} is left out: not done after {limit:.0f} s; try fewer --peer-rounds.")
                continue
        if ended.returncode:
            why = ended.stderr.strip().rpartition("\n")[2]
            say(f"  {name} is left out: it ended with {ended.returncode}: {why}")
            continue
        found[name] = json.loads(ended.stdout.strip().rpartition("\n")[2])
        say(f"  {name}: done")
    return found
