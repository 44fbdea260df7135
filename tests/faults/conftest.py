"""Installations in processes of their own; the truth about effects comes from the receiver."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.harness.installation import Installation, database_of_its_own, vhost_of_its_own
from tests.harness.receiver import Receiver

STACKS = [
    pytest.param("embedded", id="embedded"),
    pytest.param("servers", id="postgres-and-rabbitmq", marks=pytest.mark.broker),
]


@pytest.fixture(scope="module", params=STACKS)
def installation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """A running installation, on the stack of the database that this run of the tests is about."""
    server_url = os.environ.get("DATABASE_URL", "")
    if (request.param == "servers") != server_url.startswith("postgres"):
        pytest.skip("belongs to the run on the other database")
    home: Path = tmp_path_factory.mktemp("installation") / "home"
    with ExitStack() as stack:
        urls = {}
        if request.param == "servers":
            urls["database_url"] = stack.enter_context(
                database_of_its_own(server_url, migrated=True)
            )
            urls["broker_url"] = stack.enter_context(vhost_of_its_own())
        running = Installation(home, LOG_LEVEL="DEBUG", **urls).prepare()
        stack.callback(running.stop)
        yield running.start()


@pytest.fixture(scope="module")
def service(installation: Installation) -> Iterator[Receiver]:
    """The payments service of the installation."""
    with Receiver() as receiver:
        installation.probe(receiver)
        yield receiver
