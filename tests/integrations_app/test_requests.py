"""The frozen request: where arguments may go, where they never may, and bytes that come back."""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts_app.errors import Invalid
from integrations_app.requests import (
    VERSION,
    FrozenRequest,
    arguments_digest,
    build,
    canonical_bytes,
    check_base_url,
    check_headers,
    check_path,
    digest,
    parse_bytes,
)

BASE = "https://api.example.com/v1"
FACTS: dict[str, Any] = {
    "operation": "billing.refund",
    "operation_version": 3,
    "credential": "cred-1:2:header X-Key",
    "effect": "once",
    "workspace": "w",
    "run": "r",
    "session": "s",
    "idempotency_key": "k",
}
NASTY = [
    *("../", "..", ".", "../admin", "../../admin", "..\\admin", "\\..\\", "a/../b", "a/./b", "/.."),
    *("%2e%2e", "%2e%2e/", "%2E%2E%2F", "..%2f", "..%2fadmin", "..%5c", "%252e%252e%252f", "%2e"),
    *("..;", "..;/admin", "..;a=b/x", " ..", ".. /x", "%2e%2e%3b/", "..%00/", "..%252f"),
    "%25%32%65",
    *("//evil.example", "/evil", "///evil", "\\\\evil", "/\\evil", "//evil.example/x", "/%2fevil"),
    *("@evil.example", ":x@evil.example", "a@evil:80/", ":80", ":@", "evil.example:443", "#@evil"),
    *("\\", "\\\\", "#", "#frag", "?", "?admin=true", "?a=1#b", "&admin=true", ";admin", "a=b"),
    "+",
    *("\r\n", "a\r\nHost: evil", "a\nb", "a\rb", "%0d%0aX: y", "\x00", "a\x00b", "\t", "\x7f"),
    "\x1b",
    *("ü", "日本語", "👩‍💻", "\u202eevil", "\u200b", "ａ／．．／", "․․/", "。。", "\u2028", "\x85"),
    *("{0.__class__}", "{{7*7}}", "${7*7}", "%(x)s", "#{7*7}", "{name}", "{", "}", "{}", "$x"),
    "`id`",
    *("http://evil.example", "https:evil", "javascript:alert(1)", "file:///etc/passwd", "data:,x"),
    *("<script>", "'\"", "' OR 1=1--", "|id", "*", "~root", "", " ", "a b", "%", "%zz", "%%"),
    "\ufffd",
]


def make(
    path: str = "/orders/{name}/refunds",
    method: str = "POST",
    base_url: str = BASE,
    headers: dict[str, str] | None = None,
    arguments: dict[str, Any] | None = None,
    **more: Any,
) -> FrozenRequest:
    return build(
        base_url=base_url,
        method=method,
        path=path,
        arguments={**(arguments or {}), **more},
        default_headers=headers or {},
        **FACTS,
    )


