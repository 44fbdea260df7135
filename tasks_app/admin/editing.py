"""Editing the work before deciding on it: a form by the schema, or JSON, then the difference."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from accounts_app import strict_json
from accounts_app.backoffice.pages import register
from accounts_app.backoffice.refusals import in_words
from accounts_app.errors import DomainError, FieldError, Forbidden, Invalid, NotFound, ParseError
from accounts_app.links import page_path
from integrations_app.actions import from_json
from integrations_app.pointers import MASK
from tasks_app.admin.task import TaskPage, diff_lines, read_revision, trouble_of
from tasks_app.admin.text import one_line, visible
from tasks_app.kinds import Answer
from tasks_app.models import UserTask
from tasks_app.policies import check_may_edit
from tasks_app.services.access import get_task
from tasks_app.services.closing import refuse_closed
from tasks_app.services.deciding import Decide, decide
from tasks_app.services.drafts import save_draft

PREFIX = "arg:"
SIMPLE = ("string", "number", "integer", "boolean")
LONG = 60  # characters from which a text gets more than one line


@dataclass(frozen=True, slots=True)
class Field:
    """One argument in the form.

    Args:
        name: the member's name.
        label: its title.
        kind: text, long, number, boolean, enum or json.
        value: as text.
        choices: for an enum.
        note: unit, and whether it is needed.
    """

    name: str
    label: str
    kind: str
    value: str
    choices: Sequence[str] = ()
    note: str = ""

    @property
    def key(self) -> str:
        return f"{PREFIX}{self.name}"


@register("review/tasks/<uuid:pk>/edit/", "task_edit")
class EditPage(TaskPage):
    """Edit, look at the difference, then save, or save and decide in one step."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        task = self.editable(pk)
        return self.form(task, task.draft, task.revision)

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        task = self.editable(pk)
        form = request.POST
        revision = read_revision(form.get("revision", ""))
        try:
            draft = self.read(task)
        except Invalid as refusal:
            return self.form(task, task.draft, revision, refusal=refusal, status=422)
        if form.get("step") == "change":
            return self.form(task, draft, revision)
        if form.get("step") != "save" and not form.get("action"):
            return self.preview(task, draft, revision)
        try:
            self.save(task, draft, revision)
        except NotFound:
            raise
        except DomainError as refusal:
            status, _ = trouble_of(refusal)
            return self.form(
                get_task(self.actor, pk), draft, revision, refusal=refusal, status=status
            )
        return HttpResponseRedirect(page_path("task", pk))

    def editable(self, pk: UUID) -> UserTask:
        """The task, where this person may edit it now.

        Raises:
            NotFound: not visible.
            Forbidden: not theirs to edit, or it has had its end.
        """
        task = get_task(self.actor, pk)
        check_may_edit(self.actor, task)
        try:
            refuse_closed(task)
        except DomainError as refusal:
            raise Forbidden(refusal.detail) from refusal
        return task

    def save(self, task: UserTask, draft: Any, revision: int) -> None:
        """Save, and decide where that was asked for."""
        action = self.request.POST.get("action", "")
        if self.request.POST.get("step") == "save" or not action:
            saved = save_draft(self.actor, task.pk, revision, lambda: draft)
            messages.success(
                self.request, f"Saved as revision {saved.revision}; nothing is decided yet."
            )
            return
        comment = self.request.POST.get("comment") or None
        answer = Answer(action, None, comment)
        decide(self.actor, task.pk, revision, lambda: Decide(answer, draft=draft))
        messages.success(self.request, "Saved and decided.")

    def read(self, task: UserTask) -> Any:
        """The edited work of the form: raw JSON where that was sent, else field by field.

        Raises:
            Invalid: naming the field that cannot be read.
        """
        form = self.request.POST
        if "raw" in form:
            if isinstance(task.initial_work, str) and task.tool_call is None:
                return form["raw"].replace("\r\n", "\n")
            return _json(form["raw"], "raw")
        draft: dict[str, Any] = {}
        for field in fields_of(task, task.draft):
            text = form.get(field.key, "").replace("\r\n", "\n")
            was_there = isinstance(task.draft, dict) and field.name in task.draft
            if not text and not (was_there and field.kind in ("text", "long")):
                continue
            draft[field.name] = _value(field, text)
        return draft

    def form(
        self,
        task: UserTask,
        draft: Any,
        revision: int,
        *,
        refusal: DomainError | None = None,
        status: int = 200,
    ) -> HttpResponse:
        """The page with the form; whatever was typed stays in it."""
        posted = self.request.POST
        is_text = isinstance(draft, str) and task.tool_call is None
        fields = fields_of(task, draft)
        typed = {field.name: posted.get(field.key, field.value) for field in fields}
        return self.render(
            template="tasks_app/edit.html",
            status=status,
            title=f"Edit: {one_line(task.title, 80)}",
            task=task,
            revision=revision,
            is_stale=revision != task.revision,
            fields=[(field, typed[field.name]) for field in fields],
            raw=posted.get("raw") or (draft if is_text else _text(draft)),
            is_text=is_text,
            comment=posted.get("comment", ""),
            refusal=in_words(refusal, labels_of(task, fields)) if refusal else "",
            opens_raw="raw" in posted or not fields,
        )

    def preview(self, task: UserTask, draft: Any, revision: int) -> HttpResponse:
        """The difference to what stands now, and what can be done with it."""
        lines = diff_lines(task.draft, draft)
        actions = [
            action
            for action in from_json(task.actions)
            if action.effect == "proceed" or (not action.effect and action.style != "danger")
        ]
        return self.render(
            template="tasks_app/edit_preview.html",
            title=f"Edit: {one_line(task.title, 80)}",
            task=task,
            revision=revision,
            lines=lines,
            raw=draft if isinstance(draft, str) else _text(draft),
            comment=self.request.POST.get("comment", ""),
            actions=actions if len(actions) <= 6 else (),
        )


