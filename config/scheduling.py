"""The scheduler that rings the sweep, and survives the loss of its connection."""

from contextlib import suppress
from typing import Any

from celery.beat import SchedulingError
from django_celery_beat.schedulers import DatabaseScheduler


class Scheduler(DatabaseScheduler):  # type: ignore[misc]  # it has no types
    """Celery's keeps one connection for ever: once that has died, nothing is scheduled again."""

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
