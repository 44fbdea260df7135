"""Pages and lists with 100,000 tasks that wait: `.venv/bin/python -m benchmarks.pages`.

Fills a PostgreSQL database of its own with bulk statements, and measures in one process, so that
nothing but the product and its database is timed. See benchmarks/README.md.
"""

import argparse
import contextlib
import datetime as dt
import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.filling import PENDING_SHARE, fill
from benchmarks.measures import processor_seconds
from tests import throwaway_postgres
from tests.harness.installation import database_of_its_own
from tests.run import POSTGRES

RESULTS = Path(__file__).parent / "results"
GOAL_GROWTH, GOAL_QUERIES, GOAL_SEARCH_MS = 1.5, 6, 100.0
FLOOR_MS = 2.0
"""What a page may grow by whatever its share: below, it is the machine that is measured."""


def pages(name: str, run: str, day: dt.date) -> dict[str, tuple[str, str]]:
    """What is measured: who asks, and for what.

    Args:
        name: a word that one task has.
        run: a run with many messages and tasks.
        day: from which few tasks are.
    """
    pending = "/api/v1/tasks?status=pending"
    queue = "/admin/review/approvals/"
    done = f"{queue}?tab=completed"
    on_day = f"from={day}&to={day}"
    return {
        "queue": ("ann", queue),
        "queue, all that an admin sees": ("admin", queue),
        "queue of a limited operator": ("abe", queue),
        "queue by deadline": ("ann", f"{queue}?sort=due"),
        "queue, newest first": ("ann", f"{queue}?sort=newest"),
        "queue, approvals": ("ann", f"{queue}?kind=approvals"),
        "queue, AITL": ("ann", f"{queue}?kind=aitl"),
        "queue, anomaly": ("admin", f"{queue}?kind=anomaly"),
        "queue, anomaly, by deadline": ("admin", f"{queue}?kind=anomaly&sort=due"),
        "queue, inputs": ("ann", f"{queue}?kind=input"),
        "queue, agent": ("ann", f"{queue}?agent=research"),
        "queue, agent that asked nothing": ("ann", f"{queue}?agent=silent"),
        "queue, person": ("ann", f"{queue}?person=person40@example.com"),
        "queue, me": ("ann", f"{queue}?person=me"),
        "queue, text": ("ann", f"{queue}?q={name}"),
        "queue, text in many": ("ann", f"{queue}?q=Okafor"),
        "queue, dates": ("ann", f"{queue}?{on_day}"),
        "queue, claimed": ("ann", f"{queue}?flag=claimed"),
        "queue, overdue": ("ann", f"{queue}?flag=overdue"),
        "queue, unknown": ("ann", f"{queue}?flag=unknown"),
        "queue, unroutable": ("ann", f"{queue}?flag=unroutable"),
        "completed": ("ann", done),
        "completed, AITL": ("ann", f"{done}&kind=aitl"),
        "completed, anomaly": ("admin", f"{done}&kind=anomaly"),
        "completed, agent": ("ann", f"{done}&agent=research"),
        "completed, agent that asked nothing": ("ann", f"{done}&agent=silent"),
        "completed, person": ("ann", f"{done}&person=person41@example.com"),
        "completed, text": ("ann", f"{done}&q=4711"),
        "completed, dates": ("ann", f"{done}&{on_day}"),
        "dashboard": ("ann", "/admin/dashboard/"),
        "dashboard, all that an admin sees": ("admin", "/admin/dashboard/"),
        "dashboard of a limited operator": ("abe", "/admin/dashboard/"),
        "dashboard of an analyst": ("gus", "/admin/dashboard/"),
        "badges": ("admin", "/admin/counts/"),
        "badges of a limited operator": ("abe", "/admin/counts/"),
        "sessions": ("ann", "/admin/sessions/"),
        "sessions of a limited operator": ("abe", "/admin/sessions/"),
        "sessions of an analyst": ("gus", "/admin/sessions/"),
        "run with many entries": ("admin", f"/admin/review/runs/{run}/"),
        "incidents": ("gus", "/admin/guard/incidents/"),
        "incidents, every status": ("gus", "/admin/guard/incidents/?status=all"),
        "audit log": ("aud", "/admin/audit/"),
        "audit log, a rare verb": ("aud", "/admin/audit/?verb=member.created"),
        "audit log, own acts": ("ann", "/admin/audit/"),
        "API list": ("key", "/api/v1/tasks"),
        "API list, pending": ("key", pending),
        "API list by deadline": ("key", f"{pending}&ordering=due_at"),
        "API list, every status by deadline": ("key", "/api/v1/tasks?ordering=due_at"),
        "API list, text": ("key", f"/api/v1/tasks?q={name}"),
        "API list, text in many": ("key", f"{pending}&q=Okafor"),
    }


@contextlib.contextmanager
def database() -> Iterator[str]:
    url = os.environ.get("TEST_POSTGRES_URL", POSTGRES)
    if throwaway_postgres.reachable(url):
        with database_of_its_own(url) as own:
            yield own
    else:
        with throwaway_postgres.throwaway() as server:
            yield server.url


