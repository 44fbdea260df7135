"""`python -m benchmarks.guard`: what the guard catches, what it costs a call, how fast it replays.

Needs PostgreSQL at DATABASE_URL; makes a test database there and drops it at the end.
"""

import argparse
import datetime as dt
import json
import os
import statistics
import sys
import time
from typing import Any
from unittest.mock import patch

os.environ.setdefault("DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/guard")
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

import django

django.setup()

from django.test.runner import DiscoverRunner  # noqa: E402 - after the setup

from accounts_app import crypto  # noqa: E402
from accounts_app.models import new_id  # noqa: E402
from accounts_app.scoping import Actor, system_actor  # noqa: E402
from guard_app.models import GuardRule, Replay  # noqa: E402
from guard_app.services import screening  # noqa: E402
from guard_app.services.learning import rebuild  # noqa: E402
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
from tasks_app.services import calls  # noqa: E402
from tests.conftest import make_cast  # noqa: E402
from tests.guard_app.evaluation import evaluate  # noqa: E402

RULES = 50
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


def fifty_rules(actor: Actor) -> None:
    """Fifty rules that look and do not hit, of all detectors."""
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("condition", {"when": "args.amount > 1000000.0 && counts.run > 1000"}),
        ("condition", {"when": "args.charge.contains('evil') && session.participant != ''"}),
        ("call_count", {"scope": "run", "limit": 100_000}),
        ("call_count", {"scope": "session", "limit": 100_000}),
        ("call_count", {"scope": "agent", "limit": 10_000_000, "window_seconds": 3600}),
        ("repeated_call", {"limit": 100_000}),
        ("budget", {"argument": "/amount", "limit": 1e12, "scope": "participant"}),
        ("budget", {"argument": "/amount", "limit": 1e12, "scope": "run"}),
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
    for number in range(RULES):
        detector, parameters = kinds[number % len(kinds)]
        if "limit" in parameters:  # different rules need different facts
            parameters = {**parameters, "limit": parameters["limit"] + number}
        if "window_seconds" in parameters:
            parameters = {**parameters, "window_seconds": parameters["window_seconds"] + number}
        values = RuleValues(f"Rule {number}", detector, "alert", parameters)
        put_rule(actor, f"rule-{number}", values)


def inline_cost(actor: Actor, run: Run, operation: Operation, rounds: int) -> None:
    taken: list[float] = []
    worked: list[float] = []
    real = screening.screen

    def timed(*args: Any, **options: Any) -> Any:
        begun, busy = time.perf_counter(), time.process_time()
        verdict = real(*args, **options)
        taken.append(1000 * (time.perf_counter() - begun))
        worked.append(1000 * (time.process_time() - busy))
        return verdict

    for rules in (0, RULES):
        GuardRule.objects.update(enabled=bool(rules))
        taken.clear()
        worked.clear()
        with patch.object(calls, "screen", timed):
            for number in range(rounds + 20):
                calls.request_call(
                    actor,
                    run=run,
                    operation=operation,
                    arguments={"charge": f"ch_{number}", "amount": 12.5, "reason": "damaged"},
                )
        found = sorted(taken[20:])
        p95 = found[int(len(found) * 0.95)]
        say(
            f"  {rules:2} rules: median {statistics.median(found):.2f} ms,"
            f" p95 {p95:.2f} ms, least {found[0]:.2f} ms; of this process"
            f" {statistics.median(worked[20:]):.2f} ms ({len(found)} calls)"
        )


def record(actor: Actor, runs: list[Run], operation: Operation, count: int) -> None:
    """So many recorded calls over thirty days, as they are stored."""
    begun = dt.datetime.now(dt.UTC) - dt.timedelta(days=30)
    rows: list[ToolCall] = []
    for number in range(count):
        call_id = new_id()
        arguments = {"charge": f"ch_{number}", "amount": number % 97, "reason": "damaged"}
        text = json.dumps(arguments).encode()
        moment = begun + dt.timedelta(days=29) * (number / count)
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
        if len(rows) == 1000:  # PostgreSQL takes 65,535 parameters
            ToolCall.objects.bulk_create(rows)
            rows.clear()
    ToolCall.objects.bulk_create(rows)


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


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--calls", type=int, default=100_000, help="recorded, for the replays")
    options.add_argument("--rounds", type=int, default=400, help="of the inline cost")
    options.add_argument("--seeds", default="7,8,9")
    chosen = options.parse_args()
    attacks_and_ordinary_days([int(seed) for seed in chosen.seeds.split(",") if seed])
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
        for number in range(200):
            session = open_session(actor, agent=cast.support, participant=f"c{number}@x.com")[0]
            runs.append(open_run(actor, session=session)[0])
        record(actor, runs, operation, chosen.calls)
        rebuild(actor.workspace_id)
        fifty_rules(actor)
        say(f"Screening one call on PostgreSQL, beside {chosen.calls} recorded ones")
        inline_cost(actor, runs[0], operation, chosen.rounds)
        say("Replays on PostgreSQL")
        replay_speed(actor)
    finally:
        runner.teardown_databases(config)


if __name__ == "__main__":
    main()
