"""The job runner: a broker is a doorbell, the rows are the work, and a sweep finds what was missed.

A lost, late or repeated message changes nothing but the delay, so messages are acknowledged
early, hold ids only, and their results are dropped.
"""

import os
import uuid
import warnings
from contextlib import suppress
from pathlib import Path
from queue import Empty
from time import time_ns
from typing import Any

from celery import Celery
from celery.exceptions import SecurityWarning
from celery.signals import celeryd_after_setup
from kombu import Exchange, Queue
from kombu.exceptions import OperationalError
from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps, loads

from config.home import write_once

PROJECT = Path(__file__).resolve().parent.parent
JOB_APPS = ["accounts_app", "integrations_app", "guard_app", "tasks_app"]
SWEEP_SECONDS = 5
PRUNE_SECONDS = 6 * 3600
LEARN_SECONDS = 300
CALLS, SWEEPS, WEBHOOKS = "calls", "sweeps", "webhooks"
LONGEST_CALL_SECONDS = 300
"""The longest time-out of an operation; a lease is 30 s longer, a job's limits lie behind it."""

_VISIBILITY_SECONDS = 3600
# kombu tries for the whole connection time-out before it publishes; the next ring is soon enough.
_ONE_RETRY = {"max_retries": 1, "interval_start": 0}


class FolderChannel(filesystem.Channel):
    """Messages as files that appear whole and are taken by renaming.

    kombu's own channel opens a message under its final name and then writes it: with a poll of a
    millisecond, one in fifty was taken while it was still empty, which stops the worker.
    """

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str | None, queue: str) -> None:
        # kombu makes this file empty and then locks it; who reads it in between fails.
        write_once(self.control_folder / f"{exchange}.exchange", "[]")
        super()._queue_bind(exchange, routing_key, pattern, queue)

    def _put(self, queue: str, *payload: Any, **options: Any) -> None:
        folder = Path(self.data_folder_out)
        name = f"{time_ns():020}_{uuid.uuid4()}.{queue}.msg"
        unfinished = folder / f".{name}"
        unfinished.write_text(dumps(payload[0]), encoding="utf-8")
        unfinished.rename(folder / name)

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        folder = Path(self.data_folder_in)
        for name in sorted(os.listdir(folder)):
            if name.startswith(".") or name.partition(".")[2] != f"{queue}.msg":
                continue
            taken = folder / f".{name}.{uuid.uuid4()}"
            # Another worker was faster, or it is no message: the sweep rings again.
            with suppress(OSError, ValueError):
                (folder / name).rename(taken)
                text = taken.read_text(encoding="utf-8")
                taken.unlink()
                return loads(text)
        raise Empty


class FolderTransport(filesystem.Transport):
    """kombu's transport over a folder, with whole messages."""

    Channel = FolderChannel


TRANSPORT_ALIASES["filesystem"] = "config.celery:FolderTransport"


def broker_settings(broker_url: str, home: Path) -> dict[str, Any]:
    """The settings that depend on the broker; makes the folders of the embedded one.

    Args:
        broker_url: "" or "filesystem://" for folders in `home`, else `redis://`, `rediss://`,
            `amqp://` or `amqps://` with a host.
        home: where the embedded data lives.

    Raises:
        ValueError: the address names another kind of broker.
    """
    kind = (broker_url or "filesystem://").partition("://")[0]
    if kind == "filesystem":
        return _folder_settings(home / "broker")
    if kind in ("redis", "rediss"):
        return {
            "broker_url": broker_url,
            "broker_transport_options": {
                **_ONE_RETRY,
                "socket_timeout": 1,
                "socket_connect_timeout": 1,
                "socket_keepalive": True,
                "health_check_interval": 25,
                "retry_on_timeout": False,
                "visibility_timeout": _VISIBILITY_SECONDS,
            },
            "visibility_timeout": _VISIBILITY_SECONDS,
            "result_backend_transport_options": {"visibility_timeout": _VISIBILITY_SECONDS},
        }
    if kind in ("amqp", "amqps", "pyamqp"):
        return {
            "broker_url": broker_url,
            "broker_transport_options": {
                **_ONE_RETRY,
                # Without confirmations a broker that is short of memory drops messages silently.
                "confirm_publish": True,
                "connect_timeout": 2,
                "write_timeout": 2,
            },
            # A connection that died without a word is noticed within a minute.
            "broker_heartbeat": 20,
            "task_default_queue_type": "quorum",
            # Only through a topic exchange does RabbitMQ itself keep back a message that is for
            # later; a worker that kept it would take no other meanwhile.
            "task_queues": _queues(
                exchange=Exchange("assent", type="topic"),
                queue_arguments={"x-queue-type": "quorum"},
            ),
        }
    raise ValueError(
        f"BROKER_URL begins with {kind!r}; leave it out for the embedded broker, or let it begin "
        "with redis:// or amqp://."
    )


