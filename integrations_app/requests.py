"""The request of an approved call, built once, kept as bytes, and sent as those bytes.

Binding is where approval products have failed: what is shown, digested, decided on
and sent are the same bytes here (promise 3). Values enter a path or a
query only percent-encoded, `{name}` is replaced and never evaluated, and what comes
out must have the integration's origin and the template's literal prefix.
Credentials are named, never held.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from accounts_app import strict_json
from accounts_app.errors import FieldError, Invalid
from integrations_app import pointers, schemas

VERSION: Final = b"assent.request.v1\0"
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
MAX_URL: Final = 8000  # characters; what RFC 9110, section 4.1, asks everybody to support
MAX_HEADER: Final = 8192  # characters of one value

_NAME: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LITERAL: Final = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*\Z")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}\Z")
_HEADER_TEXT: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?\Z")
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?\Z")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_OURS: Final = re.compile(
    r"(?:authorization|connection|content-(?:encoding|length)|cookie|expect|host|idempotency-key"
    r"|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade)\Z"
)


@dataclass(frozen=True, slots=True)
class FrozenRequest:
    """What will be sent, and what an approval binds to.

    Args:
        method: one of `METHODS`; empty for an operation that the agent runs itself.
        url: absolute.
        headers: names and values in the order in which they are sent, without credentials.
        body: the exact bytes; empty for none.
        operation: `integration.operation`.
        operation_version: the version of the operation that was asked for, from 0.
        credential: which credential, in which version, goes where; never its value.
        effect: `read`, `idempotent` or `once`.
        workspace: id.
        run: id.
        session: id.
        idempotency_key: the same for every attempt of this call.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    operation: str
    operation_version: int
    credential: str
    effect: str
    workspace: str
    run: str
    session: str
    idempotency_key: str


def build(
    *,
    base_url: str,
    method: str,
    path: str,
    arguments: Mapping[str, Any],
    default_headers: Mapping[str, str],
    operation: str,
    operation_version: int,
    credential: str,
    effect: str,
    workspace: str,
    run: str,
    session: str,
    idempotency_key: str,
    parameters_schema: Mapping[str, Any] | None = None,
) -> FrozenRequest:
    """Place arguments into path, then query (GET, DELETE) or JSON body, and freeze the request.

    In a path a value must not be empty, hold control characters, or have a `.` or `..` segment,
    however often it was percent-encoded. In a query lists repeat their name; null, objects and
    empty lists are refused, because leaving them out would widen what a DELETE hits. A JSON body
    is an object even where no argument is left for it.

    Args:
        base_url: the integration's, its own path kept.
        method: one of `METHODS`.
        path: the template, as `check_path` lets through.
        arguments: parsed JSON.
        default_headers: as `check_headers` lets through; sent sorted by name.
        operation: and all further arguments, see `FrozenRequest`.
        parameters_schema: where given, the arguments are validated first.

    Raises:
        Invalid: `field` is the argument's JSON pointer, or `base_url`, `method`, `path` or
            `default_headers`.
    """
    check_base_url(base_url)
    check_path(path)
    check_headers(default_headers)
    if method not in METHODS:
        raise _invalid("method", f"Choose from {', '.join(METHODS)}.")
    errors = [] if parameters_schema is None else schemas.validate(parameters_schema, arguments)
    if errors:
        raise Invalid(errors)
    names = set(_NAME.findall(path))
    rest = {name: value for name, value in arguments.items() if name not in names}
    url = _url(base_url, path, arguments)
    headers = dict(default_headers)
    body = b""
    if method in ("GET", "DELETE"):
        url += "".join(_query(rest))
    else:
        body = _json(rest)
        if "content-type" not in {name.lower() for name in headers}:
            headers["Content-Type"] = "application/json"
    if len(url) > MAX_URL:
        raise Invalid([FieldError("", "too_long", f"An address has at most {MAX_URL} characters.")])
    return FrozenRequest(
        method=method,
        url=url,
        headers=tuple(sorted(headers.items(), key=lambda pair: pair[0].lower())),
        body=body,
        operation=operation,
        operation_version=operation_version,
        credential=credential,
        effect=effect,
        workspace=workspace,
        run=run,
        session=session,
        idempotency_key=idempotency_key,
    )


