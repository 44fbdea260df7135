"""The back office shows and touches nothing of another workspace, whatever is asked of it.

Generated: every page, every model page, every look-up of every column, every field that a form
offers, every role. The other workspace's texts are marked, and no answer may hold the mark.
"""

import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.contrib import admin
from django.db.models import Field, ForeignKey, Model
from django.http import HttpResponse
from django.urls import reverse

from accounts_app.models import User
from integrations_app.models import Run
from tests.backoffice.every_address import ADDRESSES, PEOPLE
from tests.backoffice.people import signed_in
from tests.backoffice.rows import OURS, Rows, fingerprint, model_pages, rows_of
from tests.conftest import Cast
from tests.harness.server import PROJECT
from tests.security.foreign_rows import HALF, MARK, foreign_rows, of_workspace
from tests.undoing import undone

pytestmark = pytest.mark.walk
PARAMETER = re.compile(
    r"""(?:GET|query)(?:\.get(?:list)?\(|\[)"([\w-]+)"|_(?:text|number)\(\w+, "(\w+)"\)"""
)


def parameters() -> set[str]:
    """Every name that a page reads from its address, as the code says."""
    names = {"_popup", "_to_field", "_changelist_filters", "e", "o", "p", "all", "next"}
    for path in [*PROJECT.glob("*_app/admin/*.py"), *PROJECT.glob("accounts_app/backoffice/*.py")]:
        for match in PARAMETER.finditer(path.read_text()):
            names.add(match[1] or match[2])
    return names


@pytest.fixture
def ours(cast: Cast) -> Rows:
    return rows_of(cast, cast.workspace, "abe")


@pytest.fixture
def theirs(cast: Cast, ours: Rows) -> Rows:
    return foreign_rows(cast)


def body(answer: HttpResponse) -> str:
    if answer.streaming:
        return b"".join(answer.streaming_content).decode()  # type: ignore[arg-type]
    return answer.content.decode(errors="replace")


def check(answer: HttpResponse, what: object) -> None:
    assert answer.status_code < 500, what
    assert MARK not in body(answer), what
    assert MARK not in str(answer.headers), what


