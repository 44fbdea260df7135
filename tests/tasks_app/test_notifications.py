"""Who is told of what, by mail that a real server takes; once, late enough, and never too much."""

import datetime as dt
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts_app.faults import InjectedFault
from accounts_app.models import Group, Membership, User
from accounts_app.scoping import system_actor
from accounts_app.services.members import create_member
from accounts_app.services.membership import deactivate_member
from tasks_app.jobs import notify
from tasks_app.models import Notification, NotificationSettings
from tasks_app.services import notifying, telling
from tasks_app.services.claims import claim
from tasks_app.services.notification_settings import Choices, choose, send_test
from tasks_app.services.remarks import ask as ask_back
from tasks_app.services.routing import assign, delegate, give_back
from tasks_app.services.sweeping import sweep
from tasks_app.services.telling import bury_unheard, due_members, tell
from tests.api_client import Answer
from tests.conftest import World
from tests.guard_app.test_verdicts import refund, suspicious
from tests.harness.mail_server import MailServer
from tests.tasks_app.notifying import statuses, switch_mail_on, tell_everybody, told
from tests.tasks_app.racing import race
from tests.tasks_app.test_escalation import escalate

Move = Callable[[float], None]
DAY = 86_400


@pytest.fixture
def mail(settings: object) -> Iterator[MailServer]:
    with MailServer() as server:
        switch_mail_on(settings, server)
        yield server


def ask(world: World, **members: object) -> Answer:
    return world.agent.post("tasks", {"agent": "support", "title": "Ship?", **members}).ok(201)


def want(world: World, name: str, **times: str) -> None:
    choose(world.cast.actor(name), Choices(times=times))


def group_of(world: World, *people: str) -> None:
    made = Group.objects.create(
        workspace=world.cast.workspace, created_at=world.cast.workspace.created_at, name="G"
    )
    for name in people:
        Membership.objects.get(user__username=name).groups.add(made)


OPERATORS = {"admin": {"new"}, "ann": {"new"}, "abe": {"new"}}
ASKED: list[tuple[dict[str, object], dict[str, set[str]]]] = [
    *[({"kind": kind}, OPERATORS) for kind in ("approval", "hitl", "text", "number")],
    ({"kind": "multi_option", "options": [{"id": "a", "label": "A"}]}, OPERATORS),
    ({"reviewers": {"users": ["abe"]}}, {"abe": {"mine"}}),
    ({"reviewers": {"groups": ["G"]}}, {"ann": {"mine"}}),
    # Whoever started the session may not approve, and is not asked to; they may answer.
    ({"participant": "ANN@example.com"}, {"admin": {"new"}, "abe": {"new"}}),
    ({"participant": "ann", "kind": "text"}, {**OPERATORS, "ann": {"mine"}}),
    ({"participant": "bob", "kind": "text"}, {**OPERATORS, "bob": {"mine"}}),
    ({"participant": "somebody@else.example", "kind": "number"}, OPERATORS),
]


@pytest.mark.parametrize(("members", "expected"), ASKED)
def test_a_new_task_is_told_to_those_who_may_decide_it(
    world: World, mail: MailServer, members: dict[str, object], expected: dict[str, set[str]]
) -> None:
    group_of(world, "ann")
    ask(world, **members)
    assert told() == expected
    tell_everybody()
    assert sorted(message["To"] for message in mail.messages) == sorted(
        f"{name}@example.com" for name in expected
    )


def test_a_limited_operator_is_told_of_their_agents_only(world: World, mail: MailServer) -> None:
    Membership.objects.get(user__username="abe").limited_to.add(world.cast.research)
    ask(world)
    assert told() == {"admin": {"new"}, "ann": {"new"}}


def test_the_guards_tasks_are_told_to_analysts_alone(world: World, mail: MailServer) -> None:
    suspicious(world, "review")
    refund(world)
    assert told() == {"admin": {"incident", "new"}, "gus": {"incident", "new"}}
    tell_everybody()
    assert {message["To"] for message in mail.messages} == {"admin@example.com", "gus@example.com"}