def check_base_url(base_url: str) -> None:
    """Refuse what is no plain `http` or `https` origin with an optional path.

    Args:
        base_url: ASCII, the host of another script in its `xn--` form.

    Raises:
        Invalid: on `base_url`; user info, query, fragment, dot segments, another scheme.
    """
    detail = "Write it like https://api.example.com/v1, without user, query or fragment."
    try:
        parts = urlsplit(base_url)
        is_port = parts.port is None or parts.port > 0
    except ValueError as error:
        raise _invalid("base_url", detail) from error
    is_plain = (
        base_url.isascii() and base_url.isprintable() and not re.search(r"[\s\\?#]", base_url)
    )
    is_origin = parts.scheme in ("http", "https") and _HOST.match(parts.netloc) and is_port
    if not (is_plain and is_origin and _is_literal(parts.path.rstrip("/"))):
        raise _invalid("base_url", detail)


def check_path(path: str) -> None:
    """Refuse a path template that could mean something else than it shows.

    Args:
        path: starts with `/`; `{name}` takes an argument and stands anywhere in a segment.

    Raises:
        Invalid: on `path`; `//`, dot segments, `?`, `#`, a backslash, stray braces, names that
            are no identifiers, characters that a path must have percent-encoded.
    """
    if not path.startswith("/"):
        raise _invalid("path", "A path starts with /.")
    bare = _NAME.sub("x", path)
    if "{" in bare or "}" in bare:
        raise _invalid("path", "Braces hold one name each, of letters, digits and _: {order_id}.")
    if not _is_literal(bare):
        raise _invalid("path", "A path has no //, . or .. segment, ?, #, backslash or spaces.")


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse headers that cannot be sent, or that are not the integration's to set.

    Args:
        headers: names to values; values are printable ASCII.

    Raises:
        Invalid: on `default_headers.NAME`; no token (RFC 9110, section 5.6.2), twice in different
            case, control characters, or one that the client or the credential sets.
    """
    seen: set[str] = set()
    for name, value in headers.items():
        field = f"default_headers.{name}" if _TOKEN.match(name) else "default_headers"
        if not _TOKEN.match(name):
            raise _invalid(field, "The name of a header has letters, digits and - only.")
        if _OURS.match(name.lower()):
            raise _invalid(field, "This header is set by the credential or when sending.")
        if name.lower() in seen:
            raise _invalid(field, "This header stands twice.")
        if not isinstance(value, str) or len(value) > MAX_HEADER or not _HEADER_TEXT.match(value):
            detail = f"A value is printable ASCII without spaces around, up to {MAX_HEADER:,}."
            raise _invalid(field, detail)
        seen.add(name.lower())


def canonical_bytes(request: FrozenRequest) -> bytes:
    """The one byte form of a request: a version, then every field after its length.

    No separators, so that no value can run into its neighbour. A length has eight
    bytes, the greatest first; text is UTF-8; the number of headers stands before them.

    Args:
        request: what is to be stored, shown, digested and sent.

    Raises:
        ValueError: text that UTF-8 cannot carry, or a version that is out of range.
    """
    if not 0 <= request.operation_version < 10**18:
        raise ValueError("An operation's version is from 0 to 10**18.")
    fields = [request.method.encode(), request.url.encode(), str(len(request.headers)).encode()]
    fields += [text.encode() for pair in request.headers for text in pair]
    fields += [request.body, request.operation.encode(), str(request.operation_version).encode()]
    texts = (request.credential, request.effect, request.workspace, request.run)
    fields += [text.encode() for text in (*texts, request.session, request.idempotency_key)]
    return VERSION + b"".join(len(field).to_bytes(8, "big") + field for field in fields)


def parse_bytes(data: bytes) -> FrozenRequest:
    """The request of canonical bytes: the exact inverse of `canonical_bytes`.

    Args:
        data: what was stored.

    Raises:
        ValueError: anything that `canonical_bytes` would not have written.
    """
    fields = _fields(data)
    try:
        method, url = next(fields).decode(), next(fields).decode()
        count = _number(next(fields))
        headers = tuple((next(fields).decode(), next(fields).decode()) for _ in range(count))
        body, operation = next(fields), next(fields).decode()
        version = _number(next(fields))
        credential, effect, workspace, run, session, key = (field.decode() for field in fields)
    except (StopIteration, RuntimeError) as error:  # the latter from inside the header pairs
        raise ValueError("The stored request ends too early.") from error
    return FrozenRequest(
        method=method,
        url=url,
        headers=headers,
        body=body,
        operation=operation,
        operation_version=version,
        credential=credential,
        effect=effect,
        workspace=workspace,
        run=run,
        session=session,
        idempotency_key=key,
    )


def digest(data: bytes) -> str:
    """`sha256:` and the hexadecimal SHA-256.

    Args:
        data: the bytes of `canonical_bytes`.
    """
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def arguments_digest(arguments: Mapping[str, Any]) -> str:
    """The digest of arguments, whatever the order of their members; 1 and 1.0 differ.

    Args:
        arguments: parsed JSON.

    Raises:
        ValueError: text with a lone surrogate.
    """
    return digest(strict_json.canonical(dict(arguments)).encode())


def _invalid(field: str, detail: str, code: str = "invalid_value") -> Invalid:
    return Invalid([FieldError(field, code, detail)])


def _is_literal(path: str) -> bool:
    """Whether a path has plain characters only and, decoded, no empty or dot segment inside."""
    decoded = unquote(path)
    escaped = [unquote(code) for code in re.findall(r"(?:%[0-9A-Fa-f]{2})+", path)]
    return (
        _LITERAL.match(path) is not None
        and "//" not in path
        and not _has_dots(decoded)
        and not any(re.search(r"[/\\%?#\x00-\x20\x7f]", text) for text in escaped)
    )


def _has_dots(text: str) -> bool:
    """Whether a server that decodes once more, or reads a backslash as /, would see . or .."""
    for _ in range(4):
        if any(part.split(";")[0].strip() in (".", "..") for part in re.split(r"[/\\]", text)):
            return True
        text = unquote(text)
    return False


def _url(base_url: str, path: str, arguments: Mapping[str, Any]) -> str:
    """Origin and path, with every `{name}` filled; checked against base URL and template."""
    base = urlsplit(base_url)
    origin = f"{base.scheme}://{base.netloc.lower()}"
    prefix = base.path.rstrip("/")
    url = origin + prefix + _NAME.sub(lambda match: _segment(match[1], arguments), path)
    made = urlsplit(url)
    literal = origin + prefix + path.partition("{")[0]
    is_same_origin = (made.scheme, made.netloc) == (base.scheme, base.netloc.lower())
    is_same_shape = url.startswith(literal) and made.path.count("/") == (prefix + path).count("/")
    if not (is_same_origin and is_same_shape and url == origin + made.path):
        raise _invalid("path", "The arguments would lead outside this path.")
    if not _is_literal(re.sub(r"%[0-9A-F]{2}", "x", made.path)):
        raise _invalid("path", "The arguments would give a path with empty or dot segments.")
    return url


def _segment(name: str, arguments: Mapping[str, Any]) -> str:
    field = pointers.build((name,))
    if name not in arguments:
        raise _invalid(field, "The path needs this argument.", "required")
    text = _scalar(arguments[name], field)
    if not text or _CONTROL.search(text) or _has_dots(text):
        detail = "In a path a value is not empty, not . or .., and has no control characters."
        raise _invalid(field, detail)
    return _encoded(text, field)


def _query(arguments: Mapping[str, Any]) -> Iterator[str]:
    sign = "?"
    for name, value in arguments.items():
        field = pointers.build((name,))
        if value == []:
            raise _invalid(field, "An empty list cannot be sent in a query; leave it out.")
        for item in value if isinstance(value, list) else [value]:
            text = _encoded(_scalar(item, field), field)
            yield f"{sign}{_encoded(name, field)}={text}"
            sign = "&"


def _scalar(value: Any, field: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return repr(value)
    if not isinstance(value, str):
        raise _invalid(field, "Must be text, a number, true or false to be sent in an address.")
    return value


def _encoded(text: str, field: str) -> str:
    """Percent-encode everything outside the unreserved characters (RFC 3986, section 2.3)."""
    try:
        return quote(text, safe="")
    except UnicodeEncodeError as error:
        raise _invalid(field, "Has a lone surrogate; send well-formed Unicode.") from error


def _json(arguments: Mapping[str, Any]) -> bytes:
    try:
        text = json.dumps(arguments, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise _invalid("", "The arguments hold something that JSON cannot carry.") from error


def _fields(data: bytes) -> Iterator[bytes]:
    if not data.startswith(VERSION):
        raise ValueError("The stored request has an unknown version.")
    at = len(VERSION)
    while at < len(data):
        end = at + 8 + int.from_bytes(data[at : at + 8], "big")
        if at + 8 > len(data) or end > len(data):
            raise ValueError("The stored request ends too early.")
        yield data[at + 8 : end]
        at = end


def _number(field: bytes) -> int:
    if not re.fullmatch(rb"0|[1-9][0-9]{0,17}", field):
        raise ValueError("The stored request has a malformed number.")
    return int(field)