def fields_of(task: UserTask, draft: Any) -> list[Field]:
    """The form of a call's arguments; empty where the work is no object with a schema."""
    if task.tool_call is None or not isinstance(draft, dict):
        return []
    schema = task.tool_call.operation.parameters
    properties = schema.get("properties")
    parts: Mapping[str, Any] = properties if isinstance(properties, dict) else {}
    required = schema.get("required") or ()
    names = [*parts, *(name for name in draft if name not in parts)]
    return [_field(name, parts.get(name), draft, name in required) for name in names]


def labels_of(task: UserTask, fields: Sequence[Field]) -> dict[str, str]:
    """What the form calls each part of the work; the service names them by where they lie."""
    whole = "Draft" if task.tool_call is None else "Arguments"
    labels = {"raw": whole, "draft": whole}
    for field in fields:
        labels |= {field.key: field.label, f"draft.{field.name}": field.label}
    return labels


def _field(name: str, part: Any, draft: Mapping[str, Any], required: bool) -> Field:
    part = part if isinstance(part, dict) else {}
    present = name in draft
    value = draft.get(name)
    title = part.get("title")
    notes = [str(part.get("x-unit", "")), "" if required else "optional"]
    choices: list[str] = []
    if value == MASK:
        kind, text = "text", MASK
        notes.append("stays as it is unless you write something else")
    elif isinstance(part.get("enum"), list) and all(isinstance(x, str) for x in part["enum"]):
        kind, text, choices = "enum", str(value) if present else "", part["enum"]
    else:
        kind = _kind(part, value, present)
        text = (
            ""
            if not present
            else value
            if isinstance(value, str) and kind != "json"
            else _text(value)
        )
    label = visible(title) if isinstance(title, str) else one_line(name, 120)
    return Field(name, label, kind, text, choices, ", ".join(note for note in notes if note))


def _kind(part: Mapping[str, Any], value: Any, present: bool) -> str:
    declared = part.get("type")
    if present and not isinstance(value, (str, int, float)):
        return "json"
    if declared not in SIMPLE:
        declared = "string" if isinstance(value, str) else None
    if declared == "string" and (isinstance(value, str) or not present):
        return "long" if isinstance(value, str) and (len(value) > LONG or "\n" in value) else "text"
    if declared in ("number", "integer") and not isinstance(value, (str, bool)):
        return "number"
    return "boolean" if declared == "boolean" and not isinstance(value, str) else "json"


def _value(field: Field, text: str) -> Any:
    if text == MASK or field.kind in ("text", "long", "enum"):
        return text
    return _json(text, field.key)


def _json(text: str, name: str) -> Any:
    try:
        return strict_json.loads(text.encode())
    except (ParseError, UnicodeEncodeError) as error:
        raise Invalid(
            [FieldError(name, "invalid_value", f"This is no acceptable JSON: {error}")]
        ) from error


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
