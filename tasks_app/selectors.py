"""What pages and counts read; every query starts from `visible_to`."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from accounts_app.clock import db_now
from accounts_app.models import Agent, AuditEntry, Membership
from accounts_app.scoping import Actor
from accounts_app.states import Permission
from tasks_app.models import (
    Comment,
    Notification,
    NotificationSettings,
    Presence,
    UserTask,
    Vote,
)
from tasks_app.scoping import DUE_OR_NEVER, of_open_sorts, seen_as_a_person, sees_every_task
from tasks_app.services.notification_settings import EMAIL, channels_of
from tasks_app.states import GROUPS, PRESENCE_SECONDS, About, NoticeStatus, TaskStatus

PENDING, COMPLETED = "pending", "completed"
SORTS = {
    "oldest": "created_at",
    "newest": "-created_at",
    "due": "due_or_never",
    "decided": "-completed_at",
}
MAX_COUNTED = 500
EARLIER_LOOKED_AT = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asks the queue for; all of it stands in the page's address.

    Args:
        tab: pending or completed.
        group: a group of kinds; empty is all.
        agent: its slug.
        person: the participant; `me` is whoever asks.
        text: in the title, and in what the agent says where the reader may see that.
        since: created from then on.
        until: created before that.
        flag: claimed, overdue, unroutable or unknown.
        sort: a name in `SORTS`.
    """

    tab: str = PENDING
    group: str = ""
    agent: str = ""
    person: str = ""
    text: str = ""
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    flag: str = ""
    sort: str = "oldest"


def queue(actor: Actor, wanted: Wanted, now: dt.datetime) -> QuerySet[UserTask]:
    """The tasks that somebody asks for, of those that they may see; not ordered."""
    rows = UserTask.objects.visible_to(actor)
    if wanted.tab == COMPLETED:
        # Said by the time too, which lets the index begin behind all that is pending.
        rows = rows.exclude(status=TaskStatus.PENDING).filter(completed_at__isnull=False)
    else:
        rows = rows.pending()
    if wanted.group:
        rows = rows.of_kinds(GROUPS[wanted.group])
    if wanted.agent:
        # The id beforehand: joined by its slug, the planner takes every agent for a frequent one.
        agents = Agent.objects.in_workspace(actor.workspace_id).filter(slug=wanted.agent)
        rows = rows.filter(agent__in=list(agents.values_list("pk", flat=True)))
    if wanted.person:
        rows = rows.filter(_of_person(actor, wanted.person))
    if wanted.text:
        rows = rows.filter(_with_text(actor, wanted.text))
    if wanted.since:
        rows = rows.filter(created_at__gte=wanted.since)
        if wanted.tab == COMPLETED:
            # Nothing ends before it is there: so the index in that order ends here.
            rows = rows.filter(completed_at__gte=wanted.since)
    if wanted.until:
        rows = rows.filter(created_at__lt=wanted.until)
    return _flagged(actor, rows, wanted.flag, now)


def agents_to_filter_by(actor: Actor) -> QuerySet[Agent]:
    """The agents whose tasks somebody may find in the queue, by name.

    A task that names a limited member may be of an agent beyond their limit.
    """
    rows: QuerySet[Agent] = Agent.objects.visible_to(actor)
    if actor.limited_to is not None:
        seen = UserTask.objects.visible_to(actor).pending().filter(named=True).order_by()
        lots = [lot.values_list("agent", flat=True).distinct() for lot in lots_of(actor, seen)]
        named = Agent.objects.in_workspace(actor.workspace_id)
        rows = rows | named.filter(pk__in={pk for lot in lots for pk in lot})
    return rows.order_by("name").only("name", "slug")


def _of_person(actor: Actor, person: str) -> Q:
    names = actor.identities if person == "me" else _names_of(actor, person)
    mine = Q(pk__in=[])
    for name in names:
        mine |= Q(participant__iexact=name)
    return mine


