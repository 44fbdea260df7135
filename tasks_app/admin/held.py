"""What a restored backup put on hold, and its release by an admin."""

from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from accounts_app.backoffice.lists import listed
from accounts_app.backoffice.pages import Page, register
from accounts_app.errors import FieldError, Invalid
from accounts_app.states import Permission
from integrations_app.services.holding import (
    held_calls,
    held_deliveries,
    release_calls,
    release_deliveries,
)
from tasks_app.admin.summary import summary_of


@register("held/", "held")
class HeldPage(Page):
    """Calls and webhook deliveries that wait since a restore; nothing of them goes out."""

    title = "On hold"
    template_name = "tasks_app/held.html"
    permissions = (Permission.MANAGE_WORKSPACE,)
    parents = (("Health", "admin:health"),)

    def get(self, request: HttpRequest) -> HttpResponseBase:
        found = listed(request, held_calls(self.actor))
        hides = not self.actor.can(Permission.SEE_ALL_TASKS)
        return self.render(
            listed=found,
            calls=[(call, summary_of(call, hides=hides)) for call in found.rows],
            deliveries=held_deliveries(self.actor).count(),
        )

    def post(self, request: HttpRequest) -> HttpResponseBase:
        return self.act(self._release, then=reverse("admin:held"))

    def _release(self) -> str:
        form = self.request.POST
        if form.get("what") == "deliveries":
            number = release_deliveries(self.actor)
            return f"{number} webhook deliver{'y' if number == 1 else 'ies'} released."
        number = release_calls(self.actor, _ids(form.getlist("call")))
        return f"{number} call{'' if number == 1 else 's'} released."


def _ids(texts: list[str]) -> list[UUID]:
    """The ticked calls.

    Raises:
        Invalid: none is ticked, or what is sent is no id.
    """
    try:
        ids = [UUID(text) for text in texts]
    except ValueError as error:
        raise Invalid([FieldError("call", "invalid_value", "That is no call.")]) from error
    if not ids:
        raise Invalid([FieldError("call", "required", "Tick the calls to release.")])
    return ids
