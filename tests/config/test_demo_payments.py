"""The demo's payments service: it moves money once for a key, and remembers."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from config.demo_payments import Ledger, PaymentsServer, demo_token

pytestmark = pytest.mark.enable_socket

TOKEN = demo_token("a secret key")
REFUND = {"charge": "ch_1042", "amount": 250, "reason": "damaged"}


class Caller:
    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(
        self, method: str, path: str, body: Any = None, *, token: str = TOKEN, key: str = ""
    ) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        content = body if isinstance(body, bytes) else json.dumps(body).encode() if body else b""
        headers = {"Authorization": f"Bearer {token}"} | ({"Idempotency-Key": key} if key else {})
        connection.request(method, path, content, headers)
        response = connection.getresponse()
        answer = response.status, json.loads(response.read())
        connection.close()
        return answer


@contextmanager
def service(path: Path) -> Iterator[Caller]:
    server = PaymentsServer(0, TOKEN, Ledger(path))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield Caller(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def call(tmp_path: Path) -> Iterator[Caller]:
    with service(tmp_path / "effects.jsonl") as caller:
        yield caller


def test_a_refund_is_made(call: Caller) -> None:
    status, body = call("POST", "/refunds", REFUND)
    assert status == 201
    assert body["id"].startswith("re_")
    assert (body["charge"], body["amount"], body["status"]) == ("ch_1042", 250, "succeeded")
    assert call("GET", "/_log") == (200, {"refunds": 1})


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("POST", "/refunds", REFUND), ("GET", "/charges/ch_1", None), ("GET", "/_log", None)],
)
def test_without_the_token_nothing_is_done_or_told(
    call: Caller, method: str, path: str, body: Any
) -> None:
    assert call(method, path, body, token="other")[0] == 401
    assert call("GET", "/_log") == (200, {"refunds": 0})


def test_the_same_key_refunds_once(call: Caller) -> None:
    first = call("POST", "/refunds", REFUND, key="k1")
    assert call("POST", "/refunds", REFUND, key="k1") == first
    assert call("POST", "/refunds", {**REFUND, "amount": 1}, key="k1")[0] == 409
    assert call("POST", "/refunds", REFUND, key="k2")[1]["id"] != first[1]["id"]
    assert call("GET", "/_log") == (200, {"refunds": 2})


def test_callers_that_race_with_one_key_refund_once(call: Caller) -> None:
    answers: list[tuple[int, dict[str, Any]]] = []
    barrier = threading.Barrier(8)

    def race() -> None:
        barrier.wait()
        answers.append(call("POST", "/refunds", REFUND, key="k"))

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({body["id"] for _, body in answers}) == 1
    assert call("GET", "/_log") == (200, {"refunds": 1})


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    path = tmp_path / "effects.jsonl"
    with service(path) as call:
        first = call("POST", "/refunds", REFUND, key="k")
    with path.open("a") as file:
        file.write('{"kind": "ref')
    with service(path) as call:
        assert call("POST", "/refunds", REFUND, key="k") == first
        assert call("GET", "/_log") == (200, {"refunds": 1})


def test_a_charge_is_always_the_same(call: Caller) -> None:
    status, body = call("GET", "/charges/ch_1042")
    assert status == 200
    assert body["id"] == "ch_1042"
    assert call("GET", "/charges/ch_1042") == (200, body)
    assert call("GET", "/charges/ch_1043")[1] != {**body, "id": "ch_1043"}


def test_a_receipt_is_accepted_again(call: Caller) -> None:
    receipt = {"charge": "ch_1", "email": "mia@example.com"}
    first = call("POST", "/receipts", receipt)
    assert first == (202, {**receipt, "status": "queued"})
    assert call("POST", "/receipts", receipt) == first


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"charge": "ch_1", "amount": NaN}',
        {"charge": "ch_1"},
        {"charge": "ch_1", "amount": 0},
        {"charge": "ch_1", "amount": True},
        {"charge": 1, "amount": 5},
    ],
)
def test_a_bad_refund_is_refused_and_not_made(call: Caller, body: Any) -> None:
    assert call("POST", "/refunds", body)[0] == 400
    assert call("GET", "/_log") == (200, {"refunds": 0})


def test_unknown_paths_are_unknown(call: Caller) -> None:
    assert call("GET", "/charges/../x")[0] == 404
    assert call("POST", "/charges", REFUND)[0] == 404