def refused(call: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(Invalid) as caught:
        call()
    error = caught.value.errors[0]
    assert error.detail
    return error.field, error.code


def test_a_body_of_what_the_path_leaves() -> None:
    request = make(name="A 1/2", amount=1.0, note="é", items=[{"b": None, "a": True}])
    assert request.url == "https://api.example.com/v1/orders/A%201%2F2/refunds"
    assert request.body == '{"amount":1.0,"note":"é","items":[{"b":null,"a":true}]}'.encode()
    assert request.headers == (("Content-Type", "application/json"),)
    assert make(name="x").body == b"{}"
    for name, value in FACTS.items():
        assert getattr(request, name) == value


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_query_of_what_the_path_leaves(method: str) -> None:
    request = make(
        path="/orders", method=method, q="a b&c=d", n=1, f=1e22, b=True, off=False, t=["x", 2], e=""
    )
    assert request.url == (
        "https://api.example.com/v1/orders?q=a%20b%26c%3Dd&n=1&f=1e%2B22&b=true&off=false&t=x&t=2&e="
    )
    assert request.body == b""
    assert request.headers == ()


@pytest.mark.parametrize("value", [None, {}, {"a": 1}, [], [None], [[1]], [{}], float("inf")])
def test_what_a_query_cannot_carry(value: object) -> None:
    assert refused(lambda: make(path="/a", method="GET", arguments={"a/b": value})) == (
        "/a~1b",
        "invalid_value",
    )


@pytest.mark.parametrize(
    ("value", "segment"),
    [
        *(("a", "a"), (7, "7"), (-1, "-1"), (1.5, "1.5"), (True, "true"), ("a_d~e", "a_d~e")),
        *(("...", "..."), ("ü", "%C3%BC"), ("%2F", "%252F"), ("a;b", "a%3Bb")),
        ("v1.2-c", "v1.2-c"),
    ],
)
def test_values_of_a_path(value: object, segment: str) -> None:
    assert make(name=value).url == f"{BASE}/orders/{segment}/refunds"


@pytest.mark.parametrize("value", [None, [], ["a"], {}, float("nan"), "\ud800"])
def test_what_a_path_cannot_carry(value: object) -> None:
    assert refused(lambda: make(name=value)) == ("/name", "invalid_value")


def test_a_missing_value_of_a_path() -> None:
    assert refused(lambda: make(other=1)) == ("/name", "required")


def test_there_are_enough_nasty_values() -> None:
    assert len(set(NASTY)) >= 80


@pytest.mark.parametrize("value", NASTY)
@pytest.mark.parametrize(
    "path", ["/orders/{name}", "/orders/{name}/x", "/{name}", "/o/a-{name}.json"]
)
def test_nasty_values_stay_in_their_segment(path: str, value: str) -> None:
    try:
        request = make(path=path, name=value)
    except Invalid:
        assert refused(lambda: make(path=path, name=value)) == ("/name", "invalid_value")
        return
    before, _, after = path.partition("{name}")
    assert request.url.startswith(BASE + before)
    assert request.url.endswith(after)
    parts = urlsplit(request.url)
    assert (parts.scheme, parts.netloc) == ("https", "api.example.com")
    assert (parts.query, parts.fragment) == ("", "")
    assert parts.path.count("/") == ("/v1" + path).count("/")
    inner = request.url.removeprefix(BASE + before).removesuffix(after)
    assert unquote(inner) == value
    assert inner.isascii()
    assert inner.isprintable()
    assert not set(inner) & set(" /\\?#@:;&{}")
    text = value
    for _ in range(4):
        assert not {".", ".."} & set(text.replace("\\", "/").split("/"))
        text = unquote(text)


@pytest.mark.parametrize("value", NASTY)
def test_nasty_values_stay_in_their_member(value: str) -> None:
    request = make(path="/a", method="GET", arguments={"q": value, value: "x"})
    assert request.url.startswith(f"{BASE}/a?")
    assert "#" not in request.url
    assert request.url.isascii()
    assert request.url.isprintable()
    query = parse_qsl(urlsplit(request.url).query, keep_blank_values=True)
    assert query == [("q", value), (value, "x")]
    body = make(path="/a", arguments={"q": value, value: "x"}).body
    assert json.loads(body) == {"q": value, value: "x"}


@pytest.mark.parametrize(
    "value", ["..", ".", "../admin", "%2e%2e", "..%2fadmin", "..\\x", "..;/x", "\r\n", "\x00", ""]
)
def test_values_that_a_path_refuses(value: str) -> None:
    assert refused(lambda: make(name=value)) == ("/name", "invalid_value")


@given(st.text(max_size=30), st.sampled_from(["/{name}", "/a/{name}/b", "/a/x{name}"]))
def test_any_text_stays_in_its_segment(value: str, path: str) -> None:
    try:
        request = make(path=path, name=value)
    except Invalid:
        return
    before, _, after = path.partition("{name}")
    inner = request.url.removeprefix(BASE + before).removesuffix(after)
    assert unquote(inner) == value
    assert "/" not in inner
    assert urlsplit(request.url).netloc == "api.example.com"


def test_braces_are_replaced_once() -> None:
    request = make(path="/{a}/{b}/{a}", a="{b}", b="x")
    assert request.url == f"{BASE}/%7Bb%7D/x/%7Bb%7D"
    assert request.body == b"{}"


@pytest.mark.parametrize("path", ["/", "/a", "/a/", "/a/{b}", "/a/{b}.json", "/{a}-{b}", "/a:run"])
def test_paths_that_are_templates(path: str) -> None:
    check_path(path)


@pytest.mark.parametrize(
    "path",
    [
        *("", "a", "//", "//evil", "/a//b", "/..", "/a/../b", "/./a", "/a/.", "/a?b=1", "/a#b"),
        *("/a b", "/a\r\nb", "/a\x00", "/é", "/%2e%2e/a", "/%2E/", "/a%2fb", "/a%5cb", "/a%zz"),
        *("/{", "/}", "/{}", "/{a", "/a}", "/{{a}}", "/{a b}", "/{a.b}", "/{0}", "/{a!r}"),
        "/{a:x}",
        *("/{0.__class__}", "/{a[0]}", "/{é}", "/%0d%0a", "/%00", "/..;/a", "/%252e%252e/"),
        "/{a}\n",
        *("https://evil.example/", "@evil.example/", ":80/", "/%3f", "/%23", "/\ud800", "/a%"),
        "/a\\b",
    ],
)
def test_paths_that_are_none(path: str) -> None:
    assert refused(lambda: check_path(path)) == ("path", "invalid_value")


@pytest.mark.parametrize(
    "base_url",
    [
        *("https://a.example", "https://a.example/", "http://127.0.0.1:8080/v1"),
        *("https://[::1]:8443/x/", "https://xn--bcher-kva.example", "https://A.example:443/v1/"),
    ],
)
def test_base_urls(base_url: str) -> None:
    request = make(path="/refunds", base_url=base_url)
    assert request.url == base_url.rstrip("/").replace("A.", "a.") + "/refunds"


@pytest.mark.parametrize(
    "base_url",
    [
        *("", "a.example", "//a.example", "ftp://a.example", "https://", "https:///x", "https:a.b"),
        *("https://u@a.example", "https://u:p@a.example", "https://a.example?x", "https://a.b#x"),
        *("https://a.example/..", "https://a.example//x", "https://a.b/%2e%2e"),
        "https://é.example",
        *("https://a.example:99999", "https://a.example:x", "https://a.b\\@evil", "https://a b"),
        *("https://a.example/\r\nx", "https://[::1", "https://a.example/{x}", " https://a.example"),
        *("https://a.example:0", "https://a.example/x?", "https://a.b/#", "javascript:alert(1)"),
    ],
)
def test_base_urls_that_are_none(base_url: str) -> None:
    assert refused(lambda: check_base_url(base_url)) == ("base_url", "invalid_value")


def test_headers_are_sent_in_one_order() -> None:
    headers = {"X-B": "2", "accept": "*/*", "content-type": "application/vnd.api+json"}
    request = make(path="/a", headers=headers)
    assert request.headers == (
        ("accept", "*/*"),
        ("content-type", "application/vnd.api+json"),
        ("X-B", "2"),
    )
    assert make(path="/a", headers=dict(reversed(headers.items()))) == request


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("X", "a\r\nb"), ("X", "a\nb"), ("X", "a\rb"), ("X", "a\x00"), ("X", "a\x7f")),
        ("X", "é"),
        *(("X", " a"), ("X", "a "), ("X", "a\n"), ("X", ""), ("X", "a" * 9000), ("X", "\u2028")),
        *(("", "a"), ("X Y", "a"), ("X:", "a"), ("X\r\nY", "a"), ("X\n", "a"), ("é", "a")),
        *(("Host", "a"), ("HOST", "a"), ("Content-Length", "1"), ("Transfer-Encoding", "chunked")),
        *(("Connection", "a"), ("Authorization", "a"), ("Cookie", "a"), ("Idempotency-Key", "a")),
        *(("Proxy-Authorization", "a"), ("Upgrade", "a"), ("Expect", "a")),
        ("Content-Encoding", "a"),
        *(("TE", "a"), ("(", "a")),
    ],
)
def test_headers_that_are_refused(name: str, value: str) -> None:
    field, code = refused(lambda: check_headers({name: value}))
    assert field.startswith("default_headers")
    assert code == "invalid_value"


