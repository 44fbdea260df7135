import datetime as dt
import threading
from collections.abc import Callable

import pytest
from django.db import connection

from accounts_app import crypto
from accounts_app.clock import db_now
from accounts_app.errors import Conflict, Invalid
from accounts_app.models import IdempotencyRecord, User
from accounts_app.services.idempotency import once
from accounts_app.services.members import create_member
from accounts_app.states import Permission
from tests.conftest import PASSWORD, Cast


def test_the_clock_moves_for_everybody(db: None, move_clock: Callable[[float], None]) -> None:
    before = db_now()
    assert abs(before - dt.datetime.now(dt.UTC)) < dt.timedelta(seconds=5)
    move_clock(86_400)
    assert dt.timedelta(days=1) <= db_now() - before < dt.timedelta(days=1, seconds=5)


def test_a_ciphertext_opens_in_its_own_place_only() -> None:
    token = crypto.seal(b"secret", place="integration.auth:1")
    assert b"secret" not in token
    assert crypto.unseal(token, place="integration.auth:1") == b"secret"
    assert crypto.unseal(crypto.rotate(token), place="integration.auth:1") == b"secret"
    for place, text in (("integration.auth:2", token), ("integration.auth:1", token[:-2])):
        with pytest.raises(crypto.Unreadable):
            crypto.unseal(text, place=place)


def test_roles_say_what_a_member_may(cast: Cast) -> None:
    assert cast.actor("ann").can(Permission.DECIDE_TASKS)
    assert not cast.actor("bob").can(Permission.DECIDE_TASKS)
    assert not cast.actor("gus").can(Permission.DECIDE_TASKS)
    assert cast.actor("ida").can(Permission.WRITE_CATALOGUE)
    assert not cast.actor("admin").can(Permission.EXPORT_AUDIT)


def test_a_user_name_is_taken_whatever_its_case(cast: Cast) -> None:
    with pytest.raises(Conflict):
        create_member(cast.actor("admin"), username="ANN", roles=["viewer"], password=PASSWORD)
    for roles in ([], ["king"]):
        with pytest.raises(Invalid):
            create_member(cast.actor("admin"), username="new", roles=roles, password=PASSWORD)
    assert not User.objects.filter(username="new").exists()


class TestIdempotency:
    def ask(self, cast: Cast, key: str = "k", body: bytes = b"{}", answer: str = "one") -> object:
        return once(cast.workspace.pk, path="/p", key=key, body=body, act=lambda: answer)

    def test_the_first_answer_is_replayed(self, cast: Cast) -> None:
        first, second = self.ask(cast), self.ask(cast, answer="two")
        assert (first.text, first.replayed) == ("one", False)
        assert (second.text, second.replayed) == ("one", True)

    def test_another_body_is_refused(self, cast: Cast) -> None:
        self.ask(cast)
        with pytest.raises(Conflict) as refusal:
            self.ask(cast, body=b"{ }")
        assert refusal.value.code == "idempotency_mismatch"

    def test_a_refusal_leaves_the_key_free(self, cast: Cast) -> None:
        def refuse() -> str:
            raise Conflict("no")

        with pytest.raises(Conflict):
            once(cast.workspace.pk, path="/p", key="k", body=b"{}", act=refuse)
        assert not IdempotencyRecord.objects.exists()

    def test_a_crash_is_taken_over_when_its_lease_ends(
        self, cast: Cast, move_clock: Callable[[float], None]
    ) -> None:
        def crash() -> str:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            once(cast.workspace.pk, path="/p", key="k", body=b"{}", act=crash)
        with pytest.raises(Conflict) as refusal:
            self.ask(cast)
        assert refusal.value.code == "in_progress"
        move_clock(61)
        assert self.ask(cast, answer="again").text == "again"

    def test_it_is_kept_thirty_days(self, cast: Cast, move_clock: Callable[[float], None]) -> None:
        self.ask(cast)
        move_clock(30 * 86_400 - 60)
        assert self.ask(cast).replayed
        move_clock(120)
        assert not self.ask(cast, body=b"[]").replayed

    @pytest.mark.parametrize("key", ["", "x" * 256, "é", "a\nb"])
    def test_keys_that_cannot_be(self, cast: Cast, key: str) -> None:
        with pytest.raises(Invalid):
            self.ask(cast, key=key)


def test_of_many_requests_with_one_key_one_acts(shared_cast: Cast) -> None:
    barrier, acts, answers = threading.Barrier(8), [], []

    def request() -> None:
        barrier.wait()
        try:
            answers.append(
                once(
                    shared_cast.workspace.pk,
                    path="/p",
                    key="k",
                    body=b"{}",
                    act=lambda: acts.append(1) or "one",
                ).text
            )
        except Conflict as error:
            answers.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=request) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(acts) == 1
    assert "one" in answers
    assert set(answers) <= {"one", "in_progress"}
