"""The Approvals page: what waits for a person, and what was decided."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict

from accounts_app.backoffice.pages import Page, register
from accounts_app.clock import db_now
from accounts_app.services.workspace_settings import workspace_settings
from tasks_app import selectors
from tasks_app.admin.cards import cards_of
from tasks_app.admin.filters import (
    FLAGS,
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
from tasks_app.reading import call_states_of
from tasks_app.selectors import Wanted
from tasks_app.services.presence import look

PAGE_SIZE = 20
MAX_WATCHED = 200


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
            "watches_from": self._end(tasks, wanted) if not has_more else None,
        }
        if request.headers.get("HX-Target") == "more":
            return self.part("tasks_app/parts/cards.html", **found)
        return self.render(**found, **self._frame(request, wanted, now, after is not None))

    def _end(self, tasks: Sequence[UserTask], wanted: Wanted) -> str | None:
        """The place after which new tasks appear; None where they appear elsewhere."""
        if wanted.tab != selectors.PENDING or wanted.sort != "oldest":
            return None
        return after_text(tasks[-1], wanted.sort) if tasks else self.request.GET.get("after", "")

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
        """Whether tasks wait after the last one that the page shows."""
        wanted = wanted_of(query)
        rows = selectors.queue(self.actor, wanted, db_now())
        after = after_of(query.get("after", ""))
        tasks, _ = selectors.page_of(self.actor, rows, wanted.sort, after, 1)
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
