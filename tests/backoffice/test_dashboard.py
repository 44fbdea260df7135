"""The Dashboard: its figures, over what the reader may see."""

from collections.abc import Callable

from accounts_app.models import Membership
from tests.backoffice.test_approvals import ask, decide, refund, signed_in
from tests.backoffice.test_runs_and_sessions import open_page
from tests.conftest import World


def test_the_dashboard_counts_what_waits_and_what_was_decided(
    world: World, move_clock: Callable[[float], None]
) -> None:
    ask(world, kind="text")
    decide(signed_in("ann"), refund(world))
    decide(signed_in("ann"), refund(world), "reject")
    move_clock(2 * 3600)
    ask(world, kind="text", timeout_seconds=60)
    move_clock(61)
    html = open_page("ann", "dashboard/")
    assert "<strong>2</strong> <span>waiting</span>" in html
    assert "<strong>1</strong> <span>past their deadline</span>" in html
    assert '<th scope="row">Text</th>' in html
    assert "As a table" in html
    # The day of the decisions may be over by now.
    table = html.split('id="table-decided"')[1].split("</table>")[0]
    assert table.count('<td class="num">1</td>') == 2


def test_the_dashboard_of_another_workspace_is_empty(world: World) -> None:
    refund(world)
    html = open_page("cora", "dashboard/")
    assert "<strong>0</strong> <span>waiting</span>" in html
    assert "No session is active." in html


def test_a_limited_operator_counts_their_own_tasks(world: World) -> None:
    refund(world)
    Membership.objects.get(user__username="abe").limited_to.set([world.cast.research])
    assert "<strong>0</strong> <span>waiting</span>" in open_page("abe", "dashboard/")
    assert "<strong>1</strong> <span>waiting</span>" in open_page("ann", "dashboard/")


def test_what_somebody_may_not_see_is_left_out_and_not_called_empty(world: World) -> None:
    assert "Nothing waits.<" in open_page("admin", "dashboard/")
    refund(world)
    html = open_page("ida", "dashboard/")
    said = ("waiting</span>", "No session is active.", "Nothing was decided", "Recent sessions")
    assert [text for text in said if text in html] == []
    assert "Your roles show you no tasks and no sessions" in html
    ask(world, kind="text", participant="ida")
    html = open_page("ida", "dashboard/")
    assert "<strong>1</strong> <span>waiting</span>" in html
    assert "Your roles show you" not in html
    assert "All sessions" not in html, "it would lead to a refusal"
    assert "All sessions" in open_page("ann", "dashboard/")
    gus = open_page("gus", "dashboard/")
    assert "Nothing was decided" in gus
    assert "Nothing waits that your roles show you." in gus
    assert "No session that your roles show you is active; there may be others." in gus
    assert "No session here that your roles show you" in open_page("gus", "sessions/")


def test_only_admins_read_of_failed_webhooks(world: World) -> None:
    assert "failed webhook deliveries" in open_page("admin", "dashboard/")
    assert "failed webhook deliveries" not in open_page("ann", "dashboard/")


def test_a_session_is_terminated_from_the_dashboard(world: World) -> None:
    task = refund(world)
    path = f"review/sessions/{task.session_id}/terminate/"
    assert f'href="/admin/{path}"' in open_page("ann", "dashboard/")
    assert f'href="/admin/{path}"' not in open_page("bob", "dashboard/")
