"""The demo's own payments service: `python -m config.demo_payments`, on loopback only.

It stands for a system that moves money: what it did is kept in a file and survives restarts, and
a repeated Idempotency-Key does nothing a second time.
"""

import hashlib
import hmac
import json
import os
import re
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from config.home import LOOPBACK, demo_payments_port, load_home_secrets

BODY_BYTES = 64 * 1024
EFFECTS_FILE = "demo_payments.jsonl"
CHARGE_PATH = re.compile(r"/charges/([A-Za-z0-9_.~-]{1,100})")
NAMES = ("Mia Berg", "Noah Lind", "Ada Quist", "Theo Marsh", "Lena Vogt", "Omar Haddad")


def demo_token(secret_key: str) -> str:
    """The token that the service expects where ASSENT_DEMO_PAYMENTS_TOKEN does not set another.

    Args:
        secret_key: SECRET_KEY, from which the token is derived and cannot be led back to it.
    """
    digest = hmac.new(secret_key.encode(), b"assent demo payments", hashlib.sha256).hexdigest()
    return f"demo_{digest[:40]}"


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and its JSON body."""

    status: int
    body: Mapping[str, Any]


class Ledger:
    """What the service has done, in a file that only grows.

    Args:
        path: the file; made at the first effect.

    Raises:
        OSError: the file is there and cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._by_key: dict[str, dict[str, Any]] = {}
        self._count = {"refund": 0, "receipt": 0}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                self._remember(line)

    def refunds(self) -> int:
        """How many refunds were made."""
        return self._count["refund"]

    def do(self, kind: str, key: str, request: Mapping[str, Any], answer: Answer) -> Answer:
        """Do it once for a key, and give the first answer again after that.

        Args:
            kind: "refund" or "receipt".
            key: the Idempotency-Key; "" does it every time.
            request: what was asked for.
            answer: what to say when it is done.

        Returns:
            The answer, the first one, or 409 where the key was used for something else.
        """
        with self._lock:
            first = self._by_key.get(f"{kind} {key}") if key else None
            if first is None:
                self._append(kind, key, request, answer)
                return answer
        if first["request"] != request:
            return Answer(409, {"error": "This Idempotency-Key was used for another request."})
        return Answer(first["status"], first["body"])

    def _append(self, kind: str, key: str, request: Mapping[str, Any], answer: Answer) -> None:
        effect = {
            "kind": kind,
            "key": key,
            "request": request,
            "status": answer.status,
            "body": answer.body,
        }
        line = json.dumps(effect, ensure_ascii=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._remember(line)

    def _remember(self, line: str) -> None:
        try:
            effect = json.loads(line)
        except ValueError:
            # The process died while it wrote its last line: that effect was never confirmed.
            return
        self._count[effect["kind"]] += 1
        if effect["key"]:
            self._by_key[f"{effect['kind']} {effect['key']}"] = effect


class PaymentsServer(ThreadingHTTPServer):
    """The service, on a loopback port.

    Args:
        port: where it listens; 0 for any free one.
        token: what callers must present.
        ledger: where effects are kept.
    """

    daemon_threads = True
    # With the default of five, callers that come together wait a second for their connection.
    request_queue_size = 128

    def __init__(self, port: int, token: str, ledger: Ledger) -> None:
        self.token = token
        self.ledger = ledger
        super().__init__((LOOPBACK, port), Handler)


class Handler(BaseHTTPRequestHandler):
    """One connection of a caller."""

    server: PaymentsServer
    protocol_version = "HTTP/1.1"
    server_version = "demo-payments"
    sys_version = ""
    timeout = 30

    def do_GET(self) -> None:
        """Answer a charge, or the count of what was done."""
        if not self._known():
            self._answer(Answer(401, {"error": "A bearer token is required."}))
        elif self.path == "/_log":
            self._answer(Answer(200, {"refunds": self.server.ledger.refunds()}))
        elif match := CHARGE_PATH.fullmatch(self.path):
            self._answer(Answer(200, charge(match[1])))
        else:
            self._answer(Answer(404, {"error": "There is no such thing."}))

    def do_POST(self) -> None:
        """Make a refund or send a receipt."""
        request = self._request()
        key = self.headers.get("Idempotency-Key", "")
        if not self._known():
            self._answer(Answer(401, {"error": "A bearer token is required."}))
        elif self.path not in ("/refunds", "/receipts"):
            self._answer(Answer(404, {"error": "There is no such thing."}))
        elif request is None:
            self._answer(Answer(400, {"error": "The body is no JSON object."}))
        elif self.path == "/refunds":
            self._answer(self._refund(key, request))
        else:
            self._answer(self._receipt(key, request))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the callers keep the record."""

    def _refund(self, key: str, request: Mapping[str, Any]) -> Answer:
        amount, paid = request.get("amount"), request.get("charge")
        if not isinstance(paid, str) or not paid:
            return Answer(400, {"error": "charge must be the id of a charge."})
        if isinstance(amount, bool) or not isinstance(amount, int | float) or not amount > 0:
            return Answer(400, {"error": "amount must be a number above 0."})
        made = {
            "id": f"re_{uuid.uuid4().hex[:24]}",
            "charge": paid,
            "amount": amount,
            "currency": request.get("currency", "EUR"),
            "status": "succeeded",
        }
        return self.server.ledger.do("refund", key, request, Answer(201, made))

    def _receipt(self, key: str, request: Mapping[str, Any]) -> Answer:
        paid, email = request.get("charge"), request.get("email")
        if not isinstance(paid, str) or not isinstance(email, str) or "@" not in email:
            return Answer(400, {"error": "charge and email are required."})
        # One receipt for a charge and an address, with or without a key.
        key = key or f"{paid} {email}"
        sent = {"charge": paid, "email": email, "status": "queued"}
        return self.server.ledger.do("receipt", key, request, Answer(202, sent))

    def _known(self) -> bool:
        given = self.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {self.server.token}".encode())

    def _request(self) -> dict[str, Any] | None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > BODY_BYTES:
            # What was not read must not be taken for the next request.
            self.close_connection = True
            return None
        try:
            body = json.loads(self.rfile.read(int(length)), parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            return None
        return body if isinstance(body, dict) else None

    def _answer(self, answer: Answer) -> None:
        body = json.dumps(answer.body).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def charge(identity: str) -> dict[str, Any]:
    """A made-up charge, always the same for an id."""
    digest = hashlib.sha256(identity.encode()).digest()
    return {
        "id": identity,
        "amount": 5 + int.from_bytes(digest[:2], "big") % 496,
        "currency": "EUR",
        "customer": NAMES[digest[2] % len(NAMES)],
        "card": f"•••• {int.from_bytes(digest[3:5], 'big') % 10_000:04}",
        "paid_on": f"2026-{1 + digest[5] % 6:02}-{1 + digest[6] % 28:02}",
        "status": "paid",
    }


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def main() -> None:
    """Serve until the process is ended."""
    home = Path(os.environ.get("ASSENT_HOME") or Path(__file__).resolve().parent.parent / "var")
    secret_key = os.environ.get("SECRET_KEY") or load_home_secrets(home)["SECRET_KEY"]
    token = os.environ.get("ASSENT_DEMO_PAYMENTS_TOKEN") or demo_token(secret_key)
    server = PaymentsServer(demo_payments_port(home), token, Ledger(home / EFFECTS_FILE))
    server.serve_forever()


if __name__ == "__main__":
    main()
