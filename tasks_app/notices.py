"""What a message says: header and link, and no value (promises 12 and 13).

What an agent wrote is quoted, and can neither be followed nor ping anybody: mail programs and
messengers turn whatever looks like an address into a link, and `@all` into a call.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from django.template.loader import render_to_string

from accounts_app.links import page_url
from accounts_app.models import Workspace
from tasks_app.models import Notification, UserTask
from tasks_app.states import NoticeKind

MAX_TITLE = 120
MAX_LINES = 20
_MARKUP = re.compile(r"[<>\[\]{}|`*~\\^_]")
_HOST = re.compile(r"(?<=\w)\.(?=[^\W\d_]{2})")
_ASKED = {
    "approval": "asks for an approval",
    "hitl": "asks for an approval",
    "multi_option": "asks for a choice",
    "text": "asks for a text",
    "number": "asks for a number",
    "aitl_escalation": "passes on a question",
    "anomaly_review": "was paused by the guard",
    "anomaly_alert": "was noticed by the guard",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """One message.

    Args:
        key: the same for the same content, so that a second copy can be recognised.
        subject: nothing in it is from an agent.
        lines: what has happened, one line for each thing.
        more: how many things beyond those lines.
        link: the one address in it; it shows, and never acts.
    """

    key: str
    subject: str
    lines: Sequence[str]
    more: int
    link: str

    @property
    def text(self) -> str:
        return render_to_string("tasks_app/mail/notice.txt", {"notice": self})

    @property
    def html(self) -> str:
        return render_to_string("tasks_app/mail/notice.html", {"notice": self})


def compose(workspace: Workspace, rows: Sequence[Notification]) -> Notice:
    """The one message about these; each task and incident stands in it once, as it was last.

    Args:
        workspace: whose rows they are.
        rows: at least one, oldest first, with their tasks and incidents.
    """
    last: dict[object, Notification] = {}
    for row in rows:
        last[row.task_id or row.incident_id or row.pk] = row
    shown = list(last.values())
    ids = hashlib.sha256(" ".join(sorted(str(row.pk) for row in rows)).encode())
    return Notice(
        key=ids.hexdigest()[:32],
        subject=f"{one_line(workspace.name)}: {_headline(shown)}",
        lines=[_line(row) for row in shown[:MAX_LINES]],
        more=max(0, len(shown) - MAX_LINES),
        link=_link(workspace, shown),
    )


def harmless(text: str, *, limit: int = MAX_TITLE) -> str:
    """What an agent wrote, as text that no mail program or messenger makes anything of."""
    plain = one_line(text)
    plain = _MARKUP.sub("·", plain).replace("@", "＠").replace("://", ":⁄⁄")
    plain = _HOST.sub("[.]", plain)
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"


def one_line(text: str) -> str:
    """Text without control, format and other invisible characters."""
    seen = (" " if character.isspace() else character for character in text)
    shown = ("·" if unicodedata.category(c).startswith("C") else c for c in seen)
    return " ".join("".join(shown).split())


def _headline(rows: Sequence[Notification]) -> str:
    if len(rows) > 1:
        return f"{len(rows)} things wait for you"
    row = rows[0]
    if row.task is not None and row.kind in (NoticeKind.NEW, NoticeKind.MINE):
        return f"{_asked(row.task)}"
    return NoticeKind(row.kind).label


def _asked(task: UserTask) -> str:
    return f"{harmless(task.agent.name)} {_ASKED[task.kind]}"


def _line(row: Notification) -> str:
    label = NoticeKind(row.kind).label
    if row.incident is not None:
        incident = row.incident
        severity = incident.get_severity_display()
        return f"{label}: {harmless(incident.rule.name)} ({severity}), {_who(incident.agent.name)}"
    if row.task is None:
        return "This is a test: messages of this workspace reach you here."
    task = row.task
    due = "" if task.due_at is None else f", due {task.due_at:%Y-%m-%d %H:%M} UTC"
    asked = f"{_asked(task)}: “{harmless(task.title)}”"
    if row.kind in (NoticeKind.NEW, NoticeKind.MINE):
        return f"{asked}{due}"
    return f"{label}: {asked}{due}"


def _who(agent: str) -> str:
    return f"agent {harmless(agent)}"


def _link(workspace: Workspace, rows: Sequence[Notification]) -> str:
    if len(rows) > 1:
        return page_url("queue", "", workspace=workspace.slug)
    row = rows[0]
    if row.task_id is not None:
        return page_url("task", row.task_id)
    if row.incident_id is not None:
        return page_url("incident", row.incident_id)
    return page_url("notifications", "", workspace=workspace.slug)
