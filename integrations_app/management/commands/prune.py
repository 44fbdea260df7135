import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from integrations_app.services.pruning import prune


class Command(BaseCommand):
    help = "Delete old events, sign-ins and what replays found; the audit trail stays whole."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--keep-days", type=int, help="instead of ASSENT_KEEP_DAYS")

    def handle(self, *args: Any, **options: Any) -> str:
        return json.dumps(prune(keep_days=options["keep_days"]))
