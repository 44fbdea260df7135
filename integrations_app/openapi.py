"""Operations of an OpenAPI 3.0 or 3.1 document, as an integration has them (pure).

A document is a stranger's: it is checked before any library sees it, because a reference in it
could otherwise make the server read a file or ask another host.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from accounts_app.errors import FieldError, Invalid
from integrations_app import pointers
from integrations_app.openapi_schemas import NotExpressible, SchemaReader, follow
from integrations_app.states import Effect

MAX_OPERATIONS: Final = 300
MAX_NODES: Final = 100_000
MAX_ERRORS: Final = 20
METHODS: Final = ("get", "put", "post", "delete", "patch")
OTHER_METHODS: Final = ("options", "head", "trace")
EFFECTS: Final = {"get": Effect.READ, "put": Effect.IDEMPOTENT, "delete": Effect.IDEMPOTENT}
_JSON: Final = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json\Z|\*/\*\Z|application/\*\Z", re.I)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_UNREAD: Final = '"responses" is a required property'
"""What 3.0 demands of an operation, many documents leave out, and nothing here reads."""

_ELSEWHERE: Final = ("$id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveRef")


@dataclass(frozen=True, slots=True)
class Found:
    """One operation that a call can carry."""

    slug: str
    name: str
    description: str
    method: str
    path: str
    parameters: dict[str, Any]
    effect: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """One operation that was left out; `operation` is its operationId, or method and path."""

    operation: str
    reason: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where an operation stands in the document."""

    path: str
    method: str
    item: Mapping[str, Any]
    operation: Mapping[str, Any]

    @property
    def label(self) -> str:
        return f"{self.method.upper()} {self.path}"

    @property
    def reference(self) -> str:
        """How answers name it."""
        given = self.operation.get("operationId")
        return given if isinstance(given, str) and given else self.label


def check_document(document: Any) -> None:
    """Refuse what is no OpenAPI 3 document, or leads anywhere else than into itself.

    Raises:
        Invalid: with the JSON pointer of each fault.
    """
    if not isinstance(document, dict):
        _refuse("/document", "Send the OpenAPI document as a JSON object.")
    version = document.get("openapi")
    if not isinstance(version, str) or not re.match(r"3\.[01]\.\d+\Z", version):
        _refuse("/document/openapi", "Send an OpenAPI document of version 3.0 or 3.1.")
    errors = list(islice(_foreign(document), MAX_ERRORS))
    if errors:
        raise Invalid(errors)
    faults = _validator(document).schema_validator.iter_errors(document)
    read = (fault for fault in faults if not str(fault.message).startswith(_UNREAD))
    errors = [
        FieldError(
            f"/document{pointers.build(fault.absolute_path)}",
            "invalid_value",
            str(fault.message).partition("\n")[0][:300],
        )
        for fault in islice(read, MAX_ERRORS)
    ]
    if errors:
        raise Invalid(errors)


def _validator(document: dict[str, Any]) -> Any:
    # 13 MB and a third of a second in every process, for what few of them ever do.
    from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator

    kind: Any = OpenAPIV30SpecValidator if is_30(document) else OpenAPIV31SpecValidator
    return kind(document)


def is_30(document: Mapping[str, Any]) -> bool:
    return str(document["openapi"]).startswith("3.0.")


def _foreign(document: dict[str, Any]) -> Iterator[FieldError]:
    """References that lead out of the document, nowhere, or in a circle of nothing else."""
    open_: list[tuple[str, Any]] = [("/document", document)]
    nodes = 0
    while open_:
        at, node = open_.pop()
        nodes += 1
        if nodes > MAX_NODES:
            _refuse("/document", f"At most {MAX_NODES} values; import a part of it.", "too_long")
        if isinstance(node, list):
            open_ += [(f"{at}/{number}", item) for number, item in enumerate(node)]
        if not isinstance(node, dict):
            continue
        open_ += [(at + pointers.build([name]), item) for name, item in node.items()]
        if "$ref" in node and not isinstance(node["$ref"], dict):
            yield from _foreign_reference(document, at, node)
        for name in _ELSEWHERE:
            if isinstance(node.get(name), str):
                detail = "Changes where references lead; leave it out."
                yield FieldError(f"{at}/{name}", "not_supported", detail)


