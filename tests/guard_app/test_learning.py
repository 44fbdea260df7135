"""What is usual: learned from recorded calls, kept up, and made anew."""

import datetime as dt
import random
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command

from accounts_app.clock import db_now
from guard_app.models import Baseline, Detection, Measure
from guard_app.services.defaults import install_rules
from guard_app.services.learning import (
    hour_of,
    learn,
    pace_of,
    range_of,
    rebuild,
    step_of,
    value_at,
)
from integrations_app.models import ToolCall
from tasks_app.services.sweeping import sweep
from tests.conftest import World
from tests.guard_app.test_screening import rule, statuses


@pytest.mark.parametrize("number", [0.01, 1, 7.5, 90, 12345.678, 3e12, -40])
def test_a_step_stands_for_numbers_within_five_per_cent(number: float) -> None:
    assert value_at(step_of(number)) == pytest.approx(number, rel=0.05)


def test_zero_and_what_is_nearly_zero_is_one_step() -> None:
    assert (step_of(0), step_of(1e-9), value_at(0)) == (0, 0, 0)


def test_quartiles_come_from_the_sketch() -> None:
    learned = range_of(Counter(step_of(number) for number in range(1, 101)))
    assert learned is not None
    assert learned.count == 100
    assert learned.middle == pytest.approx(50, rel=0.06)
    assert (learned.low, learned.high) == pytest.approx((1, 99), rel=0.06)
    assert range_of(Counter()) is None


