"""Signing in: throttled, with a second factor, closed to strangers, and out again by POST."""

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.core import mail
from django.core.management import call_command
from django.test import Client

from accounts_app.models import AuditEntry, Membership, SharedCount, User
from accounts_app.scoping import system_actor
from accounts_app.services.members import create_member
from accounts_app.services.workspace_settings import change_settings
from tests.backoffice.people import signed_in
from tests.conftest import PASSWORD, Cast

LOGIN = "/accounts/login/"
RESET = "/accounts/password/reset/"
SECRET = "JBSWY3DPEHPK3PXP"


def sign_in(client: Client, username: str = "ann", password: str = PASSWORD, **more: str) -> int:
    form = {"username": username, "password": password}
    return client.post(LOGIN, form, **more).status_code  # type: ignore[arg-type]


def is_in(client: Client) -> bool:
    return client.get("/admin/profile/").status_code == 200


def code(secret: str = SECRET) -> str:
    counter = next(iter(yield_hotp_counters_from_time()))
    return format_hotp_value(hotp_value(secret, counter))


@pytest.mark.parametrize("field", ["username", "login"])
def test_a_member_signs_in_and_goes_where_they_wanted(
    cast: Cast, client: Client, field: str
) -> None:
    form = {field: "ann", "password": PASSWORD, "next": "/admin/agents/"}
    answer = client.post(LOGIN, form)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/agents/")
    assert is_in(client)


def test_the_way_on_leads_to_no_other_host(cast: Cast, client: Client) -> None:
    form = {"username": "ann", "password": PASSWORD, "next": "https://evil.example/"}
    assert client.post(LOGIN, form).headers["Location"] == "/"


def test_the_cookie_is_hidden_from_scripts_and_ends_after_eight_hours(
    cast: Cast, client: Client
) -> None:
    sign_in(client)
    cookie = client.cookies["sessionid"]
    assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "Lax", 8 * 3600)


def test_wrong_passwords_close_the_account_for_that_address_alone(cast: Cast) -> None:
    attacker = Client(REMOTE_ADDR="198.51.100.7")
    for _ in range(9):
        assert sign_in(attacker, password="wrong") == 200
    assert sign_in(attacker, password="wrong") == 429
    assert sign_in(attacker) == 429
    assert sign_in(attacker, username="ANN") == 429
    assert not is_in(attacker)
    assert sign_in(attacker, username="abe") == 302
    owner = Client(REMOTE_ADDR="203.0.113.9")
    assert sign_in(owner) == 302
    assert is_in(owner)


def test_a_closed_account_opens_after_a_quarter_of_an_hour(cast: Cast) -> None:
    with time_machine.travel(dt.datetime(2030, 1, 1, tzinfo=dt.UTC), tick=False) as clock:
        client = Client()
        for _ in range(10):
            sign_in(client, password="wrong")
        clock.shift(14 * 60)
        assert sign_in(client) == 429
        clock.shift(2 * 60)
        assert sign_in(client) == 302


def test_an_administrator_of_the_machine_opens_it_at_once(cast: Cast) -> None:
    client = Client()
    for _ in range(10):
        sign_in(client, password="wrong")
    assert sign_in(client) == 429
    call_command("axes_reset_username", "ann", verbosity=0)
    assert sign_in(client) == 302


def test_a_forged_forwarding_header_does_not_beat_the_throttle(cast: Cast) -> None:
    client = Client()
    for number in range(10):
        sign_in(client, password="wrong", HTTP_X_FORWARDED_FOR=f"203.0.113.{number}")
    assert sign_in(client, HTTP_X_FORWARDED_FOR="203.0.113.77") == 429


def test_an_unknown_name_reads_like_a_wrong_password(cast: Cast, client: Client) -> None:
    wrong = client.post(LOGIN, {"username": "ann", "password": "wrong"}).content
    unknown = client.post(LOGIN, {"username": "nobody", "password": "wrong"}).content

    def plain(page: bytes) -> str:
        return re.sub(r'value="[^"]*"', "", page.decode())

    assert plain(wrong) == plain(unknown)


