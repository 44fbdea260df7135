"""Deciding several tasks of one operation together: what differs first, then an answer for each."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from accounts_app.backoffice.pages import Page, register
from accounts_app.backoffice.refusals import in_words
from accounts_app.clock import db_now
from accounts_app.errors import DomainError
from tasks_app.admin.arguments import Row
from tasks_app.admin.card import Card
from tasks_app.admin.cards import cards_of
from tasks_app.admin.request import ROWS_FOLD
from tasks_app.admin.task import FOLDED, check_opened, read_revision
from tasks_app.admin.text import one_line
from tasks_app.kinds import Answer
from tasks_app.models import UserTask
from tasks_app.selectors import with_everything, with_tokens
from tasks_app.services.bulk import MAX_ITEMS, BulkItem, bulk_decide
from tasks_app.services.deciding import Decide

BRIEF = 160


@dataclass(frozen=True, slots=True)
class Chosen:
    """A task as it was selected: its id, and the revision that was shown."""

    id: UUID
    revision: int

    @property
    def text(self) -> str:
        return f"{self.id}:{self.revision}"


@dataclass(frozen=True, slots=True)
class Cell:
    """An argument of one of the tasks.

    Args:
        row: the argument; None where this task has none at that place.
        is_odd: most of the others have another value there.
        head: what its column is called.
    """

    row: Row | None
    is_odd: bool
    head: str


@dataclass(frozen=True, slots=True)
class Line:
    """One of the tasks.

    Args:
        card: the task.
        cells: the arguments that differ among all.
        brief: the beginning of what an agent hands over or says, where there is no request.
        lacks: labels of the actions that others offer and this one does not.
    """

    card: Card
    cells: Sequence[Cell]
    brief: str
    lacks: Sequence[str]


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be decided together.

    Args:
        head: what all of them are.
        lines: the tasks, with what differs among them.
        heads: of the arguments that differ.
        same: the arguments that are the same for all.
        skipped: tasks that are left out, and why.
        actions: name and label of each action, and how many of the tasks offer it.
        has_masked: something masked is not compared.
        folded: so many have folded parts, which are opened and let through on their own card.
    """

    head: str
    lines: Sequence[Line]
    heads: Sequence[Row]
    same: Sequence[Row]
    skipped: Sequence[tuple[str, str]]
    actions: Sequence[tuple[str, str, int]]
    has_masked: bool
    folded: int


@register("review/bulk/", "review_bulk")
class BulkPage(Page):
    """The preview of a selection, and the decision on it."""

    title = "Decide together"
    template_name = "tasks_app/bulk.html"
    parents = (("Approvals", "admin:approvals"),)
    rest: Sequence[Chosen] = ()

    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:approvals"))

    def post(self, request: HttpRequest) -> HttpResponse:
        selected = _chosen(request.POST.getlist("task"))
        if not selected:
            return HttpResponseRedirect(reverse("admin:approvals"))
        # What does not fit into one round stays selected for the next one.
        chosen = selected[:MAX_ITEMS]
        self.rest = [*selected[MAX_ITEMS:], *_chosen(request.POST.getlist("rest"))]
        action = request.POST.get("action", "")
        if action:
            return self._decide(chosen, action, request.POST.get("comment", ""))
        return self._preview(chosen)

    def _preview(self, chosen: Sequence[Chosen], refusal: str = "") -> HttpResponse:
        cards = self._cards(chosen)
        preview = preview_of(cards, chosen)
        kept = {line.card.task.pk for line in preview.lines}
        return self.render(
            preview=preview,
            chosen=[each.text for each in chosen if each.id in kept],
            rest=[each.text for each in self.rest],
            refusal=refusal,
        )

    def _cards(self, chosen: Sequence[Chosen]) -> dict[UUID, Card]:
        rows = UserTask.objects.visible_to(self.actor).filter(pk__in=[each.id for each in chosen])
        tasks = list(with_tokens(with_everything(rows)))
        return {card.task.pk: card for card in cards_of(self.actor, tasks, db_now())}

    def _decide(self, chosen: Sequence[Chosen], action: str, comment: str) -> HttpResponse:
        act = Decide(Answer(action, None, comment or None))

        def read(each: Chosen) -> Decide:
            check_opened(_with_call(each.id), action, ROWS_FOLD)
            return act

        items = [BulkItem(each.id, each.revision, partial(read, each)) for each in chosen]
        refusals = bulk_decide(self.actor, items)
        cards = self._cards(chosen)
        results = [
            (cards.get(each.id), _answer(refusal))
            for each, refusal in zip(chosen, refusals, strict=True)
        ]
        return self.render(
            template="tasks_app/bulk_done.html",
            results=results,
            rest=[each.text for each in self.rest],
            done=sum(refusal is None for refusal in refusals),
            failed=sum(refusal is not None for refusal in refusals),
        )


