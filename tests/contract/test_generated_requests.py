"""Requests made up from the OpenAPI document, sent to the product as its users run it.

All checks of Schemathesis: no 5xx, only documented statuses, types, headers and shapes, bad
requests refused, credentials needed, what was ended not usable; and chains of requests that follow
the links of the document. One key cannot both run and decide: `schemathesis.toml` says which
operation gets which. `hooks.py` lets some of the bodies name what is there.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.server import PROJECT, Server

SETTINGS = Path(__file__).with_name("schemathesis.toml")
SERVICE = ("/healthz", "/readyz", "/metrics")
DECISIONS = r"/tasks/(\{id\}/(complete|approve|reject|ask|extend|draft)|bulk-complete)|/input$"
CONVERSATION = r"/api/v1/(agents/|sessions|runs|tool-calls|tasks)"
CALLS = r"/api/v1/(sessions|runs|tool-calls)$|/tool-calls/"
EXAMPLES = os.environ.get("ASSENT_CONTRACT_EXAMPLES", "2")
ROUNDS = 6
CHAIN_SECONDS = os.environ.get("ASSENT_CONTRACT_CHAIN_SECONDS", "40")


def generate(server: Server, tmp_path: Path, *more: str) -> None:
    """Run Schemathesis against the server; fails with its report."""
    environment = {
        **os.environ,
        "ASSENT_DECIDE_KEY": server.key("decide,read"),
        "ASSENT_ADMIN_KEY": server.key("admin,read"),
        "SCHEMATHESIS_HOOKS": "tests.contract.hooks",
        "PYTHONPATH": str(PROJECT),
    }
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "--config-file",
        str(SETTINGS),
        "run",
        f"{server.url}/api/v1/schema/",
        "--header",
        f"Authorization: Bearer {server.key('runs,read')}",
        *("--checks", "all", "--max-examples", EXAMPLES, "--no-color"),
        *("--continue-on-failure", "--warnings", "off", "--request-timeout", "70"),
        *more,
    ]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-12_000:]


Made = set[tuple[str, str]]
Links = set[str]


def chains(
    server: Server, tmp_path: Path, paths: str, far_enough: Callable[[Made, Links], bool]
) -> None:
    """Follow links among these paths, once and again until that has led far enough.

    Chains whose first link is refused prove nothing, and a busy machine gets less far in the time.
    """
    made: Made = set()
    followed: Links = set()
    for seed in range(1, ROUNDS + 1):
        reports = tmp_path / f"report-{seed}"
        report = ("--report", "ndjson", "--report-dir", str(reports))
        chosen = ("--include-path-regex", paths, "--seed", str(seed))
        generate(
            server, tmp_path, "--phases", "stateful", "--max-time", CHAIN_SECONDS, *report, *chosen
        )
        (file,) = reports.glob("*.ndjson")
        done, links = read_report(file)
        made |= {(method, path) for method, path, status in done if status == 201}
        followed |= links
        if far_enough(made, followed):
            return
    raise AssertionError(f"made {sorted(made)}, followed {sorted(followed)}")


# These come first: what the others put into the catalogue and the guard may stop every call.


@pytest.mark.xdist_group("contract")
def test_generated_chains_find_nothing_and_come_to_an_end(server: Server, tmp_path: Path) -> None:
    aims = {("POST", f"/api/v1/{name}") for name in ("sessions", "runs", "tasks")}
    chains(server, tmp_path, CONVERSATION, lambda made, links: aims <= made and len(links) >= 15)


@pytest.mark.xdist_group("contract")
def test_generated_chains_lead_through_a_call(server: Server, tmp_path: Path) -> None:
    def beyond(link: str) -> bool:
        made, _, then = link.partition(" -> [201]")
        return made == "POST /api/v1/tool-calls" and "/tool-calls/{id}" in then

    chains(server, tmp_path, CALLS, lambda _, links: any(map(beyond, links)))


def read_report(file: Path) -> tuple[set[tuple[str, str, int]], set[str]]:
    """What was answered to what, and which links were followed."""
    done, followed = set(), set()
    for line in file.read_text(encoding="utf-8").splitlines():
        recorded = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
        for identity, case in recorded.get("cases", {}).items():
            answer = (recorded["interactions"].get(identity) or {}).get("response") or {}
            done.add((case["value"]["method"], case["value"]["path"], answer.get("status_code")))
            if case.get("is_transition_applied") and case.get("transition"):
                followed.add(case["transition"]["id"])
    return done, followed


@pytest.mark.xdist_group("contract")
def test_generated_requests_find_nothing(server: Server, tmp_path: Path) -> None:
    left_out = [part for path in SERVICE for part in ("--exclude-path", path)]
    generate(server, tmp_path, "--phases", "examples,coverage", "--seed", "1", *left_out)


@pytest.mark.xdist_group("contract")
def test_generated_decisions_find_nothing(server: Server, tmp_path: Path) -> None:
    chosen = ("--include-path-regex", DECISIONS)
    generate(server, tmp_path, "--phases", "fuzzing", "--seed", "1", *chosen)
