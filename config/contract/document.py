"""Makes the generated OpenAPI document complete: shapes, refusals, examples, links, headers."""

from typing import Any

from config.contract.answers import PARTS, SHAPES
from config.contract.bodies import BODY_OF, MEMBERS, WHOLE
from config.contract.body_examples import BODIES
from config.contract.examples import ANSWERS
from config.contract.operations import OPERATIONS, Op, link_to, refusals
from config.contract.words import ID, JSON, SLUG, URL, Schema, many, null, ref, shape

BASE = "/api/v1"
PROBLEM_TYPE = "application/problem+json"
TITLES = {
    400: "The body is not acceptable JSON",
    401: "A valid credential is required",
    403: "Visible, but not permitted",
    404: "Not there, or not yours: both read the same",
    409: "The state has changed meanwhile, or does not allow this",
    413: "The body is too large",
    415: "The body is no JSON",
    422: "The body or query was understood and cannot be accepted",
    428: "The revision must be sent",
    429: "Too many requests; `Retry-After` says when to ask again",
    503: "The database is busy or away; ask again",
}
DONE = {200: "Done", 201: "Made", 202: "Accepted: it is done afterwards"}
HEADERS: dict[str, Any] = {
    "X-Request-ID": {
        "description": "The request's id, as given or made.",
        "schema": {"type": "string"},
    },
    "RateLimit": {
        "description": "What is left of the key's limit, and when it starts anew: `r` and `t`.",
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {
        "description": "The key's limit: `q` requests in `w` seconds.",
        "schema": {"type": "string"},
    },
    "Idempotent-Replayed": {
        "description": "`true` where this answer was given before.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}},
}
ALWAYS = ("X-Request-ID", "RateLimit", "RateLimit-Policy")
REQUEST_ID = {
    "name": "X-Request-ID",
    "in": "header",
    "description": "Letters, digits and . _ : - (at most 64) are echoed, and stand in every log"
    " line and audit entry; anything else is replaced.",
    "schema": {"type": "string"},
}
ONCE = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Do this once: the same key again, within 30 days, answers what the first did.",
    "schema": {"type": "string", "pattern": "^[ -~]{1,255}$"},
}
SERVICE = {
    "/healthz": ("healthz", "Whether the process lives", ("200",)),
    "/readyz": ("readyz", "Whether database, broker and scheduler are ready", ("200", "503")),
    "/metrics": ("metrics", "Figures for Prometheus", ("200", "401")),
}


def finish(result: dict[str, Any]) -> dict[str, Any]:
    """Complete the document that the endpoints gave."""
    made: dict[str, Any] = _renamed(result)
    components = made["components"]
    components["schemas"] = schemas = _schemas(components["schemas"])
    components["headers"] = HEADERS
    _hide(made["paths"])
    for path, methods in made["paths"].items():
        for method, operation in methods.items():
            _complete(method.upper(), path.removeprefix(BASE), operation, schemas)
            if len(methods) > 1:
                # It describes the address; each method has its summary.
                operation.pop("description", None)
    _add_service(made)
    return made


def _hide(paths: dict[str, Any]) -> None:
    """Leave out what always refuses: incidents are triaged in the back office."""
    for path in [path for path in paths if path.startswith(f"{BASE}/guard/incidents/")]:
        paths[path] = {name: each for name, each in paths[path].items() if name == "get"}
        if not paths[path]:
            del paths[path]


def _renamed(node: Any) -> Any:
    """Answers are named without the ending that tells the serializers apart."""
    if isinstance(node, dict):
        return {_bare(key): _renamed(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_renamed(item) for item in node]
    if isinstance(node, str) and node.startswith("#/components/schemas/"):
        return _bare(node)
    return node


def _bare(name: Any) -> Any:
    if not isinstance(name, str):
        return name
    return name.removesuffix("Shown").replace("ShownPage", "Page")


def _schemas(generated: dict[str, Schema]) -> dict[str, Schema]:
    found = {name: _any_for_none(schema) for name, schema in generated.items()}
    for name, schema in found.items():
        schema.pop("description", None)
        if name.endswith("Body"):
            schema.setdefault("properties", {}).update(MEMBERS.get(name, {}))
            schema["additionalProperties"] = False
        elif name.endswith("Page"):
            found[name] = _page(name.removesuffix("Page"))
    found |= {name: schema for name, schema in SHAPES.items() if name in found or name in PARTS}
    found |= WHOLE
    for name, example in (BODIES | ANSWERS).items():
        if name in found:
            found[name] = {**found[name], "examples": [example]}
    return dict(sorted(found.items()))


_ANYTHING = {"oneOf": [{}, {"type": "null"}]}


def _any_for_none(schema: Schema) -> Schema:
    """The generator writes “anything, or null”, which null would fit twice."""
    properties = {
        name: (JSON if member in ({}, _ANYTHING) else member)
        for name, member in schema.get("properties", {}).items()
    }
    return {**schema, "properties": properties} if properties else dict(schema)


def _page(name: str) -> Schema:
    return shape({"results": many(ref(name)), "next": null(URL), "previous": null(URL)})


def _complete(
    method: str, path: str, operation: dict[str, Any], schemas: dict[str, Schema]
) -> None:
    op = OPERATIONS.get((method, path))
    if op is None:
        return
    operation["operationId"] = op.name
    operation["summary"] = op.summary
    parameters = [*operation.get("parameters", []), REQUEST_ID, *([ONCE] if op.once else [])]
    for parameter in parameters:
        if parameter["in"] == "path":
            parameter["schema"] = ID if parameter["name"] == "id" else SLUG
    operation["parameters"] = parameters
    if (method, path) in BODY_OF:
        schema = ref(BODY_OF[method, path])
        operation["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    _complete_body(operation, schemas)
    for status, answer in operation["responses"].items():
        _complete_answer(int(status), answer, op)
    for status, codes in refusals(method, path, op).items():
        operation["responses"][str(status)] = _refusal(status, codes)
    operation["responses"] = dict(sorted(operation["responses"].items()))


def _complete_body(operation: dict[str, Any], schemas: dict[str, Schema]) -> None:
    body = operation.get("requestBody")
    if body is None:
        return
    media = body["content"]["application/json"]
    name = media["schema"]["$ref"].rpartition("/")[2]
    body["required"] = bool(schemas[name].get("required") or schemas[name].get("minProperties"))
    if name in BODIES:
        media["example"] = BODIES[name]


def _complete_answer(status: int, answer: dict[str, Any], op: Op) -> None:
    answer["description"] = DONE[status]
    replayed = ("Idempotent-Replayed",) if op.once and status == 200 else ()
    answer["headers"] = {name: _header(name) for name in (*ALWAYS, *replayed)}
    media = answer["content"]["application/json"]
    name = media["schema"]["$ref"].rpartition("/")[2]
    if name in ANSWERS:
        media["example"] = ANSWERS[name]
    elif name.removesuffix("Page") in ANSWERS:
        rows = [ANSWERS[name.removesuffix("Page")]]
        media["example"] = {"results": rows, "next": None, "previous": None}
    if op.links and status < 300:
        answer["links"] = {link: link_to(link) for link in op.links}


def _refusal(status: int, codes: list[str]) -> dict[str, Any]:
    one = {"properties": {"status": {"const": status}, "code": {"enum": codes}}}
    example = {
        "type": f"urn:assent:problem:{codes[0]}",
        "title": TITLES[status],
        "status": status,
        "detail": TITLES[status] + ".",
        "code": codes[0],
    }
    if status == 422:
        example["errors"] = [{"field": "body", "code": codes[0], "detail": TITLES[status] + "."}]
    names = ["X-Request-ID", *(["Retry-After"] if status in (429, 503) else [])]
    return {
        "description": f"{TITLES[status]}: {', '.join(f'`{code}`' for code in codes)}",
        "headers": {name: _header(name) for name in names},
        "content": {PROBLEM_TYPE: {"schema": {"allOf": [ref("Problem"), one]}, "example": example}},
    }


def _header(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


def _add_service(made: dict[str, Any]) -> None:
    """The addresses outside of `/api/v1/`, which need no key of the API."""
    for path, (name, text, statuses) in SERVICE.items():
        media = "text/plain" if name == "metrics" else "application/json"
        schema = {"type": "string" if name == "metrics" else "object"}
        answers: dict[str, Any] = {
            status: {
                "description": "It is" if status == "200" else "It is not",
                "content": {media if status != "401" else PROBLEM_TYPE: {"schema": schema}},
            }
            for status in statuses
        }
        if "401" in answers:
            answers["401"]["content"][PROBLEM_TYPE]["schema"] = ref("Problem")
        made["paths"][path] = {
            "get": {
                "operationId": name,
                "summary": text,
                "tags": ["service"],
                "security": [],
                "responses": answers,
            }
        }