def test_an_alert_is_told_of_by_its_incident_once(world: World, mail: MailServer) -> None:
    suspicious(world, "alert")
    refund(world)
    refund(world)
    assert told() == {"admin": {"incident"}, "gus": {"incident"}}
    assert Notification.objects.count() == 2


def test_handed_over_is_told_to_who_it_is_handed_to(world: World, mail: MailServer) -> None:
    task = UUID(ask(world)["id"])
    Notification.objects.all().delete()
    assign(world.cast.actor("admin"), task, "ann")
    assert told() == {"ann": {"mine"}}
    delegate(world.cast.actor("ann"), task, "abe")
    assert told() == {"ann": {"mine"}, "abe": {"mine"}}
    Notification.objects.all().delete()
    give_back(world.cast.actor("abe"), task)
    assert told() == {"ann": {"mine"}}
    Notification.objects.all().delete()
    assign(world.cast.actor("ann"), task, "ann")
    assert told() == {}, "nobody is told of what they did themselves"


def test_an_escalation_is_told_to_new_ones_only_and_once(
    world: World, mail: MailServer, move_clock: Move
) -> None:
    ask(
        world,
        reviewers={"users": ["ann"]},
        timeout_seconds=60,
        remind_before_seconds=[30],
        on_timeout=escalate("abe", 60),
    )
    assert told() == {"ann": {"mine"}}
    move_clock(31)
    sweep(execute_here=False)
    assert told() == {"ann": {"mine", "reminder"}}
    move_clock(30)
    sweep(execute_here=False)
    sweep(execute_here=False)
    assert told() == {"ann": {"mine", "reminder"}, "abe": {"escalated"}}
    move_clock(31)
    sweep(execute_here=False)
    sweep(execute_here=False)
    assert told() == {"ann": {"mine", "reminder"}, "abe": {"escalated", "reminder"}}
    assert Notification.objects.count() == 4


def test_who_could_decide_before_is_told_when_an_escalation_names_them(
    world: World, mail: MailServer, move_clock: Move
) -> None:
    ask(world, timeout_seconds=60, on_timeout=escalate("abe", 60))
    assert told() == OPERATORS
    move_clock(61)
    sweep(execute_here=False)
    assert told() == {**OPERATORS, "abe": {"new", "escalated"}}


def test_a_reminder_reaches_those_who_may_decide(
    world: World, mail: MailServer, move_clock: Move
) -> None:
    want(world, "abe", new="off")
    ask(world, timeout_seconds=600, remind_before_seconds=[300])
    tell_everybody()
    mail.clear()
    move_clock(301)
    assert sweep(execute_here=True)["members_told"] == 3
    assert {message["To"] for message in mail.messages} == {
        f"{name}@example.com" for name in ("admin", "ann", "abe")
    }
    assert "A deadline comes near" in mail.to("abe@example.com")[0]["Subject"]


def test_the_agents_answer_is_told_to_who_asked(world: World, mail: MailServer) -> None:
    task = ask(world)
    ask_back(world.cast.actor("ann"), UUID(task["id"]), lambda: "Whose?")
    Notification.objects.all().delete()
    world.agent.post(f"tasks/{task['id']}/information", {"text": "Ann's."}).ok(201)
    assert told() == {"ann": {"answered"}}


def test_a_time_out_is_told_to_those_whose_task_it_was(
    world: World, mail: MailServer, move_clock: Move
) -> None:
    for kind in ("timed_out", "mine", "new"):
        for name in ("admin", "ann", "abe"):
            want(world, name, **{kind: "immediate" if kind == "timed_out" else "off"})
    ask(world, timeout_seconds=60)
    ask(world, timeout_seconds=60, reviewers={"users": ["abe"]})
    held = ask(world, timeout_seconds=60)
    assign(world.cast.actor("admin"), UUID(held["id"]), "ann")
    move_clock(61)
    sweep(execute_here=True)
    assert told() == {"ann": {"timed_out"}, "abe": {"timed_out"}}
    assert len(mail.messages) == 2
    assert "timed out" in mail.to("ann@example.com")[0]["Subject"]


