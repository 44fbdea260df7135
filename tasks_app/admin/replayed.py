"""The calls behind each number of a replay, as far as they can be opened."""

from uuid import UUID

from django.db.models import Q
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from accounts_app.backoffice.lists import listed
from accounts_app.backoffice.pages import Page, register
from accounts_app.errors import NotFound
from guard_app.services.replays import KEPT, get_replay
from guard_app.states import GuardEffect
from tasks_app.admin.guard import READ
from tasks_app.reading import readable_calls

HIT = ~Q(effect="")
NUMBERS: dict[str, tuple[str, Q]] = {
    "hits": ("Hit", HIT),
    "approved": ("Hit, and approved by people", HIT & Q(decided="approved")),
    "rejected": ("Hit, and rejected by people", HIT & Q(decided="rejected")),
    "none": ("Hit, and nobody decided on it", HIT & Q(decided="none")),
    "missed": ("Missed: rejected by people, and not hit", Q(effect="")),
    **{effect.value: (f"Hit: {effect.label}", Q(effect=effect)) for effect in GuardEffect},
}
"""Each number that has a list of calls behind it: its title, and which they are."""


@register("guard/replays/<uuid:pk>/calls/<slug:number>/", "guard_replay_calls")
class ReplayCallsPage(Page):
    """The calls behind one number of a replay."""

    template_name = "tasks_app/replay_calls.html"
    permissions = READ
    parents = (("Rules", "admin:guard_rules"),)

    def get(self, request: HttpRequest, pk: UUID, number: str) -> HttpResponseBase:
        replay = get_replay(self.actor, pk)
        if number not in NUMBERS:
            raise NotFound("There is no such number.")
        what, which = NUMBERS[number]
        rows = replay.hit_rows.filter(which).select_related(
            "tool_call__operation__integration", "tool_call__agent"
        )
        found = listed(request, rows)
        ids = [row.tool_call_id for row in found.rows]
        return self.render(
            title=f"{what}: {replay.name}",
            replay=replay,
            what=what,
            total=rows.count(),
            kept=KEPT,
            listed=found,
            readable=set(
                readable_calls(self.actor).filter(pk__in=ids).values_list("pk", flat=True)
            ),
        )
