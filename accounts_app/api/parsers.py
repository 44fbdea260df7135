from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.parsers import JSONParser

from accounts_app import strict_json


class StrictJSONParser(JSONParser):
    """The one strict JSON parser, for the bodies of requests.

    What is well-formed and cannot be kept is refused when the body's members are looked at: the
    view holds it until then as `refused`.
    """

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        view = (parser_context or {})["view"]
        if view.request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType(media_type or "")
        value, refusal = strict_json.read(stream.read())
        if refusal is not None:
            view.refused = refusal
        return value
