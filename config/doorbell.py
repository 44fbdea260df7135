"""Rings for background jobs: a hint to the workers that never holds up whoever rings.

A broker that refuses, hangs or is gone costs nothing but the hint: rows are the truth, and the
sweep finds what was not rung for.
"""

import atexit
import math
import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog
from amqp.exceptions import AMQPError
from django.conf import settings
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from config.celery import app

QUEUE_SIZE = 1_000
BREAK_SECONDS = 5.0
"""So long the broker is left alone after a failure."""

ANSWER_SECONDS = 1.0
LONGEST_DELAY = 60.0
"""Seconds; a message that waits for longer may be given out twice, or cost its channel."""

EXIT_SECONDS = 0.5

BROKER_ERRORS = (OSError, KombuError, AMQPError, RedisError)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the rings of this process so far."""

    sent: int = 0
    failed: int = 0
    dropped: int = 0


class Doorbell:
    """A bounded queue and one daemon thread that empties it into the broker.

    Args:
        publish: hands one job's name and arguments, and its delay, to the broker; may block, and
            may raise one of BROKER_ERRORS.
        size: how many rings may wait; those beyond are dropped and counted.
        break_seconds: after a failure, rings are dropped for so long, then one is tried.
    """

    def __init__(
        self,
        publish: Callable[[str, tuple[str, ...], float], None],
        *,
        size: int = QUEUE_SIZE,
        break_seconds: float = BREAK_SECONDS,
    ) -> None:
        self._publish = publish
        self._size = size
        self._break_seconds = break_seconds
        self._begin()

    def ring(self, job: str, *args: str, delay: float = 0.0) -> None:
        """Ask for a job. Returns at once and raises nothing.

        Args:
            job: the job's name.
            args: ids as text.
            delay: seconds that the broker keeps it back, LONGEST_DELAY at most.
        """
        if self._process != os.getpid():
            # A fork copies the queue, perhaps while it is locked, but not the thread.
            self._begin()
        try:
            self._waiting.put_nowait((job, args, min(delay, LONGEST_DELAY)))
            self._ensure_thread()
        except (queue.Full, RuntimeError):
            # RuntimeError: no thread can be started, as at the end of the process.
            self._count(dropped=1)

    def flush(self, timeout: float = 1.0) -> bool:
        """Wait until all rings were handed over or given up.

        Args:
            timeout: seconds to wait at most.

        Returns:
            Whether none is left.
        """
        if self._process != os.getpid():
            return True
        waiting = self._waiting
        with waiting.all_tasks_done:
            return waiting.all_tasks_done.wait_for(lambda: not waiting.unfinished_tasks, timeout)

    def counts(self) -> Counts:
        """What became of the rings of this process so far."""
        return self._counts

    def _begin(self) -> None:
        self._process = os.getpid()
        self._waiting: queue.Queue[tuple[str, tuple[str, ...], float]] = queue.Queue(self._size)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._counts = Counts()
        self._closed_until = 0.0

    def _ensure_thread(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="doorbell", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            job, args, delay = self._waiting.get()
            try:
                self._hand_over(job, args, delay)
            finally:
                self._waiting.task_done()

    def _hand_over(self, job: str, args: tuple[str, ...], delay: float) -> None:
        if time.monotonic() < self._closed_until:
            self._count(dropped=1)
            return
        try:
            self._publish(job, args, delay)
        except BROKER_ERRORS as error:
            self._closed_until = time.monotonic() + self._break_seconds
            self._count(failed=1)
            log.warning("doorbell_failed", error=type(error).__name__)
        else:
            self._count(sent=1)

    def _count(self, *, sent: int = 0, failed: int = 0, dropped: int = 0) -> None:
        with self._lock:
            now = self._counts
            self._counts = replace(
                now,
                sent=now.sent + sent,
                failed=now.failed + failed,
                dropped=now.dropped + dropped,
            )


def publish(job: str, args: tuple[str, ...], delay: float = 0.0) -> None:
    """Hand a job to the broker, once; raises one of BROKER_ERRORS."""
    app.send_task(
        job,
        args=args,
        # RabbitMQ counts whole seconds; a job that came too early would find nothing due.
        countdown=math.ceil(delay) or None,
        retry=False,
        ignore_result=True,
        timeout=ANSWER_SECONDS,
        confirm_timeout=ANSWER_SECONDS,
    )


_bell = Doorbell(publish)


def ring(job: str, *args: str, delay: float = 0.0) -> None:
    """Ask the workers for a job. Returns at once and raises nothing.

    With the setting ASSENT_NUDGE "off" nothing is sent, and the sweep does all the work.

    Args:
        job: the job's name, as `tasks_app.execute_call`.
        args: ids as text.
        delay: seconds that the broker keeps it back, LONGEST_DELAY at most.
    """
    if getattr(settings, "ASSENT_NUDGE", "on") != "off":
        _bell.ring(job, *args, delay=delay)


def flush(timeout: float = 1.0) -> bool:
    """Wait until all rings were handed over or given up, at most `timeout` seconds.

    For commands, before they exit: the thread that publishes dies with its process.

    Returns:
        Whether none is left.
    """
    return _bell.flush(timeout)


def counts() -> Counts:
    """What became of the rings of this process so far."""
    return _bell.counts()


atexit.register(flush, EXIT_SECONDS)