def test_a_time_out_is_told_to_who_held_the_task(
    world: World, mail: MailServer, move_clock: Move
) -> None:
    for name in ("admin", "ann", "abe"):
        want(world, name, timed_out="immediate", new="off")
    task = ask(world, timeout_seconds=60)
    claim(world.cast.actor("ann"), UUID(task["id"]))
    move_clock(61)
    sweep(execute_here=False)
    assert told() == {"ann": {"timed_out"}}


def test_what_nobody_can_decide_is_told_to_admins(world: World, mail: MailServer) -> None:
    ask(world, participant="ann", reviewers={"users": ["ann"]})
    assert told() == {"admin": {"unroutable"}}
    tell_everybody()
    assert "nobody can decide" in mail.to("admin@example.com")[0]["Subject"]


def test_other_workspaces_and_members_who_left_are_told_nothing(
    world: World, mail: MailServer
) -> None:
    User.objects.filter(username="cora").update(email="cora@example.com")
    ask(world)
    abe = Membership.objects.get(user__username="abe")
    deactivate_member(world.cast.actor("admin"), abe)
    tell_everybody()
    assert {message["To"] for message in mail.messages} == {"admin@example.com", "ann@example.com"}
    assert Notification.objects.get(member=abe).status == "dropped"
    assert "cora" not in told()


def test_what_was_decided_meanwhile_is_not_told(world: World, mail: MailServer) -> None:
    task = ask(world)
    world.decider.post(f"tasks/{task['id']}/approve").ok()
    tell_everybody()
    assert mail.messages == []
    assert statuses() == {"dropped": 3}


def test_who_may_not_decide_any_more_is_not_told(world: World, mail: MailServer) -> None:
    ask(world)
    Membership.objects.filter(user__username="abe").update(roles=["viewer"])
    tell_everybody()
    assert mail.to("abe@example.com") == []
    assert len(mail.messages) == 2


def test_nothing_is_told_of_what_was_undone(world: World, mail: MailServer) -> None:
    ask(world, key="k")
    before = Notification.objects.count()
    world.agent.post(
        "tasks", {"agent": "support", "title": "T", "key": "k", "on_conflict": "fail"}
    ).refused(409, "key_exists")
    assert Notification.objects.count() == before == 3


def test_the_message_is_text_and_html_with_one_link_to_the_card(
    world: World, mail: MailServer
) -> None:
    task = ask(world)
    tell_everybody()
    message = mail.to("ann@example.com")[0]
    link = f"https://assent.example/admin/review/tasks/{task['id']}/"
    text = message.get_body(("plain",)).get_content()
    html = message.get_body(("html",)).get_content()
    assert message["Subject"] == "Demo: Support asks for an approval"
    assert message["Auto-Submitted"] == "auto-generated"
    assert re.findall(r"https?://\S+", text) == [link]
    assert re.findall(r'href="([^"]+)"', html) == [link]
    assert "“Ship?”" in text
    assert "<form" not in html
    assert "<img" not in html


HOSTILE = (
    "Pay\r\nBcc: x@evil.example\u202e https://evil.example/approve <b>now</b> [x](http://y.example)"
    " @everyone <!channel> www.evil.example"
)


def test_what_an_agent_writes_is_quoted_and_makes_no_link_and_no_header(
    world: World, mail: MailServer
) -> None:
    ask(world, title=HOSTILE)
    tell_everybody()
    message = mail.to("ann@example.com")[0]
    assert message["Bcc"] is None
    assert message["Subject"] == "Demo: Support asks for an approval"
    for part in ("plain", "html"):
        text = message.get_body((part,)).get_content()
        assert len(re.findall(r"https?://", text)) == 1, part
        for mark in ("evil.example", "@everyone", "\u202e", "<!channel", "](", "<b>"):
            assert mark not in text, (part, mark)


