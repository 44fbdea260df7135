"""The Approvals page: what waits for a person, and what was decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict

from accounts_app.backoffice.lists import say_unread
from accounts_app.backoffice.pages import Page, register
from accounts_app.clock import db_now
from accounts_app.services.workspace_settings import workspace_settings
from accounts_app.states import Permission
from tasks_app import selectors
from tasks_app.admin.cards import cards_of
from tasks_app.admin.filters import (
    FLAGS,
    READ,
    SORT_LABELS,
    after_of,
    after_text,
    is_filtered,
    kind_links,
    link_with,
    tab_links,
    wanted_of,
    without_group,
)
from tasks_app.models import UserTask
from tasks_app.policies import decides_anything
from tasks_app.reading import call_states_of
from tasks_app.scoping import sees_sorts_of_tasks
from tasks_app.selectors import Wanted
from tasks_app.services.presence import look

PAGE_SIZE = 20
MAX_WATCHED = 200


@dataclass(frozen=True, slots=True)
class Watched:
    """After which place, in the order of their making, tasks are new to the page.

    Args:
        after: the place.
        link: shows them where they do not stand at the end of what is shown.
    """

    after: str
    link: str = ""


@register("review/approvals/", "approvals")
class ApprovalsPage(Page):
    """The queue as cards that are decided in place; every filter stands in the address."""

    title = "Approvals"
    template_name = "tasks_app/approvals.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        now = db_now()
        wanted = wanted_of(request.GET)
        rows = selectors.queue(self.actor, wanted, now)
        after = after_of(request.GET.get("after", ""))
        size = PAGE_SIZE if wanted.tab == selectors.PENDING else 2 * PAGE_SIZE
        tasks, has_more = selectors.page_of(self.actor, rows, wanted.sort, after, size)
        more = after_text(tasks[-1], wanted.sort) if has_more else ""
        found: dict[str, Any] = {
            "cards": cards_of(self.actor, tasks, now),
            "now": now,
            "wanted": wanted,
            "more_link": link_with(request.GET) + f"&after={more}" if more else "",
            "watched": self._watched(rows, wanted, None if has_more else tasks),
        }
        if request.headers.get("HX-Target") == "more":
            return self.part("tasks_app/parts/cards.html", **found)
        say_unread(request, READ)
        # A participant's role may let them decide nothing, and yet this task is theirs.
        takes = decides_anything(self.actor) or any(card.can_decide for card in found["cards"])
        found["serves"] = bool(tasks) and takes
        return self.render(**found, **self._frame(request, wanted, now, after is not None))

    def _watched(
        self, rows: QuerySet[UserTask], wanted: Wanted, last: Sequence[UserTask] | None
    ) -> Watched | None:
        """What is asked about new tasks; None where it is asked already, or never.

        Args:
            rows: the whole list.
            wanted: what the address asks for.
            last: the stretch that is shown, if nothing stands after it.
        """
        query = self.request.GET
        if wanted.tab != selectors.PENDING:
            return None
        grows_at_end = wanted.sort == "oldest"
        if grows_at_end and last is not None:
            return Watched(after_text(last[-1], "oldest") if last else query.get("after", ""))
        if self.request.headers.get("HX-Target") == "more":
            return None
        newest = selectors.newest_of(self.actor, rows)
        after = after_text(newest, "newest") if newest else ""
        top = link_with(query)
        return Watched(after, f"{top}&after={after}" if grows_at_end else top)

    def _frame(self, request: HttpRequest, wanted: Any, now: Any, is_further: bool) -> Any:
        """What stands around the list: tabs, filters, counts."""
        counts: dict[str, int] = {}
        more = False
        if wanted.tab == selectors.PENDING:
            all_kinds = selectors.queue(self.actor, without_group(wanted), now)
            counts, more = selectors.counts_by_group(self.actor, all_kinds)
        return {
            "hitl": workspace_settings(self.actor.workspace_id).hitl,
            "tabs": tab_links(request.GET, wanted),
            "kinds": kind_links(request.GET, wanted, counts, more),
            "agents": selectors.agents_to_filter_by(self.actor),
            "flags": FLAGS,
            "sees_tasks": sees_sorts_of_tasks(self.actor),
            "may_write": self.actor.can(Permission.WRITE_CATALOGUE),
            "sorts": SORT_LABELS,
            "query": request.GET,
            "is_filtered": is_filtered(wanted),
            "is_further": is_further,
            "clear_link": link_with(
                request.GET, kind="", agent="", person="", q="", flag="", **{"from": "", "to": ""}
            ),
        }


@register("review/states/", "review_states")
class StatesPage(Page):
    """The states of the cards that somebody looks at: one cheap question for all of them."""

    def get(self, request: HttpRequest) -> HttpResponse:
        query = request.GET
        found: dict[str, Any] = {
            "states": selectors.states_of(self.actor, _ids(query.get("ids", "")))
        }
        if "calls" in query:
            found["calls"] = call_states_of(self.actor, _ids(query.get("calls", "")))
        if "after" in query:
            found["has_new"] = self._has_new(query)
        return JsonResponse(found)

    def _has_new(self, query: QueryDict) -> bool:
        """Whether tasks wait that were made after all that the page knew."""
        wanted = wanted_of(query)
        rows = selectors.queue(self.actor, wanted, db_now())
        after = after_of(query.get("after", ""))
        tasks, _ = selectors.page_of(self.actor, rows, "oldest", after, 1)
        return bool(tasks)


@register("review/presence/", "review_presence")
class PresencePage(Page):
    """Which tasks somebody has open: said by the page, shown to those who see them as well."""

    def post(self, request: HttpRequest) -> HttpResponse:
        form = request.POST
        look(self.actor, _ids(form.get("open", "")), _ids(form.get("left", "")))
        return HttpResponse(status=204)


def _ids(text: str) -> list[UUID]:
    """Ids from the address; what is none is passed over."""
    ids = []
    for part in text.split(",")[:MAX_WATCHED]:
        try:
            ids.append(UUID(part))
        except ValueError:
            continue
    return ids
