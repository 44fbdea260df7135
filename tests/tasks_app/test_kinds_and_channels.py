"""Every kind by every way in, with every refusal: one validator, one set of rights."""

from collections.abc import Callable
from typing import Any

import pytest

from accounts_app.clock import db_now
from accounts_app.errors import DomainError
from tasks_app.api.shown import show_task, tasks_to_show
from tasks_app.kinds import OWN_ACTIONS
from tasks_app.kinds import Answer as Given
from tasks_app.models import Decision, UserTask
from tasks_app.services.deciding import Decide, decide
from tasks_app.services.sweeping import sweep
from tasks_app.states import Kind
from tests.api_client import Answer
from tests.conftest import World

OPTIONS = [{"id": "ber", "label": "Berlin"}, {"id": "ham", "label": "Hamburg"}]
FITTING: dict[str, dict[str, Any]] = {
    Kind.APPROVAL: {"action": "approve"},
    Kind.HITL: {"action": "approve"},
    Kind.MULTI_OPTION: {"action": "select", "value": "ham"},
    Kind.TEXT: {"action": "submit", "value": "Berlin"},
    Kind.NUMBER: {"action": "submit", "value": 7},
    Kind.AITL_ESCALATION: {"action": "answer", "value": "The one in Berlin."},
    Kind.ANOMALY_REVIEW: {"action": "approve"},
    Kind.ANOMALY_ALERT: {"action": "acknowledge"},
}
WRONG: list[tuple[str, dict[str, Any], str]] = [
    (Kind.APPROVAL, {}, "unknown_action"),
    (Kind.APPROVAL, {"action": ""}, "unknown_action"),
    (Kind.APPROVAL, {"action": "Approve"}, "unknown_action"),
    (Kind.APPROVAL, {"action": "approve", "value": 1}, "invalid_value"),
    (Kind.APPROVAL, {"action": "approve", "comment": "x" * 10_001}, "too_long"),
    (Kind.HITL, {"action": "submit"}, "unknown_action"),
    (Kind.MULTI_OPTION, {"value": "mun"}, "invalid_value"),
    (Kind.MULTI_OPTION, {"value": ["ber"]}, "invalid_value"),
    (Kind.MULTI_OPTION, {}, "invalid_value"),
    (Kind.MULTI_OPTION, {"action": "approve", "value": "ber"}, "unknown_action"),
    (Kind.TEXT, {"value": "  "}, "invalid_value"),
    (Kind.TEXT, {"value": 7}, "invalid_value"),
    (Kind.TEXT, {}, "invalid_value"),
    (Kind.TEXT, {"value": "x" * 20_001}, "too_long"),
    (Kind.NUMBER, {"value": "abc"}, "invalid_value"),
    (Kind.NUMBER, {"value": "7"}, "invalid_value"),
    (Kind.NUMBER, {"value": True}, "invalid_value"),
    (Kind.NUMBER, {"value": 11}, "invalid_value"),
    (Kind.NUMBER, {}, "invalid_value"),
    (Kind.AITL_ESCALATION, {"action": "answer"}, "invalid_value"),
    (Kind.AITL_ESCALATION, {"action": "approve"}, "unknown_action"),
    (Kind.AITL_ESCALATION, {"action": "decline", "value": "x"}, "invalid_value"),
    (Kind.ANOMALY_REVIEW, {}, "unknown_action"),
    (Kind.ANOMALY_REVIEW, {"action": "acknowledge"}, "unknown_action"),
    (Kind.ANOMALY_ALERT, {"action": "approve"}, "unknown_action"),
    (Kind.ANOMALY_ALERT, {"action": "reject"}, "unknown_action"),
]
BACKOFFICE_ONLY = (Kind.AITL_ESCALATION, Kind.ANOMALY_REVIEW, Kind.ANOMALY_ALERT)
ANOMALIES = (Kind.ANOMALY_REVIEW, Kind.ANOMALY_ALERT)
KINDS = tuple(FITTING)


def make(world: World, kind: str, run: str | None = None, **members: Any) -> UserTask:
    """A pending task of any kind; the guard's as the guard writes them."""
    run = run or world.run()
    if kind not in ANOMALIES:
        body: dict[str, Any] = {"run": run, "title": "?", "kind": kind, **members}
        if kind == Kind.MULTI_OPTION:
            body["options"] = OPTIONS
        if kind == Kind.NUMBER:
            body["input"] = {"maximum": 10}
        return UserTask.objects.get(pk=world.agent.post("tasks", body).ok(201)["id"])
    task = UserTask.objects.get(pk=world.agent.post("tasks", {"run": run, "title": "?"})["id"])
    actions = [action.as_json() for action in OWN_ACTIONS[kind]]
    UserTask.objects.filter(pk=task.pk).update(kind=kind, actions=actions, **members)
    task.refresh_from_db()
    return task


def api(world: World, task: UserTask, given: dict[str, Any]) -> str:
    return outcome(world.decider.post(f"tasks/{task.pk}/complete", given))


def shortcut(world: World, task: UserTask, _: dict[str, Any]) -> str:
    return outcome(world.decider.post(f"tasks/{task.pk}/approve"))


def text_or_action(world: World, task: UserTask, given: dict[str, Any]) -> str:
    body = {"task": str(task.pk), **given}
    return outcome(world.decider.post(f"runs/{task.run_id}/input", body))


def bulk(world: World, task: UserTask, given: dict[str, Any]) -> str:
    item = {"task": str(task.pk), "revision": 1, **given}
    (row,) = world.decider.post("tasks/bulk-complete", {"items": [item]}).ok()["results"]
    return "done" if row["status"] == 200 else str(row["code"])


