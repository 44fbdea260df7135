"""The scheduler that rings the sweep, and survives the loss of its connection."""

from contextlib import suppress
from typing import Any

from celery.beat import SchedulingError
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry


class Entry(ModelEntry):  # type: ignore[misc]  # it has no types
    """Has its message forgotten by the broker, by the broker's clock.

    Celery writes the scheduler's time into it, and a worker whose clock is ahead of that drops
    every message: no deadline would end. A broker of files forgets nothing and serves one machine,
    with one clock.
    """

    def __init__(self, model: Any, app: Any = None) -> None:
        super().__init__(model, app=app)
        if "expires" in self.options and "amqp" in (self.app.conf.broker_url or ""):
            self.options["expiration"] = self.options.pop("expires")


class Scheduler(DatabaseScheduler):  # type: ignore[misc]  # it has no types
    """Celery's keeps one connection for ever: once that has died, nothing is scheduled again."""

    Entry = Entry

    def apply_async(self, *args: Any, **options: Any) -> Any:
        """Publish, and leave a connection on which that failed.

        Raises:
            SchedulingError: it was not published; the next turn opens a new connection.
        """
        try:
            return super().apply_async(*args, **options)
        except SchedulingError:
            connection = self.__dict__.pop("connection", None)
            self.__dict__.pop("producer", None)
            with suppress(OSError):
                if connection is not None:
                    connection.collect()
            raise
