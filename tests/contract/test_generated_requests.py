"""Requests made up from the OpenAPI document, sent to the product as its users run it.

All checks of Schemathesis: no 5xx, only documented statuses, types, headers and shapes, bad
requests refused, credentials needed, what was ended not usable; and chains of requests that follow
the links of the document. One key cannot both run and decide, so there are two passes.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.server import Server

SETTINGS = Path(__file__).with_name("schemathesis.toml")
SERVICE = ("/healthz", "/readyz", "/metrics")
DECISIONS = r"/tasks/(\{id\}/(complete|approve|reject|ask|extend|draft)|bulk-complete)|/input$"
EXAMPLES = os.environ.get("ASSENT_CONTRACT_EXAMPLES", "2")


def generate(server: Server, tmp_path: Path, scopes: str, *more: str) -> None:
    """Run Schemathesis against the server; fails with its report."""
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "--config-file",
        str(SETTINGS),
        "run",
        f"{server.url}/api/v1/schema/",
        "--header",
        f"Authorization: Bearer {server.key(scopes)}",
        *("--checks", "all", "--max-examples", EXAMPLES, "--seed", "1", "--no-color"),
        *("--continue-on-failure", "--warnings", "off", "--request-timeout", "70"),
        *more,
    ]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout[-12_000:]


@pytest.mark.xdist_group("contract")
def test_generated_requests_find_nothing(server: Server, tmp_path: Path) -> None:
    left_out = [part for path in SERVICE for part in ("--exclude-path", path)]
    generate(server, tmp_path, "runs,read,admin", "--phases", "examples,coverage", *left_out)


@pytest.mark.xdist_group("contract")
def test_generated_decisions_find_nothing(server: Server, tmp_path: Path) -> None:
    chosen = ("--include-path-regex", DECISIONS)
    generate(server, tmp_path, "decide,read", "--phases", "examples,coverage,fuzzing", *chosen)


@pytest.mark.xdist_group("contract")
def test_generated_chains_find_nothing(server: Server, tmp_path: Path) -> None:
    left_out = [part for path in SERVICE for part in ("--exclude-path", path)]
    generate(server, tmp_path, "runs,read", "--phases", "stateful", "--max-time", "30", *left_out)
