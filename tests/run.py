"""`make test`: the whole suite on the embedded database, then on PostgreSQL.

Where no PostgreSQL answers, a throwaway one is started; where RabbitMQ or Chromium is missing,
the tests that need it are left out and that is said aloud. With ASSENT_TEST_REQUIRE=1 (as in CI)
whatever is missing is a failure.

Tests that start an installation of their own, and those in a browser, do not depend on the
database that pytest was given: they run once, with the first suite. Those that walk through the
pages by the thousand find on one database what they find on the other: they run once, with the
second.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

from tests import throwaway_postgres

CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
POSTGRES = "postgresql://postgres@127.0.0.1:5432/postgres"
RABBIT = ("127.0.0.1", 5672)


def say(text: str) -> None:
    sys.stdout.write(f"\n=== {text}\n")
    sys.stdout.flush()


WORKERS = os.environ.get("ASSENT_TEST_WORKERS", "5")
FIRST_ALONE = ["own_stack", "browser"]
SECOND_ALONE = ["walk"]


def suite(database_url: str, markers: list[str], arguments: list[str]) -> int:
    """Run pytest on one database, without the tests of these markers; returns its status."""
    environ = {**os.environ, "DATABASE_URL": database_url}
    command = [sys.executable, "-m", "pytest", "-n", WORKERS, "--dist", "loadgroup", *arguments]
    if markers:
        command += ["-m", " and ".join(f"not {marker}" for marker in markers)]
    return subprocess.call(command, env=environ)


def answers(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, timeout=1):
            return True
    except OSError:
        return False


def missing() -> list[str]:
    """Markers of the tests that cannot run here, each said aloud."""
    left_out = []
    if not any(Path(program).exists() for program in CHROMIUM):
        left_out.append("browser")
        say("No Chromium here: the browser tests are left out.")
    if not answers(RABBIT):
        left_out.append("broker")
        say("No RabbitMQ at 127.0.0.1:5672: the broker tests are left out.")
    return left_out


def main() -> int:
    required = os.environ.get("ASSENT_TEST_REQUIRE") == "1"
    left_out = missing()
    url = os.environ.get("TEST_POSTGRES_URL", POSTGRES)
    has_postgres = throwaway_postgres.reachable(url)
    if required and (left_out or not has_postgres):
        say("Here every server is required, and something is missing.")
        return 1
    arguments = sys.argv[1:]
    say("The embedded database")
    embedded = suite("", [*left_out, *SECOND_ALONE], arguments)
    # The second suite runs whatever came of the first: what fails there is news as well.
    if has_postgres:
        say("PostgreSQL")
        return suite(url, [*left_out, *FIRST_ALONE], arguments) or embedded
    with throwaway_postgres.throwaway() as server:
        say("PostgreSQL, a throwaway one of our own")
        return suite(server.url, [*left_out, *FIRST_ALONE], arguments) or embedded


if __name__ == "__main__":
    sys.exit(main())
