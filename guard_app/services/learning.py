"""What is usual, kept up from history: ranges of arguments, and the pace of agents.

A baseline goes forward from where it stood (`learn`), and can be made anew (`rebuild`). Values are
kept as a sketch: how many lay in each of some hundred steps that grow by a tenth, so that
quartiles come from it without the values themselves.
"""

import datetime as dt
import json
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, TypeAlias
from uuid import UUID

from django.db.models import QuerySet

from accounts_app.clock import db_now
from accounts_app.models import Workspace
from accounts_app.services.unit import Unit, unit_of_work
from guard_app.facts import Pace, Range
from guard_app.models import Baseline, LearningMark, Measure
from integrations_app.models import ToolCall
from integrations_app.states import CallStatus

LAG = dt.timedelta(seconds=60)
"""Younger calls are left for the next time: they may still be written by others."""

BEHIND = dt.timedelta(minutes=10)
WEEKS_KEPT = 8
HOURS_A_WEEK = 168
STEP = math.log(1.1)
SMALLEST = 1e-3
CHUNK = 5000
Sketch: TypeAlias = Counter[int]
Progress: TypeAlias = Callable[[int, int], None]


@lru_cache(maxsize=512)
def range_in(kept: str) -> Range | None:
    """The range that a baseline's JSON tells; None where nothing was learned."""
    return range_of(sketch_of(json.loads(kept)))


@lru_cache(maxsize=512)
def pace_in(kept: str, hour: int) -> Pace | None:
    """The pace at an hour since the epoch that a baseline's JSON tells."""
    return pace_of(json.loads(kept), hour)


def _silent(done: int, total: int) -> None:
    return None


def learn(workspace_id: UUID, said: Progress = _silent) -> int:
    """Take a workspace's calls since the last time into its baselines.

    Args:
        workspace_id: whose.
        said: told now and then how many rows were gone through, and how many there are.

    Returns:
        How many calls were new.
    """
    with unit_of_work() as unit:
        LearningMark.objects.get_or_create(
            workspace_id=workspace_id, defaults={"until": dt.datetime.fromtimestamp(0, dt.UTC)}
        )
        mark = LearningMark.objects.select_for_update().get(pk=workspace_id)
        until = unit.now - LAG
        if until <= mark.until:
            return 0
        calls = ToolCall.objects.in_workspace(workspace_id).filter(
            created_at__gt=mark.until, created_at__lte=until
        )
        rows = _measures(workspace_id, mark.until, until)
        # Counted for a rebuild only: of what came within five minutes nobody asks.
        total = 0 if said is _silent else rows.count() + calls.count()
        values = _learn_values(unit, workspace_id, rows, partial(_tell, said, 0, total))
        learned = _learn_pace(unit, workspace_id, calls, partial(_tell, said, values, total))
        said(total, total)
        LearningMark.objects.filter(pk=workspace_id).update(until=until)
    return learned


def learn_all() -> int:
    """Keep up the baselines of every workspace."""
    return sum(learn(pk) for pk in Workspace.objects.values_list("pk", flat=True))


def learn_when_behind() -> int:
    """Keep up the baselines that no job has kept up for ten minutes, as without a broker."""
    fresh = LearningMark.objects.filter(until__gt=db_now() - BEHIND).values("workspace")
    late = Workspace.objects.exclude(pk__in=fresh).values_list("pk", flat=True)
    return sum(learn(pk) for pk in late)


def rebuild(workspace_id: UUID, said: Progress = _silent) -> int:
    """Forget what was learned in a workspace, and learn it anew from the recorded calls."""
    with unit_of_work():
        LearningMark.objects.filter(pk=workspace_id).delete()
        Baseline.objects.in_workspace(workspace_id).delete()
        return learn(workspace_id, said)


def _tell(said: Progress, before: int, total: int, done: int) -> None:
    if done % CHUNK == 0:
        said(before + done, total)


def _measures(workspace_id: UUID, since: dt.datetime, until: dt.datetime) -> QuerySet[Measure]:
    """Of what succeeded since: a call that waits may still be rejected, or be an attack."""
    return Measure.objects.filter(
        call__workspace=workspace_id,
        call__status=CallStatus.SUCCEEDED,
        call__finished_at__gt=since,
        call__finished_at__lte=until,
        number__isnull=False,
    )


