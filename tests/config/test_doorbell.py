"""The doorbell never holds up whoever rings, whatever the broker does."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from config import doorbell
from config.celery import (
    CALLS,
    SWEEPS,
    WEBHOOKS,
    FolderTransport,
    broker_settings,
    job_settings,
)
from config.doorbell import Counts, Doorbell
from tests.harness.installation import PATIENCE, vhost_of_its_own

pytestmark = pytest.mark.enable_socket

JOB = "tasks_app.execute_call"


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(50)
        yield silent.getsockname()[1]


def app_for(url: str, home: Path) -> Celery:
    return Celery("test", set_as_current=False, changes=job_settings() | broker_settings(url, home))


class Broker:
    """A stand-in that takes, refuses or hangs."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, tuple[str, ...]]] = []
        self.tried = 0
        self.away = False
        self.open = threading.Event()
        self.open.set()

    def publish(self, job: str, args: tuple[str, ...], delay: float) -> None:
        self.tried += 1
        self.open.wait(30)
        if self.away:
            raise OperationalError("away")
        self.taken.append((job, args))


def test_rings_are_handed_over_in_order() -> None:
    broker = Broker()
    bell = Doorbell(broker.publish)
    bell.ring(JOB, "1")
    bell.ring("tasks_app.sweep")
    assert bell.flush(PATIENCE)
    assert broker.taken == [(JOB, ("1",)), ("tasks_app.sweep", ())]
    assert bell.counts() == Counts(sent=2)


def test_what_does_not_fit_is_dropped_and_counted() -> None:
    broker = Broker()
    broker.open.clear()
    bell = Doorbell(broker.publish, size=3)
    for number in range(20):
        bell.ring(JOB, str(number))
    assert not bell.flush(0.01)
    broker.open.set()
    assert bell.flush(PATIENCE)
    assert bell.counts().sent + bell.counts().dropped == 20
    assert bell.counts().sent in (3, 4)


def test_after_a_failure_the_broker_is_left_alone_and_then_tried_once() -> None:
    broker = Broker()
    broker.away = True
    bell = Doorbell(broker.publish, break_seconds=0.1)
    for number in range(5):
        bell.ring(JOB, str(number))
    assert bell.flush(PATIENCE)
    assert broker.tried == 1
    assert bell.counts() == Counts(failed=1, dropped=4)
    broker.away = False
    time.sleep(0.11)
    bell.ring(JOB, "again")
    assert bell.flush(PATIENCE)
    assert broker.taken == [(JOB, ("again",))]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_died_is_replaced() -> None:
    calls: list[str] = []

    def publish(job: str, args: tuple[str, ...], delay: float) -> None:
        calls.append(job)
        if len(calls) == 1:
            raise SystemExit

    bell = Doorbell(publish)
    bell.ring(JOB)
    assert bell.flush(PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while bell._thread and bell._thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.001)
    bell.ring(JOB)
    assert bell.flush(PATIENCE)
    assert len(calls) == 2


def test_a_forked_child_has_a_thread_of_its_own() -> None:
    broker = Broker()
    bell = Doorbell(broker.publish)
    bell.ring(JOB, "parent")
    assert bell.flush(PATIENCE)
    child = os.fork()
    if child == 0:
        bell.ring(JOB, "child")
        fine = bell.flush(PATIENCE) and broker.taken[-1] == (JOB, ("child",))
        os._exit(0 if fine else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert broker.taken == [(JOB, ("parent",))]


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_never_answers_holds_nobody_up(
    scheme: str, black_hole: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{scheme}://127.0.0.1:{black_hole}//"
    monkeypatch.setattr(doorbell, "app", app_for(url, tmp_path))
    bell = Doorbell(doorbell.publish)
    slowest = 0.0
    for number in range(20):
        began = time.perf_counter()
        bell.ring(JOB, str(number))
        slowest = max(slowest, time.perf_counter() - began)
    assert slowest < 1
    assert not bell.flush(0.05)


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "amqp://127.0.0.1:1//"])
def test_a_broker_that_refuses_fails_quickly(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doorbell, "app", app_for(url, tmp_path))
    bell = Doorbell(doorbell.publish)
    bell.ring(JOB, "1")
    bell.ring(JOB, "2")
    assert bell.flush(PATIENCE)
    assert bell.counts() == Counts(failed=1, dropped=1)


def test_the_embedded_broker_gets_one_file_for_each_ring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_for("", tmp_path)
    monkeypatch.setattr(doorbell, "app", app)
    bell = Doorbell(doorbell.publish)
    bell.ring(JOB, "0190a1b2")
    assert bell.flush(PATIENCE)
    assert bell.counts() == Counts(sent=1)
    (file,) = (tmp_path / "broker" / "messages").iterdir()
    assert file.name.endswith(".calls.msg")
    with app.connection_for_read() as connection:
        message = connection.SimpleQueue("calls").get(timeout=PATIENCE)
        assert message.headers["task"] == JOB
        assert message.payload[0] == ["0190a1b2"]
        message.ack()


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.broker)])
def broker_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A broker on which nothing has been declared yet."""
    if request.param == "embedded":
        # What was bound in another test's folder counts as bound for the whole process.
        FolderTransport.global_state.clear()
        yield ""
        return
    with vhost_of_its_own() as url:
        yield url


def test_each_job_comes_to_its_own_queue_and_to_no_other(
    broker_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_for(broker_url, tmp_path)
    monkeypatch.setattr(doorbell, "app", app)
    jobs = {CALLS: JOB, SWEEPS: "tasks_app.sweep", WEBHOOKS: "integrations_app.deliver"}
    with app.connection_for_read() as connection, connection.channel() as channel:
        for queue in app.amqp.queues.values():
            queue(channel).declare()
        for job in jobs.values():
            doorbell.publish(job, ())
        found: dict[str, list[str]] = {}
        for name, queue in app.amqp.queues.items():
            while message := queue(channel).get(no_ack=True):
                found.setdefault(name, []).append(message.headers["task"])
    assert found == {name: [job] for name, job in jobs.items()}


@pytest.mark.parametrize(("delay", "seconds"), [(0.0, None), (4.2, 5), (30.0, 30), (900.0, 60)])
def test_a_ring_for_later_is_kept_by_the_broker_and_for_a_minute_at_most(
    delay: float, seconds: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(
        doorbell.app, "send_task", lambda *_, countdown, **__: asked.append(countdown)
    )
    bell = Doorbell(doorbell.publish)
    bell.ring("integrations_app.deliver", "0190a1b2", delay=delay)
    assert bell.flush(PATIENCE)
    assert asked == [seconds]


def test_switched_off_it_sends_nothing(settings: object, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker()
    monkeypatch.setattr(doorbell, "_bell", Doorbell(broker.publish))
    settings.ASSENT_NUDGE = "off"
    doorbell.ring(JOB, "1")
    assert doorbell.flush(PATIENCE)
    assert doorbell.counts() == Counts()
    settings.ASSENT_NUDGE = "on"
    doorbell.ring(JOB, "2")
    assert doorbell.flush(PATIENCE)
    assert broker.taken == [(JOB, ("2",))]