def test_the_pace_is_that_of_the_hour_of_the_week() -> None:
    now = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
    hour = int(now.timestamp() // 3600)
    weeks = {str(hour - 168 * back + beside): 10 for back in (1, 2, 3, 4) for beside in (-1, 0, 1)}
    data = {"hours": weeks, "first": hour - 168 * 4 - 1}
    pace = pace_of(data, hour)
    assert pace is not None
    assert (pace.usual, pace.spread, pace.weeks) == (10, 0, 4)
    night = pace_of(data, hour + 10)
    assert night is not None
    assert night.usual == 0
    assert pace_of({}, hour) is None


def test_calls_are_learned_once_and_can_be_learned_anew(
    world: World, move_clock: Callable[[float], None]
) -> None:
    run = world.run()
    statuses(world, 10, 20, 30, run=run)
    sweep(execute_here=True)
    pk = world.cast.workspace.pk
    assert learn(pk) == 0, "too young: others may still be writing"
    move_clock(120)
    assert (learn(pk), learn(pk)) == (3, 0)
    statuses(world, 40, run=run)
    sweep(execute_here=True)
    move_clock(120)
    assert learn(pk) == 1
    row = Baseline.objects.get(pointer="/amount")
    assert sum(row.data["steps"].values()) == 4
    before = {(row.operation_id, row.agent_id, row.pointer): row.data for row in everything()}
    assert rebuild(pk) == 4
    assert before == {(r.operation_id, r.agent_id, r.pointer): r.data for r in everything()}
    call_command("rebuild_baselines", workspace="demo")
    assert sum(Baseline.objects.get(pointer="/amount").data["steps"].values()) == 4


@pytest.mark.parametrize("seed", range(3))
def test_kept_up_bit_by_bit_or_made_anew_the_baselines_are_equal(
    world: World, move_clock: Callable[[float], None], seed: int
) -> None:
    """Whatever became of the calls in between: run late, rejected, or waiting still."""
    dice, pk, waiting = random.Random(seed), world.cast.workspace.pk, []
    for _ in range(5):
        run = world.run()
        for _ in range(dice.randint(0, 4)):
            call = world.refund(dice.choice([10, 20, 150, 900]), run).ok(201)
            if call["status"] == "awaiting_approval":
                waiting.append(call["task"])
        dice.shuffle(waiting)
        for task in waiting[: dice.randint(0, 2)]:
            body = {"action": dice.choice(["approve", "reject"])}
            world.decider.post(f"tasks/{task}/complete", body).ok()
            waiting.remove(task)
        if dice.random() < 0.7:
            sweep(execute_here=True)
        move_clock(dice.choice([30, 90, 4000]))
        learn(pk)
    move_clock(120)
    learn(pk)
    kept = effective(pk)
    rebuild(pk)
    assert effective(pk) == kept
    assert any(isinstance(fact, dict) and fact for fact in kept.values())


def test_rebuilding_shows_how_far_it_is(
    world: World,
    move_clock: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of four calls that succeeded four amounts and four texts are measured."""
    statuses(world, 10, 20, 30, 40, run=world.run())
    sweep(execute_here=True)
    move_clock(120)
    monkeypatch.setattr("guard_app.services.learning.CHUNK", 3)
    learn(world.cast.workspace.pk)
    assert capsys.readouterr().err == ""
    call_command("rebuild_baselines", workspace="demo")
    assert capsys.readouterr().err.splitlines() == [
        "demo: 25 % (3 of 12 rows)",
        "demo: 50 % (6 of 12 rows)",
        "demo: 91 % (11 of 12 rows)",
        "demo: 100 % (12 of 12 rows)",
    ]


def test_keeping_up_reads_only_what_is_new(
    world: World, move_clock: Callable[[float], None]
) -> None:
    run = world.run()
    statuses(world, *range(1, 6), run=run)
    sweep(execute_here=True)
    move_clock(120)
    learn(world.cast.workspace.pk)
    Measure.objects.all().delete()  # whatever read it again would now find nothing
    statuses(world, 40, run=run)
    sweep(execute_here=True)
    move_clock(120)
    assert learn(world.cast.workspace.pk) == 1
    assert sum(Baseline.objects.get(pointer="/amount").data["steps"].values()) == 6


def effective(workspace_id: UUID) -> dict[Any, Any]:
    """What the baselines say, however they were written."""
    hour = hour_of(db_now())
    return {
        (row.operation_id, row.agent_id, row.pointer): row.data.get("steps")
        or [pace_of(row.data, hour + later) for later in range(170)]
        for row in everything()
    }


def everything() -> list[Baseline]:
    return list(Baseline.objects.all())


def test_the_sweep_learns_where_no_job_does(
    world: World, move_clock: Callable[[float], None]
) -> None:
    statuses(world, 10)
    move_clock(3600)
    assert sweep(execute_here=True)["calls_learned"] == 1
    assert sweep(execute_here=True)["calls_learned"] == 0


def test_an_amount_far_out_of_what_was_learned_is_noticed(
    world: World, move_clock: Callable[[float], None]
) -> None:
    world.operation(requires_approval=False, approval=None).ok(200)
    rule(world, "value_range", parameters={"argument": "/amount"}, effect="alert")
    run = world.run()
    assert statuses(world, 5000, run=run) == ["queued"]
    assert not Detection.objects.exists(), "nothing was learned yet"
    for number in range(35):
        statuses(world, 40 + number % 7, run=run)
    sweep(execute_here=True)
    move_clock(120)
    learn(world.cast.workspace.pk)
    statuses(world, 45, run=run)
    assert not Detection.objects.exists()
    statuses(world, 90_000, run=run)
    assert "/amount is 90,000" in Detection.objects.get().explanation


def test_of_a_sensitive_argument_only_a_digest_is_kept(world: World) -> None:
    world.operation(sensitive=["/charge"]).ok(200)
    statuses(world, 7)
    kept = {row.pointer: row for row in Measure.objects.all()}
    assert kept["/amount"].number == 7
    assert kept["/charge"].number is None
    assert len(kept["/charge"].digest) == 32
    assert "ch_1" not in kept["/charge"].digest


def test_a_call_with_hundreds_of_arguments_keeps_few_and_the_watched_ones(world: World) -> None:
    world.operation(parameters={"type": "object"}).ok(200)
    rule(world, "budget", parameters={"argument": "/z", "limit": 100, "scope": "run"})
    arguments = {f"a{number}": number for number in range(500)} | {"z": 60, "amount": 1}
    run = world.run()
    assert world.refund(1, run, arguments=arguments).ok(201)["status"] == "queued"
    assert Measure.objects.count() == 24
    assert world.refund(1, run, arguments={"z": 60, "amount": 1}).ok(201)["status"] == "blocked"


def test_the_rules_to_begin_with_are_put_in_shadow_and_once(world: World) -> None:
    added = install_rules(world.cast.actor("admin"))
    assert {"loop", "pace", "secrets", "drain-amount", "range-amount"} <= set(added)
    assert install_rules(world.cast.actor("admin")) == []
    shown = world.admin.get("guard/rules?limit=100").ok()["results"]
    assert all(row["shadow"] and row["enabled"] for row in shown)
    run = world.run()
    assert statuses(world, *[5] * 8, run=run) == ["queued"] * 8
    assert Detection.objects.filter(rule__slug="loop", shadow=True).count() == 3
    assert ToolCall.objects.count() == 8
