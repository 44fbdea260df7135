import datetime as dt
from collections.abc import Callable

import pytest
from django.core.management import CommandError, call_command

from accounts_app.errors import Conflict, Invalid, NotAuthenticated
from accounts_app.models import ApiKey, User
from accounts_app.scoping import system_actor
from accounts_app.services.api_keys import authenticate, create_api_key, revoke_api_key
from accounts_app.states import Scope
from tests.conftest import Cast


def test_a_key_is_its_actor(cast: Cast) -> None:
    token = cast.key("runs,read", agent=cast.support, owner=User.objects.get(username="ann"))
    actor = authenticate(token, request_id="r1")
    assert actor.workspace_id == cast.workspace.pk
    assert actor.scopes == {Scope.RUNS, Scope.READ}
    assert actor.agent_id == cast.support.pk
    assert actor.identities == {"ann", "ann@example.com"}
    assert actor.request_id == "r1"


def test_the_key_is_stored_nowhere(cast: Cast) -> None:
    token = cast.key()
    row = ApiKey.objects.get()
    # The secret may hold underscores of its own.
    assert token.split("_", 2)[2] not in str(row.__dict__)


@pytest.mark.parametrize("scopes", [["runs", "decide"], [], ["root"], [""]])
def test_scopes_that_cannot_be(cast: Cast, scopes: list[str]) -> None:
    with pytest.raises(Invalid):
        create_api_key(system_actor(cast.workspace.pk), name="k", scopes=scopes)
    assert not ApiKey.objects.exists()


def test_a_name_is_taken_until_revoked(cast: Cast) -> None:
    system = system_actor(cast.workspace.pk)
    create_api_key(system, name="k", scopes=["read"])
    with pytest.raises(Conflict):
        create_api_key(system, name="k", scopes=["read"])
    revoke_api_key(system, name="k")
    create_api_key(system, name="k", scopes=["read"])


def test_refused_keys(cast: Cast, move_clock: Callable[[float], None]) -> None:
    system = system_actor(cast.workspace.pk)
    _, short = create_api_key(
        system, name="short", scopes=["read"], expires_in=dt.timedelta(seconds=60)
    )
    _, ended = create_api_key(system, name="ended", scopes=["read"])
    ann = User.objects.get(username="ann")
    _, owned = create_api_key(system, name="owned", scopes=["read"], owner=ann)
    authenticate(short), authenticate(ended), authenticate(owned)
    revoke_api_key(system, name="ended")
    User.objects.filter(pk=ann.pk).update(is_active=False)
    move_clock(61)
    altered = short[:-1] + ("A" if short[-1] != "A" else "B")
    for token in (short, ended, owned, altered, "", "assent__", "assent_x_y", "é" * 20, "x" * 999):
        with pytest.raises(NotAuthenticated):
            authenticate(token)


def test_use_is_noted_once_a_minute(cast: Cast, move_clock: Callable[[float], None]) -> None:
    token = cast.key()
    authenticate(token)
    first = ApiKey.objects.get().last_used_at
    authenticate(token)
    assert ApiKey.objects.get().last_used_at == first
    move_clock(61)
    authenticate(token)
    assert ApiKey.objects.get().last_used_at > first


def test_the_command_prints_the_key_and_nothing_else(
    cast: Cast, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command(
        "create_api_key", workspace="demo", name="cli", scopes="runs,read", agent="support"
    )
    token = capsys.readouterr().out
    assert token.count("\n") == 1
    assert authenticate(token.strip()).name == "cli"
    call_command("revoke_api_key", workspace="demo", name="cli")
    with pytest.raises(NotAuthenticated):
        authenticate(token.strip())
    with pytest.raises(CommandError, match="no live key"):
        call_command("revoke_api_key", workspace="demo", name="cli")
    with pytest.raises(CommandError, match="there: demo, other"):
        call_command("create_api_key", workspace="nowhere", name="cli", scopes="read")