def test_no_sensitive_value_is_in_any_message(world: World, mail: MailServer) -> None:
    world.operation(sensitive=["/charge"]).ok()
    body = {
        "run": world.run(),
        "operation": "payments.refund",
        "arguments": {"charge": "4111-canary", "amount": 900},
    }
    world.agent.post("tool-calls", body).ok(201)
    ask(world, draft={"iban": "canary-draft"}, metadata={"m": "canary-metadata"})
    tell_everybody()
    assert len(mail.messages) == 3
    for message in mail.messages:
        assert "canary" not in message.as_string()
        assert "Payments: Refund a charge" in message.get_body(("plain",)).get_content()
    assert "canary" not in str(list(Notification.objects.values()))


def test_eighty_tasks_are_two_messages(world: World, mail: MailServer, move_clock: Move) -> None:
    ask(world)
    tell_everybody()
    run = world.run()
    for number in range(80):
        world.agent.post("tasks", {"run": run, "title": f"T{number}"}).ok(201)
        assert tell_everybody() == 0, "whoever was told just now rests"
    move_clock(61)
    assert tell_everybody() == 3
    found = mail.to("ann@example.com")
    assert [message["Subject"] for message in found] == [
        "Demo: Support asks for an approval",
        "Demo: 80 things wait for you",
    ]
    text = found[1].get_body(("plain",)).get_content()
    assert text.count("“T") == 20
    assert "… and 60 more" in text
    assert re.findall(r"https?://\S+", text) == [
        "https://assent.example/admin/review/approvals/?workspace=demo"
    ]
    assert statuses() == {"sent": 243}


def test_the_rest_grows_while_more_keeps_coming(
    world: World, mail: MailServer, move_clock: Move
) -> None:
    rests = []
    for _ in range(6):
        ask(world)
        tell_everybody()
        row = NotificationSettings.objects.get(member__user__username="ann")
        rests.append(row.rest_seconds)
        move_clock(row.rest_seconds + 1)
    assert rests == [60, 120, 240, 480, 480, 480]
    move_clock(1000)
    ask(world)
    tell_everybody()
    row = NotificationSettings.objects.get(member__user__username="ann")
    assert row.rest_seconds == 60


def test_a_digest_comes_once_with_everything(
    world: World, mail: MailServer, move_clock: Move
) -> None:
    for name in ("admin", "abe"):
        want(world, name, new="off")
    choose(world.cast.actor("ann"), Choices(times={"new": "digest"}, digest_minutes=240))
    for _ in range(5):
        ask(world)
    assert (tell_everybody(), mail.messages) == (0, [])
    due = set(Notification.objects.values_list("due_at", flat=True))
    assert len(due) == 1
    assert due.pop().timestamp() % (4 * 3600) == 0
    move_clock(4 * 3600)
    assert tell_everybody() == 1
    assert [message["Subject"] for message in mail.messages] == ["Demo: 5 things wait for you"]


def test_off_is_never_told_and_a_change_holds_for_what_waits(
    world: World, mail: MailServer
) -> None:
    want(world, "abe", new="off")
    choose(world.cast.actor("ann"), Choices(times={"new": "digest"}, digest_minutes=1440))
    ask(world)
    assert told() == {"admin": {"new"}, "ann": {"new"}}
    want(world, "ann", new="off")
    want(world, "admin", new="off")
    assert statuses() == {"dropped": 2}


