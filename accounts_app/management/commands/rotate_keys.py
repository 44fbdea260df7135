import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts_app.crypto import Unreadable
from accounts_app.services.rotation import rotate_everything


class Command(BaseCommand):
    help = (
        "Encrypt everything anew with the first of ASSENT_ENCRYPTION_KEYS; afterwards the others"
        " can be dropped."
    )

    def handle(self, *args: Any, **options: Any) -> str:
        try:
            return json.dumps(rotate_everything())
        except Unreadable as error:
            raise CommandError(f"{error} Add the key it was made with, and run again.") from error
