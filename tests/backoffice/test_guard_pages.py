"""The guard's pages: who sees them, what they show, and what acting on them does."""

import datetime as dt
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import F
from django.test import Client

from accounts_app.models import Agent, AuditEntry
from guard_app.models import GuardRule, Incident, Replay
from guard_app.services.replays import due_replays, run_replay
from integrations_app.models import ToolCall
from tasks_app.guard_figures import open_incidents
from tasks_app.models import UserTask
from tasks_app.services.sweeping import sweep
from tests.api_client import Api
from tests.backoffice.people import signed_in
from tests.backoffice.rows import fingerprint
from tests.conftest import World
from tests.guard_app.test_screening import rule as hit_rule
from tests.guard_app.test_screening import statuses
from tests.guard_app.test_verdicts import refund, suspicious

HOUR = dt.timedelta(hours=1)
PAGES = ["/admin/guard/", "/admin/guard/incidents/", "/admin/guard/rules/"]


def opened(world: World) -> Incident:
    suspicious(world, "alert")
    refund(world)
    return Incident.objects.get()


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    ("who", "status"), [("gus", 200), ("admin", 200), ("aud", 200), ("ann", 403), ("bob", 403)]
)
def test_who_sees_the_guard(world: World, who: str, status: int, path: str) -> None:
    opened(world)
    assert signed_in(who).get(path).status_code == status


def test_the_overview_shows_hits_precision_and_agents(world: World) -> None:
    opened(world)
    text = signed_in("gus").get("/admin/guard/").content.decode()
    for part in ("Hits by effect, last 14 days", "Support", "condition", "payments.refund"):
        assert part in text, part


def test_the_overview_has_the_gravest_unresolved_incidents_first(world: World) -> None:
    severities = {"a": "low", "b": "critical", "c": "medium", "d": "critical"}
    for slug in severities:
        suspicious(world, "alert", slug, name=f"Rule {slug}")
    refund(world)
    for slug, severity in severities.items():
        Incident.objects.filter(rule__slug=slug).update(severity=severity)
    Incident.objects.filter(rule__slug="b").update(last_seen_at=F("last_seen_at") + HOUR)
    text = signed_in("gus").get("/admin/guard/").content.decode()
    assert re.findall(r">Rule (\w)</a> <span", text) == ["b", "d", "c", "a"]


def test_a_rule_that_cannot_be_evaluated_is_reported(world: World) -> None:
    pages = ("/admin/guard/", "/admin/guard/rules/condition/")
    gus = signed_in("gus")
    suspicious(world, "alert")
    refund(world)
    for path in pages:
        assert "ould not be evaluated" not in gus.get(path).content.decode()
    assert "assent_guard_rules_failing 0.0" in Api().get("/metrics").text
    broken = {"name": "Odd", "detector": "condition", "parameters": {"when": "args.missing > 1"}}
    body = {**broken, "applies_to": {}, "effect": "alert", "enabled": True}
    world.admin.put("guard/rules/condition", body).ok(200)
    refund(world)
    refund(world)
    overview, rule = (gus.get(path).content.decode() for path in pages)
    assert ">Odd</a> (2 calls)" in overview
    assert "Could not be evaluated for 2 calls" in rule
    assert rule.count("not evaluated") == 2
    assert "assent_guard_rules_failing 1.0" in Api().get("/metrics").text


def test_a_shadow_rule_shows_what_people_decided_about_its_hits(world: World) -> None:
    body = {"name": "Any", "detector": "condition", "parameters": {"when": "true"}}
    body |= {"applies_to": {}, "effect": "block", "enabled": True, "shadow": True}
    world.admin.put("guard/rules/any", body).ok(201)
    gus = signed_in("gus")
    assert "would have hit" not in gus.get("/admin/guard/rules/any/").content.decode()
    approved, rejected, *_ = [refund(world, amount) for amount in (200, 300, 400, 10)]
    world.decider.post(f"tasks/{approved['task']}/approve").ok()
    world.decider.post(f"tasks/{rejected['task']}/reject").ok()
    text = gus.get("/admin/guard/rules/any/").content.decode()
    assert "this version would have hit 4 calls" in text
    assert "approved 1, rejected 1, did not decide about 2" in text


