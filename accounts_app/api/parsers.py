from collections.abc import Mapping
from typing import IO, Any

from rest_framework.parsers import JSONParser

from accounts_app import strict_json


class StrictJSONParser(JSONParser):
    """The one strict JSON parser, for the bodies of requests."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        return strict_json.loads(stream.read())
