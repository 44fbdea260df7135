"""Memory of web, worker, sweeper and scheduler under an hour's load; flat is the goal.

One round: an agent asks for a call and waits for its result, a person approves it; another agent
asks a question with a draft, the draft is edited, the question answered; the lists, the
statistics and the queue page are read. Resident memory of each process and all that it started
is noted along, plotted and judged once the first quarter is over, which loads and warms up.
"""

import argparse
import csv
import re
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx2

from benchmarks.measures import resident_kib
from tests.harness.installation import Installation, database_of_its_own, open_run, vhost_of_its_own
from tests.harness.receiver import Receiver
from tests.run import POSTGRES, RABBIT, answers

RESULTS = Path(__file__).parent / "results"
PASSWORD = "memory-benchmark"
COLOURS = ("#4338ca", "#b45309", "#15803d", "#b91c1c", "#0e7490")
Row = tuple[float, dict[str, float]]


def tree_mib(process: int) -> float:
    """Resident MiB of a process and of all that it started."""
    total = resident_kib(process) / 1024
    for entry in Path(f"/proc/{process}/task").iterdir():
        try:
            children = (entry / "children").read_text().split()
        except FileNotFoundError:
            continue
        for child in children:
            try:
                total += tree_mib(int(child))
            except FileNotFoundError:
                continue
    return total


class Load:
    """Agents and people at work, at an even pace.

    Args:
        running: what they work on.
        per_second: rounds.
    """

    def __init__(self, running: Installation, per_second: float) -> None:
        self.running, self.pause = running, 1 / per_second
        self.agent = running.api("runs,read", "--agent", "support")
        self.person = running.api("decide,read")
        self.rounds, self.wrong = 0, 0
        self.over = threading.Event()
        self.page = httpx2.Client(base_url=running.url, timeout=70, trust_env=False)

    def sign_in(self) -> None:
        """Ann, as in a browser."""
        address = "/accounts/login/"
        token = re.search(
            r'name="csrfmiddlewaretoken" value="([^"]+)"', self.page.get(address).text
        )
        assert token is not None
        form = {"login": "ann", "password": PASSWORD, "csrfmiddlewaretoken": token.group(1)}
        answer = self.page.post(address, data=form, headers={"Referer": self.running.url + address})
        assert answer.status_code == 302, answer.status_code

    def work(self) -> None:
        run = open_run(self.agent)
        due = time.monotonic()
        while not self.over.is_set():
            due += self.pause
            try:
                if self.rounds % 50 == 0:
                    run = open_run(self.agent)
                self.round(run)
            except (httpx2.TransportError, AssertionError) as problem:
                self.wrong += 1
                sys.stderr.write(f"{problem!r}\n")
            self.rounds += 1
            self.over.wait(max(0.0, due - time.monotonic()))

    def round(self, run: str) -> None:
        call = self.running.refund(self.agent, 900, run=run).ok(201)
        waiting = self.running.waiting(self.agent, f"tool-calls/{call['id']}", 20)
        self.person.post(f"tasks/{call['task']}/approve", {"comment": "fine"}).ok()
        waiting.result().ok()
        body = {"run": run, "title": "What shall I say?", "kind": "text", "draft": "v0"}
        task = self.agent.post("tasks", body).ok(201)
        draft = {"draft": "v1" * 500, "revision": task["revision"]}
        revision = self.agent.put(f"tasks/{task['id']}/draft", draft).ok()["revision"]
        answer = {"value": "Say hello.", "revision": revision}
        self.person.post(f"tasks/{task['id']}/complete", answer).ok()
        self.agent.get("tasks?limit=20").ok()
        if self.rounds % 10 == 0:
            for path in ("review/approvals/", "sessions/", "dashboard/"):
                answer = self.page.get(f"/admin/{path}")
                assert answer.status_code == 200, (path, answer.status_code)


