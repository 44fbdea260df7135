"""`python -m benchmarks.guard`: what the guard catches, what it costs a call, how fast it replays.

`--attacks`, `--inline` and `--replay 100000` do one of the three alone. The last two need
PostgreSQL at DATABASE_URL; a test database is made there and dropped at the end.
"""

import argparse
import datetime as dt
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

os.environ.setdefault("DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/guard")
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

import django

django.setup()

from django.db import connection  # noqa: E402 - after the setup
from django.db.models import F, Model  # noqa: E402
from django.test.runner import DiscoverRunner  # noqa: E402 - after the setup

from accounts_app import crypto  # noqa: E402
from accounts_app.models import new_id  # noqa: E402
from accounts_app.scoping import Actor, system_actor  # noqa: E402
from guard_app.models import GuardRule, Measure, Replay  # noqa: E402
from guard_app.services import screening  # noqa: E402
from guard_app.services.learning import rebuild  # noqa: E402
from guard_app.services.measuring import COLUMNS, measures_of  # noqa: E402
from guard_app.services.replays import run_replay, start_replay  # noqa: E402
from guard_app.services.rules import RuleValues, put_rule  # noqa: E402
from integrations_app.models import Operation, Run, ToolCall  # noqa: E402
from integrations_app.services.catalogue import (  # noqa: E402
    IntegrationValues,
    OperationValues,
    put_integration,
    put_operation,
)
from integrations_app.services.sessions import open_run, open_session  # noqa: E402
from tasks_app.models import UserTask  # noqa: E402
from tasks_app.services import calls  # noqa: E402
from tests.conftest import make_cast  # noqa: E402
from tests.guard_app.evaluation import evaluate  # noqa: E402

RULES = (0, 10, 50, 200)
WARM = 20
A_WEEK = dt.timedelta(days=7)
ARGUMENTS = {
    "amount": 12.5,
    "reason": "damaged",
    "note": "The customer writes that the parcel came open, and asks for the price of two cups."
    " A photograph is attached to the ticket 118273; the order was paid by card on Monday.",
    "lines": [{"sku": f"cup-{number}", "count": number} for number in range(1, 6)],
}
REFUND, LOOKUP = "payments.refund", "payments.charge_lookup"


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def attacks_and_ordinary_days(seeds: list[int]) -> None:
    say("The rules to begin with, against made-up weeks and six attacks")
    for seed in seeds:
        outcome = evaluate(seed)
        rate = 1000 * outcome.stopped / outcome.ordinary
        say(
            f"  seed {seed}: {outcome.stopped} of {outcome.ordinary} ordinary calls paused or"
            f" blocked ({rate:.2f} per 1,000) {dict(outcome.false_reviews)};"
            f" only alerted: {dict(outcome.false_alerts)}"
        )
        for name, rules in outcome.caught.items():
            by = ", ".join(f"{slug} at call {number}" for slug, number in rules.items())
            say(f"    {name:18} {by or 'MISSED'}")


def mixed_rules(actor: Actor, count: int) -> None:
    """Rules that look and do not hit, of all detectors."""
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("condition", {"when": "args.amount > 1000000.0 && counts.run > 1000"}),
        ("condition", {"when": "args.charge.contains('evil') && session.participant != ''"}),
        ("call_count", {"scope": "run", "limit": 100_000}),
        ("call_count", {"scope": "session", "limit": 100_000}),
        ("call_count", {"scope": "agent", "limit": 10_000_000, "window_seconds": 3600}),
        ("repeated_call", {"limit": 100_000}),
        ("budget", {"argument": "/amount", "limit": 1e12, "scope": "participant"}),
        ("budget", {"argument": "/amount", "limit": 1e12, "scope": "run"}),
        (
            "budget",
            {"argument": "/amount", "limit": 1e12, "scope": "agent", "window_seconds": 86_400},
        ),
        ("rate_baseline", {"sensitivity": 0.1}),
        ("value_range", {"argument": "/amount", "sensitivity": 0.1}),
        ("new_value", {"argument": "/reason"}),
        ("new_operation", {}),
        ("off_hours", {"timezone": "Europe/Berlin", "hours": "00:00-24:00"}),
        ("failure_burst", {"of": "failed", "limit": 100_000, "window_seconds": 600}),
        ("sensitive_data", {}),
        ("injection", {}),
        ("chain", {"sources": [LOOKUP], "sinks": ["payments.send_receipt"]}),
    ]
    for number in range(count):
        detector, parameters = kinds[number % len(kinds)]
        if "limit" in parameters:  # different rules need different facts
            parameters = {**parameters, "limit": parameters["limit"] + number}
        if "window_seconds" in parameters:
            parameters = {**parameters, "window_seconds": parameters["window_seconds"] + number}
        values = RuleValues(f"Rule {number}", detector, "alert", parameters)
        put_rule(actor, f"rule-{number}", values)