def _names_of(actor: Actor, person: str) -> set[str]:
    """This name, and where it is a member's user name every other that means that member."""
    members = Membership.objects.in_workspace(actor.workspace_id).select_related("user")
    named = members.filter(user__username__iexact=person)
    return {person}.union(*(member.user.identities for member in named))


def _with_text(actor: Actor, text: str) -> Q:
    found = Q(title__icontains=text)
    masked = actor.can(Permission.SEE_SUMMARIES) or actor.can(Permission.SEE_MASKED)
    if masked and not actor.can(Permission.SEE_ALL_TASKS):
        # What can be searched can be guessed, letter by letter.
        return found
    return found | Q(description__icontains=text)


def _flagged(
    actor: Actor, rows: QuerySet[UserTask], flag: str, now: dt.datetime
) -> QuerySet[UserTask]:
    if flag == "claimed":
        return rows.filter(claimed_by=actor.user_id, claim_expires_at__gt=now)
    if flag == "overdue":
        return rows.filter(due_at__lte=now)
    if flag == "unroutable":
        return rows.filter(unroutable=True)
    if flag == "unknown":
        return rows.filter(about=About.OUTCOME)
    return rows


def lots_of(actor: Actor, rows: QuerySet[UserTask]) -> list[QuerySet[UserTask]]:
    """Visible rows in lots that an index leads to each; some rows are in several.

    For a limited operator, PostgreSQL goes through everything that is pending: no index knows the
    agents that they are limited to and the tasks that name them at once.
    """
    if actor.limited_to is None or sees_every_task(actor):
        return [rows]
    return [rows.filter(lot) for lot in (of_open_sorts(actor), *seen_as_a_person(actor))]


def capped_count(actor: Actor, rows: QuerySet[UserTask], most: int) -> int:
    """How many of these visible rows there are, counted to `most`."""
    lots = lots_of(actor, rows.order_by())
    if len(lots) == 1:
        return lots[0].values("pk")[:most].count()
    found = {pk for lot in lots for pk in lot.values_list("pk", flat=True)[:most]}
    return min(most, len(found))


def page_of(
    actor: Actor,
    rows: QuerySet[UserTask],
    sort: str,
    after: tuple[dt.datetime, UUID] | None,
    size: int,
) -> tuple[list[UserTask], bool]:
    """One stretch of a queue, with all that a card reads, and whether there is more.

    It is stable while rows arrive.

    Args:
        actor: who reads.
        rows: visible to them, filtered.
        sort: a name in `SORTS`.
        after: column and key of the last row that was shown.
        size: how many.
    """
    order = SORTS[sort]
    column, descending = order.lstrip("-"), order.startswith("-")
    if column == "due_or_never":
        rows = rows.annotate(due_or_never=DUE_OR_NEVER)
    if after is not None:
        side = "lt" if descending else "gt"
        moment, key = after
        rows = rows.filter(
            Q(**{f"{column}__{side}": moment}) | Q(**{column: moment, f"pk__{side}": key})
        )
    sign = "-" if descending else ""
    # The keys first, alone: with all the joins in one statement the planner may join and sort
    # every pending row for the twenty that are shown.
    places: set[tuple[dt.datetime, UUID]] = set()
    for lot in lots_of(actor, rows):
        places |= set(lot.order_by(order, f"{sign}pk").values_list(column, "pk")[: size + 1])
    keys = [key for _, key in sorted(places, reverse=descending)[: size + 1]]
    found = with_tokens(with_everything(UserTask.objects.filter(pk__in=keys[:size])))
    tasks = sorted(found, key=lambda task: keys.index(task.pk))
    return tasks, len(keys) > size


def newest_of(actor: Actor, rows: QuerySet[UserTask]) -> UserTask | None:
    """Of visible rows the one that was made last, with its place alone."""
    places = rows.order_by("-created_at", "-pk").only("created_at", "pk")
    newest = [task for lot in lots_of(actor, places) for task in lot[:1]]
    return max(newest, key=lambda task: (task.created_at, task.pk), default=None)