def test_what_a_deadline_decided_no_page_says_of_people(
    world: World, move_clock: Callable[[float], None]
) -> None:
    suspicious(world, "alert")
    for action in ("approve", "reject"):
        policy = {"timeout_seconds": 60, "on_timeout": {"action": action}}
        world.operation(approval=policy, effect="idempotent").ok(200)
        assert refund(world, 900)["status"] == "awaiting_approval"
    move_clock(61)
    assert sweep(execute_here=False)["tasks_timed_out"] == 2
    assert set(ToolCall.objects.values_list("status", flat=True)) == {"queued", "rejected"}
    gus = signed_in("gus")
    heads, rows = table_of(gus.get("/admin/guard/").content.decode(), "precision")
    assert dict(zip(heads, rows[0], strict=True)) == {
        "Hits": "2",
        "Rejected": "0",
        "Approved": "0",
        "Nobody decided": "2",
        "Of dismissed incidents": "0",
    }
    text = gus.get("/admin/guard/rules/condition/").content.decode()
    assert "approved 0, rejected 0, did not decide about 2" in text


def table_of(html: str, name: str) -> tuple[list[str], list[list[str]]]:
    """The heads of a plotted table after the first, and the cells of each row."""
    part = html.split(f'id="table-{name}"')[1].split("</table>")[0]
    rows = part.split("<tbody>")[1].split("<tr>")[1:]
    cells = [re.findall(r'<td class="num">(.*?)</td>', row) for row in rows]
    return re.findall(r'<th scope="col">(.*?)</th>', part)[1:], cells


def test_the_overview_shows_hits_over_time_by_rule(
    world: World, move_clock: Callable[[float], None]
) -> None:
    for number in range(1, 7):
        members = {"parameters": {"when": f"args.amount > {number * 10}"}, "effect": "alert"}
        hit_rule(world, "condition", f"r{number}", name=f"Rule {number}", **members)
    statuses(world, 15, 65)
    gus = signed_in("gus")
    heads, rows = table_of(gus.get("/admin/guard/").content.decode(), "rules")
    assert heads == [f"Rule {number}" for number in range(1, 7)]
    assert (len(rows), rows[-1]) == (14, ["2", "1", "1", "1", "1", "1"])
    move_clock(86_400)
    for slug, name in (("r7", "<b>Seven</b>"), ("r8", "Eight")):
        parameters = {"when": "args.amount > 70"}
        hit_rule(world, "condition", slug, name=name, parameters=parameters, shadow=True)
    statuses(world, 75)
    html = gus.get("/admin/guard/").content.decode()
    heads, rows = table_of(html, "rules")
    assert heads == [*(f"Rule {number}" for number in range(1, 7)), "Others"]
    assert rows[-2] == ["2", "1", "1", "1", "1", "1", "0"]
    assert rows[-1] == ["1", "1", "1", "1", "1", "1", "2"]
    assert "<b>Seven" not in html
    heads, rows = table_of(html, "effects")
    assert (heads[-2], rows[-1][-2], rows[-2][-2]) == ("In shadow", "2", "0")
    assert (heads[-1], rows[-1][-1]) == ("Refused edits", "0")


def test_what_an_agent_wrote_is_never_markup(world: World) -> None:
    world.admin.put(
        "guard/rules/odd",
        {
            "name": "Odd",
            "detector": "new_value",
            "parameters": {"argument": "/charge"},
            "applies_to": {},
            "effect": "alert",
            "enabled": True,
        },
    ).ok(201)
    run = world.run()
    refund(world, 1, run, "fine")
    refund(world, 1, run, "<script>alert(1)</script>\u202e{{ 1 }}")
    incident = Incident.objects.get()
    text = signed_in("gus").get(f"/admin/guard/incidents/{incident.pk}/").content.decode()
    assert "<script>alert(1)" not in text
    assert "\u202e" not in text
    rule_page = signed_in("gus").get("/admin/guard/rules/odd/").content.decode()
    assert "<script>alert(1)" not in rule_page


