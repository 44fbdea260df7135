"""`make bench`: one run, one table, saved as JSON; see benchmarks/README.md."""

import argparse
import asyncio
import contextlib
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import psycopg

from benchmarks import measures
from benchmarks.measures import Figures, milliseconds
from benchmarks.pair_table import TABLE
from benchmarks.peers import run as peers
from tests import throwaway_postgres
from tests.harness.installation import Installation, database_of_its_own, vhost_of_its_own
from tests.harness.receiver import Receiver
from tests.harness.server import PROJECT, Server, free_port
from tests.run import POSTGRES, RABBIT, answers

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PRODUCTION = {"DJANGO_SETTINGS_MODULE": "config.settings"}


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """A server: the machine's own, or a throwaway one."""
    url = os.environ.get("TEST_POSTGRES_URL", POSTGRES)
    if throwaway_postgres.reachable(url):
        yield url
    else:
        with throwaway_postgres.throwaway() as server:
            yield server.url


def product(installation: Installation, scale: float, *, waiters: list[int]) -> Figures:
    """Everything that is measured on one stack."""
    rounds, seconds = int(200 * scale), 8 * scale
    keys = (installation.key("runs,read", "--agent", "support"), installation.key("decide,read"))
    port, web = installation.port, installation.children["web"].process
    assert web is not None
    figures: Figures = {}
    with Receiver() as service:
        installation.probe(service)
        asyncio.run(measures.decision_to_result(port, keys, rounds=20))
        asyncio.run(measures.decision_to_result(port, keys, rounds=5, call=True))
        for name, options in {
            "decision → result": {},
            "decision → result, 100 parked": {"parked": 100},
            "decision → executed call's result": {"call": True},
        }.items():
            took = asyncio.run(measures.decision_to_result(port, keys, rounds=rounds, **options))
            figures |= milliseconds(took, name)
            say(f"  {name}: {figures[f'{name} p50 ms']} ms")
    for clients in (1, 8):
        figures |= asyncio.run(
            measures.per_second(port, keys, web.pid, clients=clients, seconds=seconds)
        )
        say(f"  create+decide, {clients} clients: done")
    for number in waiters:
        figures |= asyncio.run(measures.memory_per_waiter(port, keys[0], web.pid, waiters=number))
        say(f"  {number} parked agents: done")
    most = max(waiters)
    figures |= asyncio.run(
        measures.behind_decisions(port, keys, waiters=most, own=max(8, most // 20), clients=8)
    )
    say(f"  decisions beside {most} parked agents: done")
    return figures


def start_up(home: Path) -> Figures:
    """Seconds of `make up` on an installed clone until it answers: the first time, and again."""
    figures: Figures = {}
    for name in ("cold", "warm"):
        server = Server(home, **PRODUCTION)
        begun = time.monotonic()
        server.start()
        httpx2.get(f"{server.url}/healthz", trust_env=False)
        figures[f"start-up {name} s"] = round(time.monotonic() - begun, 1)
        server.stop()
    return figures


def pair(database_url: str, scale: float) -> dict[str, Figures]:
    """The featureless pair under each server that is installed here, and bare psycopg."""
    parts = urlsplit(database_url)
    found: dict[str, Figures] = {}
    with psycopg.connect(database_url, autocommit=True) as database:
        database.execute(TABLE)
    rounds, seconds = int(200 * scale), 8 * scale
    for name, command in pair_servers().items():
        port = free_port()
        environment = {
            **os.environ,
            "PAIR_DATABASE": parts.path.lstrip("/"),
            "PAIR_USER": parts.username or "postgres",
            "PAIR_PASSWORD": parts.password or "",
            "PAIR_PORT": str(parts.port or 5432),
            "PYTHONPATH": str(PROJECT),
        }
        words = [word.format(port=port) for word in command]
        process = subprocess.Popen(words, env=environment, cwd=PROJECT, stdout=subprocess.DEVNULL)
        try:
            until = time.monotonic() + 20
            while not answers(("127.0.0.1", port)) and time.monotonic() < until:
                time.sleep(0.1)
            time.sleep(0.5)
            figures = asyncio.run(
                measures.pair_figures(
                    port, database_url, process.pid, rounds=rounds, seconds=seconds
                )
            )
        finally:
            process.terminate()
            process.wait(timeout=20)
        found[f"pair, {name}"] = figures
        say(f"  pair under {name}: done")
    found["bare psycopg"] = asyncio.run(
        measures.bare_figures(database_url, rounds=rounds, seconds=seconds)
    )
    return found


def pair_servers() -> dict[str, list[str]]:
    """Servers for the pair; those that are not our own stand in an environment of their own."""
    servers = {
        "uvicorn": f"{sys.executable} -m uvicorn --interface wsgi --log-level error --port {{port}}"
        " benchmarks.pair:application",
    }
    extra = HERE / ".venv-pair" / "bin"
    if (extra / "granian").exists():
        servers["granian"] = (
            f"{extra}/granian --interface wsgi --host 127.0.0.1 --port {{port}}"
            " --blocking-threads 8 --log-level error benchmarks.pair:application"
        )
        servers["gunicorn"] = (
            f"{extra}/gunicorn -k gthread --threads 8 --keep-alive 60 --log-level error"
            " -b 127.0.0.1:{port} benchmarks.pair:application"
        )
    return {name: command.split() for name, command in servers.items()}


def table(results: dict[str, Figures]) -> str:
    """All figures side by side."""
    names = list(dict.fromkeys(name for figures in results.values() for name in figures))
    width = max(map(len, names)) + 2
    head = " " * width + "".join(f"{stack:>18}" for stack in results)
    lines = [head]
    for name in names:
        cells = (f"{figures.get(name, ''):>18}" for figures in results.values())
        lines.append(f"{name:<{width}}" + "".join(cells))
    return "\n".join(lines)


def ratios(results: dict[str, Figures]) -> list[str]:
    """The goals that are ratios within one run."""
    ours = results.get("postgres")
    pairs = {name: figures for name, figures in results.items() if name.startswith("pair")}
    if not ours or not pairs:
        return []
    best = min(pairs, key=lambda name: pairs[name]["decision → result p50 ms"])
    fastest = max(pairs, key=lambda name: pairs[name]["create+decide/s, 8 clients"])
    said = []
    for quantity, goal in (("p50", 1.5), ("p99", 4.0)):
        name = f"decision → result, 100 parked {quantity} ms"
        ratio = ours[name] / pairs[best][f"decision → result {quantity} ms"]
        said.append(f"decision → result {quantity} is {ratio:.2f} × {best} (goal ≤ {goal})")
    name = "create+decide/s, 8 clients"
    ratio = ours[name] / pairs[fastest][name]
    said.append(f"create+decide with 8 clients is {ratio:.2f} × {fastest} (goal ≥ 0.5)")
    for peer in filter(results.__contains__, peers.PEERS.values()):
        ratio = ours[name] / results[peer][name]
        said.append(f"create+decide with 8 clients is {ratio:.2f} × {peer} (goal > 1)")
    return said


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="of rounds and seconds")
    parser.add_argument(
        "--only", default="", help="embedded, postgres, pair, peers, start; by commas"
    )
    parser.add_argument("--peer-rounds", type=int, help="of each peer; else 200 × scale")
    parser.add_argument("--peer-limit", type=float, default=60.0, help="seconds for each peer")
    arguments = parser.parse_args()
    wanted = set(filter(None, arguments.only.split(","))) or {
        "embedded",
        "postgres",
        "pair",
        "peers",
        "start",
    }
    results: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory(prefix="assent-bench-") as folder, contextlib.ExitStack() as x:
        if "start" in wanted:
            say("Start-up")
            results["start"] = start_up(Path(folder) / "start")
        if "embedded" in wanted:
            say("Embedded: SQLite, folder as broker")
            installation = Installation(Path(folder) / "embedded", **PRODUCTION).prepare()
            try:
                waiters = [int(1000 * min(1, arguments.scale))]
                results["embedded"] = product(
                    installation.start(), arguments.scale, waiters=waiters
                )
            finally:
                installation.stop()
        if wanted & {"postgres", "pair", "peers"}:
            server = x.enter_context(postgres())
            database = x.enter_context(database_of_its_own(server))
        if "postgres" in wanted:
            has_rabbit = answers(RABBIT)
            broker = x.enter_context(vhost_of_its_own()) if has_rabbit else ""
            say(f"PostgreSQL, {'RabbitMQ' if has_rabbit else 'folder as broker'}")
            installation = Installation(
                Path(folder) / "postgres", database_url=database, broker_url=broker, **PRODUCTION
            ).prepare()
            try:
                scale = min(1, arguments.scale)
                results["postgres"] = product(
                    installation.start(),
                    arguments.scale,
                    waiters=[int(1000 * scale), int(10_000 * scale)],
                )
            finally:
                installation.stop()
        if "pair" in wanted:
            say("The yardsticks")
            results |= pair(x.enter_context(database_of_its_own(server)), arguments.scale)
        if "peers" in wanted:
            say("The peers")
            results |= peers.run(
                server,
                say,
                rounds=arguments.peer_rounds or int(200 * arguments.scale),
                seconds=8 * arguments.scale,
                limit=arguments.peer_limit,
            )
    say()
    say(table(results))
    for line in ratios(results):
        say(line)
    save(results, arguments.scale)
    return 0


def save(results: dict[str, Figures], scale: float) -> None:
    RESULTS.mkdir(exist_ok=True)
    at = dt.datetime.now(dt.UTC)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=PROJECT
    ).stdout.strip()
    document = {
        "at": at.isoformat(timespec="seconds"),
        "commit": commit,
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "scale": scale,
        "results": results,
    }
    path = RESULTS / f"{at:%Y%m%dT%H%M%S}.json"
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    say(f"\nSaved as {path.relative_to(PROJECT)}")


if __name__ == "__main__":
    sys.exit(main())
