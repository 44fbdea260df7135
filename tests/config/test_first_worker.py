"""A worker that is the first at an empty broker finds what it binds."""

import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from kombu import Connection

from config import celery_app
from config.celery import broker_settings, declare_queues
from tests.harness.installation import queues_of, until, vhost_of_its_own
from tests.harness.server import PROJECT

pytestmark = [pytest.mark.enable_socket, pytest.mark.broker, pytest.mark.own_stack]

WORKER = "celery --quiet --app config worker --pool threads --queues sweeps"


def test_it_declares_the_queues_of_the_others_too(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with vhost_of_its_own() as broker, log.open("w", encoding="utf-8") as told:
        worker = subprocess.Popen(
            [sys.executable, "-m", *WORKER.split()],
            cwd=PROJECT,
            env={
                "PATH": os.environ["PATH"],
                "DATABASE_URL": "",
                "BROKER_URL": broker,
                "ASSENT_HOME": str(tmp_path / "home"),
                "SECRET_KEY": secrets.token_urlsafe(40),
                "ASSENT_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            },
            stdout=told,
            stderr=told,
        )
        try:
            until(lambda: consumes(broker))
        finally:
            worker.terminate()
            worker.wait(60)
    assert "Failed" not in log.read_text(encoding="utf-8")


def test_a_broker_that_is_away_is_left_to_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so in a line of its own and tries again; a traceback before that helps nobody."""
    away = "amqp://guest:guest@127.0.0.1:1//"
    options = broker_settings(away, tmp_path)["broker_transport_options"]
    monkeypatch.setattr(
        celery_app, "connection_for_write", lambda: Connection(away, transport_options=options)
    )
    declare_queues()


def consumes(broker: str) -> bool:
    """Whether the worker has come as far as listening."""
    time.sleep(0.5)
    return queues_of(broker).get("sweeps", 0) > 0
