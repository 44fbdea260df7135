"""How fast deadlines are swept: `.venv/bin/python -m benchmarks.sweep --due 10000 --sweepers 2`.

Fills a PostgreSQL database of its own with tasks whose deadline has passed, each in a run of its
own and half of them with a call that waits; lets so many sweepers at them at once, and counts that
each was ended once. See benchmarks/README.md.
"""

import argparse
import cProfile
import datetime as dt
import json
import multiprocessing
import os
import pstats
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.pages import database, say

RESULTS = Path(__file__).parent / "results"
GOAL_SECONDS_FOR_TEN_THOUSAND = 20.0
GROUP_LOOKED_AT = 100
SESSION, RUN, CALL, TASK = (f"md5('{kind}' || n)::uuid" for kind in ("s", "r", "c", "t"))
DUE = "now() - ({total} - n + 1) * interval '1 millisecond'"


def copy(model: Any, pk: Any, numbers: str, **different: str) -> None:
    """Copy one row for each number `n`.

    Args:
        model: of which table.
        pk: of the row.
        numbers: SQL that yields the numbers as `n`.
        different: SQL of the columns that differ from the row.
    """
    from django.db import connection

    columns = [field.column for field in model._meta.concrete_fields]
    chosen = ", ".join(different.get(name, f"t.{name}") for name in columns)
    table = model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {chosen}"
            f" FROM {numbers} AS n, (SELECT * FROM {table} WHERE id = %s) AS t",
            [pk],
        )
        cursor.execute(f"ANALYZE {table}")


def fill(total: int, with_call: Any, without: Any) -> None:
    """Make so many due tasks of these two, one by one in turn."""
    from integrations_app.models import Run, Session, ToolCall
    from tasks_app.models import UserTask

    everyone = f"generate_series(1, {total})"
    copy(Session, with_call.session_id, everyone, id=SESSION)
    copy(Run, with_call.run_id, everyone, id=RUN, session_id=SESSION)
    due = DUE.format(total=total)
    same = {"id": TASK, "session_id": SESSION, "run_id": RUN, "due_at": due}
    odd = f"generate_series(1, {total}, 2)"
    copy(ToolCall, with_call.tool_call_id, odd, id=CALL, run_id=RUN)
    copy(UserTask, with_call.pk, odd, **same, tool_call_id=CALL)
    copy(UserTask, without.pk, f"generate_series(2, {total}, 2)", **same)


def prepare(due: int) -> None:
    """Write the cast, two tasks to copy, a webhook that wants every time-out, and the due tasks."""
    from django.core.management import call_command

    from tasks_app.models import UserTask
    from tests.conftest import make_cast, make_world
    from tests.harness.receiver import Receiver

    call_command("migrate", verbosity=0)
    with Receiver() as receiver:
        world = make_world(make_cast(), receiver)
        world.operation(approval={"timeout_seconds": 3600}).ok()
        call = world.refund(900).ok(201)
        body = {"run": world.run(), "title": "Refund?", "timeout_seconds": 3600}
        plain = world.agent.post("tasks", body).ok(201)
        hook = {"url": f"{receiver.url}/hook", "events": ["task.timed_out"], "enabled": True}
        world.admin.put("webhooks/ops", {**hook, "allow_private_network": True}).ok(201)
    with_call, without = (UserTask.objects.get(pk=pk) for pk in (call["task"], plain["id"]))
    fill(due, with_call, without)


def sweeper(start: Any, done: Any) -> None:
    """One sweep in a process of its own, as the schedule does it."""
    import django

    django.setup()
    from tasks_app.services.sweeping import sweep

    start.wait()
    begun = time.perf_counter()
    moved = sweep(execute_here=False)
    done.put((moved["tasks_timed_out"], moved["failed"], time.perf_counter() - begun))


def race(number: int) -> tuple[list[tuple[int, int, float]], float]:
    """So many sweepers at once: of each what it did, and the seconds until the last was through."""
    from django.db import connections

    connections.close_all()
    context = multiprocessing.get_context("spawn")
    start, done = context.Barrier(number + 1), context.Queue()
    processes = [context.Process(target=sweeper, args=(start, done)) for _ in range(number)]
    for process in processes:
        process.start()
    start.wait()
    begun = time.perf_counter()
    figures = [done.get(timeout=600) for _ in processes]
    seconds = time.perf_counter() - begun
    for process in processes:
        process.join()
    return figures, seconds


def statements() -> int:
    """How many statements a group of a hundred takes; these are done then."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from tasks_app.services.deadlines import due_tasks, expire

    ids = due_tasks(GROUP_LOOKED_AT)
    with CaptureQueriesContext(connection) as seen:
        assert len(expire(ids)) == len(ids)
    return len(seen)


def check(due: int) -> None:
    """Each task was ended once, with one entry, one event and one delivery, and the chain holds."""
    from accounts_app.models import AuditEntry
    from accounts_app.services.audit import verify
    from integrations_app.models import Delivery, OutboxEvent, ToolCall
    from tasks_app.models import Decision, UserTask

    assert UserTask.objects.filter(timed_out=True, status="completed").count() == due
    assert Decision.objects.filter(act="timed_out").count() == due
    assert AuditEntry.objects.filter(verb="task.timed_out").count() == due
    assert OutboxEvent.objects.filter(type="task.timed_out").count() == due
    assert Delivery.objects.count() == due
    assert ToolCall.objects.filter(status="timed_out").count() == (due + 1) // 2
    assert list(verify()) == []


def profiled() -> str:
    """One sweep in this process: where its time goes."""
    from tasks_app.services.sweeping import sweep

    profile = cProfile.Profile()
    profile.runcall(sweep, execute_here=False)
    with tempfile.TemporaryFile("w+") as stream:
        pstats.Stats(profile, stream=stream).sort_stats("cumulative").print_stats(70)
        stream.seek(0)
        return stream.read()


def run(due: int, sweepers: int, profile: bool) -> int:
    """Measure, print, and answer 1 where the goal is missed."""
    import django

    django.setup()
    from django.test.utils import setup_test_environment

    setup_test_environment()
    prepare(due)
    asked = statements()
    if profile:
        say(profiled())
        check(due)
        return 0
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    figures, seconds = race(sweepers)
    check(due)
    moved = sum(number for number, _, _ in figures)
    goal = GOAL_SECONDS_FOR_TEN_THOUSAND * max(1.0, due / 10_000)
    found = {
        "at": dt.datetime.now(dt.UTC).isoformat(),
        "due": due,
        "sweepers": sweepers,
        "moved": moved,
        "failed": sum(failed for _, failed, _ in figures),
        "seconds": round(seconds, 2),
        "tasks/s": round(moved / seconds),
        "statements for a hundred": asked,
        "goal s": goal,
    }
    for label, figure in found.items():
        say(f"  {label:26} {figure}")
    for position, (number, _, took) in enumerate(figures, start=1):
        say(f"  sweeper {position:<18} {number} in {took:.2f} s")
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"sweep-{str(found['at'])[:19].replace(':', '')}.json"
    target.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 1 if seconds >= goal or found["failed"] else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--due", type=int, default=10_000)
    parser.add_argument("--sweepers", type=int, default=2)
    parser.add_argument("--profile", action="store_true", help="one sweeper, and where it spends")
    options = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    with database() as url, tempfile.TemporaryDirectory() as home:
        os.environ |= {"DATABASE_URL": url, "ASSENT_HOME": home, "ASSENT_NUDGE": "off"}
        code = run(options.due, options.sweepers, options.profile)
        from django.db import connections

        connections.close_all()
        return code


if __name__ == "__main__":
    sys.exit(main())
