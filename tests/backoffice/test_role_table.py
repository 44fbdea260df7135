"""The role table of the design, cell by cell, on the pages: who sees a task in the queue, who
sees all of it, who decides it, and who reads which part of the audit log."""

from typing import Any

import pytest

from accounts_app.models import AuditEntry
from accounts_app.scoping import Actor
from accounts_app.services.audit import VERBS
from accounts_app.services.unit import unit_of_work
from tasks_app.models import UserTask
from tasks_app.states import Kind
from tests.backoffice.people import signed_in
from tests.backoffice.test_approvals import ask, page, refund
from tests.conftest import Cast, World

# In each line: admin, ann (operator), bob (viewer), gus (guard analyst), ida (integration admin),
# aud (auditor). A letter says how much of a task its card shows them:
#
#     w  all of it        m  masked, all of it for a reason
#     h  its header       -  the task is not there for them
PEOPLE = ("admin", "ann", "bob", "gus", "ida", "aud")
ORDINARY, ANOMALY = ("wwh--m", "yyn--n"), ("w-hw-m", "y-ny-n")

# kind: (sees, decides), and the answer with which it is decided.
TABLE: dict[str, tuple[tuple[str, str], dict[str, str]]] = {
    "approval": (ORDINARY, {"action": "approve"}),
    "hitl": (ORDINARY, {"action": "approve"}),
    "multi_option": (ORDINARY, {"action": "select", "value": "b"}),
    "text": (ORDINARY, {"action": "submit", "value": "Yes, do"}),
    "number": (ORDINARY, {"action": "submit", "value": "7"}),
    "aitl_escalation": (ORDINARY, {"action": "answer", "value": "Yes, do"}),
    "anomaly_review": (ANOMALY, {"action": "approve"}),
    "anomaly_alert": (ANOMALY, {"action": "acknowledge"}),
}
# What is asked without a call, and what the question needs besides.
ASKED: dict[str, dict[str, Any]] = {
    "hitl": {},
    "multi_option": {"options": [{"id": "a", "label": "First"}, {"id": "b", "label": "Second"}]},
    "text": {},
    "number": {"input": {"minimum": 5, "integer": True}},
    "aitl_escalation": {},
}
CANARY = "zq-canary-zq"
AMOUNT = 73497349


def one(world: World, kind: str) -> UserTask:
    """A task of this kind, with something in it that not everybody may see."""
    if kind in ASKED:
        return ask(world, kind=kind, description=CANARY, **ASKED[kind])
    if kind.startswith("anomaly"):
        world.rule(effect=kind.removeprefix("anomaly_"))
    arguments = {"charge": CANARY, "amount": AMOUNT}
    world.refund(AMOUNT, arguments=arguments, reason=CANARY).ok(201)
    return UserTask.objects.filter(kind=kind).latest("created_at")


def shown_to(username: str, task: UserTask) -> str:
    """How much of the task this person's pages show, as a letter of the table."""
    queue = page(username)
    answer = signed_in(username).get(f"/admin/review/tasks/{task.pk}/card/")
    if f'id="task-{task.pk}"' not in queue:
        assert answer.status_code == 404
        return "-"
    card = answer.content.decode()
    for text in (queue, card):
        if CANARY not in text:
            assert str(AMOUNT) not in text
    assert (CANARY in queue) == (CANARY in card)
    if CANARY in card:
        return "w"
    return "m" if "You see this task masked." in card else "h"


def test_the_table_has_every_kind() -> None:
    assert sorted(TABLE) == sorted(Kind.values)


@pytest.mark.parametrize("kind", TABLE)
def test_each_role_sees_as_much_of_each_kind_as_the_design_says(world: World, kind: str) -> None:
    task = one(world, kind)
    assert "".join(shown_to(name, task) for name in PEOPLE) == TABLE[kind][0][0]


@pytest.mark.parametrize("kind", TABLE)
def test_a_search_finds_what_is_written_in_a_task_for_those_who_see_it(
    world: World, kind: str
) -> None:
    task = one(world, kind)
    found = {name for name in PEOPLE if f"task-{task.pk}" in page(name, f"?q={CANARY}")}
    cells = zip(PEOPLE, TABLE[kind][0][0], strict=True)
    assert found == {name for name, cell in cells if cell == "w"}


@pytest.mark.parametrize("kind", TABLE)
def test_each_role_decides_the_kinds_that_the_design_says(world: World, kind: str) -> None:
    (_, decides), answer = TABLE[kind]
    for name, cell in zip(PEOPLE, decides, strict=True):
        task = one(world, kind)
        path = f"/admin/review/tasks/{task.pk}/decide/"
        form = {**answer, "revision": task.revision, "opened": "rows"}
        got = signed_in(name).post(path, form, headers={"HX-Request": "true"})
        task.refresh_from_db()
        assert task.status == ("completed" if cell == "y" else "pending"), (name, got.content)
        assert got.status_code == {"y": 200, "n": 403, "-": 404}[cell], name
        assert (task.decided_by["name"] if cell == "y" else name) == name


@pytest.mark.parametrize("kind", TABLE)
def test_an_auditor_alone_of_those_who_see_less_gets_all_of_it_for_a_reason(
    world: World, kind: str
) -> None:
    task = one(world, kind)
    path = f"/admin/review/tasks/{task.pk}/reveal/"
    for name, cell in zip(PEOPLE, TABLE[kind][0][0], strict=True):
        if cell in {"h", "-"}:
            got = signed_in(name).post(path, {"reason": "Complaint 17"})
            assert got.status_code == {"h": 403, "-": 404}[cell], name
    auditor = signed_in("aud")
    assert auditor.post(path, {"reason": " "}).status_code == 422
    assert not AuditEntry.objects.filter(verb="task.revealed").exists()
    assert CANARY in auditor.post(path, {"reason": "Complaint 17"}).content.decode()
    assert AuditEntry.objects.get(verb="task.revealed").actor_name == "aud"


@pytest.mark.parametrize("username", ["admin", "ann"])
def test_no_role_is_above_the_self_review_rule(world: World, username: str) -> None:
    task = refund(world, run=world.run(participant=username))
    form = {"action": "approve", "revision": task.revision}
    path = f"/admin/review/tasks/{task.pk}/decide/"
    assert signed_in(username).post(path, form).status_code == 403
    task.refresh_from_db()
    assert task.status == "pending"


def wrote(actor: Actor) -> None:
    """One entry of this person's in the audit log."""
    verb = sorted(VERBS)[0]
    with unit_of_work() as unit:
        unit.audit(actor, verb, ("workspace", actor.workspace_id, f"by {actor.name}"))


def test_each_role_reads_the_audit_log_as_far_as_the_design_says(cast: Cast) -> None:
    for name in PEOPLE:
        wrote(cast.actor(name))
    own = {"ann", "gus", "ida"}
    for name in PEOPLE:
        answer = signed_in(name).get("/admin/audit/")
        if name == "bob":
            assert answer.status_code == 403
            continue
        writers = {row.actor_name for row in answer.context["rows"]}
        if name in own:
            assert writers == {name}
        else:
            assert writers >= set(PEOPLE)
    assert AuditEntry.objects.filter(verb="audit.exported").count() == 0
    for name in PEOPLE:
        got = signed_in(name).post("/admin/audit/export/", {"format": "csv"}).status_code
        assert got == (200 if name == "aud" else 403), name
