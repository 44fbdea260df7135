import json
from typing import Any

from django.core.management.base import BaseCommand

from integrations_app.services.holding import hold_everything


class Command(BaseCommand):
    help = (
        "Part of restoring a backup, before anything is started: put every call and webhook"
        " delivery in flight on hold until an admin releases it."
    )

    def handle(self, *args: Any, **options: Any) -> str:
        return json.dumps(hold_everything())
