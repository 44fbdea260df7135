"""The command with which an installation without the demo begins."""

import pytest
from django.core.management import CommandError, call_command

from accounts_app.models import AuditEntry, Membership, User, Workspace
from accounts_app.states import Role

PASSWORD = "correct-horse-battery"
ACME = {"slug": "acme", "name": "Acme", "admin": "root", "email": "root@example.com"}


@pytest.fixture(autouse=True)
def _password(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSENT_PASSWORD", PASSWORD)


def test_it_makes_the_workspace_and_its_first_admin(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("create_workspace", **ACME)
    assert capsys.readouterr().out == "Sign in as root.\n"
    member = Membership.objects.get()
    assert (member.workspace.slug, member.workspace.name) == ("acme", "Acme")
    assert list(member.roles) == [Role.WORKSPACE_ADMIN]
    assert (member.user.username, member.user.email) == ("root", "root@example.com")
    assert member.user.check_password(PASSWORD)
    verbs = AuditEntry.objects.order_by("pk").values_list("verb", flat=True)
    assert list(verbs) == ["workspace.created", "member.created"]


@pytest.mark.parametrize(
    ("given", "password", "says"),
    [
        ({}, "", "Set ASSENT_PASSWORD"),
        ({}, "short", "too short"),
        ({"admin": " "}, PASSWORD, "Give a user name"),
        ({"slug": "two words"}, PASSWORD, "slug: Enter a valid"),
        ({"slug": ""}, PASSWORD, "slug: This field cannot be blank"),
        ({"name": "x" * 121}, PASSWORD, "name: Ensure this value has at most 120"),
    ],
)
def test_a_refusal_leaves_nothing(
    given: dict[str, str], password: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSENT_PASSWORD", password)
    with pytest.raises(CommandError, match=says):
        call_command("create_workspace", **{**ACME, **given})
    rows = (Workspace.objects.count(), User.objects.count(), AuditEntry.objects.count())
    assert rows == (0, 0, 0)


def test_what_is_taken_is_said_and_left_as_it_is() -> None:
    call_command("create_workspace", **ACME)
    with pytest.raises(CommandError, match="The workspace 'acme' exists"):
        call_command("create_workspace", **{**ACME, "admin": "other"})
    with pytest.raises(CommandError, match="The user 'root' exists"):
        call_command("create_workspace", **{**ACME, "slug": "second"})
    assert (Workspace.objects.count(), User.objects.count()) == (1, 1)
