"""Which rows of this part a page shows."""

import datetime as dt
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from accounts_app.models import AuditEntry
from accounts_app.scoping import Actor, WorkspaceQuerySet
from accounts_app.states import ActorType, Permission


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What of the audit log is looked for; empty members narrow nothing.

    Args:
        text: words in verb, actor's name or target's name, or a whole target id or request id.
        verb: exactly this verb.
        channel: exactly this way in.
        since: at or after.
        until: before.
    """

    text: str = ""
    verb: str = ""
    channel: str = ""
    since: dt.datetime | None = None
    until: dt.datetime | None = None


def audit_entries(actor: Actor, wanted: AuditFilter) -> WorkspaceQuerySet[AuditEntry]:
    """The entries that this person may read: all of the workspace, or their own acts."""
    rows = AuditEntry.objects.visible_to(actor)
    if not actor.can(Permission.READ_AUDIT):
        rows = rows.filter(actor_type=ActorType.USER, actor_id=actor.id)
    if wanted.verb:
        rows = rows.filter(verb=wanted.verb)
    if wanted.channel:
        rows = rows.filter(channel=wanted.channel)
    if wanted.since is not None:
        rows = rows.filter(at__gte=wanted.since)
    if wanted.until is not None:
        rows = rows.filter(at__lt=wanted.until)
    for word in wanted.text.split()[:10]:
        rows = rows.filter(_mentions(word))
    return rows


def _mentions(word: str) -> Q:
    return (
        Q(verb__icontains=word)
        | Q(actor_name__icontains=word)
        | Q(target_name__icontains=word)
        | Q(target_id=word)
        | Q(request_id=word)
    )


def page_of_audit(
    rows: QuerySet[AuditEntry], *, before: int | None = None, after: int | None = None, size: int
) -> list[AuditEntry]:
    """One page by keyset, newest first, with one row more than `size` where there are more.

    Args:
        rows: as `audit_entries` gives them.
        before: only entries with a smaller sequence.
        after: only entries with a greater sequence, the nearest ones.
        size: rows of a page.
    """
    if after is not None:
        return list(rows.filter(sequence__gt=after).order_by("sequence")[: size + 1])[::-1]
    if before is not None:
        rows = rows.filter(sequence__lt=before)
    return list(rows.order_by("-sequence")[: size + 1])
