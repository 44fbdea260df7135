"""Background jobs: hints to look at rows, harmless however often they come."""

from threading import Timer
from typing import Any
from uuid import UUID

from celery import Task, shared_task
from django.conf import settings
from django.utils.module_loading import import_string

from integrations_app.services import execution
from tasks_app.services import anomalies, sweeping, telling
from tasks_app.services.notifying import NOTIFY


@shared_task(name="tasks_app.execute_call", bind=True, ignore_result=True)
def execute_call(self: Task[Any, Any], call_id: str) -> None:
    """Execute one queued call, and come back for its next attempt."""
    done = execution.execute(UUID(call_id))
    if done.retry_in is not None:
        # No message waits at the broker, where it would block others; the sweep covers a death.
        again = Timer(done.retry_in, import_string(settings.ASSENT_DOORBELL), (self.name, call_id))
        again.daemon = True
        again.start()


@shared_task(name="tasks_app.screen_later", ignore_result=True)
def screen_later(call_id: str) -> None:
    """Let the slow rules look at a call after the fact."""
    anomalies.screen_later(UUID(call_id))


@shared_task(name=NOTIFY, ignore_result=True)
def notify() -> None:
    """Tell members what is due."""
    telling.tell_due()


@shared_task(name="tasks_app.sweep", ignore_result=True)
def sweep() -> None:
    """Do what is due, and ask workers once more for calls that wait."""
    sweeping.sweep(execute_here=False)
