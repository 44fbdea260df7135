import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from drf_spectacular.generators import SchemaGenerator


def document_text() -> str:
    """The OpenAPI document as it stands in the repository."""
    generator: Any = SchemaGenerator  # has no types
    made = generator().get_schema(request=None, public=True)
    return json.dumps(made, indent=1, ensure_ascii=False, default=str) + "\n"


class Command(BaseCommand):
    help = "Write the OpenAPI document to docs/openapi.json, so that its changes show in review."

    def handle(self, *args: Any, **options: Any) -> str:
        path = Path(settings.BASE_DIR) / "docs" / "openapi.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(document_text(), encoding="utf-8")
        return str(path)
