"""Rules that look afterwards: with sub-agents, and with what has come since."""

from guard_app.models import Detection, Incident, LateScreening
from integrations_app.models import ToolCall
from tasks_app.models import UserTask
from tasks_app.services.sweeping import sweep
from tests.conftest import World
from tests.guard_app.test_screening import rule, statuses, sub_run


def late(world: World, detector: str, **members: object) -> None:
    rule(world, detector, effect="alert", asynchronous=True, **members)


def test_a_late_rule_of_the_parent_holds_for_its_sub_agents(world: World) -> None:
    parameters = {"scope": "run", "limit": 2}
    late(world, "call_count", parameters=parameters, applies_to={"agents": ["support"]})
    parent = world.run()
    child = sub_run(world, parent)
    grandchild = sub_run(world, child)
    for run in (parent, child, grandchild):
        assert statuses(world, 1, run=run) == ["queued"]
    assert sweep(execute_here=True)["screened_late"] == 3
    hit = Detection.objects.get()
    assert (str(hit.tool_call.run_id), hit.agent.slug, hit.decided) == (
        grandchild,
        "research",
        True,
    )
    assert hit.explanation == "Call number 3 in this run; the limit is 2."
    assert (Incident.objects.get().agent.slug, Incident.objects.get().count) == ("research", 1)
    alert = UserTask.objects.get()
    assert (alert.kind, str(alert.run_id), alert.agent.slug) == (
        "anomaly_alert",
        grandchild,
        "research",
    )
    assert set(ToolCall.objects.values_list("status", flat=True)) == {"succeeded"}
    assert not LateScreening.objects.exists()


def test_what_came_since_is_no_history_of_a_late_rule(world: World) -> None:
    for number, scope in enumerate(("run", "session", "agent")):
        parameters = {"scope": scope, "limit": 3}
        if scope == "agent":
            parameters["window_seconds"] = 3600
        late(world, "call_count", slug=f"count-{number}", parameters=parameters)
    budget = {"argument": "/amount", "limit": 30, "scope": "session"}
    late(world, "budget", parameters=budget)
    run = world.run()
    statuses(world, *[10] * 5, run=run)
    sweep(execute_here=True)
    calls = list(ToolCall.objects.order_by("created_at").values_list("pk", flat=True))
    assert Detection.objects.count() == 8
    for slug in ("count-0", "count-1", "count-2", "budget"):
        hits = Detection.objects.filter(rule__slug=slug).order_by("tool_call__created_at")
        assert list(hits.values_list("tool_call_id", flat=True)) == calls[3:], slug


def test_a_late_rule_finds_new_what_was_new_when_it_came(world: World) -> None:
    late(world, "new_value", parameters={"argument": "/charge"})
    late(world, "new_operation")
    lookup = {"operation": "payments.charge_lookup", "arguments": {"charge": "c"}}
    chain = {"sources": ["payments.charge_lookup"], "sinks": ["payments.refund"]}
    late(world, "chain", parameters=chain)
    run = world.run()
    for charge in ("ch_1", "ch_2", "ch_2"):
        world.refund(1, run, arguments={"charge": charge, "amount": 1}).ok(201)
    world.agent.post("tool-calls", {"run": run, **lookup}).ok(201)
    sweep(execute_here=True)
    found = Detection.objects.order_by("tool_call__created_at")
    calls = list(ToolCall.objects.order_by("created_at").values_list("pk", flat=True))
    assert list(found.values_list("rule__slug", "tool_call_id")) == [
        ("new_value", calls[1]),
        ("new_operation", calls[3]),
    ]


def test_a_late_detector_that_fails_only_alerts(world: World) -> None:
    late(world, "condition", parameters={"when": "args.missing > 1"})
    child = sub_run(world, world.run())
    assert statuses(world, 1, run=child) == ["queued"]
    sweep(execute_here=True)
    row = Detection.objects.get()
    assert (row.failed, row.effect, row.agent.slug) == (True, "alert", "research")
    assert ToolCall.objects.get().status == "succeeded"
