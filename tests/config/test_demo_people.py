"""The demo's people sign in with the password that whoever started it chose."""

import pytest
from django.conf import LazySettings
from django.core.management import call_command

from accounts_app.models import Membership
from config.home import read_notice
from config.management.commands.seed_demo import MEMBERS


@pytest.mark.parametrize("chosen", ["demo", "correct-horse-battery"])
def test_any_password_will_do(
    db: None, settings: LazySettings, monkeypatch: pytest.MonkeyPatch, tmp_path: object, chosen: str
) -> None:
    settings.ASSENT_HOME = tmp_path
    monkeypatch.setenv("ASSENT_DEMO_PASSWORD", chosen)
    call_command("seed_demo")
    assert f"Demo password: {chosen}\n" in read_notice(settings.ASSENT_HOME)
    found = {
        (member.user.username, member.workspace.slug): member
        for member in Membership.objects.select_related("user", "workspace")
    }
    assert found.keys() == {(name, "demo") for name in MEMBERS} | {("cora", "other")}
    for member in found.values():
        assert member.user.check_password(chosen)
        assert not member.user.check_password("another")
