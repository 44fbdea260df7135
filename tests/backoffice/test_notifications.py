"""The page on which people choose what they are told, and what becomes of it."""

import datetime as dt
import json
import zoneinfo
from collections.abc import Iterator

import pytest
from django.test import Client

from accounts_app.models import AuditEntry, User
from tasks_app.models import Notification, NotificationSettings
from tasks_app.services.notification_settings import Choices, choose
from tests.backoffice.people import signed_in
from tests.backoffice.test_every_address import fingerprint
from tests.conftest import ROLES, World
from tests.harness.mail_server import MailServer
from tests.tasks_app.notifying import switch_mail_on, tell_everybody, told
from tests.tasks_app.test_escalation import ask

PAGE = "/admin/profile/notifications/"
SAVED = {
    "email": "on",
    "time_new": "digest",
    "time_mine": "immediate",
    "time_reminder": "off",
    "time_escalated": "immediate",
    "time_answered": "immediate",
    "time_timed_out": "off",
    "quiet_from": "22:00",
    "quiet_to": "07:00",
    "digest_minutes": "1440",
    "digest_at": "08:30",
}


@pytest.fixture
def mail(settings: object) -> Iterator[MailServer]:
    with MailServer() as server:
        switch_mail_on(settings, server)
        yield server


def row(name: str = "ann") -> NotificationSettings:
    return NotificationSettings.objects.get(member__user__username=name)


def add(client: Client, address: str) -> object:
    return client.post(f"{PAGE}addresses/add/", {"address": address})


def test_what_is_chosen_is_saved_shown_again_and_written_down(
    world: World, mail: MailServer
) -> None:
    client = signed_in("ann")
    assert client.post(PAGE, SAVED).status_code == 302
    saved = row()
    assert saved.times == {k[5:]: v for k, v in SAVED.items() if k.startswith("time_")}
    assert (f"{saved.quiet_from:%H:%M}", f"{saved.quiet_to:%H:%M}") == ("22:00", "07:00")
    assert (saved.email, saved.digest_minutes, f"{saved.digest_at:%H:%M}") == (True, 1440, "08:30")
    page = client.get(PAGE).content.decode()
    assert 'value="22:00"' in page
    assert '<option value="1440" selected>' in page
    entry = AuditEntry.objects.get(verb="notifications.changed")
    assert (entry.actor_name, entry.facts["digest_minutes"]) == ("ann", 1440)
    client.post(PAGE, {**SAVED, "email": ""})
    assert row().email is False


@pytest.mark.parametrize(
    ("member", "value", "said"),
    [
        ("quiet_to", "", "Give both times, or neither."),
        ("quiet_to", "22:00", "Must differ from the beginning."),
        ("quiet_from", "25:00", "Enter a valid time."),
        ("digest_minutes", "7", "Select a valid choice."),
        ("time_new", "sometimes", "Select a valid choice."),
        ("digest_at", "", "This field is required."),
    ],
)
def test_what_cannot_be_is_refused_beside_its_field(
    world: World, mail: MailServer, member: str, value: str, said: str
) -> None:
    answer = signed_in("ann").post(PAGE, {**SAVED, member: value})
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert NotificationSettings.objects.count() == 0


@pytest.mark.parametrize("name", ROLES)
def test_each_role_has_the_page_with_the_kinds_that_can_come_to_it(
    world: World, mail: MailServer, name: str
) -> None:
    page = signed_in(name).get(PAGE).content.decode()
    assert "A deadline comes near" in page
    assert ("nobody can decide" in page) == (name == "admin")
    assert ("The guard opened an incident" in page) == (name in ("admin", "gus"))
    assert ("A new task that I may decide" in page) == (name in ("admin", "ann", "abe", "gus"))


def test_without_mail_the_page_says_so_and_offers_messengers(world: World) -> None:
    page = signed_in("ann").get(PAGE).content.decode()
    assert "This installation sends no mail" in page
    assert 'name="email"' not in page
    assert "slack://" in page


def test_an_address_is_kept_sealed_told_at_and_never_shown_again(
    world: World, settings: object
) -> None:
    place = f"127.0.0.1:{world.receiver.port}"
    settings.ASSENT_NOTIFY_PRIVATE = (place,)
    settings.ASSENT_URL = "https://assent.example"
    client = signed_in("ann")
    address = f"json://canary-user:canary-password@{place}/ok/canary-path?+X-T=canary-token"
    assert add(client, address).status_code == 302
    saved = row()
    assert "canary" not in str(saved.__dict__)
    page = client.get(PAGE).content.decode()
    assert "JSON at 127.0.0.1" in page
    assert "canary" not in page
    entry = AuditEntry.objects.get(verb="notifications.address_added")
    assert entry.facts == {"address": "JSON at 127.0.0.1"}
    task = ask(world, title="Ship?")
    assert told() == {"ann": {"new"}}, "nobody else has a channel"
    assert tell_everybody() == 1
    (hit,) = world.receiver.hits
    body = json.loads(hit.body)
    assert body["title"] == "Demo: Support asks for an approval"
    assert body["message"] == (
        "Support asks for an approval: “Ship?”\n"
        f"https://assent.example/admin/review/tasks/{task['id']}/"
    )
    assert (hit.path, hit.header("X-T")) == ("/ok/canary-path", "canary-token")


def test_an_address_that_cannot_be_is_refused_and_nothing_is_kept(world: World) -> None:
    client = signed_in("ann")
    for address, said in (
        ("slack://x", "Is no whole address of Slack"),
        ("json://127.0.0.1/x", "private address"),
        ("mailto://a:b@example.com", "Must begin with one of"),
        ("", "This field is required."),
    ):
        answer = add(client, address)
        assert answer.status_code == 422
        assert said in answer.content.decode(), address
    assert not NotificationSettings.objects.filter(addresses_sealed__isnull=False).exists()