def _with_call(pk: UUID) -> UserTask:
    rows = UserTask.objects.select_related("tool_call__operation__integration")
    task: UserTask = rows.get(pk=pk)
    return task


def _answer(refusal: DomainError | None) -> str:
    if refusal is None:
        return ""
    if refusal.code == FOLDED:
        return "Parts of what would be sent are folded: open them on its own card, decide there."
    if refusal.code == "unknown_action":
        return "This action is not offered on it; decide it on its own card."
    return in_words(refusal, {})


def _chosen(texts: Sequence[str]) -> list[Chosen]:
    """The selection, in the order of the page, each once."""
    chosen: dict[UUID, Chosen] = {}
    for text in texts:
        identity, _, revision = text.partition(":")
        try:
            key = UUID(identity)
        except ValueError:
            continue
        chosen.setdefault(key, Chosen(key, read_revision(revision)))
    return list(chosen.values())


def preview_of(cards: dict[UUID, Card], chosen: Sequence[Chosen]) -> Preview:
    """Sort a selection into what is decided together and what is left out."""
    common = Counter(_sort(card) for card in cards.values()).most_common(1)
    together: list[Card] = []
    skipped: list[tuple[str, str]] = []
    for each in chosen:
        card = cards.get(each.id)
        reason = _why_not(card, each, common[0][0] if common else ())
        if card is None or reason:
            skipped.append((card.title if card else "A task", reason))
        else:
            together.append(card)
    rows = [_rows(card) for card in together]
    pointers = list(dict.fromkeys(pointer for each in rows for pointer in each))
    differing = [
        pointer for pointer in pointers if len({_text(each, pointer) for each in rows}) > 1
    ]
    heads = [next(each[pointer] for each in rows if pointer in each) for pointer in differing]
    usual = {
        pointer: Counter(_text(each, pointer) for each in rows).most_common(1)[0]
        for pointer in differing
    }
    actions = _actions(together)
    lines = [
        Line(
            card,
            [
                _cell(each, pointer, usual[pointer], len(rows), head.label or head.name)
                for pointer, head in zip(differing, heads, strict=True)
            ],
            "" if card.request else one_line(card.work.text or card.said.text, BRIEF),
            _lacks(card, actions),
        )
        for card, each in zip(together, rows, strict=True)
    ]
    return Preview(
        head=_head(together),
        lines=lines,
        heads=heads,
        same=[rows[0][pointer] for pointer in pointers if pointer not in differing],
        skipped=skipped,
        actions=actions,
        has_masked=any(row.kind == "masked" for each in rows for row in each.values()),
        folded=sum(bool(card.request and card.request.value_folds) for card in together),
    )


def _head(cards: Sequence[Card]) -> str:
    """The title that all have from their operation, or the kind of what agents wrote."""
    if not cards:
        return ""
    return cards[0].title if cards[0].request else cards[0].task.get_kind_display()


def _lacks(card: Card, actions: Sequence[tuple[str, str, int]]) -> list[str]:
    offered = {action.name for action in card.actions}
    return [label for name, label, _ in actions if name not in offered]


def _sort(card: Card) -> tuple[str, ...]:
    """What must be the same for tasks that are decided together: where it goes, how it acts."""
    if card.request is None:
        return (card.task.kind, str(card.task.agent_id))
    return (card.task.kind, card.request.operation, card.request.method, card.request.origin)


def _why_not(card: Card | None, chosen: Chosen, common: tuple[str, ...]) -> str:
    if card is None:
        return "It is not there, or not yours to see."
    if not card.is_open:
        return f"It was finished meanwhile: {card.outcome}."
    if not card.can_decide:
        return card.cannot_decide or "It cannot be decided."
    if card.answer_kind:
        return "It asks for an answer of its own."
    if card.task.revision != chosen.revision:
        return "It changed after it was shown."
    if _sort(card) != common:
        where = card.request.origin if card.request else card.task.get_kind_display()
        return f"It is another operation than most of the selection, or goes elsewhere: {where}."
    return ""


def _rows(card: Card) -> dict[str, Row]:
    if card.request is None:
        return {}
    rows = [*card.request.rows, *card.request.folded_rows]
    return {row.pointer: row for row in rows if row.kind != "group"}


def _text(rows: dict[str, Row], pointer: str) -> str | None:
    return rows[pointer].value.text if pointer in rows else None


def _cell(
    rows: dict[str, Row], pointer: str, usual: tuple[str | None, int], number: int, head: str
) -> Cell:
    value, count = usual
    is_odd = count > number / 2 and _text(rows, pointer) != value
    return Cell(rows.get(pointer), is_odd, head)


def _actions(cards: Sequence[Card]) -> list[tuple[str, str, int]]:
    labels: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for card in cards:
        for action in card.actions:
            labels.setdefault(action.name, action.label)
            counts[action.name] += 1
    return [(name, label, counts[name]) for name, label in labels.items()]