def inline_cost(actor: Actor, runs: list[Run], operation: Operation, rounds: int) -> None:
    """Time `screen` where it is called, inside the transaction of a call's request.

    One run after the other, so that each has the calls that it would have, and no more.
    """
    taken: list[float] = []
    worked: list[float] = []
    statements: list[int] = []
    real = screening.screen

    def timed(*args: Any, **options: Any) -> Any:
        asked = 0

        def counted(execute: Any, *args: Any) -> Any:
            nonlocal asked
            asked += 1
            return execute(*args)

        with connection.execute_wrapper(counted):
            started, busy = time.perf_counter(), time.process_time()
            verdict = real(*args, **options)
            taken.append(1000 * (time.perf_counter() - started))
            worked.append(1000 * (time.process_time() - busy))
        statements.append(asked)
        return verdict

    for rules in RULES:
        begun = dt.datetime.now(dt.UTC)
        wanted = [f"rule-{number}" for number in range(rules)]
        GuardRule.objects.update(enabled=False)
        GuardRule.objects.filter(slug__in=wanted).update(enabled=True, version=F("version") + 1)
        tidy()
        for figures in (taken, worked, statements):
            figures.clear()
        with patch.object(calls, "screen", timed):
            for number in range(rounds + WARM):
                calls.request_call(
                    actor,
                    run=runs[number * 7 % len(runs)],
                    operation=operation,
                    arguments={**ARGUMENTS, "charge": f"ch_{number}"},
                )
        found = sorted(taken[WARM:])
        p95 = found[int(len(found) * 0.95)]
        say(
            f"  {rules:3} rules: median {statistics.median(found):.2f} ms, p95 {p95:.2f} ms,"
            f" least {found[0]:.2f} ms; of this process {statistics.median(worked[WARM:]):.2f} ms;"
            f" {statistics.median(statements[WARM:]):.0f} statements ({len(found)} calls)"
        )
        # Else the calls of this measurement would be an unusual rate in the next one.
        ToolCall.objects.filter(created_at__gt=begun).update(created_at=begun - A_WEEK)


