"""Generated requests change whatever they reach, so they have a server of their own."""

from collections.abc import Iterator

import pytest

from tests.harness.server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The product in processes of its own, for nobody but the generated requests."""
    running = Server(tmp_path_factory.mktemp("contract") / "home")
    try:
        yield running.start()
    finally:
        running.stop()