def own_pages(known: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name in ADDRESSES:
        yield reverse(f"admin:{name}", kwargs=known.get(name))
    for name, page in model_pages():
        yield reverse(f"{name}_changelist")
        for row in page.model._default_manager.all()[:50]:
            yield reverse(f"{name}_change", args=[row.pk])


def test_the_names_in_addresses_are_found() -> None:
    assert {"q", "agent", "person", "ids", "task", "status", "after"} <= parameters()


def test_the_other_workspace_has_rows_of_every_kind(cast: Cast, theirs: Rows) -> None:
    for name, page in model_pages():
        rows = of_workspace(page.model, cast.other)
        assert rows is not None, name
        assert rows.exists(), f"Give {name} a foreign row in foreign_rows.py."


@pytest.mark.parametrize("username", PEOPLE)
def test_no_page_and_no_part_of_a_page_shows_the_mark(
    ours: Rows, theirs: Rows, username: str
) -> None:
    """Own pages, model pages by foreign ids included, as pages and as parts for htmx."""
    client = signed_in(username)
    before = fingerprint()
    for path in own_pages(ours.names):
        check(client.get(path), path)
        check(client.get(path, headers={"HX-Request": "true"}), path)
        check(client.get(f"{path}?{urlencode({'q': HALF, 'text': HALF})}"), path)
    assert fingerprint() == before


@pytest.mark.parametrize("username", PEOPLE)
def test_a_foreign_address_is_not_there(ours: Rows, theirs: Rows, username: str) -> None:
    """Slugs as well as ids; the page of a foreign row reads like that of none."""
    client = signed_in(username)
    before = fingerprint()
    for name in theirs.names:
        path = reverse(f"admin:{name}", kwargs=theirs.names[name])
        for answer in (client.get(path), client.post(path, {})):
            assert answer.status_code in (302, 403, 404, 405), path
            text = body(answer).replace(path, "").replace(MARK, "", 1)
            assert answer.status_code == 302 or MARK not in text, path
    assert fingerprint() == before


@pytest.mark.parametrize("username", ["admin", "ann"])
def test_no_parameter_of_an_address_leads_to_foreign_rows(
    cast: Cast, ours: Rows, theirs: Rows, username: str
) -> None:
    client = signed_in(username)
    # What pages are opened with; the last one counts where a name stands several times.
    values = [str(theirs.names[name]["pk"]) for name in ("incident", "session", "run", "task")]
    before = fingerprint()
    for name in ADDRESSES:
        path = reverse(f"admin:{name}", kwargs=ours.names.get(name))
        query = urlencode([(each, value) for each in parameters() for value in values])
        check(client.get(f"{path}?{query}"), path)
        for value in values:
            check(client.get(f"{path}?{urlencode(dict.fromkeys(parameters(), value))}"), path)
    assert fingerprint() == before


LOOKUPS = ("", "__exact", "__in", "__startswith", "__regex", "__gt", "__isnull")


def lookups(model: type[Model]) -> Iterator[str]:
    """Every column of a model and of what it points to, by every kind of look-up."""
    for field in model._meta.concrete_fields:
        assert isinstance(field, Field)
        for kind in LOOKUPS:
            yield field.name + kind
        if isinstance(field, ForeignKey):
            for beyond in field.related_model._meta.concrete_fields:  # type: ignore[union-attr]
                for kind in ("__exact", "__startswith"):
                    yield f"{field.name}__{beyond.name}{kind}"


PAGES = sorted(admin.site._registry, key=lambda model: model.__name__)


@pytest.mark.parametrize("model", PAGES, ids=lambda model: model.__name__)
def test_look_ups_are_closed_but_for_the_filters_of_the_page(
    ours: Rows, theirs: Rows, model: type[Model]
) -> None:
    """Any other can ask for a secret letter by letter: `?password__startswith=`."""
    page: Any = admin.site._registry[model]
    path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    client = signed_in("admin")
    closed = 0
    for lookup in lookups(model):
        answer = client.get(path, {lookup: HALF})
        if lookup in page.filter_lookups():
            check(answer, lookup)
        else:
            assert answer.status_code == 400, (lookup, answer.status_code)
            closed += 1
    assert closed > len(LOOKUPS)
    for order in ("-1", "99", "1.2.-3", "secret", HALF):
        check(client.get(path, {"o": order}), order)


@pytest.mark.parametrize("username", PEOPLE)
def test_no_action_takes_up_foreign_or_own_rows(ours: Rows, theirs: Rows, username: str) -> None:
    """Stock actions, editable lists, popups and saves, posted by hand."""
    client = signed_in(username)
    before = fingerprint()
    for name, page in model_pages():
        ids = [str(pk) for pk in page.model._default_manager.values_list("pk", flat=True)]
        path = reverse(f"{name}_changelist")
        for action in ("delete_selected", "approve", ""):
            form = {"action": action, "_selected_action": ids, "select_across": "1", "index": "0"}
            check(client.post(path, {**form, "post": "yes"}), (path, action))
        rows = {f"form-{number}-id": pk for number, pk in enumerate(ids)}
        total = {"form-TOTAL_FORMS": len(ids), "form-INITIAL_FORMS": len(ids), "_save": "Save"}
        check(client.post(path, {**rows, **total, "_save": "Save"}), path)
        for pk in ids:
            for act in ("change", "delete"):
                form = {"_save": "1", "_popup": "1", "post": "yes", "_saveasnew": "1"}
                answer = client.post(reverse(f"{name}_{act}", args=[pk]), form)
                assert answer.status_code in (302, 403), (name, act)
    assert fingerprint() == before


@pytest.mark.parametrize("username", ["admin", "ann", "gus"])
def test_a_foreign_task_in_a_selection_is_passed_over(
    cast: Cast, ours: Rows, theirs: Rows, username: str
) -> None:
    """Deciding together, live states and presence, all of which take ids from a form."""
    foreign = str(theirs.names["task"]["pk"])
    absent = "01900000-0000-7000-8000-000000000000"
    before = fingerprint_of_tasks()
    told = []
    for pk in (foreign, absent):
        client = signed_in(username)
        answers = [
            client.post(reverse("admin:review_bulk"), {"task": f"{pk}:1"}),
            client.post(
                reverse("admin:review_bulk"), {"task": f"{pk}:1", "action": "approve", "rest": pk}
            ),
            client.get(reverse("admin:review_states"), {"ids": pk, "calls": pk}),
            client.post(reverse("admin:review_presence"), {"ids": pk, "task": pk, "tasks": pk}),
            client.post(reverse("admin:task_next"), {"then": pk, "task": pk}),
        ]
        for answer in answers:
            check(answer, pk)
        told.append([without_tokens(body(answer)).replace(pk, "?") for answer in answers])
    assert told[0] == told[1]
    assert fingerprint_of_tasks() == before


def without_tokens(text: str) -> str:
    """Without what differs in every answer: the token of forms, and the policy's nonce."""
    return re.sub(r"[A-Za-z0-9]{64}|nonce=\"[^\"]+\"", "", text)


def fingerprint_of_tasks() -> list[Any]:
    task = apps.get_model("tasks_app", "UserTask")
    return list(task.objects.order_by("pk").values_list("pk", "status", "revision", "action"))


class Fields(HTMLParser):
    """The named fields of a page's forms, with what each says now."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, list[str]] = {}
        self.select = ""
        self.chosen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        name = found.get("name", "")
        if tag == "select" and name:
            self.select = name
            self.chosen.add(name)
            self.values.setdefault(name, [])
        elif tag == "option" and "selected" in found and self.select:
            self.values[self.select].append(found.get("value", ""))
        elif tag in ("input", "textarea") and name and name != "csrfmiddlewaretoken":
            kind = found.get("type", "text")
            self.values.setdefault(name, [])
            if kind in ("checkbox", "radio", "hidden"):
                self.chosen.add(name)
            if kind not in ("checkbox", "radio") or "checked" in found:
                self.values[name].append(found.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self.select = ""


def across_workspaces() -> list[str]:
    """Rows that point at a row of another workspace."""
    found = []
    for model in apps.get_models():
        if model._meta.app_label not in OURS or not has_workspace(model):
            continue
        for field in model._meta.concrete_fields:
            if isinstance(field, ForeignKey) and has_workspace(field.related_model):
                rows = model._default_manager.exclude(**{f"{field.name}__isnull": True})
                ids = rows.values_list("workspace_id", f"{field.name}__workspace_id")
                found += [f"{model.__name__}.{field.name}" for here, there in ids if here != there]
        for many in model._meta.many_to_many:
            if has_workspace(many.related_model):
                rows = model._default_manager.exclude(**{f"{many.name}__isnull": True})
                ids = rows.values_list("workspace_id", f"{many.name}__workspace_id")
                found += [f"{model.__name__}.{many.name}" for here, there in ids if here != there]
    return found


def has_workspace(model: Any) -> bool:
    return any(field.name == "workspace" for field in model._meta.concrete_fields)


FORMS = (
    "operation_add",
    "operation",
    "guard_rule_add",
    "guard_rule",
    "member",
    "group",
    "group_add",
    "api_key_add",
    "agent",
    "integration",
    "webhook",
    "task_assign",
    "task_delegate",
    "task_ask",
    "profile",
    "notifications",
    "workspace",
    "incident_act",
)


# Where another part of a page has the form, or none before a choice.
SHOWN = {
    "integration": "?tab=settings",
    "webhook": "?tab=settings",
    "guard_rule_add": "?detector=budget",
}


@pytest.mark.parametrize("name", FORMS)
def test_no_field_of_a_form_takes_a_foreign_row(
    cast: Cast, ours: Rows, theirs: Rows, name: str
) -> None:
    """Drop-downs and check boxes, posted with ids, slugs and names of the other workspace."""
    client = signed_in("admin")
    stranger = User.objects.get(username=MARK)
    values = {MARK, f"user:{MARK}", f"group:{MARK}", str(stranger.pk)}
    for label in ("accounts_app.Agent", "accounts_app.Group", "accounts_app.Membership"):
        rows = of_workspace(apps.get_model(label), cast.other)
        values |= {str(pk) for pk in rows.values_list("pk", flat=True)}
    path = reverse(f"admin:{name}", kwargs=ours.names.get(name))
    shown = path if client.get(path).status_code == 200 else card_of(ours)
    fields = Fields()
    fields.feed(client.get(shown + SHOWN.get(name, "")).content.decode())
    assert across_workspaces() == []
    tried = 0
    for field in sorted(fields.chosen):
        for value in sorted(values):
            with undone():
                answer = client.post(path, {**fields.values, field: [value]})
                text = body(answer).replace(value, "")
                assert answer.status_code < 500, (field, value)
                assert MARK not in text, (field, value)
                assert across_workspaces() == [], (field, value)
            tried += 1
    assert tried


def card_of(rows: Rows) -> str:
    return reverse("admin:task_acts", kwargs=rows.names["task_acts"])


def test_the_checks_of_this_file_can_fail(cast: Cast, ours: Rows, theirs: Rows) -> None:
    """Who belongs there reads the mark, and a row that points across workspaces is found."""
    client = signed_in(MARK)
    for name in ("approvals", "agents", "integrations", "operations"):
        assert MARK in body(client.get(reverse(f"admin:{name}"))), name
    with undone():
        Run.objects.filter(workspace=cast.workspace).update(session=theirs.names["session"]["pk"])
        assert across_workspaces() == ["Run.session"]
    assert across_workspaces() == []