def _learn_values(
    unit: Unit, workspace_id: UUID, rows: QuerySet[Measure], tell: Callable[[int], None]
) -> int:
    passed = 0
    sketches: dict[tuple[UUID, str], Sketch] = defaultdict(Counter)
    found = rows.values_list("operation_id", "pointer", "number")
    for operation_id, pointer, number in found.iterator(chunk_size=CHUNK):
        sketches[operation_id, pointer][step_of(number or 0.0)] += 1
        passed += 1
        tell(passed)
    present = {
        (row.operation_id, row.pointer): row
        for row in _present(workspace_id).filter(operation__isnull=False)
        if (row.operation_id, row.pointer) in sketches
    }
    for (operation_id, pointer), sketch in sketches.items():
        before = present.get((operation_id, pointer))
        data = {"steps": {str(k): n for k, n in (sketch + _sketch_of_row(before)).items()}}
        _keep(unit, before, data, workspace_id, operation_id=operation_id, pointer=pointer)
    return passed


def _learn_pace(
    unit: Unit, workspace_id: UUID, calls: QuerySet[ToolCall], tell: Callable[[int], None]
) -> int:
    hours: dict[UUID, Counter[int]] = defaultdict(Counter)
    learned = 0
    found = calls.order_by().values_list("agent_id", "created_at")
    for agent_id, at in found.iterator(chunk_size=CHUNK):
        hours[agent_id][hour_of(at)] += 1
        learned += 1
        tell(learned)
    present = {
        row.agent_id: row
        for row in _present(workspace_id).filter(operation__isnull=True)
        if row.agent_id in hours
    }
    oldest = hour_of(unit.now) - WEEKS_KEPT * HOURS_A_WEEK
    for agent_id, counts in hours.items():
        before = present.get(agent_id)
        for hour, count in ((before.data if before else {}).get("hours") or {}).items():
            counts[int(hour)] += count
        kept = {str(hour): count for hour, count in sorted(counts.items()) if hour >= oldest}
        first = min([*counts, *([before.data["first"]] if before else [])])
        _keep(unit, before, {"hours": kept, "first": first}, workspace_id, agent_id=agent_id)
    return learned


def _present(workspace_id: UUID) -> QuerySet[Baseline]:
    return Baseline.objects.in_workspace(workspace_id)


def _keep(
    unit: Unit, before: Baseline | None, data: dict[str, Any], workspace_id: UUID, **key: Any
) -> None:
    if before is None:
        Baseline.objects.create(workspace_id=workspace_id, created_at=unit.now, data=data, **key)
    else:
        Baseline.objects.filter(pk=before.pk).update(data=data)


def sketch_of(data: Mapping[str, Any]) -> Sketch:
    """The sketch as a baseline keeps it."""
    return Counter({int(step): count for step, count in (data.get("steps") or {}).items()})


def _sketch_of_row(row: Baseline | None) -> Sketch:
    return Counter() if row is None else sketch_of(row.data)


def step_of(number: float) -> int:
    """Which step of the sketch a number falls on; steps grow by a tenth, from a thousandth."""
    if abs(number) < SMALLEST:
        return 0
    size = 1 + round(math.log(abs(number) / SMALLEST) / STEP)
    return size if number > 0 else -size


def value_at(step: int) -> float:
    """A number that stands for a step."""
    if step == 0:
        return 0.0
    return math.copysign(SMALLEST * math.exp((abs(step) - 1) * STEP), step)


def range_of(sketch: Sketch) -> Range | None:
    """Quartiles, and the 1st and 99th hundredth, of what a sketch has seen."""
    count = sum(sketch.values())
    if not count:
        return None
    wanted = [0.01, 0.25, 0.5, 0.75, 0.99]
    found: list[float] = []
    passed = 0
    for step in sorted(sketch):
        passed += sketch[step]
        while len(found) < len(wanted) and passed >= wanted[len(found)] * count:
            found.append(value_at(step))
    low, lower, middle, upper, high = found
    return Range(count, low, lower, middle, upper, high)


def hour_of(moment: dt.datetime) -> int:
    """The hour since the epoch."""
    return int(moment.timestamp() // 3600)


def pace_of(data: Mapping[str, Any], hour: int) -> Pace | None:
    """The usual number of calls at this hour of the week, with the hours beside it.

    Hours without a call count as well, from the first call on.

    Args:
        data: what a baseline keeps.
        hour: the present one, since the epoch.
    """
    if "first" not in data:
        return None
    counts = {int(each): count for each, count in data["hours"].items()}
    samples, weeks = [], 0
    first = max(int(data["first"]), hour - WEEKS_KEPT * HOURS_A_WEEK)
    for back in range(1, WEEKS_KEPT + 1):
        then = hour - back * HOURS_A_WEEK
        if then < first:
            break
        weeks += 1
        samples += [counts.get(then + beside, 0) for beside in (-1, 0, 1)]
    if not samples:
        return None
    usual = statistics.median(samples)
    spread = 1.4826 * statistics.median(abs(count - usual) for count in samples)
    return Pace(usual, spread, weeks)