def act(client: Client, incident: Incident, verb: str, **data: str) -> None:
    answer = client.post(f"/admin/guard/incidents/{incident.pk}/{verb}/", data)
    assert answer.status_code == 302, answer.content[:500]


@pytest.mark.parametrize("effect", ["block", "alert", "review", "terminate_session"])
def test_an_analyst_opens_everything_that_an_incident_links_to(world: World, effect: str) -> None:
    suspicious(world, effect)
    other = refund(world, 7, charge="fine")
    run = world.run()
    refund(world, 10, run)
    if effect != "terminate_session":
        refund(world, 20, run)
    incident, gus = Incident.objects.get(), signed_in("gus")
    text = gus.get(f"/admin/guard/incidents/{incident.pk}/").content.decode()
    links = set(re.findall(r'href="(/admin/review/(?:calls|runs)/[^"#?]+)', text))
    assert len(links) == incident.count + 1
    assert [gus.get(link).status_code for link in links] == [200] * len(links)
    # What nothing hit is still none of an analyst's.
    assert gus.get(f"/admin/review/calls/{other['id']}/").status_code == 404


def test_an_incident_is_triaged_from_its_page(world: World) -> None:
    incident, gus = opened(world), signed_in("gus")
    path = f"/admin/guard/incidents/{incident.pk}/"
    assert gus.get(path).status_code == 200
    act(gus, incident, "acknowledge")
    act(gus, incident, "assign", assignee="admin")
    act(gus, incident, "note", text="one address")
    act(gus, incident, "resolve", note="the customer was real")
    incident.refresh_from_db()
    assert (incident.status, str(incident.assignee)) == ("resolved", "admin")
    assert incident.notes.count() == 2
    text = gus.get(path).content.decode()
    assert "the customer was real" in text
    assert "Resolve</button>" not in text


CONTAIN = ("freeze", "cancel", "terminate", "require-approval")  # thawing wants a frozen agent


def contain(client: Client, incident: Incident, verb: str, **data: str) -> Any:
    return client.post(f"/admin/guard/incidents/{incident.pk}/contain/{verb}/", data)


def test_an_agent_is_frozen_and_thawed_from_the_incident(world: World) -> None:
    incident, gus = opened(world), signed_in("gus")
    assert contain(gus, incident, "freeze", reason="odd refunds").status_code == 302
    assert Agent.objects.get(slug="support").frozen_reason == "odd refunds"
    assert "odd refunds" in gus.get("/admin/guard/").content.decode()
    again = contain(gus, incident, "freeze", reason="odd refunds")
    assert (again.status_code, "frozen already" in again.content.decode()) == (409, True)
    contain(gus, incident, "thaw", reason="fine")
    until = {"until": "2099-01-01T12:00", "reason": "watch it"}
    assert contain(gus, incident, "require-approval", **until).status_code == 302
    agent = Agent.objects.get(slug="support")
    assert (agent.frozen_at, agent.approval_required_until.year) == (None, 2099)
    entry = AuditEntry.objects.get(verb="agent.approval_required")
    assert json.loads(entry.data)["reason"] == "watch it"
    assert contain(gus, incident, "cancel", reason="contained").status_code == 302
    assert ToolCall.objects.get().status == "cancelled"
    assert contain(gus, incident, "terminate", reason="contained").status_code == 302
    assert ToolCall.objects.get().run.session.status == "terminated"


