"""One task: its card, its page, and the decision."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from accounts_app import strict_json
from accounts_app.api.fields import parse_id
from accounts_app.backoffice.pages import Page, register
from accounts_app.clock import db_now
from accounts_app.crypto import Unreadable
from accounts_app.errors import (
    Conflict,
    DomainError,
    FieldError,
    Forbidden,
    Invalid,
    NotFound,
    ParseError,
    PreconditionRequired,
)
from accounts_app.links import page_path
from integrations_app.actions import from_json
from integrations_app.pointers import MASK, mask
from tasks_app.admin.card import Card, Trouble, Typed
from tasks_app.admin.cards import cards_of
from tasks_app.admin.handing import acts_of
from tasks_app.admin.request import request_of
from tasks_app.admin.text import Shown, shown, visible
from tasks_app.kinds import Answer
from tasks_app.models import UserTask
from tasks_app.policies import decides_anything
from tasks_app.selectors import history_of, with_everything, with_tokens
from tasks_app.services.deciding import Decide, decide
from tasks_app.services.drafts import difference, hidden_edits
from tasks_app.services.revealing import reveal
from tasks_app.states import Kind

FOLDED = "folded"
NO_REVISION = 0  # is never a task's, so that it reads as stale


class TaskPage(Page):
    """What the addresses of one task share."""

    template_name = "tasks_app/task.html"
    parents = (("Approvals", "admin:approvals"),)

    def card(self, pk: UUID, **more: Any) -> Card:
        """The task as it is now.

        Raises:
            NotFound: not there, or not visible.
        """
        rows = with_tokens(with_everything(UserTask.objects.visible_to(self.actor)))
        task = rows.filter(pk=pk).first()
        if task is None:
            raise NotFound("There is no such task.")
        return cards_of(self.actor, [task], db_now(), **more)[0]

    def show(self, card: Card, *, status: int = 200) -> HttpResponse:
        """The card for htmx, or the whole page."""
        if self.request.headers.get("HX-Request"):
            return self.part("tasks_app/parts/card.html", card=card, status=status)
        return self.render(
            status=status,
            title=card.title,
            card=card,
            serves=card.can_decide or decides_anything(self.actor),
            history=history_of(card.task) if card.sees_context else [],
            acts=acts_of(self.actor, card.task) if card.is_open else None,
            changes=_changes(card.task) if card.sees_context else [],
            metadata=_metadata(card.task) if card.sees_context else None,
        )

    def do(self, pk: UUID, act: Callable[[], object], typed: Typed) -> HttpResponse:
        """Act, and show the card as it is then; whatever was typed stays."""
        try:
            act()
        except NotFound:
            raise
        except DomainError as refusal:
            status, trouble = trouble_of(refusal)
            card = self.card(pk, typed=typed, trouble=trouble)
            return self.show(card, status=status)
        if self.request.headers.get("HX-Request"):
            return self.show(self.card(pk))
        return HttpResponseRedirect(_back(self.request))


@register("review/tasks/<uuid:pk>/", "task")
class ShowPage(TaskPage):
    """One task, with its history; where a link to a task leads."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        return self.show(self.card(pk, alone=True))


@register("review/tasks/<uuid:pk>/card/", "task_card")
class CardPage(TaskPage):
    """The card alone, asked for when its state has changed."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        return self.part("tasks_app/parts/card.html", card=self.card(pk))


@register("review/tasks/<uuid:pk>/decide/", "task_decide")
class DecidePage(TaskPage):
    """Decide a task, on the revision that was shown."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Whoever signs in again in between is led back to the task, and decides nothing."""
        return HttpResponseRedirect(page_path("task", pk))

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        form = request.POST
        typed = Typed(form.get("action", ""), form.get("comment", ""), form.get("value", ""))
        return self.do(
            pk,
            lambda: decide(
                self.actor,
                pk,
                read_revision(form.get("revision", "")),
                self.read(typed),
                claim_token=parse_id(form.get("lease", "")),
            ),
            typed,
        )

    def read(self, typed: Typed) -> Callable[[], Decide]:
        """Read the answer only when asked, so that a loser learns who was faster."""

        def read() -> Decide:
            rows = UserTask.objects.select_related("tool_call__operation__integration")
            task = rows.get(pk=self.kwargs["pk"])
            check_opened(task, typed.action, " ".join(self.request.POST.getlist("opened")))
            value = _value(task.kind, typed)
            return Decide(Answer(typed.action or None, value, typed.comment or None))

        return read


