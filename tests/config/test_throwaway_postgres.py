"""The tests' own PostgreSQL server."""

import psycopg
import pytest

from tests.throwaway_postgres import NoPostgres, reachable, start

pytestmark = pytest.mark.enable_socket


def test_a_server_answers_until_it_is_stopped() -> None:
    try:
        server = start()
    except NoPostgres as error:
        pytest.skip(str(error))
    try:
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT 6 * 7").fetchone() == (42,)
        assert reachable(server.url)
    finally:
        server.stop()
    assert not reachable(server.url)
    server.stop()


def test_where_nobody_listens_nothing_is_reachable() -> None:
    assert not reachable("postgresql://postgres@127.0.0.1:1/postgres")