def test_nobody_signs_up(cast: Cast, client: Client) -> None:
    before = User.objects.count()
    form = {"username": "eve", "password1": PASSWORD, "password2": PASSWORD}
    text = client.post("/accounts/signup/", form).content.decode()
    assert "Ask a workspace admin" in text
    assert User.objects.count() == before


def test_signing_out_needs_a_post(cast: Cast) -> None:
    client = signed_in("ann")
    client.get("/accounts/logout/")
    assert is_in(client)
    assert client.post("/accounts/logout/").headers["Location"] == LOGIN
    assert not is_in(client)


def test_a_post_without_its_token_signs_nobody_in(cast: Cast) -> None:
    client = Client(enforce_csrf_checks=True)
    assert sign_in(client) == 403
    assert not is_in(client)


def test_a_second_factor_is_set_up_sealed_and_asked_for(cast: Cast) -> None:
    client = Client()
    sign_in(client)
    activate = "/accounts/2fa/totp/activate/"
    assert client.get(activate).headers["Location"].startswith("/accounts/reauthenticate/")
    assert b"Forgot" not in client.get("/accounts/reauthenticate/").content, "no mail is sent"
    client.post(f"/accounts/reauthenticate/?next={activate}", {"password": PASSWORD})
    page = client.get(activate)
    assert page.status_code == 200
    secret = page.context["form"].secret
    answer = client.post(activate, {"code": code(secret)})
    assert answer.status_code == 302
    row = Authenticator.objects.get(user__username="ann", type="totp")
    assert secret not in str(row.data)
    other = Client()
    assert sign_in(other) == 302
    assert not is_in(other)
    wrong = other.post("/accounts/2fa/authenticate/", {"code": "000000"})
    assert wrong.status_code == 200
    assert not is_in(other)


def with_second_factor(username: str) -> User:
    user = User.objects.get(username=username)
    TOTP.activate(user, SECRET)
    RecoveryCodes.activate(user)
    return user


def test_the_right_code_lets_in(cast: Cast, client: Client) -> None:
    with_second_factor("ann")
    sign_in(client)
    client.post("/accounts/2fa/authenticate/", {"code": code()})
    assert is_in(client)


def test_a_recovery_code_lets_in_once(cast: Cast) -> None:
    user = with_second_factor("ann")
    codes = Authenticator.objects.get(user=user, type="recovery_codes").wrap()
    first = codes.get_unused_codes()[0]
    for allowed in (True, False):
        client = Client()
        sign_in(client)
        client.post("/accounts/2fa/authenticate/", {"code": first})
        assert is_in(client) is allowed


def test_codes_cannot_be_guessed_on_and_on(cast: Cast, client: Client) -> None:
    with_second_factor("ann")
    sign_in(client)
    for _ in range(6):
        client.post("/accounts/2fa/authenticate/", {"code": "000000"})
    client.post("/accounts/2fa/authenticate/", {"code": code()})
    assert not is_in(client)


def test_the_count_of_wrong_codes_is_shared_by_all_processes(cast: Cast, client: Client) -> None:
    with_second_factor("ann")
    sign_in(client)
    for _ in range(6):
        client.post("/accounts/2fa/authenticate/", {"code": "000000"})
    client.post("/accounts/2fa/authenticate/", {"code": code()})
    assert not is_in(client)
    SharedCount.objects.all().delete()
    client.post("/accounts/2fa/authenticate/", {"code": code()})
    assert is_in(client)


def audited() -> list[tuple[str, str, str, str]]:
    rows = AuditEntry.objects.filter(verb__startswith="sign_in.").order_by("workspace", "sequence")
    return list(rows.values_list("verb", "actor_name", "target_name", "data"))