@register("review/tasks/<uuid:pk>/reveal/", "task_reveal")
class RevealPage(TaskPage):
    """Show the sensitive values once; the audit trail says who looked."""

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        reason = request.POST.get("reason", "")
        try:
            reveal(self.actor, pk, reason=reason)
        except Invalid as refusal:
            trouble = Trouble(refusal.errors[0].detail, field="reason")
            return self.show(self.card(pk, typed=Typed(aside=reason), trouble=trouble), status=422)
        return self.show(self.card(pk, reveal=frozenset({pk}), alone=True))


def check_opened(task: UserTask, action: str, opened: str) -> None:
    """Let nothing through of which a part was folded and never opened.

    Args:
        task: with its call, operation and integration.
        action: what was chosen; one that stops the call needs no look at all of it.
        opened: the names of the folds that were open, separated by spaces.

    Raises:
        PreconditionRequired: `folded`.
    """
    if task.tool_call is None or _stops(task, action):
        return
    request = request_of(task.tool_call, mask=task.tool_call.operation.sensitive)
    if not request.folds <= set(opened.split()):
        text = "Parts of what would be sent were folded. They are open now: look, then press again."
        raise PreconditionRequired(text, code=FOLDED)


def _stops(task: UserTask, action: str) -> bool:
    return any(each.name == action and each.effect == "stop" for each in from_json(task.actions))


def _changes(task: UserTask) -> list[tuple[str, str]]:
    """What was edited since the task was made, as a difference.

    Sensitive values are masked; of those that were edited it is said that they were.
    """
    hidden = _hidden(task) if task.revision > 1 else []
    if task.initial_work is None or (task.initial_work == task.draft and not hidden):
        return []
    return diff_lines(task.initial_work, mask(task.draft, hidden, f"{MASK} edited"))


def _hidden(task: UserTask) -> list[str]:
    try:
        return hidden_edits(task)
    except Unreadable:
        return []  # The card says that the call cannot be read.


def diff_lines(before: Any, after: Any) -> list[tuple[str, str]]:
    """The lines of a difference, each with what it is: added, removed, place or same."""
    sorts = {"+": "added", "-": "removed", "@": "place"}
    lines = difference(before, after)[2:]
    return [(sorts.get(line[:1], "same"), visible(line)) for line in lines]


def _metadata(task: UserTask) -> Shown | None:
    if not task.metadata:
        return None
    return shown(json.dumps(task.metadata, ensure_ascii=False, indent=2), limit=2000)


def read_revision(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else NO_REVISION


def _value(kind: str, typed: Typed) -> Any:
    """The typed value as JSON has it.

    Raises:
        Invalid: a number that is none.
    """
    text = typed.value
    if kind == Kind.NUMBER:
        return _number(text.strip())
    takes_text = kind == Kind.TEXT or (kind == Kind.AITL_ESCALATION and typed.action == "answer")
    return text if takes_text or kind == Kind.MULTI_OPTION else None


def _number(text: str) -> int | float:
    detail = "Write a number like 1250 or 12.5, with a point and without spaces."
    try:
        number = strict_json.loads(text.encode())
    except ParseError as error:
        raise Invalid([FieldError("value", "invalid_value", detail)]) from error
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise Invalid([FieldError("value", "invalid_value", detail)])
    return number


def trouble_of(refusal: DomainError) -> tuple[int, Trouble]:
    """The HTTP status of a refusal, and how the card says it."""
    if isinstance(refusal, Conflict):
        return 409, Trouble(refusal.detail, is_conflict=True)
    if refusal.code == FOLDED:
        return 428, Trouble(refusal.detail, opens_folds=True)
    if isinstance(refusal, PreconditionRequired):
        return 428, Trouble(refusal.detail, is_conflict=True)
    if isinstance(refusal, Forbidden):
        return 403, Trouble(refusal.detail)
    if isinstance(refusal, Invalid):
        first = refusal.errors[0]
        return 422, Trouble(first.detail, field=first.field)
    return 400, Trouble(refusal.detail)


def _back(request: HttpRequest) -> str:
    """The page that the form stood on."""
    then = request.POST.get("then", "")
    if url_has_allowed_host_and_scheme(then, allowed_hosts=None) and then.startswith("/admin/"):
        return then
    return reverse("admin:approvals")