def runtime(world: World, task: UserTask, given: dict[str, Any]) -> str:
    return outcome(world.agent.post(f"tasks/{task.pk}/complete", given))


def person(name: str) -> Callable[[World, UserTask, dict[str, Any]], str]:
    def act(world: World, task: UserTask, given: dict[str, Any]) -> str:
        answer = Given(given.get("action"), given.get("value"), given.get("comment"))
        try:
            decide(world.cast.actor(name), task.pk, 1, lambda: Decide(answer))
        except DomainError as refusal:
            return refusal.code
        return "done"

    return act


def outcome(answer: Answer) -> str:
    return "done" if answer.status == 200 else answer.code


def expected(kind: str, channel: str) -> str:
    """The table: what each way in does with each kind."""
    anomaly, backoffice_only = kind in ANOMALIES, kind in BACKOFFICE_ONLY
    if channel in ("api", "input", "bulk"):
        return "dashboard_only" if backoffice_only else "done"
    if channel == "shortcut":
        fits = "done" if kind in (Kind.APPROVAL, Kind.HITL) else "unknown_action"
        return "dashboard_only" if backoffice_only else fits
    return {
        "runtime": "insufficient_scope",
        "operator": "not_found" if anomaly else "done",
        "analyst": "done" if anomaly else "not_found",
        "admin": "done",
        "viewer": "forbidden",
        "auditor": "forbidden",
        "integration admin": "not_found",
        "other workspace": "not_found",
    }[channel]


CHANNELS: dict[str, Callable[[World, UserTask, dict[str, Any]], str]] = {
    "api": api,
    "shortcut": shortcut,
    "input": text_or_action,
    "bulk": bulk,
    "runtime": runtime,
    "operator": person("ann"),
    "analyst": person("gus"),
    "admin": person("admin"),
    "viewer": person("bob"),
    "auditor": person("aud"),
    "integration admin": person("ida"),
    "other workspace": person("cora"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_by_every_way_in(world: World, kind: str) -> None:
    run = world.run()
    for name, act in CHANNELS.items():
        task = make(world, kind, run)
        got = act(world, task, FITTING[kind])
        assert got == expected(kind, name), (kind, name)
        task.refresh_from_db()
        decided = Decision.objects.filter(task=task).count()
        if got == "done":
            assert (task.status, task.action, decided) == (
                "completed",
                FITTING[kind]["action"],
                1,
            )
            assert task.value == FITTING[kind].get("value")
        else:
            assert (task.status, task.action, decided) == ("pending", None, 0), (kind, name)


@pytest.mark.parametrize(("kind", "given", "code"), WRONG)
def test_what_does_not_fit_is_refused_alike(
    world: World, kind: str, given: dict[str, Any], code: str
) -> None:
    task = make(world, kind)
    ways = [CHANNELS["admin"]]
    if kind not in BACKOFFICE_ONLY:
        ways += [api, bulk]
    assert [way(world, task, given) for way in ways] == [code] * len(ways)
    task.refresh_from_db()
    assert (task.status, task.revision, Decision.objects.count()) == ("pending", 1, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_who_started_the_session_decides_what_is_no_approval(world: World, kind: str) -> None:
    task = make(world, kind, world.run(participant="admin"))
    separated = kind in (Kind.APPROVAL, Kind.HITL, Kind.ANOMALY_REVIEW)
    got = CHANNELS["admin"](world, task, FITTING[kind])
    assert got == ("self_review_forbidden" if separated else "done")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_times_out_undecided(
    world: World, kind: str, move_clock: Callable[[float], None]
) -> None:
    task = make(world, kind)
    UserTask.objects.filter(pk=task.pk).update(due_at=db_now())
    move_clock(1)
    assert CHANNELS["admin"](world, task, FITTING[kind]) == "deadline_passed"
    assert sweep(execute_here=False)["tasks_timed_out"] == 1
    result = world.agent.get(f"tasks/{task.pk}/result").ok()
    assert (result["status"], result["timed_out"], result["completed"]) == (
        "completed",
        True,
        False,
    )
    assert (result["performed_action"], result["comment"]) == (None, None)
    assert CHANNELS["admin"](world, task, FITTING[kind]) == "deadline_passed"


@pytest.mark.parametrize("kind", KINDS)
def test_whether_the_api_may_complete_is_said_beforehand(world: World, kind: str) -> None:
    task = tasks_to_show(UserTask.objects.filter(pk=make(world, kind).pk)).get()
    shown = show_task(task, lambda name, pk: "")
    assert shown["api_completable"] is (kind not in BACKOFFICE_ONLY)


@pytest.mark.parametrize("kind", KINDS)
def test_only_an_alert_holds_up_no_run(world: World, kind: str) -> None:
    run = world.run()
    make(world, kind, run)
    sweep(execute_here=True)
    waits = kind != Kind.ANOMALY_ALERT
    shown = world.agent.get(f"runs/{run}")
    assert shown["status"] == ("waiting" if waits else "running")
    assert bool(shown["waiting_on"]["tasks"]) is waits


@pytest.mark.parametrize("kind", ANOMALIES)
def test_the_guards_kinds_are_not_asked_for(world: World, kind: str) -> None:
    body = {"agent": "support", "title": "?", "kind": kind}
    world.agent.post("tasks", body).refused(403, "kind_not_creatable")
    assert UserTask.objects.count() == 0
