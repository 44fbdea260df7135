"""What the Dashboard says, from visible rows and bounded reads: never a count of everything."""

import datetime as dt
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median

from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast
from django.utils import timezone

from accounts_app.scoping import Actor
from accounts_app.states import Permission
from integrations_app.models import Delivery
from integrations_app.states import DeliveryStatus
from tasks_app.models import Notification, UserTask
from tasks_app.selectors import failed_notices
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
LET_THROUGH, STOPPED = "Let through or answered", "Stopped"
TIMED_OUT, CANCELLED = "Timed out", "Cancelled"
OUTCOMES = (LET_THROUGH, STOPPED, TIMED_OUT, CANCELLED)


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
    found = list(rows.values_list("kind", "created_at")[: MAX_PENDING + 1])
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for kind, created_at in found[:MAX_PENDING]:
        age = (now - created_at).total_seconds()
        counts[kind][next(label for label, limit in AGES if age < limit)] += 1
    table = [
        (kind.label, [counts[kind][label] for label, _ in AGES])
        for kind in Kind
        if counts.get(kind)
    ]
    return Table([label for label, _ in AGES], table, len(found) > MAX_PENDING)


def decisions_by_day(actor: Actor, now: dt.datetime) -> tuple[Table, Table]:
    """What became of tasks in the last 14 days, and the median minutes until a decision."""
    since = now - dt.timedelta(days=DAYS)
    rows: QuerySet[UserTask] = UserTask.objects.visible_to(actor)
    rows = rows.exclude(status=TaskStatus.PENDING).filter(completed_at__gte=since)
    # As text: most tasks offer the same actions, which are then read once and not 5000 times.
    rows = rows.annotate(offered=Cast("actions", TextField()))
    read = rows.order_by("-completed_at").values_list(
        "status", "timed_out", "action", "offered", "created_at", "completed_at"
    )
    found = list(read[: MAX_DECIDED + 1])
    stops = cache(_stops)
    counts: dict[dt.date, Counter[str]] = defaultdict(Counter)
    minutes: dict[dt.date, list[float]] = defaultdict(list)
    for status, timed_out, action, offered, created_at, completed_at in found[:MAX_DECIDED]:
        assert completed_at is not None  # filtered by it
        day = timezone.localtime(completed_at).date()
        if status == TaskStatus.CANCELLED:
            outcome = CANCELLED
        elif timed_out:
            outcome = TIMED_OUT
        else:
            outcome = STOPPED if stops(offered, action) else LET_THROUGH
            minutes[day].append((completed_at - created_at).total_seconds() / 60)
        counts[day][outcome] += 1
    today = timezone.localtime(now).date()
    days = [today - dt.timedelta(days=number) for number in range(DAYS - 1, -1, -1)]
    capped = len(found) > MAX_DECIDED
    decided = Table(
        OUTCOMES,
        [(f"{day:%d %b}", [counts[day][name] for name in OUTCOMES]) for day in days],
        capped,
    )
    speed = [
        (f"{day:%d %b}", [round(median(minutes[day]), 1) if minutes[day] else None]) for day in days
    ]
    return decided, Table(["Median minutes"], speed, capped)


def _stops(offered: str, action: str | None) -> bool:
    """Whether this action, of those that a task offered as JSON text, stops something."""
    chosen = [item for item in json.loads(offered) if item["name"] == action]
    return any(item.get("effect") == "stop" or item.get("style") == "danger" for item in chosen)


def alarms(actor: Actor, now: dt.datetime) -> list[Alarm]:
    """What needs somebody now; each is counted to 100 at most."""
    pending = UserTask.objects.visible_to(actor).pending()
    queue = "/admin/review/approvals/"
    found = [
        Alarm("waiting", _capped(pending), queue),
        Alarm(
            "past their deadline", _capped(pending.filter(due_at__lte=now)), f"{queue}?flag=overdue"
        ),
        Alarm(
            "with an unknown outcome",
            _capped(pending.filter(about=About.OUTCOME)),
            f"{queue}?flag=unknown",
        ),
        Alarm(
            "that nobody can decide",
            _capped(pending.filter(unroutable=True)),
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


def _capped(rows: QuerySet[UserTask] | QuerySet[Delivery] | QuerySet[Notification]) -> int:
    return rows.order_by().values("pk")[:MAX_COUNTED].count()