def _foreign_reference(
    document: dict[str, Any], at: str, node: dict[str, Any]
) -> Iterator[FieldError]:
    reference = node["$ref"]
    if not isinstance(reference, str) or not reference.startswith("#/") or "%" in reference:
        detail = "A $ref must lead into this document: #/components/…; nothing else is fetched."
        yield FieldError(f"{at}/$ref", "invalid_value", detail)
        return
    try:
        follow(document, node)
    except NotExpressible as error:
        yield FieldError(f"{at}/$ref", "invalid_value", str(error))
    except (KeyError, ValueError):
        yield FieldError(f"{at}/$ref", "not_found", "There is nothing at this reference.")


def places(document: Mapping[str, Any]) -> list[Place]:
    """Every operation of a checked document.

    Raises:
        Invalid: there are too many.
    """
    found = []
    for path, raw in (document.get("paths") or {}).items():
        item = follow(document, raw)
        for method in (*METHODS, *OTHER_METHODS):
            if isinstance(item, dict) and isinstance(item.get(method), dict):
                found.append(Place(path, method, item, item[method]))
    if len(found) > MAX_OPERATIONS:
        detail = f"At most {MAX_OPERATIONS} operations; this one has {len(found)}: import a part."
        _refuse("/document/paths", detail, "too_long")
    return found


def read_operation(
    document: Mapping[str, Any], place: Place, *, prefix: str, headers: Iterable[str]
) -> Found:
    """One operation as an integration has it.

    Args:
        document: a checked one.
        place: which operation.
        prefix: what paths begin with, from the document's server.
        headers: names of the headers that the integration sends by itself.

    Raises:
        NotExpressible: why a call cannot carry it.
    """
    if place.method in OTHER_METHODS:
        raise NotExpressible(f"{place.method.upper()} is no method of an operation.")
    reader = SchemaReader(document, is_30=is_30(document))
    path, schema = _Joined(document, place, reader, {name.lower() for name in headers}).join()
    definitions = reader.definitions()
    if definitions:
        schema["$defs"] = definitions
    said = place.operation
    summary = str(said.get("summary") or "").strip()
    return Found(
        slug=slug_of(place),
        name=(summary or place.reference)[:120],
        description=str(said.get("description") or "")[:20_000],
        method=place.method.upper(),
        path=prefix + path,
        parameters=schema,
        effect=EFFECTS.get(place.method, Effect.ONCE).value,
    )


def slug_of(place: Place) -> str:
    """A slug from the operationId, else from method and path; `listPets` becomes `list_pets`."""
    given = place.operation.get("operationId")
    text = given if isinstance(given, str) and given else f"{place.method} {place.path}"
    words = re.sub(r"([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])", r"\1\3_\2\4", text)
    slug = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")[:60].strip("_")
    if not slug:
        raise NotExpressible("Its operationId has no letters or digits to name it by.")
    return slug


def server_prefix(document: Mapping[str, Any], base_url: str) -> str:
    """What the document's first server adds to an integration's base URL.

    The base URL is the admin's and counts; only where it names the same host, or the server names
    none, does a path that the base URL lacks belong to every operation.
    """
    servers = document.get("servers") or [{}]
    first = servers[0] if isinstance(servers[0], dict) else {}
    try:
        server = urlsplit(str(first.get("url") or ""))
    except ValueError:  # it is no address, so it adds nothing to one
        return ""
    base = urlsplit(base_url)
    path = server.path.rstrip("/")
    elsewhere = server.netloc and server.netloc.lower() != base.netloc.lower()
    if elsewhere or not path.startswith("/") or base.path.rstrip("/").endswith(path):
        return ""
    if "{" in path:
        return ""
    return path


