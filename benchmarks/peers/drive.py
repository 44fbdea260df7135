"""The work that every peer does, and its clock; the standard library alone."""

import argparse
import json
import statistics
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

CLIENTS = 8
SETTLE_SECONDS = 0.02
"""After so long a workflow that was just started waits for its decision."""
WARM_UP = 5
RESULT = "fine"
"""What each person decides, and what each workflow ends with."""


class Peer(Protocol):
    """One system under measurement."""

    def start(self, name: str) -> Any:
        """Start a workflow and let it wait; returns what `decide` needs."""

    def decide(self, started: Any) -> str:
        """Decide, and return the result that the resumed workflow has persisted."""


def cycle(peer: Peer, people: ThreadPoolExecutor, settle: float = 0) -> float:
    """One workflow from its start to its result; returns seconds from decision to result.

    Raises:
        RuntimeError: the workflow ended with something else than was decided.
    """
    started = peer.start(uuid.uuid4().hex)
    time.sleep(settle)
    begun = time.perf_counter()
    result = people.submit(peer.decide, started).result()
    took = time.perf_counter() - begun
    if result != RESULT:
        raise RuntimeError(f"The workflow must end with {RESULT!r}, not with {result!r}.")
    return took


def milliseconds(values: list[float], name: str) -> dict[str, float]:
    ordered = sorted(values)
    last = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return {
        f"{name} p50 ms": round(1000 * statistics.median(ordered), 2),
        f"{name} p99 ms": round(1000 * last, 2),
    }


def measure(peer: Peer, *, rounds: int, seconds: float) -> dict[str, float]:
    """Rounds one after another, then eight clients for so many seconds; each after a warm-up."""
    with ThreadPoolExecutor(CLIENTS) as clients, ThreadPoolExecutor(CLIENTS) as people:
        for _ in range(WARM_UP):
            cycle(peer, people)
        alone = [cycle(peer, people, SETTLE_SECONDS) for _ in range(rounds)]

        def work(until: float) -> list[float]:
            took = []
            while time.perf_counter() < until:
                took.append(cycle(peer, people))
            return took

        def together(length: float) -> list[float]:
            until = time.perf_counter() + length
            return [took for each in clients.map(work, [until] * CLIENTS) for took in each]

        together(min(1.0, seconds))
        begun = time.perf_counter()
        decided = together(seconds)
        rate = len(decided) / (time.perf_counter() - begun)
    return {
        **milliseconds(alone, "decision → result"),
        f"create+decide/s, {CLIENTS} clients": round(rate, 1),
        **milliseconds(decided, f"decide, {CLIENTS} clients"),
    }


def main(connect: Callable[[str], tuple[Peer, Callable[[], None]]]) -> None:
    """Measure one peer and print its figures as a line of JSON.

    Args:
        connect: makes the peer on a database, given by its URL, and what ends it.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("database_url")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=8.0)
    arguments = parser.parse_args()
    peer, end = connect(arguments.database_url)
    try:
        figures = measure(peer, rounds=arguments.rounds, seconds=arguments.seconds)
    finally:
        end()
    sys.stdout.write("\n" + json.dumps(figures) + "\n")
