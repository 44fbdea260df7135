"""What cannot be started says in one sentence what to set; what can wait is waited for."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.harness.installation import Installation
from tests.harness.server import KEPT, PROJECT, free_port

pytestmark = [pytest.mark.enable_socket]
PRODUCT = {"DJANGO_SETTINGS_MODULE": "config.settings", "DEBUG": "0", "ASSENT_DEMO": "0"}


def environment(home: Path, **chosen: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, **PRODUCT, "ASSENT_HOME": str(home), "PORT": str(free_port()), **chosen}


def run(module: list[str], home: Path, **chosen: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *module],
        cwd=PROJECT,
        env=environment(home, **chosen),
        capture_output=True,
        text=True,
        timeout=180,
    )


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ({"SECRET_KEY": "short"}, "Set SECRET_KEY to a random text"),
        ({"SECRET_KEY": "django-insecure-" + "x1y2z3" * 8}, "SECRET_KEY is a placeholder"),
        ({"SECRET_KEY": "change-me-please-" + "x1y2z3" * 8}, "SECRET_KEY is a placeholder"),
        ({"SECRET_KEY": "a" * 50}, "SECRET_KEY is a placeholder"),
        ({"ASSENT_ENCRYPTION_KEYS": "abc"}, "Key 1 of ASSENT_ENCRYPTION_KEYS is no Fernet key"),
        ({"DATABASE_URL": "mysql://root@127.0.0.1/x"}, "DATABASE_URL must begin with postgresql"),
        ({"DATABASE_URL": "postgresql://a@127.0.0.1:1/x"}, "start it, or set DATABASE_URL"),
        ({"BROKER_URL": "sqs://"}, "BROKER_URL begins with 'sqs'"),
        ({"PORT": "many"}, "PORT must be a number"),
    ],
)
def test_what_cannot_be_started_says_what_to_set(
    tmp_path: Path, chosen: dict[str, str], sentence: str
) -> None:
    done = run(["-m", "config.supervisor"], tmp_path / "home", **chosen)
    assert done.returncode == 1
    assert done.stderr.startswith("Assent cannot start. ")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert "started (process" not in done.stdout


ENTRY_POINTS = {
    "web": ["-m", "uvicorn", "config.asgi:application"],
    "worker": ["-m", "celery", "-A", "config", "worker", "--pool", "threads"],
    "scheduler": ["-m", "celery", "-A", "config", "beat"],
    "migrate": ["manage.py", "migrate"],
    "sweep": ["manage.py", "sweep"],
    "doctor": ["manage.py", "doctor"],
}


@pytest.mark.parametrize("missing", ["SECRET_KEY", "ASSENT_ENCRYPTION_KEYS"])
@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_a_process_by_itself_makes_up_no_secrets(tmp_path: Path, name: str, missing: str) -> None:
    """Two machines that each made up their own could not read one another's rows."""
    given = {
        "SECRET_KEY": "r7Yq" * 12 + "0pWz9kLm",
        "ASSENT_ENCRYPTION_KEYS": "Zm9yLXRlc3RzLW9ubHktMzItYnl0ZXMtbG9uZy4uLi4=",
    }
    del given[missing]
    done = run(ENTRY_POINTS[name], tmp_path, **given)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Assent cannot start. Set {missing} to ")


def test_a_broker_that_is_away_loses_nothing(tmp_path: Path) -> None:
    """It is said in the log and by /readyz; the sweep of `manage.py` does the work meanwhile."""
    away = f"amqp://guest:guest@127.0.0.1:{free_port()}//"
    running = Installation(tmp_path / "home", broker_url=away).prepare()
    try:
        running.start("web", "worker")
        agent = running.api("runs,read", "--agent", "support")
        readiness = agent.get("/readyz")
        assert readiness.status == 503
        assert readiness["checks"]["broker"]["ok"] is False
        assert readiness["checks"]["database"] == {"ok": True}
        person = running.api("decide,read")
        begun = time.monotonic()
        task = agent.post("tasks", {"agent": "support", "title": "Well?", "timeout_seconds": 60})
        assert task.status == 201
        person.post(f"tasks/{task['id']}/approve").ok()
        assert time.monotonic() - begun < 30
        call = running.refund(agent, 40).ok(201)
        assert call["status"] == "queued"
        until = time.monotonic() + 120
        while "doorbell_failed" not in running.log and time.monotonic() < until:
            time.sleep(0.1)
        assert "doorbell_failed" in running.log
        running.manage("sweep")
        # The demo's own service is not running here: it was tried, and will be again.
        shown = agent.get(f"tool-calls/{call['id']}").ok()
        assert (shown["status"], shown["attempts"]) == ("queued", 1)
    finally:
        running.stop()


def test_a_process_begins_without_the_libraries_that_few_ever_need(tmp_path: Path) -> None:
    """A sixth of each process's memory and of its start was theirs (126 MB and 2.9 s)."""
    unwanted = {"prompt_toolkit", "typer", "openapi_spec_validator", "pydantic"}
    text = f"import django, sys; django.setup(); print(*sorted({unwanted} & set(sys.modules)))"
    ended = run(["-c", text], tmp_path / "home", DJANGO_SETTINGS_MODULE="tests.settings")
    assert (ended.returncode, ended.stdout.strip()) == (0, ""), ended.stderr
