"""What stands on a card and on a run's timeline, word for word."""

import re

import pytest
from playwright.sync_api import expect

from accounts_app.models import User
from integrations_app.models import ToolCall
from integrations_app.services.execution import execute
from tasks_app.models import UserTask
from tests.backoffice.conftest import Visit
from tests.backoffice.people import signed_in
from tests.backoffice.test_approvals import ask, decide, page, refund
from tests.backoffice.test_runs_and_sessions import open_page
from tests.conftest import World


def zone(task: UserTask) -> str:
    html = signed_in("ann").get(f"/admin/review/tasks/{task.pk}/card/").content.decode()
    (text,) = re.findall(r"data-zone>([^<]+)<", html)
    return str(text)


def test_the_zone_says_of_a_call_that_ended_that_it_did(world: World) -> None:
    sent, refused = refund(world), refund(world)
    assert zone(sent) == "What will be sent"
    decide(signed_in("ann"), sent)
    assert zone(sent) == "What will be sent"
    assert sent.tool_call_id is not None
    execute(sent.tool_call_id)
    assert zone(sent) == "What was sent"
    decide(signed_in("ann"), refused, "reject")
    assert zone(refused) == "What was asked for"
    ToolCall.objects.filter(pk=sent.tool_call_id).update(status="unknown")
    assert zone(sent) == "What was begun, with an unknown outcome"


def test_who_is_asked_whether_a_call_happened_reads_what_each_answer_does(world: World) -> None:
    task = refund(world)
    assert "whether it happened" not in page("ann")
    UserTask.objects.filter(pk=task.pk).update(about="outcome")
    html = " ".join(page("ann").split())
    assert "Look at Payments itself whether it happened." in html
    assert "it is sent once more, and what has happened then happens twice." in html
    assert "whether it happened" not in page("bob")


def test_the_card_says_that_a_restored_backup_put_its_call_on_hold(world: World) -> None:
    task = refund(world)
    assert "On hold since a backup" not in page("ann")
    ToolCall.objects.filter(pk=task.tool_call_id).update(held=True)
    assert "On hold since a backup" in page("ann")
    decide(signed_in("ann"), task)
    assert "On hold since a backup" in open_page("ann", f"review/tasks/{task.pk}/")


def test_without_earlier_decisions_nothing_is_to_be_unfolded(world: World) -> None:
    refund(world)
    html = page("ann")
    assert "First of this operation by this agent" in html
    assert '<details class="earlier">' not in html


def test_on_its_own_page_the_decision_stands_before_the_further_acts(world: World) -> None:
    task = ask(world, timeout_seconds=600)
    html = open_page("ann", f"review/tasks/{task.pk}/")
    places = [html.index(text) for text in ("data-decide", "Say something without", "More time")]
    assert places == sorted(places)


def test_times_are_absolute_on_hover_in_the_readers_zone(world: World) -> None:
    User.objects.filter(username="ann").update(time_zone="Asia/Kathmandu")
    refund(world)
    assert re.search(
        r'title="[A-Z][a-z]{2} \d\d \w+ \d{4}, [\d:]{8} \+0545">just now<', page("ann")
    )
    assert "UTC" in re.findall(r'<time[^>]+title="([^"]+)"', page("abe"))[0]


def test_votes_stand_on_the_card_with_who_gave_them(world: World) -> None:
    world.operation(approval={"quorum": 2, "when": "args.amount > 100"}).ok(200)
    task = refund(world)
    assert "0 of 2 votes" in page("ann")
    decide(signed_in("ann"), task, comment="Tracking checked.")
    html = page("abe")
    assert "1 of 2 votes" in html
    assert re.search(r"ann: approve, <bdi>Tracking checked\.</bdi>", html)


def test_whoever_voted_is_offered_nothing_more_to_decide(world: World) -> None:
    policy = {"quorum": 2, "allow_edit": True, "when": "args.amount > 100"}
    world.operation(approval=policy).ok(200)
    task = refund(world)
    ann = signed_in("ann")
    ann.post(f"/admin/review/tasks/{task.pk}/claim/")
    answer = decide(ann, task)
    acts = ("data-decide", "data-select>", "data-edit", ">Claim<")
    for html in (answer.content.decode(), page("ann")):
        assert "You voted “Approve”; it waits for others." in html
        assert [act for act in acts if act in html] == []
        assert ">Release<" in html
    ann.post(f"/admin/review/tasks/{task.pk}/release/")
    assert [act for act in (*acts, ">Release<") if act in page("ann")] == []
    assert [act for act in acts if act in page("abe")] == list(acts)
    assert ann.post("/admin/review/next/").headers["Location"] == "/admin/review/approvals/"
    assert str(task.pk) in signed_in("abe").post("/admin/review/next/").headers["Location"]


def test_the_timeline_has_messages_hits_and_the_runs_that_were_started(world: World) -> None:
    world.rule().ok(201)
    run = world.run()
    world.agent.post(f"runs/{run}/messages", {"role": "user", "text": "Where is it?"}).ok(201)
    world.refund(6000, run).ok(201)
    session = world.agent.get(f"runs/{run}").ok(200)["session"]
    child = {"session": session, "parent_run": run, "agent": "research", "title": "Look it up"}
    opened = world.agent.post("runs", child).ok(201)["id"]
    html = open_page("ann", f"review/runs/{run}/")
    timeline = html[html.index('class="timeline"') :]
    assert "Where is it?" in timeline
    assert "Guard: Pause for review" in timeline
    assert "Large refunds" in timeline
    assert f'Started the run <a class="link" href="/admin/review/runs/{opened}/">' in timeline
    assert "Look it up" in timeline
    assert "started by" in open_page("ann", f"review/runs/{opened}/")


def test_a_cards_forms_lead_back_to_the_page_on_which_it_stands(world: World) -> None:
    task = refund(world)
    queue = "/admin/review/approvals/?kind=approvals"
    there = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{queue}#x"}
    ann, path = signed_in("ann"), f"/admin/review/tasks/{task.pk}"
    for html in (
        ann.get(queue).content.decode(),
        ann.get(f"{path}/card/", headers=there).content.decode(),
        ann.post(f"{path}/claim/", headers=there).content.decode(),
        ann.post(
            f"{path}/decide/", {"action": "", "revision": "1", "then": queue}
        ).content.decode(),
    ):
        assert re.findall(r'name="then" value="([^"]+approvals[^"]+)"', html)
        assert f'name="then" value="{path}/claim/"' not in html
        assert f'name="then" value="{path}/decide/"' not in html
        assert f'name="then" value="{path}/card/"' not in html


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_the_zones_title_follows_the_call_and_a_key_opens_the_run(
    shared_world: World, visit: Visit
) -> None:
    task = refund(shared_world)
    browser = visit("ann", "review/approvals/")
    card = browser.locator(f"#task-{task.pk}")
    browser.keyboard.press("j")
    browser.keyboard.press("c")
    expect(card.get_by_text("You work on this")).to_be_visible()
    browser.keyboard.press("a")
    browser.keyboard.press("a")
    expect(card.locator(".outcome")).to_be_visible()
    expect(card.locator("[data-zone]")).to_have_text("What will be sent")
    assert task.tool_call_id is not None
    execute(task.tool_call_id)
    expect(card.locator("[data-zone]")).to_have_text("What was sent")
    browser.keyboard.press("o")
    expect(browser.locator("article.highlighted")).to_contain_text("What was sent")
    assert "/review/runs/" in browser.url