def test_quiet_hours_hold_what_waits_and_are_asked_again_before_sending(
    world: World, mail: MailServer, move_clock: Move
) -> None:
    for name in ("admin", "abe"):
        want(world, name, new="off")
    now = dt.datetime.now(dt.UTC)
    quiet_to = (now + dt.timedelta(hours=3)).time().replace(microsecond=0)
    task = ask(world)
    # Chosen after the row was written, as if it had been tried again into the night.
    ann = Membership.objects.get(user__username="ann")
    NotificationSettings.objects.create(
        workspace=world.cast.workspace,
        created_at=now,
        member=ann,
        quiet_from=(now - dt.timedelta(hours=1)).time(),
        quiet_to=quiet_to,
    )
    assert (tell_everybody(), mail.messages) == (0, [])
    waits = Notification.objects.get(task=task["id"], member=ann)
    assert (waits.status, waits.attempts) == ("pending", 0)
    assert waits.due_at.time() == quiet_to
    move_clock(3 * 3600 + 1)
    assert tell_everybody() == 1


def test_a_test_comes_at_once_also_in_quiet_hours_and_while_resting(
    world: World, mail: MailServer
) -> None:
    ann = world.cast.actor("ann")
    now = dt.datetime.now(dt.UTC)
    quiet = {"quiet_from": (now - dt.timedelta(hours=1)).time().replace(microsecond=0)}
    quiet["quiet_to"] = (now + dt.timedelta(hours=1)).time().replace(microsecond=0)
    choose(ann, Choices(**quiet))
    ask(world)
    send_test(ann)
    tell_everybody()
    assert [m["Subject"] for m in mail.to("ann@example.com")] == ["Demo: A test"]
    send_test(ann)
    tell_everybody()
    assert len(mail.to("ann@example.com")) == 2


def test_mail_that_is_put_off_is_tried_again(
    world: World, mail: MailServer, move_clock: Move
) -> None:
    for name in ("admin", "abe"):
        want(world, name, new="off")
    ask(world)
    mail.put_off(2)
    for attempt, pause in enumerate((30, 120), start=1):
        assert tell_everybody() == 0
        row = Notification.objects.get()
        assert (row.status, row.attempts) == ("pending", attempt)
        assert row.last_error == "e-mail not sent (SMTPDataError)"
        move_clock(pause - 1)
        assert due_members(9) == []
        move_clock(2)
    assert tell_everybody() == 1
    assert (statuses(), len(mail.messages)) == ({"sent": 1}, 1)


def test_an_address_that_is_refused_is_given_up_and_visible(world: World, mail: MailServer) -> None:
    mail.refused.add("ann@example.com")
    ask(world, reviewers={"users": ["ann"]})
    tell_everybody()
    row = Notification.objects.get()
    assert (row.status, row.attempts, row.last_error) == ("failed", 1, "e-mail refused (550)")


def test_a_server_that_is_away_is_given_up_in_the_end(
    world: World, settings: object, mail: MailServer, move_clock: Move
) -> None:
    settings.EMAIL_PORT = 9
    ask(world, reviewers={"users": ["ann"]})
    for _ in range(6):
        tell_everybody()
        move_clock(DAY)
    row = Notification.objects.get()
    assert (row.status, row.attempts) == ("failed", 6)
    assert tell_everybody() == 0