def test_containing_says_first_what_it_does_and_does_nothing(world: World) -> None:
    incident, gus = opened(world), signed_in("gus")
    run = ToolCall.objects.get().run
    refund(world, 900, str(run.pk))
    refund(world, 10, charge="fine")
    before = fingerprint()
    told = {
        verb: gus.get(f"/admin/guard/incidents/{incident.pk}/contain/{verb}/").content.decode()
        for verb in CONTAIN
    }
    assert fingerprint() == before
    for part in (
        "<strong>2</strong> approved or queued calls will stay",
        "<strong>1</strong> call that waits for a person can",
        "<strong>2</strong> tasks of it wait for a person, and stay open",
        "<strong>2</strong> open runs whose next call is refused",
    ):
        assert part in told["freeze"], part
    for part in (
        "<strong>3</strong> calls will be cancelled, of which 2 could",
        "<strong>1</strong> task about them will be cancelled",
        "<strong>1</strong> task will stay open",
    ):
        assert part in told["cancel"], part
    for part in (
        "1 session will be terminated",
        "<strong>1</strong> run will",
        "<strong>2</strong> calls will not be sent",
        "<strong>1</strong> task will be cancelled",
    ):
        assert part in told["terminate"], part
    assert "<strong>2</strong> queued calls without an approval" in told["require-approval"]
    back = f'href="/admin/guard/incidents/{incident.pk}/">Back, and do nothing</a>'
    assert all(back in page for page in told.values())
    # What was told is what comes of it.
    contain(gus, incident, "terminate", reason="odd")
    assert ToolCall.objects.filter(status="cancelled").count() == 2
    assert UserTask.objects.filter(status="cancelled").count() == 1
    assert run.session.runs.get().status == "terminated"
    told_now = gus.get(f"/admin/guard/incidents/{incident.pk}/contain/cancel/").content.decode()
    assert "<strong>1</strong> call will be cancelled, of which 1 could" in told_now


@pytest.mark.parametrize("verb", CONTAIN)
def test_containing_needs_a_reason_and_keeps_what_was_typed(world: World, verb: str) -> None:
    incident, gus = opened(world), signed_in("gus")
    before = fingerprint()
    typed = {"reason": " ", "until": "2099-01-01T12:00"}
    bare = contain(gus, incident, verb, **typed)
    assert (bare.status_code, "Say why." in bare.content.decode()) == (422, True)
    assert ("2099-01-01T12:00" in bare.content.decode()) == (verb == "require-approval")
    long = contain(gus, incident, verb, reason="zebra <b>" * 300)
    assert (long.status_code, "At most 2000" in long.content.decode()) == (422, True)
    assert "zebra &lt;b&gt;" * 300 in long.content.decode()
    assert fingerprint() == before


def test_thawing_says_what_it_sends_and_keeps_a_refused_reason(world: World) -> None:
    incident, gus = opened(world), signed_in("gus")
    refund(world, 10, charge="fine")
    contain(gus, incident, "freeze", reason="odd")
    path = f"/admin/guard/incidents/{incident.pk}/contain/thaw/"
    assert f'href="{path}"' in gus.get(f"/admin/guard/incidents/{incident.pk}/").content.decode()
    before = fingerprint()
    told = gus.get(path).content.decode()
    assert "<strong>2</strong> approved or queued calls will be sent at once" in told
    long = contain(gus, incident, "thaw", reason="zebra <b>" * 300)
    assert (long.status_code, "At most 2000" in long.content.decode()) == (422, True)
    assert "zebra &lt;b&gt;" * 300 in long.content.decode()
    assert fingerprint() == before
    contain(gus, incident, "thaw", reason="fine")
    late = contain(signed_in("admin"), incident, "thaw", reason="mine was typed too")
    assert (late.status_code, "is not frozen" in late.content.decode()) == (409, True)
    assert "mine was typed too</textarea>" in late.content.decode()
    assert AuditEntry.objects.filter(verb="agent.thawed").count() == 1


@pytest.mark.parametrize(
    ("verb", "field"), [("note", "text"), ("resolve", "note"), ("dismiss", "note")]
)
def test_an_act_on_an_incident_that_is_refused_keeps_the_text(
    world: World, verb: str, field: str
) -> None:
    incident, gus = opened(world), signed_in("gus")
    path = f"/admin/guard/incidents/{incident.pk}/{verb}/"
    before = fingerprint()
    answer = gus.post(path, {field: "zebra <b>" * 2000})
    assert answer.status_code == 422
    assert "At most 10000" in answer.content.decode()
    assert "zebra &lt;b&gt;" * 2000 in answer.content.decode()
    assert fingerprint() == before


