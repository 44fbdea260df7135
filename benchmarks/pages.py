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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests import throwaway_postgres
from tests.harness.installation import database_of_its_own
from tests.run import POSTGRES

RESULTS = Path(__file__).parent / "results"
PENDING_SHARE = 10
"""One task of so many is pending."""
GOAL_GROWTH, GOAL_QUERIES, GOAL_SEARCH_MS = 1.5, 6, 100.0
# What differs from row to row; {n} is the row's number. Ids are ordered by time, as the product's.
DIFFERENT = {
    "id": """(lpad(to_hex((extract(epoch FROM {at}) * 1000)::bigint), 12, '0') || '7'
        || lpad(to_hex({n} % 4096), 3, '0') || '8' || substr(md5({n}::text), 1, 15))::uuid""",
    "created_at": "{at}",
    "updated_at": "{at}",
    "status": "CASE WHEN {waits} THEN 'pending' ELSE 'completed' END",
    "completed_at": "CASE WHEN {waits} THEN NULL ELSE {at} + interval '7 minutes' END",
    "action": "CASE WHEN {waits} THEN NULL ELSE 'approve' END",
    "decided_by": """CASE WHEN {waits} THEN NULL
        ELSE '{{"type":"system","id":"bulk","name":"Bulk","on_behalf_of":null}}' END""",
    "channel": "CASE WHEN {waits} THEN '' ELSE 'api' END",
    "due_at": "CASE WHEN {n} % 3 = 0 THEN NULL ELSE now() + {n} % 100000 * interval '1 minute' END",
    "title": """'Refund of order ' || {n} || ' for '
        || (ARRAY['Okafor','Lindqvist','Nakamura','Dubois'])[1 + {n} % 4]""",
    "description": """'The parcel ' || substr(md5({n}::text), 1, 8) || ' never arrived at depot '
        || {n} % 997""",
    "participant": "'person' || {n} % 50000 || '@example.com'",
    "session_id": "md5('session' || {n} / 50)::uuid",
    "run_id": "md5('run' || {n} / 50)::uuid",
    "key": "NULL",
    "kind": "(ARRAY['approval','approval','approval','text','number'])[1 + {n} % 5]",
}
AT = "(now() - interval '400 days' + {n} * (interval '400 days' / {total}))"


def pages(name: str) -> dict[str, tuple[str, str]]:
    """What is measured: who asks, and for what; `name` is a word that one task has."""
    pending = "/api/v1/tasks?status=pending"
    queue = "/admin/review/approvals/"
    return {
        "queue": ("person", queue),
        "queue by deadline": ("person", f"{queue}?sort=due"),
        "queue, text": ("person", f"{queue}?q={name}"),
        "completed": ("person", f"{queue}?tab=completed"),
        "dashboard": ("person", "/admin/dashboard/"),
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


def fill_sessions(first: int, total: int) -> None:
    """A session with one run for every fifty tasks, as copies of the one that is there."""
    from django.db import connection

    from integrations_app.models import Run, Session

    at = AT.format(n="(s * 50)", total=total)
    made = {
        Session: {"id": "md5('session' || s)::uuid", "created_at": at},
        Run: {
            "id": "md5('run' || s)::uuid",
            "session_id": "md5('session' || s)::uuid",
            "created_at": at,
        },
    }
    with connection.cursor() as cursor:
        for model, different in made.items():
            table = model._meta.db_table
            columns = [field.column for field in model._meta.concrete_fields]
            chosen = ", ".join(different.get(name, f"t.{name}") for name in columns)
            cursor.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) SELECT {chosen}"
                f" FROM generate_series({first // 50}, {total // 50}) AS s,"
                f" (SELECT * FROM {table} ORDER BY created_at DESC LIMIT 1) AS t"
                " ON CONFLICT DO NOTHING"
            )
            cursor.execute(f"ANALYZE {table}")