def test_a_worker_that_dies_after_sending_leads_to_a_second_copy_never_to_silence(
    world: World,
    mail: MailServer,
    move_clock: Move,
    settings: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ask(world, reviewers={"users": ["ann"]})
    settings.ASSENT_TEST_FAULTS = True
    monkeypatch.setenv("ASSENT_FAULTS", "notice.after_send=raise")
    with pytest.raises(InjectedFault):
        tell_everybody()
    monkeypatch.delenv("ASSENT_FAULTS")
    assert statuses() == {"pending": 1}
    assert (tell_everybody(), len(mail.messages)) == (0, 1), "not before the claim's lease is over"
    move_clock(301)
    assert tell_everybody() == 1
    first, second = mail.messages
    assert first["Message-ID"] == second["Message-ID"]
    assert statuses() == {"sent": 1}


def test_a_worker_that_dies_before_sending_delays_and_loses_nothing(
    world: World, mail: MailServer, move_clock: Move
) -> None:
    ask(world, reviewers={"users": ["ann"]})
    ann = Membership.objects.get(user__username="ann")
    lane = telling._take_lane(ann.pk)
    assert telling._claim(lane) is not None, "and here it dies"
    assert (tell_everybody(), sweep(execute_here=True)["members_told"]) == (0, 0)
    move_clock(301)
    assert sweep(execute_here=True)["members_told"] == 1
    assert len(mail.messages) == 1


def test_of_many_workers_one_tells(shared_world: World, mail: MailServer) -> None:
    for _ in range(3):
        ask(shared_world, reviewers={"users": ["ann"]})
    ann = Membership.objects.get(user__username="ann")
    results = race(*[partial(tell, ann.pk)] * 8)
    assert (sum(results), len(mail.messages)) == (1, 1)
    assert statuses() == {"sent": 3}


def test_a_last_attempt_that_was_never_recorded_is_given_up(
    world: World, mail: MailServer, move_clock: Move
) -> None:
    ask(world, reviewers={"users": ["ann"]})
    Notification.objects.update(attempts=6)
    assert tell_everybody() == 0
    assert (bury_unheard(10), statuses()) == (1, {"failed": 1})


def test_who_holds_a_lane_keeps_others_away_until_it_ends(
    world: World, mail: MailServer, move_clock: Move
) -> None:
    ask(world, reviewers={"users": ["ann"]})
    ann = Membership.objects.get(user__username="ann")
    NotificationSettings.objects.create(
        workspace=world.cast.workspace,
        created_at=ann.created_at,
        member=ann,
        lane_until=dt.datetime.now(dt.UTC) + dt.timedelta(seconds=100),
    )
    assert (tell(ann.pk), due_members(9)) == (0, [])
    move_clock(101)
    assert tell(ann.pk) == 1


def test_without_mail_and_addresses_one_query_is_all_it_costs(world: World) -> None:
    run = world.run()
    with CaptureQueriesContext(connection) as made:
        world.agent.post("tasks", {"run": run, "title": "T"}).ok(201)
    about = [query for query in made if "notification" in query["sql"].lower()]
    assert len(about) == 1
    assert Notification.objects.count() == 0


def test_many_members_are_found_by_one_query_and_written_by_one(
    world: World, mail: MailServer
) -> None:
    system = system_actor(world.cast.workspace.pk)
    for number in range(30):
        create_member(
            system,
            username=f"op{number}",
            roles=["operator"],
            password="correct-horse-battery",
            email=f"op{number}@example.com",
        )
    group_of(world, "ann", "op1", "op2")
    run = world.run()
    with CaptureQueriesContext(connection) as made:
        world.agent.post("tasks", {"run": run, "title": "T"}).ok(201)
    about = [query for query in made if "notification" in query["sql"].lower()]
    assert len(about) == 2
    assert Notification.objects.count() == 33


def test_a_restored_backup_tells_nothing_again(world: World, mail: MailServer) -> None:
    ask(world)
    call_command("restored")
    assert (tell_everybody(), statuses()) == (0, {"dropped": 3})


def test_a_worker_is_rung_once_after_the_commit(
    world: World,
    mail: MailServer,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Callable[..., Any],
) -> None:
    rung: list[str] = []
    monkeypatch.setattr("config.doorbell.ring", lambda job, *args: rung.append(job))
    with django_capture_on_commit_callbacks() as afterwards:
        ask(world)
    assert (rung, Notification.objects.count()) == ([], 3)
    for tell_them in afterwards:
        tell_them()
    assert rung.count(notifying.NOTIFY) == 1


def test_the_job_tells_everybody_and_the_sweep_finds_what_no_worker_was_rung_for(
    world: World, mail: MailServer
) -> None:
    ask(world, reviewers={"users": ["ann"]})
    assert sweep(execute_here=False)["notifications_rung"] == 1
    assert mail.messages == []
    notify()
    assert len(mail.messages) == 1
    assert sweep(execute_here=False)["notifications_rung"] == 0
