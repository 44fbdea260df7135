"""A run and a call: what happened, what waits, and what was sent."""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse

from accounts_app.backoffice.pages import Page, register
from accounts_app.clock import db_now, in_utc
from accounts_app.errors import NotFound
from accounts_app.states import Permission
from guard_app.states import GuardEffect
from integrations_app.models import Run, ToolCall
from integrations_app.states import CALL_OPEN, CallStatus, RunStatus
from tasks_app.admin.card import CALL_STYLES
from tasks_app.admin.cards import EVERYTHING_MASKED, cards_of, outcome_of
from tasks_app.admin.request import request_of
from tasks_app.admin.text import NOTHING, Shown, one_line, shown, visible
from tasks_app.models import UserTask
from tasks_app.policies import sees_context
from tasks_app.reading import readable_calls, readable_runs, reads_run
from tasks_app.selectors import with_everything, with_tokens
from tasks_app.timeline import Item, moment_of, stretch_of
from tasks_app.waiting import seconds_for_people

MAX_OPEN = 50
RUN_STYLES = {
    RunStatus.COMPLETED: "good",
    RunStatus.FAILED: "bad",
    RunStatus.TERMINATED: "bad",
    RunStatus.WAITING: "warn",
    RunStatus.RUNNING: "accent",
}


@dataclass(frozen=True, slots=True)
class Line:
    """An item of the timeline, with what its reader may see of it.

    Args:
        item: what happened.
        style: of its badge.
        text: what was said or sent; empty where the reader sees the outline only.
        label: the outcome, for a decision.
    """

    item: Item
    style: str = ""
    text: Shown = NOTHING
    label: str = ""


@register("review/runs/<uuid:pk>/", "run")
class RunPage(Page):
    """The timeline of a run; its open tasks are decided there."""

    template_name = "tasks_app/run.html"
    parents = (("Sessions", "admin:sessions"),)

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        run = readable_runs(self.actor).select_related("session", "agent", "parent").filter(pk=pk)
        found = run.first()
        if found is None:
            raise NotFound("There is no such run.")
        now = db_now()
        wanted = _id(request.GET.get("task", ""))
        until = _moment(request.GET.get("until", "")) or moment_of(self.actor, found, wanted)
        stretch = stretch_of(self.actor, found, until=until, now=now)
        full = reads_run(self.actor, found)
        return self.render(
            title=one_line(str(found), 120),
            run=found,
            run_style=RUN_STYLES.get(RunStatus(found.status), ""),
            reads=full,
            now=now,
            waited=seconds_for_people(found.pk, now),
            cards=self._cards(found, wanted, now),
            highlighted=str(wanted or ""),
            lines=[self._line(item, full) for item in stretch.items],
            stretch=stretch,
            earlier=stretch.items[0].at.isoformat() if stretch.has_earlier else "",
            output=_json(found.output) if full else None,
            error=_json(found.error) if full else None,
        )

    def _cards(self, run: Run, wanted: UUID | None, now: dt.datetime) -> list[Any]:
        """The open tasks, and the one that a link names, whatever became of it."""
        rows = UserTask.objects.visible_to(self.actor)
        open_tasks = with_tokens(with_everything(rows.pending().filter(run=run)))
        tasks = list(open_tasks.order_by("created_at")[:MAX_OPEN])
        if wanted and wanted not in [task.pk for task in tasks]:
            tasks = [*with_tokens(with_everything(rows.filter(run=run, pk=wanted))), *tasks]
        return cards_of(self.actor, tasks, now)

    def _line(self, item: Item, full: bool) -> Line:
        row = item.row
        if item.type == "message":
            return Line(item, text=shown(row.text) if full else NOTHING)
        if item.type in ("call", "call_end"):
            return Line(item, CALL_STYLES.get(row.status, ""), self._of_call(item, full))
        if item.type == "decision":
            label, style = outcome_of(row)
            said = row.comment if row.comment and sees_context(self.actor, row) else ""
            return Line(item, style, shown(said), label)
        if item.type == "hit":
            style = "" if row.effect == GuardEffect.ALLOW or row.refused_edit_by else "bad"
            return Line(item, style, shown(row.explanation) if full else NOTHING)
        if item.type in ("child", "ended"):
            return Line(item, RUN_STYLES.get(RunStatus(row.status), ""))
        return Line(item)

    def _of_call(self, item: Item, full: bool) -> Shown:
        if not full:
            return NOTHING
        if item.type == "call":
            return Shown(one_line(json.dumps(item.row.arguments, ensure_ascii=False), 300))
        error = item.row.error or {}
        result = item.row.result or {}
        text = error.get("detail") or (f"HTTP {result['status_code']}" if result else "")
        return Shown(one_line(str(text), 300))


@register("review/calls/<uuid:pk>/", "call")
class CallPage(Page):
    """One tool call: what was sent, what came back, and every attempt."""

    template_name = "tasks_app/call.html"
    parents = (("Sessions", "admin:sessions"),)

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        rows = readable_calls(self.actor).select_related(
            "run__session", "run__agent", "agent", "operation__integration"
        )
        call = rows.filter(pk=pk).first()
        if call is None:
            raise NotFound("There is no such call.")
        now = db_now()
        visible = UserTask.objects.visible_to(self.actor).filter(tool_call=call)
        tasks = list(with_tokens(with_everything(visible)).order_by("-created_at")[:MAX_OPEN])
        full = reads_run(self.actor, call.run) or any(
            sees_context(self.actor, task) for task in tasks
        )
        cards = cards_of(self.actor, tasks, now)
        return self.render(
            title=f"{call.operation.integration.name}: {call.operation.name}",
            call=call,
            may_release=self.actor.can(Permission.MANAGE_WORKSPACE),
            is_followed=call.status in CALL_OPEN,
            call_style=CALL_STYLES.get(CallStatus(call.status), "accent"),
            reads=full,
            now=now,
            open_cards=[card for card in cards if card.is_open],
            closed_cards=[card for card in cards if not card.is_open],
            request_shown=self._request(call, full),
            attempts=call.attempt_rows.order_by("fence") if full else [],
            result=_result(call.result) if full else None,
            error=_error(call.error) if full else None,
            said=shown(call.reason) if full else NOTHING,
        )

    def _request(self, call: ToolCall, full: bool) -> Any:
        if full:
            return request_of(call, mask=call.operation.sensitive, everything=True)
        if self.actor.can(Permission.SEE_MASKED):
            return request_of(call, mask=EVERYTHING_MASKED, everything=True)
        return None


def _result(result: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """What the service answered, readable; an object without secrets by the executor's care."""
    if result is None:
        return None
    body = result.get("body")
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, indent=2)
    return {
        "status_code": result.get("status_code"),
        "truncated": result.get("truncated", False),
        "body": shown(text, limit=4000),
        "headers": [(name, str(value)) for name, value in (result.get("headers") or {}).items()],
    }


def _json(value: Any) -> Shown | None:
    if value is None:
        return None
    return shown(json.dumps(value, ensure_ascii=False, indent=2), limit=2000)


def _error(error: Any) -> Mapping[str, Any] | None:
    """What went wrong: our own code and sentence, or whatever an agent says of its own run."""
    if error is None:
        return None
    if isinstance(error, dict) and error.keys() == {"code", "detail"}:
        return {"code": one_line(str(error["code"])), "text": visible(str(error["detail"]))}
    return {"code": "", "text": _json(error)}


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _moment(text: str) -> dt.datetime | None:
    try:
        moment = dt.datetime.fromisoformat(text)
        return in_utc(moment) if moment.tzinfo else None
    except ValueError:
        return None
