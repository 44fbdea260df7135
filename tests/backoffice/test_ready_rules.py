"""The rules to begin with, added by a button of the rules page."""

from dataclasses import replace

import pytest

from accounts_app.models import AuditEntry
from guard_app.models import GuardRule
from guard_app.services import defaults
from guard_app.services.rules import put_rule
from tests.backoffice.people import signed_in
from tests.conftest import World

RULES = "/admin/guard/rules/"
READY = "/admin/add/guard-rules/ready/"
BUTTON = f'action="{READY}"'


def said(world: World) -> str:
    return signed_in("gus").post(READY, follow=True).content.decode()


def test_the_missing_ones_are_added_in_shadow_and_counted(world: World) -> None:
    html = said(world)
    slugs = set(GuardRule.objects.values_list("slug", flat=True))
    assert slugs > set(defaults.general_rules())
    assert f"{len(slugs)} ready rules are added, in shadow" in html
    assert not GuardRule.objects.filter(shadow=False).exists()
    assert AuditEntry.objects.filter(target_type="guard_rule").count() == len(slugs)
    GuardRule.objects.filter(slug="loop").delete()
    assert "1 ready rule is added, in shadow" in said(world)
    assert "nothing was added" in said(world)
    assert GuardRule.objects.count() == len(slugs)


def test_only_who_may_edit_rules_is_offered_them(world: World) -> None:
    assert BUTTON in signed_in("gus").get(RULES).content.decode()
    aud = signed_in("aud")
    assert BUTTON not in aud.get(RULES).content.decode()
    assert aud.post(READY).status_code == 403
    assert not GuardRule.objects.exists()


def test_one_that_somebody_puts_meanwhile_stays_as_it_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready, live = defaults.rules_for, defaults.general_rules()["pace"]

    def put_meanwhile(operations: list[object]) -> object:
        put_rule(world.cast.actor("gus"), "pace", replace(live, shadow=False))
        return ready(operations)  # type: ignore[arg-type]

    monkeypatch.setattr(defaults, "rules_for", put_meanwhile)
    added = defaults.install_rules(world.cast.actor("gus"))
    assert "pace" not in added
    assert "loop" in added
    assert not GuardRule.objects.get(slug="pace").shadow