def measure(
    ask: Callable[[str, str], Any], asked: Mapping[str, tuple[str, str]], rounds: int
) -> dict[str, dict[str, float]]:
    """Milliseconds and statements of each page, after a few rounds that warm the caches."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    figures = {}
    for label, (who, path) in asked.items():
        for _ in range(3):
            ask(who, path)
        took, worked = [], _worked_seconds()
        for _ in range(rounds):
            begun = time.perf_counter()
            ask(who, path)
            took.append(1000 * (time.perf_counter() - begun))
        worked = _worked_seconds() - worked
        with CaptureQueriesContext(connection) as seen:
            ask(who, path)
        slowest = max(seen.captured_queries, key=lambda query: float(query["time"]))
        figures[label] = {
            "p50 ms": round(statistics.median(took), 1),
            "p95 ms": round(sorted(took)[int(0.95 * len(took))], 1),
            "CPU ms": round(1000 * worked / rounds, 1),
            "queries": len(seen),
            "slowest query ms": round(1000 * float(slowest["time"]), 1),
        }
    return figures


def _worked_seconds() -> float:
    """The processor time of this process, and of the database's where that runs here too."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (process,) = cursor.fetchone()
    seconds = time.process_time()
    if connection.settings_dict["HOST"] in ("127.0.0.1", "localhost"):
        with contextlib.suppress(FileNotFoundError):
            seconds += processor_seconds(process)
    return seconds


def missed(small: dict[str, Any], big: dict[str, Any]) -> list[str]:
    """What does not meet its goal."""
    found = []
    for label, figures in big.items():
        before = small[label]["p95 ms"]
        growth = figures["p95 ms"] / before
        if growth >= GOAL_GROWTH and figures["p95 ms"] - before > FLOOR_MS:
            found.append(f"{label}: p95 grows {growth:.2f} times")
        if label.startswith("API") and figures["queries"] > GOAL_QUERIES:
            found.append(f"{label}: {figures['queries']} queries")
        if "text" in label and label.startswith("API") and figures["p95 ms"] >= GOAL_SEARCH_MS:
            found.append(f"{label}: {figures['p95 ms']} ms")
    return found


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def table(figures: dict[str, dict[str, float]]) -> None:
    for label, each in figures.items():
        numbers = ", ".join(f"{name} {number}" for name, number in each.items())
        say(f"  {label:36} {numbers}")


def first_rows(cast: Any) -> str:
    """One row of each kind, of which the others are copies; the id of the run with them."""
    from accounts_app.clock import db_now
    from guard_app.models import GuardRule, Incident
    from integrations_app.models import Operation
    from tasks_app.models import Message, UserTask
    from tests.api_client import Api
    from tests.harness.catalogue import OPERATIONS

    agent, admin = Api(cast.key("runs,read", name="bench")), Api(cast.key("admin,read"))
    service = {"name": "Payments", "kind": "http", "base_url": "https://service.example"}
    admin.put("integrations/payments", service).ok(201)
    admin.put("integrations/payments/operations/refund", OPERATIONS["refund"]).ok(201)
    rule = {"name": "Large", "detector": "condition", "parameters": {"when": "args.amount > 5000"}}
    admin.put("guard/rules/large", {**rule, "effect": "review", "enabled": True}).ok(201)
    made = agent.post("tasks", {"agent": "support", "title": "Refund?"}).ok(201)
    task, now = UserTask.objects.get(pk=made["id"]), db_now()
    shared = {"workspace": cast.workspace, "created_at": now}
    Message.objects.create(
        **shared, session=task.session, run=task.run, role="agent", text="May I?", by={}
    )
    Incident.objects.create(
        **shared,
        rule=GuardRule.objects.get(),
        agent=cast.support,
        operation=Operation.objects.get(),
        severity="low",
        first_seen_at=now,
        last_seen_at=now,
    )
    return str(task.run_id)


def run(rows: int, rounds: int, only: str) -> int:
    """Measure at 10,000 and at so many rows; 1 where a goal is missed."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.test import Client
    from django.test.utils import setup_test_environment

    from accounts_app.models import Membership, User
    from tests.conftest import make_cast

    setup_test_environment()
    call_command("migrate", verbosity=0)
    cast = make_cast()
    long_run = first_rows(cast)
    Membership.objects.get(user__username="abe").limited_to.set([cast.research])
    key = cast.key("read", name="reader")
    people = {name: Client() for name in ("admin", "ann", "abe", "gus", "aud")}
    for name, client in people.items():
        user = User.objects.get(username=name)
        client.force_login(user, "django.contrib.auth.backends.ModelBackend")

    def ask(who: str, path: str) -> Any:
        headers = {"Authorization": f"Bearer {key}"} if who == "key" else {}
        client = Client() if who == "key" else people[who]
        answer = client.get(path, headers=headers)
        assert answer.status_code == 200, (path, answer.status_code)
        return answer.content

    found: dict[str, Any] = {"at": dt.datetime.now(dt.UTC).isoformat(), "rounds": rounds}
    first, results = 2, []
    ann, day = User.objects.get(username="ann"), dt.date.today() - dt.timedelta(days=200)
    for total in (10_000, rows):
        seconds = fill(first, total, seldom=str(cast.research.pk), ann=str(ann.pk))
        say(f"{total:,} tasks, {total // PENDING_SHARE:,} pending; filled in {seconds:.0f} s")
        # The tests' own helpers hold large documents, which no server has to walk over.
        gc.collect()
        gc.freeze()
        asked = pages("4710", long_run, day).items()
        chosen = {name: page for name, page in asked if name.startswith(only)}
        results.append(measure(ask, chosen, rounds))
        table(results[-1])
        found[f"{total}"] = {"fill s": round(seconds, 1), **results[-1]}
        first = total + 1
    found["missed"] = missed(*results)
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"pages-{found['at'][:19].replace(':', '')}.json"
    target.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    say("\n".join(found["missed"]) or "Every goal is met.")
    return 1 if found["missed"] else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--only", default="", help="pages whose name begins so")
    options = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    os.environ["ASSENT_THROTTLE_PER_MINUTE"] = "0"
    with database() as url:
        os.environ["DATABASE_URL"] = url
        code = run(options.rows, options.rounds, options.only)
        from django.db import connections

        connections.close_all()
        return code


if __name__ == "__main__":
    sys.exit(main())
