"""Statements that are sent without waiting: answers at the end, errors as others have them."""

from collections.abc import Callable

import pytest
from django.db import DatabaseError, connection, transaction

from accounts_app.statements import sent_without_waiting

pytestmark = pytest.mark.django_db

IMPOSSIBLE = "SELECT 1 FROM no_such_table"


def send(statement: str, then: Callable[[], object] = lambda: None) -> None:
    with transaction.atomic(), sent_without_waiting(), connection.cursor() as cursor:
        cursor.execute(statement)
        then()


def test_answers_are_there_at_the_end_in_their_order() -> None:
    cursors = [connection.cursor() for _ in range(3)]
    with sent_without_waiting():
        for number, cursor in enumerate(cursors):
            cursor.execute("SELECT %s + 1", [number])
    assert [cursor.fetchone() for cursor in cursors] == [(1,), (2,), (3,)]


def test_one_that_fails_says_so_as_any_other_and_leaves_the_connection_usable() -> None:
    with pytest.raises(DatabaseError, match="no_such_table"):
        send(IMPOSSIBLE)
    with sent_without_waiting():
        after = connection.cursor()
        after.execute("SELECT 7")
    assert after.fetchone() == (7,)


def test_what_breaks_inside_is_what_is_heard() -> None:
    with pytest.raises(ZeroDivisionError):
        send("SELECT 1", then=lambda: 1 // 0)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 2")
        assert cursor.fetchone() == (2,)


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite answers each at once")
def test_python_goes_on_while_the_database_works() -> None:
    with sent_without_waiting():
        slow = connection.cursor()
        slow.execute("SELECT pg_sleep(0.3)")
        assert slow.pgresult is None
    assert slow.pgresult is not None
