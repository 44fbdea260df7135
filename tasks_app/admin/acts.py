"""What a person may do with a pending task beside deciding it; none of it decides anything."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from accounts_app.backoffice.pages import Page, register
from accounts_app.errors import FieldError, Invalid
from accounts_app.links import page_path
from tasks_app.admin.card import Typed
from tasks_app.admin.handing import EXTENSIONS, acts_of
from tasks_app.admin.task import TaskPage
from tasks_app.services.claims import claim, next_task, release, take_over
from tasks_app.services.extending import extend
from tasks_app.services.remarks import ask, comment
from tasks_app.services.routing import assign, delegate, give_back


@register("review/tasks/<uuid:pk>/acts/", "task_acts")
class ActsPage(TaskPage):
    """The forms of these acts, asked for when somebody unfolds them."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        card = self.card(pk)
        return self.part(
            "tasks_app/parts/acts.html", card=card, acts=acts_of(self.actor, card.task)
        )


class ActPage(TaskPage):
    """One act: a form's POST that calls one service and shows the card again."""

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        typed = Typed(aside=self.text("text") or self.text("note"))
        return self.do(pk, lambda: self.perform(pk), typed)

    def perform(self, pk: UUID) -> object:
        """Call the service."""
        raise NotImplementedError

    def text(self, name: str) -> str:
        return self.request.POST.get(name, "")


@register("review/tasks/<uuid:pk>/comment/", "task_comment")
class CommentPage(ActPage):
    """Say something without deciding."""

    def perform(self, pk: UUID) -> object:
        return comment(self.actor, pk, lambda: _checked(self.text("text"), "text"))


@register("review/tasks/<uuid:pk>/ask/", "task_ask")
class AskPage(ActPage):
    """Ask the agent back."""

    def perform(self, pk: UUID) -> object:
        return ask(self.actor, pk, lambda: _checked(self.text("text"), "question"))


@register("review/tasks/<uuid:pk>/delegate/", "task_delegate")
class DelegatePage(ActPage):
    """Hand a task over to somebody who can give it back."""

    def perform(self, pk: UUID) -> object:
        return delegate(self.actor, pk, self.text("to"), self.text("note"))


@register("review/tasks/<uuid:pk>/assign/", "task_assign")
class AssignPage(ActPage):
    """Say whose task it is."""

    def perform(self, pk: UUID) -> object:
        return assign(self.actor, pk, self.text("to"), self.text("note"))


@register("review/tasks/<uuid:pk>/give-back/", "task_give_back")
class GiveBackPage(ActPage):
    """Give a delegated task back."""

    def perform(self, pk: UUID) -> object:
        return give_back(self.actor, pk, self.text("note"))


@register("review/tasks/<uuid:pk>/claim/", "task_claim")
class ClaimPage(ActPage):
    """Claim a task, or take it over from whoever has claimed it."""

    def perform(self, pk: UUID) -> object:
        if self.text("take_over") == "1":
            return take_over(self.actor, pk, self.text("note"))
        return claim(self.actor, pk)


@register("review/tasks/<uuid:pk>/release/", "task_release")
class ReleasePage(ActPage):
    """Give one's own claim back."""

    def perform(self, pk: UUID) -> object:
        return release(self.actor, pk)


@register("review/next/", "task_next")
class NextPage(Page):
    """Claim the task that is due next, or has waited longest, and open it."""

    def post(self, request: HttpRequest) -> HttpResponse:
        task = next_task(self.actor)
        if task is None:
            messages.info(request, "Nothing is left that you could take on.")
            return HttpResponseRedirect(reverse("admin:approvals"))
        return HttpResponseRedirect(page_path("task", task.pk))


@register("review/tasks/<uuid:pk>/extend/", "task_extend")
class ExtendPage(ActPage):
    """Move the deadline."""

    def perform(self, pk: UUID) -> object:
        return extend(self.actor, pk, self.seconds)

    def seconds(self) -> int:
        text = self.text("seconds")
        if text not in {str(seconds) for seconds, _ in EXTENSIONS}:
            detail = "Choose how much more time."
            raise Invalid([FieldError("timeout_seconds", "invalid_value", detail)])
        return int(text)


def _checked(text: str, field: str) -> str:
    if len(text) > 10_000:
        raise Invalid([FieldError(field, "too_long", "At most 10000 characters.")])
    return text