def judge(rows: Sequence[Row], name: str) -> tuple[float, float, float]:
    """Medians of the second and the last quarter, and the growth between them in per cent."""
    values = [row[1][name] for row in rows]
    quarter = max(1, len(values) // 4)
    early = statistics.median(values[quarter : 2 * quarter])
    late = statistics.median(values[-quarter:])
    return early, late, 100 * (late - early) / early


def plot(rows: Sequence[Row], path: Path) -> None:
    """The figures over time as an SVG file."""
    names = list(rows[0][1])
    width, height, left, bottom = 900, 420, 60, 40
    top = max(max(row[1].values()) for row in rows) * 1.1
    end = rows[-1][0] or 1
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        ' font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
    ]
    for step in range(5):
        y = height - bottom - step * (height - 2 * bottom) / 4
        parts.append(f'<path d="M{left} {y:.0f}H{width - 20}" stroke="#ddd"/>')
        parts.append(f'<text x="4" y="{y + 4:.0f}">{top * step / 4:.0f} MiB</text>')
    for number, name in enumerate(names):
        points = " ".join(
            f"{left + at / end * (width - left - 20):.1f},"
            f"{height - bottom - row[name] / top * (height - 2 * bottom):.1f}"
            for at, row in rows
        )
        colour = COLOURS[number % len(COLOURS)]
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        parts.append(f'<text x="{left + 150 * number}" y="20" fill="{colour}">{name}</text>')
    parts.append(f'<text x="{width - 120}" y="{height - 12}">{end / 60:.0f} minutes</text></svg>')
    path.write_text("".join(parts), encoding="utf-8")


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def watch(running: Installation, load: Load, seconds: float, every: float) -> list[Row]:
    """Note the memory of each process until the time is over."""
    rows: list[Row] = []
    begun = time.monotonic()
    while (at := time.monotonic() - begun) < seconds:
        pids = {name: child.process for name, child in running.children.items()}
        rows.append((at, {name: tree_mib(p.pid) for name, p in pids.items() if p is not None}))
        if len(rows) % 20 == 1:
            shown = ", ".join(f"{name} {mib:.1f}" for name, mib in rows[-1][1].items())
            say(f"  {at / 60:5.1f} min, {load.rounds} rounds, {load.wrong} failed: {shown} MiB")
        time.sleep(every)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.memory", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--per-second", type=float, default=2, help="rounds, if it can")
    parser.add_argument("--embedded", action="store_true", help="SQLite, and a folder as broker")
    parser.add_argument("--limit", type=float, default=5, help="growth in per cent that is flat")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        urls = {}
        if not arguments.embedded:
            urls["database_url"] = stack.enter_context(database_of_its_own(POSTGRES))
            if answers(RABBIT):
                urls["broker_url"] = stack.enter_context(vhost_of_its_own())
        home = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "home"
        more = {"ASSENT_DEMO_PASSWORD": PASSWORD, "ASSENT_THROTTLE_PER_MINUTE": "0"}
        running = Installation(home, **urls, **more).prepare()
        stack.callback(running.stop)
        running.start()
        service = stack.enter_context(Receiver())
        running.probe(service)
        load = Load(running, arguments.per_second)
        load.sign_in()
        worker = threading.Thread(target=load.work)
        worker.start()
        try:
            seconds = arguments.minutes * 60
            rows = watch(running, load, seconds, every=max(0.5, seconds / 240))
        finally:
            load.over.set()
            worker.join(timeout=90)
    RESULTS.mkdir(exist_ok=True)
    stem = RESULTS / f"memory-{time.strftime('%Y%m%dT%H%M%S')}"
    plot(rows, stem.with_suffix(".svg"))
    with stem.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["seconds", *rows[0][1]])
        table.writerows([f"{at:.0f}", *(f"{mib:.2f}" for mib in row.values())] for at, row in rows)
    missed = load.wrong > 0
    for name in rows[0][1]:
        early, late, growth = judge(rows, name)
        missed |= growth > arguments.limit
        say(f"{name}: {early:.1f} → {late:.1f} MiB, {growth:+.1f} %")
    say(f"{load.rounds} rounds, {load.wrong} failed; {stem.name}.svg")
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())
