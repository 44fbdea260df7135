"""Empty lists say what would stand there, and tell only those what to do who may do it."""

import pytest

from integrations_app.models import Operation
from tests.backoffice.test_runs_and_sessions import open_page
from tests.conftest import World

SAID = [
    ("ann", "review/approvals/", "it appears here by itself.", "is set at each of the"),
    ("admin", "review/approvals/", "is set at each of the", "Your roles show you no tasks"),
    ("ida", "review/approvals/", "Your roles show you no tasks.", "Nothing waits for you"),
    ("ann", "review/approvals/?tab=completed", "the outcome, who and when.", "Nothing waits"),
    ("ann", "sessions/", "No agent has opened a session yet.", "an API key</a>"),
    ("admin", "sessions/", "an API key</a> with the scope runs.", "there may be others"),
    ("gus", "guard/incidents/", "A rule in shadow opens none", "No incident of this status"),
    ("aud", "guard/incidents/?status=resolved", "No incident of this status.", "in shadow"),
    ("admin", "webhooks/", "programs ask the API instead.", "matches"),
    ("admin", "held/", "until an admin releases it.", "matches"),
]


@pytest.mark.parametrize(("username", "path", "said", "unsaid"), SAID)
def test_an_empty_list_says_what_it_is(
    world: World, username: str, path: str, said: str, unsaid: str
) -> None:
    html = open_page(username, path)
    assert said in html
    assert unsaid not in html


def test_what_to_do_about_no_operation_is_told_to_whoever_may(world: World) -> None:
    Operation.objects.all().delete()
    path = "integrations/payments/"
    assert "or import them from an OpenAPI document." in open_page("ida", path)
    bob = open_page("bob", path)
    assert "No operation yet: agents can do nothing here." in bob
    assert "or import them" not in bob