def test_a_sign_in_and_a_wrong_password_stand_in_the_audit_log(cast: Cast) -> None:
    client = Client(REMOTE_ADDR="198.51.100.7")
    sign_in(client, username="ANN", password="not the one")
    sign_in(client, username="nobody", password="not the one")
    sign_in(client)
    address = '"address":"198.51.100.7"'
    assert audited() == [
        ("sign_in.failed", "Assent", "ann", f"{{{address}}}"),
        ("sign_in.succeeded", "ann", "ann", f'{{{address},"by":["password"]}}'),
    ]
    text = signed_in("aud").get("/admin/audit/").content.decode()
    assert "refused a wrong password" in text
    assert "not the one" not in text
    assert "signed in" in signed_in("ann").get("/admin/audit/").content.decode()


def test_the_second_factor_stands_there_too_and_only_then_is_it_a_sign_in(cast: Cast) -> None:
    with_second_factor("ann")
    client = Client()
    sign_in(client)
    client.post("/accounts/2fa/authenticate/", {"code": "000000"})
    assert [verb for verb, *_ in audited()] == ["sign_in.second_factor_failed"]
    client.post("/accounts/2fa/authenticate/", {"code": code()})
    verb, _, _, data = audited()[-1]
    assert verb == "sign_in.succeeded"
    assert '"by":["password","mfa"]' in data


def test_what_is_refused_unseen_fills_no_audit_log(cast: Cast) -> None:
    client = Client()
    for _ in range(30):
        sign_in(client, password="wrong")
    assert len(audited()) == 10


def test_a_sign_in_is_written_in_each_workspace_of_the_person(cast: Cast) -> None:
    in_both(cast)
    sign_in(Client(), username="dora")
    workspaces = AuditEntry.objects.filter(verb="sign_in.succeeded").values_list("workspace")
    assert len(set(workspaces)) == 2


def test_a_workspace_that_requires_it_shows_nothing_before_it_is_set_up(cast: Cast) -> None:
    change_settings(
        cast.actor("admin"),
        hitl=True,
        aitl=True,
        guard=True,
        require_second_factor=True,
        default_timeout_seconds=None,
    )
    ann = signed_in("ann")
    for path in ("/admin/agents/", "/admin/profile/", "/admin/counts/"):
        answer = ann.get(path)
        assert (answer.status_code, answer.headers["Location"]) == (
            302,
            "/accounts/2fa/totp/activate/",
        )
    with_second_factor("ann")
    assert ann.get("/admin/agents/").status_code == 200
    assert signed_in("cora").get("/admin/agents/").status_code == 200


def test_times_are_shown_in_the_readers_zone(cast: Cast) -> None:
    admin = signed_in("admin")
    form = {"first_name": "Ada", "last_name": "", "time_zone": "Asia/Kathmandu"}
    assert admin.post("/admin/profile/", form).status_code == 302
    assert "+05:45" in admin.get("/admin/audit/").content.decode()
    assert "+05:45" not in signed_in("aud").get("/admin/audit/").content.decode()


def test_a_time_zone_that_is_none_is_refused(cast: Cast) -> None:
    admin = signed_in("admin")
    answer = admin.post("/admin/profile/", {"time_zone": "Mars/Olympus"})
    assert answer.status_code == 422
    assert User.objects.get(username="admin").time_zone == "UTC"


def in_both(cast: Cast) -> Client:
    member = create_member(
        system_actor(cast.workspace.pk), username="dora", roles=["operator"], password=PASSWORD
    )
    Membership.objects.create(
        workspace=cast.other,
        user=member.user,
        roles=["workspace_admin"],
        created_at=member.created_at,
    )
    return signed_in("dora")