def test_a_header_stands_once() -> None:
    assert refused(lambda: check_headers({"X-A": "1", "x-a": "2"}))[0] == "default_headers.x-a"


@pytest.mark.parametrize("method", ["", "get", "HEAD", "TRACE", "CONNECT", "GET / HTTP/1.1\r\n"])
def test_methods_that_are_refused(method: str) -> None:
    assert refused(lambda: make(path="/a", method=method)) == ("method", "invalid_value")


def test_arguments_are_validated_where_a_schema_is_given() -> None:
    call: dict[str, Any] = {"base_url": BASE, "method": "POST", "path": "/a", "default_headers": {}}
    call |= {"arguments": {}, "parameters_schema": {"required": ["amount"]}, **FACTS}
    assert refused(lambda: build(**call)) == ("/amount", "required")


def test_what_no_request_can_carry() -> None:
    assert refused(lambda: make(path="/a", x=float("nan"))) == ("", "invalid_value")
    assert refused(lambda: make(path="/a", x="\ud800")) == ("", "invalid_value")
    assert refused(lambda: make(path="/a", method="GET", x="y" * 9000)) == ("", "too_long")


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
frozen = st.builds(
    FrozenRequest,
    method=texts,
    url=texts,
    headers=st.lists(st.tuples(texts, texts), max_size=4).map(tuple),
    body=st.binary(max_size=40),
    operation=texts,
    operation_version=st.integers(0, 10**18 - 1),
    credential=texts,
    effect=texts,
    workspace=texts,
    run=texts,
    session=texts,
    idempotency_key=texts,
)


