import json
from typing import Any

from django.core.management.base import BaseCommand

from tasks_app.services.sweeping import sweep


class Command(BaseCommand):
    help = "Do once what the schedule does, execute what no worker takes, and print it as JSON."

    def handle(self, *args: Any, **options: Any) -> str:
        return json.dumps(sweep(execute_here=True))
