"""Who has a task open: a courtesy between people, written seldom, kept for less than a minute."""

import datetime as dt
from collections.abc import Collection
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from accounts_app.clock import db_now
from accounts_app.scoping import Actor
from tasks_app.models import Presence, UserTask
from tasks_app.states import PRESENCE_SECONDS

RENEW_SECONDS = 20
MAX_OPENED = 20


def look(actor: Actor, opened: Collection[UUID], left: Collection[UUID] = ()) -> None:
    """Say which pending tasks a person has open now, and which they have left.

    Asked again with the same tasks it writes once in `RENEW_SECONDS`; what is not visible to the
    person, or not pending, is passed over. It is not audited: nothing was done to a task.

    Args:
        actor: a person.
        opened: ids of tasks; the first `MAX_OPENED` count.
        left: ids of tasks that they no longer have open.
    """
    if actor.user_id is None:
        return
    now = db_now()
    mine = Presence.objects.in_workspace(actor.workspace_id).filter(user=actor.user_id)
    known = dict(mine.values_list("task_id", "seen_at"))
    lapsed = now - dt.timedelta(seconds=PRESENCE_SECONDS)
    gone = [pk for pk, seen_at in known.items() if pk in left or seen_at <= lapsed]
    recent = now - dt.timedelta(seconds=RENEW_SECONDS)
    due = [pk for pk in list(opened)[:MAX_OPENED] if pk not in known or known[pk] <= recent]
    visible = UserTask.objects.visible_to(actor).pending().filter(pk__in=due) if due else ()
    rows = [
        Presence(
            workspace_id=actor.workspace_id,
            created_at=now,
            task=task,
            user_id=actor.user_id,
            seen_at=now,
        )
        for task in visible
    ]
    if not (gone or rows):
        return
    with transaction.atomic():
        mine.filter(Q(task__in=gone)).delete()
        Presence.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["task", "user"],
            update_fields=["seen_at"],
        )