def with_everything(rows: QuerySet[UserTask]) -> QuerySet[UserTask]:
    """Rows with all that a card reads from them."""
    return rows.select_related(
        "agent",
        "session",
        "run",
        "tool_call__operation__integration",
        "claimed_by",
        "assigned_to",
        "delegated_by",
    ).prefetch_related("reviewer_rows")


def counts_by_group(actor: Actor, rows: QuerySet[UserTask]) -> tuple[dict[str, int], bool]:
    """How many tasks of each group are among the first 500, and whether there are more."""
    pairs: dict[UUID, str] = {}
    for lot in lots_of(actor, rows.order_by()):
        pairs |= dict(lot.values_list("pk", "kind")[: MAX_COUNTED + 1])
    kinds = list(pairs.values())
    found = Counter(kinds[:MAX_COUNTED])
    counts = {name: sum(found[kind] for kind in members) for name, members in GROUPS.items()}
    return {"": sum(found.values()), **counts}, len(kinds) > MAX_COUNTED


def pending_count(actor: Actor) -> int:
    """The live count of the navigation: capped, over visible rows."""
    return capped_count(actor, UserTask.objects.visible_to(actor).pending(), 100)


def states_of(actor: Actor, ids: Iterable[UUID]) -> dict[str, str]:
    """A short text for each visible task that differs when its card does; two queries."""
    rows = with_tokens(UserTask.objects.visible_to(actor).filter(pk__in=list(ids)))
    tasks = list(rows.select_related("tool_call").only(*_TOKEN))
    looking = lookers_of(actor, [task.pk for task in tasks], db_now())
    return {str(task.pk): token_of(task, looking[task.pk]) for task in tasks}


_TOKEN = (
    "status",
    "revision",
    "claimed_by_id",
    "claim_expires_at",
    "question",
    "assigned_to_id",
    "tool_call__status",
)


def lookers_of(actor: Actor, ids: Sequence[UUID], now: dt.datetime) -> dict[UUID, list[str]]:
    """Who else has these tasks open, by their user names.

    Args:
        actor: who asks; they are left out.
        ids: of tasks that they see.
        now: the database's time.
    """
    rows = Presence.objects.in_workspace(actor.workspace_id).filter(
        task__in=ids, seen_at__gt=now - dt.timedelta(seconds=PRESENCE_SECONDS)
    )
    others = rows.exclude(user=actor.user_id).order_by("user__username")
    found: dict[UUID, list[str]] = defaultdict(list)
    for task_id, name in others.values_list("task_id", "user__username"):
        found[task_id].append(name)
    return found


def with_tokens(rows: QuerySet[UserTask]) -> QuerySet[UserTask]:
    """Rows with the counts that `token_of` reads."""
    return rows.annotate(
        vote_count=Coalesce(Subquery(_number_of(Vote.objects.all())), 0),
        comment_count=Coalesce(Subquery(_number_of(Comment.objects.all())), 0),
    )


def _number_of(rows: QuerySet[Any]) -> QuerySet[Any]:
    of_task = rows.order_by().filter(task=OuterRef("pk")).values("task")
    numbers: QuerySet[Any, Any] = of_task.annotate(number=Count("pk")).values("number")
    return numbers


def token_of(task: Any, looking: Sequence[str] = ()) -> str:
    """The text of a task that came through `with_tokens`; `looking` is who else has it open."""
    claim = f"{task.claimed_by_id or ''}@{_minute(task.claim_expires_at)}"
    asked = "q" if task.question else ""
    counts = f"{task.vote_count}v{task.comment_count}c{task.assigned_to_id or ''}a"
    call = task.tool_call.status if task.tool_call else ""
    beside = ",".join(looking) if task.status == TaskStatus.PENDING else ""
    return f"{task.status}:{task.revision}:{claim}:{counts}{asked}:{call}:{beside}"