class _Joined:
    """Joins path, query and body of an operation into one schema of its arguments."""

    def __init__(
        self, document: Mapping[str, Any], place: Place, reader: SchemaReader, sent: set[str]
    ) -> None:
        self.document, self.place, self.reader, self.sent = document, place, reader, sent
        self.takes_body = place.method in ("post", "put", "patch")

    def join(self) -> tuple[str, dict[str, Any]]:
        """The path template, and the schema."""
        in_path, in_query = self._parameters()
        schema = self._body() if self.takes_body else self._no_body()
        properties = dict(schema.get("properties", {}))
        required = list(schema.get("required", []))
        path = self.place.path
        alternatives = {"anyOf", "oneOf", "not"} & schema.keys()
        for name, parameter in in_path.items():
            if alternatives:
                raise NotExpressible("Its body has alternatives beside arguments of the path.")
            argument = _argument_name(name, properties)
            path = path.replace("{" + name + "}", "{" + argument + "}")
            properties[argument] = self._schema(parameter)
            required.append(argument)
        for name, parameter in in_query.items():
            if name in properties:
                raise NotExpressible(f"Path and query both take {name!r}.")
            properties[name] = self._schema(parameter)
            if parameter.get("required") is True:
                required.append(name)
        self._check_path(path, in_path)
        joined = {**schema, "type": "object", "properties": properties}
        if required:
            joined["required"] = list(dict.fromkeys(required))
        if not self.takes_body:
            joined["additionalProperties"] = False
        return path, joined

    def _check_path(self, path: str, in_path: Mapping[str, Any]) -> None:
        for name in re.findall(r"\{([^{}]*)\}", self.place.path):
            if name not in in_path:
                raise NotExpressible(f"The path takes {name!r}, which no parameter describes.")

    def _parameters(self) -> tuple[dict[str, Any], dict[str, Any]]:
        found: dict[tuple[str, str], Mapping[str, Any]] = {}
        for source in (self.place.item, self.place.operation):
            for raw in source.get("parameters") or []:
                parameter = follow(self.document, raw)
                found[parameter["in"], parameter["name"]] = parameter
        in_path: dict[str, Any] = {}
        in_query: dict[str, Any] = {}
        for (where, name), parameter in found.items():
            if where == "path" and "{" + name + "}" in self.place.path:
                in_path[name] = parameter
            elif where == "query":
                self._take_query(in_query, name, parameter)
            elif parameter.get("required") is True and not self._is_sent(where, name):
                raise NotExpressible(f"It needs the {where} {name!r}.")
        return in_path, in_query

    def _is_sent(self, where: str, name: str) -> bool:
        own = {"accept", "content-type", "authorization", "idempotency-key"}
        return where == "path" or (where == "header" and name.lower() in self.sent | own)

    def _take_query(self, taken: dict[str, Any], name: str, parameter: Mapping[str, Any]) -> None:
        reason = ""
        if self.takes_body:
            reason = f"It needs {name!r} in the query, beside a body."
        elif "schema" not in parameter or parameter.get("style", "form") != "form":
            reason = f"It needs {name!r} in a style that is not supported."
        elif parameter.get("explode", True) is False and self._is_list(parameter):
            reason = f"It needs {name!r} as one text with commas."
        if not reason:
            taken[name] = parameter
        elif parameter.get("required") is True:
            raise NotExpressible(reason)

    def _is_list(self, parameter: Mapping[str, Any]) -> bool:
        schema = follow(self.document, parameter["schema"])
        return isinstance(schema, dict) and schema.get("type") in ("array", "object")

    def _schema(self, parameter: Mapping[str, Any]) -> Any:
        schema = self.reader.convert(parameter.get("schema", {}))
        said = parameter.get("description")
        if isinstance(schema, dict) and isinstance(said, str) and "description" not in schema:
            return {**schema, "description": said}
        return schema

    def _no_body(self) -> dict[str, Any]:
        body = follow(self.document, self.place.operation.get("requestBody"))
        if isinstance(body, dict) and body.get("required") is True:
            raise NotExpressible(f"{self.place.method.upper()} takes no body.")
        return {}

    def _body(self) -> dict[str, Any]:
        body = follow(self.document, self.place.operation.get("requestBody"))
        if not isinstance(body, dict):
            return {"additionalProperties": False}
        offered = body.get("content") or {}
        media = next((offered[name] for name in offered if _JSON.match(name.split(";")[0])), None)
        if media is None:
            raise NotExpressible(f"It takes {', '.join(offered) or 'no JSON'}, and no JSON.")
        schema = self.reader.object_of(media.get("schema", {}))
        if body.get("required") is not True:
            return {name: value for name, value in schema.items() if name != "required"}
        return schema


def _argument_name(name: str, taken: Mapping[str, Any]) -> str:
    """A name for an argument of the path that no member of the body has."""
    plain = name if _NAME.match(name) else re.sub(r"[^A-Za-z0-9_]", "_", name)
    plain = plain if _NAME.match(plain) else f"_{plain}"
    return f"path_{plain}" if plain in taken else plain


def _refuse(field: str, detail: str, code: str = "invalid_value") -> NoReturn:
    raise Invalid([FieldError(field, code, detail)])
