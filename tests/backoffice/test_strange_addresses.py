"""Addresses with nonsense in them: it is said and passed over, and the rest holds."""

import pytest

from accounts_app.models import User
from tests.backoffice.test_approvals import ask, page
from tests.backoffice.test_runs_and_sessions import open_page
from tests.conftest import World

SAID = "Passed over in the address, because it cannot be read: "


@pytest.mark.parametrize(
    ("path", "unread"),
    [
        ("review/approvals/?from=2026-13-01", "the day “from” “2026-13-01”"),
        ("review/approvals/?kind=nonsense&sort=x", "the kind “nonsense”, the order “x”"),
        ("review/approvals/?after=x", "the place in the list “x”"),
        ("review/approvals/?tab=x", "the tab “x”"),
        ("sessions/?status=x", "the status “x”"),
        ("guard/incidents/?status=x&severity=y", "the status “x”, the severity “y”"),
        ("audit/?since=2026-13-01&before=x", "the place in the list “x”, “From” “2026-13-01”"),
        ("audit/?verb=x", "“What” “x”"),
        ("agents/?page=x", "the page “x”"),
        ("agents/?page=900", "the page “900”"),
        ("agents/?page=\u202e1", "the page “\ufffd1”"),
    ],
)
def test_nonsense_in_an_address_is_said(world: World, path: str, unread: str) -> None:
    html = open_page("admin", path)
    assert f"{SAID}{unread}. Everything else in it holds." in html
    assert SAID not in open_page("admin", path.split("?")[0])


def test_the_other_filters_hold(world: World) -> None:
    ask(world, title="A parcel")
    ask(world, title="A refund")
    html = page("ann", "?q=parcel&from=2026-13-01")
    assert "A parcel" in html
    assert "A refund" not in html


def test_a_page_behind_the_end_shows_the_first(world: World) -> None:
    assert "Support" in open_page("admin", "agents/?page=900")


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_days_at_the_edge_of_the_calendar_give_a_page(world: World, zone: str) -> None:
    User.objects.filter(username="admin").update(time_zone=zone)
    for names in (("from", "to"), ("since", "until")):
        path = "audit/" if "since" in names else "review/approvals/"
        open_page("admin", f"{path}?{names[0]}=0001-01-01&{names[1]}=9999-12-31")