def tidy() -> None:
    """What autovacuum and the checkpointer do on their own where nothing hurries."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")


def record(actor: Actor, runs: list[Run], operation: Operation, count: int) -> None:
    """So many recorded calls over thirty days, with what is measured of them, as stored."""
    begun = dt.datetime.now(dt.UTC) - dt.timedelta(days=29, hours=23)
    rows: list[ToolCall] = []
    for number in range(count):
        call_id = new_id()
        arguments = {"charge": f"ch_{number}", "amount": number % 97, "reason": "damaged"}
        text = json.dumps(arguments).encode()
        moment = begun + dt.timedelta(days=29, hours=23) * (number / count)
        rejected = number % 50 == 0
        run = runs[number % len(runs)]
        rows.append(
            ToolCall(
                id=call_id,
                workspace_id=actor.workspace_id,
                created_at=moment,
                run=run,
                agent_id=run.agent_id,
                operation=operation,
                operation_version=1,
                status="rejected" if rejected else "succeeded",
                body_digest="",
                arguments=arguments,
                arguments_sealed=crypto.seal(text, place=f"tool_call.arguments:{call_id}"),
                arguments_digest=str(number % 5000),
                request_digest="",
                decided_at=moment if number % 10 == 0 else None,
                finished_at=moment + dt.timedelta(seconds=1),
            )
        )
        if len(rows) == 5000:  # a statement may not take long
            copy_in(rows)
            rows.clear()
    copy_in(rows)


def decided(call: ToolCall) -> UserTask:
    """The task in which a person decided about a recorded call."""
    rejected = call.status == "rejected"
    return UserTask(
        workspace_id=call.workspace_id,
        created_at=call.created_at,
        updated_at=call.decided_at,
        completed_at=call.decided_at,
        agent_id=call.agent_id,
        session_id=call.run.session_id,
        run=call.run,
        tool_call=call,
        about="call",
        kind="approval",
        status="completed",
        title="Refund",
        action="reject" if rejected else "approve",
        channel="backoffice",
    )


def copy_in(calls: list[ToolCall]) -> None:
    copy_models(ToolCall, calls)
    copy_models(UserTask, [decided(call) for call in calls if call.decided_at])
    measured = [row for call in calls for row in measures_of(call, call.arguments, ())]
    copy_rows(Measure, COLUMNS, measured)


def copy_models(model: type[Model], objects: Sequence[Model]) -> None:
    fields = model._meta.concrete_fields
    columns = ", ".join(f'"{field.column}"' for field in fields)
    rows = [
        [field.get_db_prep_save(getattr(each, field.attname), connection) for field in fields]
        for each in objects
    ]
    copy_rows(model, columns, rows)


def copy_rows(model: type[Model], columns: str, rows: list[list[Any]]) -> None:
    into = f"COPY {model._meta.db_table} ({columns}) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(into) as copy:
        for row in rows:
            copy.write_row(row)


def replay_speed(actor: Actor) -> None:
    now = dt.datetime.now(dt.UTC)
    for detector, parameters in (
        ("call_count", {"scope": "agent", "limit": 200, "window_seconds": 3600}),
        ("budget", {"argument": "/amount", "limit": 5000, "scope": "session"}),
        ("injection", {}),
    ):
        draft = RuleValues("Draft", detector, "review", parameters)
        replay = start_replay(actor, draft, now - dt.timedelta(days=31), now)
        begun, busy = time.perf_counter(), time.process_time()
        run_replay(replay.pk)
        taken, busy = time.perf_counter() - begun, time.process_time() - busy
        done = Replay.objects.get(pk=replay.pk)
        say(
            f"  {detector:12} {done.calls} calls, {done.hits} hits in {taken:.1f} s,"
            f" {busy:.1f} s of this process"
        )


def on_postgres(recorded: int, rounds: int, *, inline: bool, replay: bool) -> None:
    """Fill a test database with recorded calls, and measure beside them."""
    runner = DiscoverRunner(verbosity=0, interactive=False)
    config = runner.setup_databases()
    try:
        cast = make_cast()
        actor = system_actor(cast.workspace.pk, "benchmark")
        integration = put_integration(actor, "payments", IntegrationValues("Payments", "client"))[0]
        for slug, effect in (
            ("refund", "once"),
            ("charge_lookup", "read"),
            ("send_receipt", "once"),
        ):
            put_operation(actor, integration, slug, OperationValues(slug, effect))
        operation = Operation.objects.select_related("integration").get(slug="refund")
        runs = []
        for number in range(1000):
            session = open_session(actor, agent=cast.support, participant=f"c{number}@x.com")[0]
            runs += [open_run(actor, session=session)[0] for _ in range(2)]
        record(actor, runs, operation, recorded)
        rebuild(actor.workspace_id)
        tidy()
        if inline:
            mixed_rules(actor, RULES[-1])
            say(f"Screening one call on PostgreSQL, beside {recorded} recorded ones")
            inline_cost(actor, runs, operation, rounds)
        if replay:
            say("Replays on PostgreSQL")
            replay_speed(actor)
    finally:
        runner.teardown_databases(config)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--attacks", action="store_true", help="only what the rules catch")
    options.add_argument("--inline", action="store_true", help="only the cost of screening")
    options.add_argument("--replay", type=int, metavar="CALLS", help="only replays, of so many")
    options.add_argument("--recorded", type=int, default=100_000, help="calls beside --inline")
    options.add_argument("--rounds", type=int, default=400, help="of each number of rules")
    options.add_argument("--seeds", default="7,8,9")
    chosen = options.parse_args()
    everything = not (chosen.attacks or chosen.inline or chosen.replay)
    if everything or chosen.attacks:
        attacks_and_ordinary_days([int(seed) for seed in chosen.seeds.split(",") if seed])
    if everything or chosen.inline or chosen.replay:
        on_postgres(
            chosen.replay or chosen.recorded,
            chosen.rounds,
            inline=everything or chosen.inline,
            replay=everything or chosen.replay is not None,
        )


if __name__ == "__main__":
    main()