def test_three_addresses_at_most_each_once_and_removed_again(world: World) -> None:
    client = signed_in("ann")
    for number in range(3):
        assert add(client, f"jsons://receiver{number}.example/x").status_code == 302
    assert b"At most 3 addresses" in add(client, "jsons://receiver4.example/x").content
    identity = row().addresses[1]["id"]
    client.post(f"{PAGE}addresses/remove/", {"id": identity})
    assert [item["shown"] for item in row().addresses] == [
        "JSON at receiver0.example",
        "JSON at receiver2.example",
    ]
    assert b"You are told there already" in add(client, "jsons://receiver2.example/x").content
    stranger = signed_in("abe").post(f"{PAGE}addresses/remove/", {"id": row().addresses[0]["id"]})
    assert stranger.status_code == 404
    assert len(row().addresses) == 2


def test_a_test_is_sent_and_what_became_of_it_is_shown(world: World, mail: MailServer) -> None:
    client = signed_in("ann")
    client.post(f"{PAGE}test/")
    assert 'hx-trigger="every 2s"' in client.get(f"{PAGE}sent/").content.decode()
    tell_everybody()
    (message,) = mail.messages
    assert (message["To"], message["Subject"]) == ("ann@example.com", "Demo: A test")
    assert f"https://assent.example{PAGE}" in message.as_string()
    sent = client.get(f"{PAGE}sent/").content.decode()
    assert "Sent</span>" in sent
    assert "hx-trigger" not in sent


def test_a_test_without_a_channel_says_what_is_missing(world: World) -> None:
    answer = signed_in("ann").post(f"{PAGE}test/", follow=True)
    assert "There is nothing to send it by" in answer.content.decode()
    assert Notification.objects.count() == 0


def test_mail_goes_on_where_a_messenger_fails_and_the_failure_is_visible(
    world: World, mail: MailServer, settings: object
) -> None:
    settings.ASSENT_NOTIFY_PRIVATE = (f"127.0.0.1:{world.receiver.port}",)
    client = signed_in("ann")
    add(client, f"json://127.0.0.1:{world.receiver.port}/status/404/x")
    ask(world, reviewers={"users": ["ann"]})
    tell_everybody()
    assert len(mail.messages) == len(world.receiver.hits) == 1
    assert "JSON at 127.0.0.1: answered 404" in client.get(PAGE).content.decode()
    admin = signed_in("admin")
    page = admin.get("/admin/members/notifications/").content.decode()
    assert '<span class="badge badge-bad">1</span>' in page
    assert "127.0.0.1" not in page
    assert "failed notifications in a week" in admin.get("/admin/dashboard/").content.decode()


def test_only_the_channel_that_failed_is_tried_again(
    world: World, mail: MailServer, settings: object, move_clock: object
) -> None:
    settings.ASSENT_NOTIFY_PRIVATE = (f"127.0.0.1:{world.receiver.port}",)
    add(signed_in("ann"), f"json://127.0.0.1:{world.receiver.port}/flaky/2")
    ask(world, reviewers={"users": ["ann"]})
    tell_everybody()
    waits = Notification.objects.get()
    assert (waits.status, waits.channels) == ("pending", [row().addresses[0]["id"]])
    move_clock(61)
    tell_everybody()
    assert (len(mail.messages), len(world.receiver.hits)) == (1, 2)
    assert Notification.objects.get().status == "sent"


def test_each_time_that_is_chosen_on_the_page_holds_in_the_members_own_zone(
    world: World, mail: MailServer
) -> None:
    for name in ("admin", "abe"):
        choose(world.cast.actor(name), Choices(times={"new": "off"}))
    # Somewhere the night has come, and it is not so late in Greenwich.
    hours = (2 - dt.datetime.now(dt.UTC).hour) or 1
    hours += 24 if hours < -12 else 0
    zone = f"Etc/GMT{-hours:+d}"
    User.objects.filter(username="ann").update(time_zone=zone)
    ann = signed_in("ann")
    assert ann.post(PAGE, {**SAVED, "time_new": "immediate"}).status_code == 302
    here = zoneinfo.ZoneInfo(zone)
    day = dt.datetime.now(here).date()
    ask(world)
    assert (tell_everybody(), mail.messages, told()) == (0, [], {"ann": {"new"}})
    assert Notification.objects.get().due_at == dt.datetime.combine(day, dt.time(7), here)
    ann.post(PAGE, {**SAVED, "time_new": "digest"})
    Notification.objects.all().delete()
    ask(world)
    assert Notification.objects.get().due_at == dt.datetime.combine(day, dt.time(8, 30), here)
    ann.post(PAGE, {**SAVED, "time_new": "off"})
    Notification.objects.all().delete()
    ask(world)
    assert told() == {}
    ann.post(PAGE, {**SAVED, "time_new": "immediate", "quiet_from": "", "quiet_to": ""})
    ask(world)
    assert (tell_everybody(), len(mail.messages)) == (1, 1)


def test_the_link_of_a_message_shows_and_changes_nothing(world: World, mail: MailServer) -> None:
    ask(world, reviewers={"users": ["ann"]})
    tell_everybody()
    text = mail.messages[0].get_body(("plain",)).get_content()
    link = next(word for word in text.split() if word.startswith("https://"))
    path = link.removeprefix("https://assent.example")
    User.objects.update(last_login=None)
    for client in (Client(), signed_in("ann"), signed_in("abe")):
        before = fingerprint()
        client.get(path)
        client.head(path)
        assert fingerprint() == before