def test_whoever_resolves_second_keeps_what_they_had_written(world: World) -> None:
    incident, gus = opened(world), signed_in("gus")
    act(gus, incident, "resolve", note="first")
    path = f"/admin/guard/incidents/{incident.pk}/resolve/"
    answer = signed_in("admin").post(path, {"note": "The customer was real after all."})
    assert answer.status_code == 409
    assert "The customer was real after all.</textarea>" in answer.content.decode()
    assert incident.notes.count() == 1


@pytest.mark.parametrize("until", ["nonsense", "2020-01-01T12:00", "2099-13-01T12:00"])
def test_a_moment_that_cannot_be_keeps_the_reason(world: World, until: str) -> None:
    incident, gus = opened(world), signed_in("gus")
    wrong = contain(gus, incident, "require-approval", until=until, reason="zebra stripes")
    assert (wrong.status_code, "zebra stripes" in wrong.content.decode()) == (422, True)
    assert f'value="{until}" aria-invalid="true"' in wrong.content.decode()
    assert Agent.objects.get(slug="support").approval_required_until is None


@pytest.mark.parametrize("who", ["aud", "ann", "ida", "cora"])
def test_nobody_else_acts_on_an_incident(world: World, who: str) -> None:
    incident = opened(world)
    answer = signed_in(who).post(f"/admin/guard/incidents/{incident.pk}/resolve/", {})
    assert answer.status_code in (403, 404)
    gus = signed_in("gus")
    assert gus.get(f"/admin/guard/incidents/{incident.pk}/resolve/").status_code == 405
    assert gus.post(f"/admin/guard/incidents/{incident.pk}/explode/").status_code == 404
    assert gus.post(f"/admin/guard/incidents/{incident.pk}/freeze/").status_code == 404
    assert gus.get(f"/admin/guard/incidents/{incident.pk}/contain/explode/").status_code == 404
    for verb in CONTAIN:
        theirs = contain(signed_in(who), incident, verb, reason="why")
        assert theirs.status_code in (403, 404)
    assert Incident.objects.get().status == "open"


FORM: dict[str, Any] = {
    "slug": "big",
    "expected_version": "0",
    "name": "Big refunds",
    "detector": "condition",
    "p_when": "args.amount > 30",
    "operations": ["payments.refund"],
    "effect": "review",
    "enabled": "on",
    "shadow": "on",
}


def test_a_rule_is_added_and_edited_in_the_back_office(world: World) -> None:
    gus = signed_in("gus")
    assert gus.get("/admin/add/guard-rule/").status_code == 200
    assert gus.post("/admin/add/guard-rule/", FORM).status_code == 302
    rule = GuardRule.objects.get()
    assert (rule.slug, rule.shadow, rule.applies_to) == (
        "big",
        True,
        {"operations": ["payments.refund"]},
    )
    edit = {**FORM, "expected_version": "1", "shadow": ""}
    assert gus.post("/admin/guard/rules/big/", edit).status_code == 302
    stale = gus.post("/admin/guard/rules/big/", {**edit, "name": "Mine"})
    assert stale.status_code == 409
    wrong = gus.post(
        "/admin/guard/rules/big/",
        {**edit, "expected_version": "2", "p_when": "args.amount >"},
    )
    assert (wrong.status_code, "Line 1" in wrong.content.decode()) == (422, True)
    rule.refresh_from_db()
    assert (rule.version, rule.shadow, rule.name) == (2, False, "Big refunds")
    assert signed_in("aud").post("/admin/guard/rules/big/", edit).status_code == 403


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("high", {"sensitivity": "high"}),
        (" Low ", {"sensitivity": "low"}),
        ("2.5", {"sensitivity": 2.5}),
        ("10", {"sensitivity": 10}),
        ("", {}),
    ],
)
def test_a_sensitivity_is_a_word_or_a_number(
    world: World, typed: str, kept: dict[str, Any]
) -> None:
    gus = signed_in("gus")
    form = {**FORM, "detector": "rate_baseline", "p_sensitivity": typed}
    assert gus.post("/admin/add/guard-rule/", form).status_code == 302
    rule = GuardRule.objects.get()
    assert json.dumps(rule.parameters) == json.dumps(kept)
    # The page shows it so that saving it again changes nothing.
    page = gus.get("/admin/guard/rules/big/").content.decode()
    field = re.search(r'<input[^>]*name="p_sensitivity"[^>]*>', page)
    assert field is not None
    shown = re.search(r'value="([^"]*)"', field[0])
    again = {**form, "expected_version": "1", "p_sensitivity": shown[1] if shown else ""}
    assert gus.post("/admin/guard/rules/big/", again).status_code == 302
    rule.refresh_from_db()
    assert (rule.version, json.dumps(rule.parameters)) == (1, json.dumps(kept))