@given(frozen)
def test_bytes_come_back_as_the_request(request: FrozenRequest) -> None:
    assert parse_bytes(canonical_bytes(request)) == request


@given(frozen, frozen)
def test_different_requests_have_different_bytes(one: FrozenRequest, other: FrozenRequest) -> None:
    assert (canonical_bytes(one) == canonical_bytes(other)) == (one == other)


def test_every_field_is_bound() -> None:
    request = make(name="x", amount=1, headers={"X-A": "b"})
    data = canonical_bytes(request)
    for field in fields(request):
        value = getattr(request, field.name)
        other: Any = value + 1 if isinstance(value, int) else value + value
        assert digest(
            canonical_bytes(replace(request, **dict[str, Any]({field.name: other})))
        ) != digest(data)
    moved = replace(request, workspace="", run="wr")
    assert canonical_bytes(moved) != data


@given(st.binary(max_size=200).map(lambda data: VERSION + data) | st.binary(max_size=200))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  whatever it is that is wrong
        parse_bytes(data)


@given(frozen, st.data())
def test_altered_bytes_are_refused_or_another_request(request: FrozenRequest, data: Any) -> None:
    good = canonical_bytes(request)
    at = data.draw(st.integers(0, len(good) - 1))
    new = bytes([data.draw(st.integers(0, 255))])
    for bad in (
        good[:at],
        good[:at] + good[at + 1 :],
        good[:at] + new + good[at + 1 :],
        good + new,
    ):
        try:
            parsed = parse_bytes(bad)
        except ValueError:
            continue
        assert canonical_bytes(parsed) == bad


def test_what_has_no_bytes() -> None:
    request = make(name="x")
    for bad in (replace(request, operation_version=-1), replace(request, run="\ud800")):
        with pytest.raises(ValueError):  # noqa: PT011  whatever it is that is wrong
            canonical_bytes(bad)


def test_the_form_of_version_one_stays() -> None:
    request = FrozenRequest(
        "GET", "u", (("a", "b"),), b"c", "o.p", 1, "k", "read", "w", "r", "s", "i"
    )
    data = canonical_bytes(request)
    assert data.startswith(b"assent.request.v1\0" + bytes(7) + b"\x03GET" + bytes(7) + b"\x01u")
    assert digest(data) == (
        "sha256:8bace70dd6302a40e6f451a9350c3af209d9d586f12cb3f3b596732c8a8e5166"
    )


def test_digests_of_arguments() -> None:
    assert arguments_digest({"a": 1, "b": 2}) == arguments_digest({"b": 2, "a": 1})
    assert arguments_digest({"a": 1}) != arguments_digest({"a": 1.0})
    assert arguments_digest({"a": 0.0}) != arguments_digest({"a": -0.0})
    assert arguments_digest({"a": 1}) != arguments_digest({"a": True})
    assert arguments_digest({"a": "é"}) == digest('{"a":"é"}'.encode())