def _minute(moment: dt.datetime | None) -> str:
    """A lease that is renewed every few seconds does not make every card blink."""
    return f"{int(moment.timestamp()) // 60}" if moment else ""


def earlier_decisions(
    actor: Actor, tasks: Sequence[UserTask]
) -> dict[tuple[UUID, UUID], list[UserTask]]:
    """By agent and operation, the visible decisions among the last 500 that had their end.

    The bound keeps a card quick however long the history is. The rows are sorted out here: asked
    to join and to narrow them, PostgreSQL took seconds among 60,000 decided tasks.
    """
    pairs = {(task.agent_id, task.tool_call.operation_id) for task in tasks if task.tool_call}
    if not pairs:
        return {}
    found: dict[tuple[UUID, UUID], list[UserTask]] = {pair: [] for pair in pairs}
    seen: QuerySet[UserTask] = UserTask.objects.visible_to(actor)
    seen = (
        seen.filter(status=TaskStatus.COMPLETED, completed_at__isnull=False)
        .select_related("tool_call")
        .only(*_EARLIER)
    )
    newest: dict[UUID, UserTask] = {}
    for lot in lots_of(actor, seen.order_by("-completed_at", "-pk")):
        newest |= {task.pk: task for task in lot[:EARLIER_LOOKED_AT]}
    order = sorted(newest.values(), key=lambda task: (task.completed_at, task.pk), reverse=True)
    for task in order[:EARLIER_LOOKED_AT]:
        if task.timed_out or task.about != About.CALL or task.tool_call is None:
            continue
        pair = task.agent_id, task.tool_call.operation_id
        if pair in found:
            found[pair].append(task)
    return found


_EARLIER = (
    "agent_id",
    "about",
    "status",
    "timed_out",
    "action",
    "actions",
    "comment",
    "decided_by",
    "completed_at",
    "tool_call__operation_id",
)


NOTICES_SHOWN = 20
NOTICES_DAYS = 30


def notices_of(actor: Actor) -> list[Notification]:
    """The last messages to whoever asks, newest first; which task it was about is not read."""
    mine = Notification.objects.visible_to(actor).filter(member__user=actor.user_id)
    told = mine.exclude(status=NoticeStatus.DROPPED)
    return list(told.order_by("-created_at", "-pk")[:NOTICES_SHOWN])


def failed_notices(actor: Actor, since: dt.datetime) -> QuerySet[Notification]:
    """Messages that were given up, of the whole workspace: for admins, who count them."""
    actor.require(Permission.MANAGE_WORKSPACE)
    rows: QuerySet[Notification] = Notification.objects.visible_to(actor)
    return rows.filter(status=NoticeStatus.FAILED, created_at__gte=since)


def notices_by_member(actor: Actor) -> list[dict[str, Any]]:
    """For each member: how many channels they have, and how many messages were given up."""
    since = db_now() - dt.timedelta(days=NOTICES_DAYS)
    failed = failed_notices(actor, since).order_by().values("member").annotate(number=Count("pk"))
    numbers = {row["member"]: row["number"] for row in failed}
    members = Membership.objects.visible_to(actor).filter(is_active=True)
    shown = []
    for member in members.select_related("user", "notifications").order_by("user__username"):
        chosen = getattr(member, "notifications", None) or NotificationSettings(member=member)
        shown.append(
            {
                "name": member.user.get_username(),
                "email": EMAIL in channels_of(chosen),
                "addresses": len(chosen.addresses),
                "failed": numbers.get(member.pk, 0),
            }
        )
    return shown


def history_of(task: UserTask) -> QuerySet[AuditEntry]:
    """The audit trail of a visible task, oldest first."""
    rows = AuditEntry.objects.in_workspace(task.workspace_id)
    return rows.filter(target_type="task", target_id=str(task.pk)).order_by("sequence")
