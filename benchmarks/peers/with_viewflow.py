"""Viewflow: start, a person's view, a function, end; through its activations, without HTTP.

Each thread keeps its connection. The process row is locked as Viewflow's own views lock it, in one
transaction for each step that a request would be.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urlsplit

import django
from django.conf import settings
from django.core.management import call_command
from django.db import transaction

from benchmarks.peers import drive


class Viewflow:
    def __init__(self, flow: Any, user: Any) -> None:
        self.flow, self.request = flow, SimpleNamespace(user=user)

    def start(self, name: str) -> int:
        process = self.flow.start.run(name=name)
        return int(process.pk)

    def decide(self, started: int) -> str:
        with transaction.atomic(), self.flow.lock(started):
            task = self.flow.task_class.objects.select_related("process").get(
                process_id=started, flow_task=self.flow.ask
            )
            activation = task.flow_task.activation_class(task)
            activation.process.data = {"decision": drive.RESULT}
            activation.process.save(update_fields=["data"])
            activation.assign(self.request.user)
            activation.start(self.request)
            activation.execute()
        process = self.flow.process_class.objects.get(pk=started)
        return str(process.data["result"]) if process.status == "DONE" else str(process.status)


def connect(url: str) -> tuple[Viewflow, Callable[[], None]]:
    parts = urlsplit(url)
    settings.configure(
        SECRET_KEY="a yardstick has no secrets, " * 2,
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "HOST": parts.hostname,
                "PORT": parts.port or 5432,
                "NAME": parts.path.lstrip("/"),
                "USER": unquote(parts.username or "postgres"),
                "PASSWORD": unquote(parts.password or ""),
                "CONN_MAX_AGE": None,
            }
        },
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "viewflow",
            "viewflow.workflow",
            "benchmarks.peers",
        ],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
    )
    django.setup()
    call_command("migrate", verbosity=0)

    from django.contrib.auth.models import User
    from django.db import connections

    from benchmarks.peers.viewflow_flow import Ask

    return Viewflow(Ask, User.objects.create_user("person")), connections.close_all


if __name__ == "__main__":
    drive.main(connect)