def test_a_person_in_two_workspaces_switches_by_post(cast: Cast) -> None:
    dora = in_both(cast)
    assert dora.get("/admin/members/").status_code == 403
    answer = dora.post("/admin/workspaces/switch/", {"workspace": str(cast.other.pk)})
    assert answer.headers["Location"] == "/admin/"
    text = dora.get("/admin/members/").content.decode()
    assert "cora" in text
    assert "ann@example.com" not in text
    dora.post("/admin/workspaces/switch/", {"workspace": str(cast.workspace.pk)})
    assert dora.get("/admin/members/").status_code == 403


@pytest.mark.parametrize("workspace", ["", "x", "00000000-0000-0000-0000-000000000000"])
def test_nobody_switches_to_what_is_not_theirs(cast: Cast, workspace: str) -> None:
    ann = signed_in("ann")
    assert ann.post("/admin/workspaces/switch/", {"workspace": workspace}).status_code == 404
    foreign = {"workspace": str(cast.other.pk)}
    assert ann.post("/admin/workspaces/switch/", foreign).status_code == 404
    assert "Demo" in ann.get("/admin/profile/").content.decode()


def test_a_switch_keeps_no_message_of_the_other_workspace(cast: Cast) -> None:
    dora = in_both(cast)
    dora.post("/admin/profile/", {"time_zone": "UTC"})
    dora.post("/admin/workspaces/switch/", {"workspace": str(cast.other.pk)})
    assert "Your profile is saved" not in dora.get("/admin/profile/").content.decode()


def test_a_membership_that_ended_falls_back_to_another(cast: Cast) -> None:
    dora = in_both(cast)
    dora.post("/admin/workspaces/switch/", {"workspace": str(cast.other.pk)})
    Membership.objects.filter(workspace=cast.other, user__username="dora").update(is_active=False)
    assert dora.get("/admin/members/").status_code == 403


def test_a_changed_password_signs_out_everywhere(
    cast: Cast, move_clock: Callable[[float], None]
) -> None:
    first, second = Client(), Client()
    sign_in(first)
    sign_in(second)
    form = {
        "oldpassword": PASSWORD,
        "password1": "another-good-one",
        "password2": "another-good-one",
    }
    assert first.post("/accounts/password/change/", form).status_code == 302
    assert not is_in(second)
    assert sign_in(Client(), password="another-good-one") == 302


def test_a_link_is_offered_only_where_mail_is_sent(cast: Cast, client: Client) -> None:
    assert "Forgotten the password?" not in client.get(LOGIN).content.decode()
    for answer in (client.get(RESET), client.post(RESET, {"email": "ann@example.com"})):
        assert answer.status_code == 200
        assert "This installation sends no mail" in answer.content.decode()
    assert mail.outbox == []


def test_a_forgotten_password_is_reset_by_mail(cast: Cast, client: Client, settings: Any) -> None:
    settings.ASSENT_MAIL = True
    assert f'href="{RESET}"' in client.get(LOGIN).content.decode()
    client.post(RESET, {"email": "ann@example.com"})
    (sent,) = mail.outbox
    found = re.search(r"http://testserver(/accounts/password/reset/key/\S+)", str(sent.body))
    assert found is not None
    page = client.get(found[1], follow=True)
    form = {"password1": "another-good-one", "password2": "another-good-one"}
    client.post(page.redirect_chain[-1][0], form)
    assert sign_in(Client(), password="another-good-one") == 302


def test_a_mail_for_nobody_tells_nothing_apart(cast: Cast, client: Client, settings: Any) -> None:
    settings.ASSENT_MAIL = True
    known = client.post(RESET, {"email": "ann@example.com"})
    unknown = client.post(RESET, {"email": "nobody@example.com"})
    assert (known.status_code, known.headers["Location"]) == (
        unknown.status_code,
        unknown.headers["Location"],
    )


def test_a_mail_server_that_is_away_is_no_error_page(
    cast: Cast, client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ASSENT_MAIL = True

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("django.core.mail.message.EmailMessage.send", refuse)
    answer = client.post(RESET, {"email": "ann@example.com"})
    assert answer.status_code == 302