def fill(first: int, total: int) -> float:
    """Copy the one task that is there until there are so many; seconds that it took.

    Args:
        first: the number of the first new row.
        total: of the rows that there are to be.
    """
    from django.db import connection

    from tasks_app.models import UserTask

    columns = [field.column for field in UserTask._meta.concrete_fields]
    words = {"n": "n", "waits": f"n % {PENDING_SHARE} = 0"}
    words["at"] = AT.format(n="n", total=total)
    chosen = [
        DIFFERENT[name].format(**words) if name in DIFFERENT else f"t.{name}" for name in columns
    ]
    begun = time.perf_counter()
    fill_sessions(first, total)
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute(
            f"INSERT INTO tasks_app_usertask ({', '.join(columns)})"
            f" SELECT {', '.join(chosen)} FROM generate_series({first}, {total}) AS n,"
            " (SELECT * FROM tasks_app_usertask ORDER BY created_at LIMIT 1) AS t"
        )
        cursor.execute("VACUUM ANALYZE tasks_app_usertask")
        cursor.execute("RESET statement_timeout")
    return time.perf_counter() - begun


def measure(ask: Callable[[str, str], Any], name: str, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds and statements of each page, after a few rounds that warm the caches."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    figures = {}
    for label, (who, path) in pages(name).items():
        for _ in range(3):
            ask(who, path)
        took = []
        for _ in range(rounds):
            begun = time.perf_counter()
            ask(who, path)
            took.append(1000 * (time.perf_counter() - begun))
        with CaptureQueriesContext(connection) as seen:
            ask(who, path)
        slowest = max(seen.captured_queries, key=lambda query: float(query["time"]))
        figures[label] = {
            "p50 ms": round(statistics.median(took), 1),
            "p95 ms": round(sorted(took)[int(0.95 * len(took))], 1),
            "queries": len(seen),
            "slowest query ms": round(1000 * float(slowest["time"]), 1),
        }
    return figures


def missed(small: dict[str, Any], big: dict[str, Any]) -> list[str]:
    """What does not meet its goal."""
    found = []
    for label, figures in big.items():
        growth = figures["p95 ms"] / small[label]["p95 ms"]
        if growth >= GOAL_GROWTH:
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
        say(f"  {label:24} {numbers}")


def run(rows: int, rounds: int) -> int:
    """Measure at 10,000 and at so many rows; 1 where a goal is missed."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.test import Client
    from django.test.utils import setup_test_environment

    from accounts_app.models import User
    from tests.api_client import Api
    from tests.conftest import make_cast

    setup_test_environment()
    call_command("migrate", verbosity=0)
    cast = make_cast()
    Api(cast.key("runs,read", name="bench")).post(
        "tasks", {"agent": "support", "title": "Refund?"}
    ).ok(201)
    person, key = Client(), cast.key("read", name="reader")
    person.force_login(
        User.objects.get(username="ann"), "django.contrib.auth.backends.ModelBackend"
    )

    def ask(who: str, path: str) -> Any:
        headers = {"Authorization": f"Bearer {key}"} if who == "key" else {}
        answer = (
            person.get(path, headers=headers)
            if headers == {}
            else Client().get(path, headers=headers)
        )
        assert answer.status_code == 200, (path, answer.status_code)
        return answer.content

    found: dict[str, Any] = {"at": dt.datetime.now(dt.UTC).isoformat(), "rounds": rounds}
    first, results = 2, []
    for total in (10_000, rows):
        seconds = fill(first, total)
        say(f"{total:,} tasks, {total // PENDING_SHARE:,} pending; filled in {seconds:.0f} s")
        # The tests' own helpers hold large documents, which no server has to walk over.
        gc.collect()
        gc.freeze()
        results.append(measure(ask, "4710", rounds))
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
    options = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    os.environ["ASSENT_THROTTLE_PER_MINUTE"] = "0"
    with database() as url:
        os.environ["DATABASE_URL"] = url
        code = run(options.rows, options.rounds)
        from django.db import connections

        connections.close_all()
        return code


if __name__ == "__main__":
    sys.exit(main())