def _folder_settings(folder: Path) -> dict[str, Any]:
    messages, control = folder / "messages", folder / "control"
    for made in (folder.parent, folder, messages, control):
        made.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {
        # Without a host, every process would begin with a warning about that.
        "broker_url": "filesystem://localhost",
        "broker_transport_options": {
            "data_folder_in": str(messages),
            "data_folder_out": str(messages),
            "control_folder": str(control),
            "store_processed": False,
            # At the default of a second a job starts half a second late.
            "polling_interval": 0.03,
        },
    }


def _queues(**options: Any) -> list[Queue]:
    """Apart, so that slow calls do not hold up deadlines, nor slow webhooks calls, where each
    has a worker of its own; a worker without `-Q` serves all."""
    return [Queue(name, routing_key=name, **options) for name in (CALLS, SWEEPS, WEBHOOKS)]


def job_settings() -> dict[str, Any]:
    """The settings that hold with every broker."""
    return {
        "task_queues": _queues(),
        "task_default_queue": CALLS,
        "task_routes": {
            "tasks_app.sweep": {"queue": SWEEPS},
            "integrations_app.prune": {"queue": SWEEPS},
            "integrations_app.deliver": {"queue": WEBHOOKS},
            "tasks_app.notify": {"queue": WEBHOOKS},
        },
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_acks_late": False,
        "task_reject_on_worker_lost": False,
        "task_publish_retry": False,
        "task_soft_time_limit": LONGEST_CALL_SECONDS + 40,
        "task_time_limit": LONGEST_CALL_SECONDS + 45,
        "broker_connection_timeout": 2,
        "broker_connection_max_retries": None,
        "broker_connection_retry_on_startup": True,
        "worker_prefetch_multiplier": 1,
        # True would raise inside a call that is being sent, whose outcome nobody would know.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_soft_shutdown_timeout": 40,
        "worker_enable_soft_shutdown_on_idle": True,
        "worker_max_tasks_per_child": 500,
        "worker_send_task_events": False,
        # Who reaches the broker could stop workers with it; and it doubles the folders polled.
        "worker_enable_remote_control": False,
        "timezone": "UTC",
        "enable_utc": True,
        "beat_scheduler": "config.scheduling:Scheduler",
        "beat_max_loop_interval": 5,
        "beat_schedule": {
            "sweep": {
                "task": "tasks_app.sweep",
                "schedule": SWEEP_SECONDS,
                # After downtime the backlog collapses into one sweep.
                "options": {"expire_seconds": SWEEP_SECONDS},
            },
            "prune": {"task": "integrations_app.prune", "schedule": PRUNE_SECONDS},
            "learn": {
                "task": "guard_app.learn",
                "schedule": LEARN_SECONDS,
                "options": {"expire_seconds": LEARN_SECONDS},
            },
        },
    }


def configuration() -> dict[str, Any]:
    """All settings, by the environment's BROKER_URL and ASSENT_HOME.

    Read at the first use, not at import, so that importing makes no folders.
    """
    home = Path(os.environ.get("ASSENT_HOME") or PROJECT / "var")
    return job_settings() | broker_settings(os.environ.get("BROKER_URL", ""), home)


# It warns of pickled messages, which are not accepted here.
warnings.filterwarnings("ignore", category=SecurityWarning)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
app = Celery("assent", set_as_current=True)
app.add_defaults(configuration)
app.autodiscover_tasks(JOB_APPS, related_name="jobs")


@celeryd_after_setup.connect
def declare_queues(**_: Any) -> None:
    """Declare the queues of all workers at RabbitMQ before any worker binds them.

    Each worker binds every queue to the exchanges that keep back what is for later, and fails at
    one that another worker has yet to declare. Where the broker is away the worker says so itself.
    """
    with app.connection_for_write() as connection:
        if connection.transport.driver_type != "amqp":
            return
        with suppress(OSError, OperationalError, *connection.recoverable_connection_errors):
            for queue in app.amqp.queues.values():
                queue(connection.default_channel).declare()
