"""What the Dashboard says, from visible rows and bounded reads: never a count of everything."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet, Sum
from django.utils import timezone

from accounts_app.scoping import Actor
from accounts_app.states import Permission
from integrations_app.models import Delivery
from integrations_app.states import DeliveryStatus
from tasks_app.figures import COLUMNS, OUTCOMES, count, counted, median_seconds
from tasks_app.models import DecidedHour, DecidedMark, Notification, UserTask
from tasks_app.scoping import of_open_sorts, seen_as_a_person
from tasks_app.selectors import capped_count, failed_notices, lots_of
from tasks_app.states import About, Kind, TaskStatus

MAX_PENDING = 1000
MAX_DECIDED = 5000
MAX_COUNTED = 100
DAYS = 14
AGES: tuple[tuple[str, float], ...] = (
    ("under 15 minutes", 900),
    ("under an hour", 3600),
    ("under 4 hours", 14_400),
    ("under a day", 86_400),
    ("older", float("inf")),
)


@dataclass(frozen=True, slots=True)
class Table:
    """Figures as a table, which is plotted too.

    Args:
        columns: their heads, after the first.
        rows: the head of each row, and its figures.
        is_capped: only the newest rows were looked at.
    """

    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[float | None]]]
    is_capped: bool = False

    @property
    def is_empty(self) -> bool:
        return not any(figure for _, figures in self.rows for figure in figures)


@dataclass(frozen=True, slots=True)
class Alarm:
    """A number that should be none: what it counts, and where that is looked at."""

    label: str
    count: int
    link: str

    @property
    def text(self) -> str:
        return f"{MAX_COUNTED - 1}+" if self.count >= MAX_COUNTED else str(self.count)


def waiting_by_age(actor: Actor, now: dt.datetime) -> Table:
    """How long what is pending has waited, by kind."""
    rows = UserTask.objects.visible_to(actor).pending().order_by("created_at")
    places: set[tuple[dt.datetime, UUID, str]] = set()
    for lot in lots_of(actor, rows):
        places |= set(lot.values_list("created_at", "pk", "kind")[: MAX_PENDING + 1])
    found = sorted(places)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for created_at, _, kind in found[:MAX_PENDING]:
        age = (now - created_at).total_seconds()
        counts[kind][next(label for label, limit in AGES if age < limit)] += 1
    table = [
        (kind.label, [counts[kind][label] for label, _ in AGES])
        for kind in Kind
        if counts.get(kind)
    ]
    return Table([label for label, _ in AGES], table, len(found) > MAX_PENDING)


def decisions_by_day(actor: Actor, now: dt.datetime) -> tuple[Table, Table]:
    """What became of tasks in the last 14 days, and about the median minutes until a decision."""
    today = timezone.localtime(now).date()
    days = [today - dt.timedelta(days=number) for number in range(DAYS - 1, -1, -1)]
    since = timezone.make_aware(dt.datetime.combine(days[0], dt.time()))
    mark = DecidedMark.objects.filter(workspace=actor.workspace_id).first()
    until = max(mark.until, since) if mark else since
    counts = _counted_hours(actor, since, until)
    capped = _count_singly(counts, actor, since, until)
    decided = [(f"{day:%d %b}", [counts[day][name] for name in OUTCOMES]) for day in days]
    speed = [(f"{day:%d %b}", [_minutes(counts[day])]) for day in days]
    return (
        Table([*OUTCOMES.values()], decided, capped),
        Table(["Median minutes, about"], speed, capped),
    )


def _counted_hours(
    actor: Actor, since: dt.datetime, until: dt.datetime
) -> dict[dt.date, Counter[str]]:
    """By the reader's day, what was counted when each hour was over."""
    counts: dict[dt.date, Counter[str]] = defaultdict(Counter)
    rows = DecidedHour.objects.visible_to(actor).filter(hour__gte=since, hour__lt=until)
    by_hour = rows.order_by().values("hour").annotate(**{name: Sum(name) for name in COLUMNS})
    for hour, *numbers in by_hour.values_list("hour", *COLUMNS):
        day = timezone.localtime(hour).date()
        counts[day].update(dict(zip(COLUMNS, numbers, strict=True)))
    return counts


def _count_singly(
    counts: dict[dt.date, Counter[str]], actor: Actor, since: dt.datetime, until: dt.datetime
) -> bool:
    """Add what is in no counted hour that this person sees; whether there is more than was read.

    That is what came after those hours, and before them what they see for who they are.
    """
    seen: QuerySet[UserTask] = UserTask.objects.visible_to(actor).exclude(status=TaskStatus.PENDING)
    before = seen.filter(completed_at__gte=since, completed_at__lt=until)
    beside = before.exclude(of_open_sorts(actor))
    lots = [seen.filter(completed_at__gte=until)]
    lots += [beside.filter(mine) for mine in seen_as_a_person(actor)] if until > since else []
    found: dict[Any, Any] = {}
    for rows in lots:
        read = counted(rows.order_by("-completed_at"), "pk")[: MAX_DECIDED + 1]
        found |= {row[0]: row[1:] for row in read}
    for row in list(found.values())[:MAX_DECIDED]:
        count(counts[timezone.localtime(row[-1]).date()], row)
    return len(found) > MAX_DECIDED


def _minutes(counts: Counter[str]) -> float | None:
    seconds = median_seconds(counts)
    return None if seconds is None else round(seconds / 60, 1)


def alarms(actor: Actor, now: dt.datetime) -> list[Alarm]:
    """What needs somebody now; each is counted to 100 at most."""
    pending = UserTask.objects.visible_to(actor).pending()
    queue = "/admin/review/approvals/"
    found = [
        Alarm("waiting", capped_count(actor, pending, MAX_COUNTED), queue),
        Alarm(
            "past their deadline",
            capped_count(actor, pending.filter(due_at__lte=now), MAX_COUNTED),
            f"{queue}?flag=overdue",
        ),
        Alarm(
            "with an unknown outcome",
            capped_count(actor, pending.filter(about=About.OUTCOME), MAX_COUNTED),
            f"{queue}?flag=unknown",
        ),
        Alarm(
            "that nobody can decide",
            capped_count(actor, pending.filter(unroutable=True), MAX_COUNTED),
            f"{queue}?flag=unroutable",
        ),
    ]
    if actor.can(Permission.MANAGE_WORKSPACE):
        failed = Delivery.objects.visible_to(actor).filter(
            status__in=(DeliveryStatus.FAILED, DeliveryStatus.DEAD),
            created_at__gte=now - dt.timedelta(days=7),
        )
        found.append(
            Alarm("failed webhook deliveries in a week", _capped(failed), "/admin/webhooks/")
        )
        untold = failed_notices(actor, now - dt.timedelta(days=7))
        found.append(
            Alarm(
                "failed notifications in a week", _capped(untold), "/admin/members/notifications/"
            )
        )
    return found


def _capped(rows: QuerySet[Delivery] | QuerySet[Notification]) -> int:
    return rows.order_by().values("pk")[:MAX_COUNTED].count()
