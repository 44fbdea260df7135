"""The left navigation: what a person's roles lead to, each with its live count."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse

from accounts_app.backoffice.requests import actor_of, is_member
from accounts_app.models import Workspace
from accounts_app.scoping import Actor
from accounts_app.states import Permission

TASKS = (
    Permission.SEE_ALL_TASKS,
    Permission.SEE_OWN_QUEUE,
    Permission.SEE_SUMMARIES,
    Permission.SEE_ANOMALIES,
    Permission.SEE_MASKED,
)
CATALOGUE = (Permission.READ_CATALOGUE,)
MANAGE = (Permission.MANAGE_WORKSPACE,)
RECORDS = ("accounts_app/", "integrations_app/", "guard_app/", "tasks_app/")
AUDIT = (Permission.READ_AUDIT, Permission.READ_OWN_AUDIT)
GUARD = (Permission.SEE_ANOMALIES, Permission.SEE_ALL_TASKS, Permission.READ_AUDIT)


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the navigation.

    Args:
        title: what people read.
        icon: a name of the Material Symbols.
        page: the name of the page in the namespace `admin`.
        permissions: any one is needed; empty shows it to every member.
        prefixes: addresses below `/admin/` at which the line is lit, beside its own.
        count: the name of its live count.
    """

    title: str
    icon: str
    page: str
    permissions: tuple[Permission, ...] = ()
    prefixes: tuple[str, ...] = ()
    count: str = ""


GROUPS: tuple[tuple[str, tuple[Item, ...]], ...] = (
    ("", (Item("Dashboard", "space_dashboard", "dashboard"),)),
    (
        "Review",
        (
            Item(
                "Approvals",
                "fact_check",
                "approvals",
                prefixes=("review/",),
                count="pending",
            ),
        ),
    ),
    (
        "Agents",
        (
            Item("Agents", "smart_toy", "agents", CATALOGUE, ("agents/", "add/agent/")),
            Item(
                "Sessions",
                "forum",
                "sessions",
                TASKS,
                ("sessions/", "review/sessions/", "review/runs/", "review/calls/"),
            ),
        ),
    ),
    (
        "Guard",
        (
            Item("Overview", "monitoring", "guard", GUARD),
            Item("Incidents", "shield", "incidents", GUARD, ("guard/incidents/",), "incidents"),
            Item("Rules", "rule", "guard_rules", GUARD, ("guard/rules/", "guard/replays/")),
        ),
    ),
    (
        "Integrations",
        (
            Item(
                "Integrations",
                "hub",
                "integrations",
                CATALOGUE,
                ("integrations/", "add/integration/"),
            ),
            Item("Operations", "http", "operations", CATALOGUE, ("operations/", "add/operation/")),
        ),
    ),
    (
        "Settings",
        (
            Item(
                "Members",
                "group",
                "members",
                MANAGE,
                ("members/", "groups/", "add/member/", "add/group/"),
            ),
            Item("API keys", "key", "api_keys", MANAGE, ("keys/", "add/key/")),
            Item(
                "Webhooks",
                "webhook",
                "webhooks",
                MANAGE,
                ("webhooks/", "add/webhook/"),
                "failed_webhooks",
            ),
            Item("Audit log", "history", "audit", AUDIT, ("audit/",)),
            Item(
                "Health",
                "ecg_heart",
                "health",
                (Permission.MANAGE_WORKSPACE, Permission.READ_AUDIT),
                ("health/", "held/"),
            ),
            Item("Records", "database", "records", (Permission.READ_AUDIT,), RECORDS),
            Item("Workspace", "settings", "workspace", MANAGE, ("workspace/",)),
        ),
    ),
)
PERSONAL = (("profile", "Profile"), ("notifications", "Notifications"))
_counts: dict[str, Callable[[Actor], int]] = {}


def count_by(name: str, count: Callable[[Actor], int]) -> None:
    """Say how a live count is taken: capped, and over the visible rows only."""
    _counts[name] = count


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """The navigation as the theme wants it."""
    actor = actor_of(request)
    groups = []
    lit = _lit(request)
    for title, items in GROUPS:
        shown = [
            {
                "title": item.title,
                "icon": item.icon,
                "link": link,
                "active": item is lit,
                "count": item.count,
                "badge": counted(actor, item.count) if item.count else "",
            }
            for item in items
            if _permitted(actor, item) and (link := _link(item))
        ]
        if shown:
            groups.append({"title": title, "separator": bool(title), "items": shown})
    return groups


def workspace_name(request: HttpRequest) -> str:
    """The workspace that the person is in, under the product's name."""
    if not is_member(request):
        return ""
    workspace = Workspace.objects.filter(pk=actor_of(request).workspace_id).first()
    return str(workspace or "")


def person_links() -> list[dict[str, str]]:
    """What the menu of the signed-in person offers, as far as the pages are there."""
    items = [Item(title, "", page) for page, title in PERSONAL]
    return [{"title": item.title, "link": link} for item in items if (link := _link(item))]


def stylesheet(request: HttpRequest) -> str:
    return static("assent/backoffice.css")


def favicon(request: HttpRequest) -> str:
    return static("assent/favicon.svg")


def script(request: HttpRequest) -> str:
    return static("assent/backoffice.js")


def counts(request: HttpRequest) -> list[tuple[str, str]]:
    """Every live count that this person's navigation shows, as it is now."""
    actor = actor_of(request)
    names = [item.count for _, items in GROUPS for item in items if _permitted(actor, item)]
    return [(name, counted(actor, name)) for name in names if name]


def counted(actor: Actor, name: str) -> str:
    """A live count as text; empty for none."""
    count = _counts.get(name)
    number = count(actor) if count else 0
    return "99+" if number > 99 else str(number) if number else ""


def _permitted(actor: Actor, item: Item) -> bool:
    return not item.permissions or any(actor.can(p) for p in item.permissions)


def _link(item: Item) -> str:
    try:
        return reverse(f"admin:{item.page}")
    except NoReverseMatch:
        return ""


def _lit(request: HttpRequest) -> Item | None:
    """The one item that is lit: the longest prefix wins, so that never two are."""
    best, length = None, -1
    for _, items in GROUPS:
        for item in items:
            link = _link(item)
            for start in (link, *(f"/admin/{prefix}" for prefix in item.prefixes)):
                if start and request.path.startswith(start) and len(start) > length:
                    best, length = item, len(start)
    return best
