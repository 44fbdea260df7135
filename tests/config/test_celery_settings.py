"""The job runner's settings: the ones that promises rest on."""

import threading
import time
from pathlib import Path
from queue import Empty

import pytest
from celery import Celery
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from config import celery_app
from config.celery import broker_settings, configuration, job_settings
from config.scheduling import Entry

pytestmark = pytest.mark.enable_socket


@pytest.mark.parametrize("url", ["", "filesystem://"])
def test_the_embedded_broker_is_private_folders_in_the_home(url: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    settings = broker_settings(url, home)
    options = settings["broker_transport_options"]
    assert settings["broker_url"] == "filesystem://localhost"
    assert options["data_folder_in"] == options["data_folder_out"]
    assert options["polling_interval"] == 0.03
    for folder in (home, *map(Path, (options["data_folder_in"], options["control_folder"]))):
        assert folder.is_dir()
        assert folder.stat().st_mode & 0o777 == 0o700
    assert broker_settings(url, home) == settings


def test_redis_answers_within_a_second_or_not_at_all(tmp_path: Path) -> None:
    settings = broker_settings("redis://broker/0", tmp_path)
    options = settings["broker_transport_options"]
    assert options["socket_timeout"] == 1
    assert options["socket_connect_timeout"] == 1
    assert options["visibility_timeout"] == settings["visibility_timeout"] == 3600
    assert not list(tmp_path.iterdir())


def test_rabbitmq_confirms_and_keeps_quorum_queues(tmp_path: Path) -> None:
    settings = broker_settings("amqp://broker//", tmp_path)
    assert settings["broker_transport_options"]["confirm_publish"] is True
    assert settings["task_default_queue_type"] == "quorum"


def test_another_broker_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="BROKER_URL begins with 'sqs'"):
        broker_settings("sqs://x", tmp_path)


def test_messages_are_hints_that_cannot_hurt() -> None:
    settings = job_settings()
    assert settings["task_acks_late"] is False
    assert settings["accept_content"] == ["json"]
    assert settings["task_ignore_result"] is True
    assert "result_backend" not in settings
    assert settings["worker_prefetch_multiplier"] == 1
    assert settings["worker_cancel_long_running_tasks_on_connection_loss"] is False
    assert settings["timezone"] == "UTC"


def test_no_limit_ends_a_job_before_its_lease() -> None:
    settings = job_settings()
    lease = 300 + 30
    assert lease < settings["task_soft_time_limit"] < settings["task_time_limit"]


def test_the_schedule_stands_in_code() -> None:
    sweep = job_settings()["beat_schedule"]["sweep"]
    assert sweep == {"task": "tasks_app.sweep", "schedule": 5, "options": {"expire_seconds": 5}}


@pytest.mark.parametrize(
    ("broker", "options"),
    [
        ("amqp://guest:guest@127.0.0.1:5672/assent", {"expiration": 5}),
        ("filesystem://", {"expires": 5}),
    ],
)
def test_a_backlog_of_sweeps_is_forgotten_by_the_brokers_clock(
    broker: str, options: dict[str, int]
) -> None:
    kept = job_settings()["beat_schedule"]["sweep"]["options"]
    every = IntervalSchedule(every=5, period=IntervalSchedule.SECONDS)
    row = PeriodicTask(name="sweep", task="tasks_app.sweep", interval=every, **kept)
    entry = Entry(row, app=Celery(broker=broker, set_as_current=False))
    told = {name: entry.options.get(name) for name in ("expires", "expiration")}
    assert {name: seconds for name, seconds in told.items() if seconds} == options


def test_celery_knows_every_setting_and_takes_the_environments_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSENT_HOME", str(tmp_path))
    monkeypatch.delenv("BROKER_URL", raising=False)
    assert celery_app.main == "assent"
    known = celery_app.conf.keys()
    assert configuration().keys() - set(known) == set()
    assert configuration()["broker_url"] == "filesystem://localhost"
    monkeypatch.setenv("BROKER_URL", "redis://elsewhere")
    assert configuration()["broker_url"] == "redis://elsewhere"


def test_the_folder_broker_never_hands_out_half_a_message(tmp_path: Path) -> None:
    settings = job_settings() | broker_settings("", tmp_path)
    settings["broker_transport_options"]["polling_interval"] = 0.0005
    app = Celery("test", set_as_current=False, changes=settings)
    count, taken = 300, []
    all_written = threading.Event()

    def write() -> None:
        try:
            with app.connection_for_write() as connection, connection.SimpleQueue("x") as queue:
                for number in range(count):
                    queue.put({"number": number, "filling": "x" * 500})
                    time.sleep(0.0002)
        finally:
            all_written.set()

    def read() -> None:
        with app.connection_for_read() as connection, connection.SimpleQueue("x") as queue:
            while True:
                is_last_look = all_written.is_set()
                try:
                    message = queue.get(timeout=0.5)
                except Empty:
                    if is_last_look:
                        return
                    continue
                message.ack()
                taken.append(message.payload["number"])

    with app.connection_for_write() as connection:
        # Threads of one process share kombu's notes on what is bound already.
        connection.SimpleQueue("x").close()
    threads = [threading.Thread(target=write), *(threading.Thread(target=read) for _ in "ab")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(taken) == list(range(count))
    assert not list((tmp_path / "broker" / "messages").iterdir())


def test_the_folder_broker_survives_rubbish(tmp_path: Path) -> None:
    app = Celery("test", set_as_current=False, changes=broker_settings("", tmp_path))
    messages = tmp_path / "broker" / "messages"
    (messages / "0.rubbish.msg").write_bytes(b"\xff")
    (messages / "1.rubbish.msg").write_bytes(b"{")
    with app.connection_for_read() as connection, connection.SimpleQueue("rubbish") as queue:
        queue.put({"good": True})
        assert queue.get(timeout=60).payload == {"good": True}