@pytest.mark.parametrize("typed", ["loud", "0", "11", "nan", "2,5"])
def test_a_sensitivity_that_is_neither_is_refused_with_what_would_be_right(
    world: World, typed: str
) -> None:
    form = {**FORM, "detector": "value_range", "p_sensitivity": typed, "p_argument": "/amount"}
    answer = signed_in("gus").post("/admin/add/guard-rule/", form)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "Must be low, medium, high, or a number from 0.1 to 10." in page
    assert f'value="{typed}"' in page
    assert not GuardRule.objects.exists()


def test_the_live_check_tells_what_a_draft_would_have_hit(world: World) -> None:
    statuses(world, 10, 20, 40, 50)
    gus = signed_in("gus")
    text = gus.post("/admin/add/guard-rule/check/", FORM).content.decode()
    assert "Would have hit 2 of the last 4 calls" in text
    bad = gus.post(
        "/admin/add/guard-rule/check/", {**FORM, "as_json": "on", "parameters": '{"when": 5}'}
    )
    assert "CEL expression" in bad.content.decode()
    assert not GuardRule.objects.exists()


def test_the_live_check_names_the_operations_that_a_condition_cannot_be_read_for(
    world: World,
) -> None:
    gus = signed_in("gus")

    def told(when: str, *operations: str) -> str:
        form = {**FORM, "p_when": when, "operations": list(operations)}
        return gus.post("/admin/add/guard-rule/check/", form).content.decode()

    everywhere = told("args.amount > 30")
    assert "For 1 operation this condition cannot be read" in everywhere
    assert 'wait for a review: <span class="mono wrap">payments.charge_lookup' in everywhere
    assert 'It can be read for <span class="mono wrap">payments.refund' in everywhere
    assert "this condition cannot be read" not in told("args.amount > 30", "payments.refund")
    for guarded in (
        "has(args.amount) && args.amount > 30",
        'operation == "payments.refund" && args.amount > 30',
        "counts.run > 3",
    ):
        assert "cannot be read" not in told(guarded), guarded
    members = {"amount": {"type": "number"}, "reason": {"type": "string"}}
    world.operation(parameters={"type": "object", "properties": members, "required": ["amount"]})
    assert "where an optional argument is left out" in told('args.reason == "x"', "payments.refund")


def test_a_replay_is_started_watched_and_read(world: World) -> None:
    statuses(world, 10, 40)
    gus = signed_in("gus")
    gus.post("/admin/add/guard-rule/", FORM)
    start = "/admin/guard/rules/big/replay/"
    assert gus.get(start).status_code == 200
    wrong = gus.post(start, {"since": "2026-02-02", "until": "2026-02-01"})
    assert wrong.status_code == 422
    period = {"since": "2026-01-05", "until": "2026-12-31"}
    assert gus.post(start, period).status_code == 302
    path = f"/admin/guard/replays/{Replay.objects.get().pk}/"
    running = gus.get(path).content.decode()
    assert "every 1s" in running
    assert "The calls are being counted" in running
    assert run_replay(due_replays(10)[0])
    text = gus.get(path).content.decode()
    assert re.search(r'Would have acted <a class="link" href="[^"]+">1</a> time on 2 calls', text)
    assert "every 1s" not in text
    part = gus.get(path, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part


def test_the_navigation_counts_open_incidents(world: World) -> None:
    incident = opened(world)
    counted = {who: open_incidents(world.cast.actor(who)) for who in ("gus", "cora")}
    assert counted == {"gus": 1, "cora": 0}
    act(signed_in("gus"), incident, "acknowledge")
    assert open_incidents(world.cast.actor("gus")) == 0
