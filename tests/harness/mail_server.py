"""The other end of mail: a small SMTP server on a loopback port that keeps what it is given."""

import email
import email.policy
import socketserver
import threading
from dataclasses import dataclass, field
from email.message import EmailMessage


@dataclass
class _Kept:
    messages: list[tuple[list[str], bytes]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    busy: int = 0


class _Handler(socketserver.StreamRequestHandler):
    timeout = 10
    server: "_Server"

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self) -> None:
        self._say("220 mail.test")
        recipients: list[str] = []
        for raw in iter(self.rfile.readline, b""):
            line = raw.decode().strip()
            verb = line[:4].upper()
            if verb in ("EHLO", "HELO"):
                self._say("250 mail.test")
            elif verb == "RCPT":
                address = line.partition("<")[2].partition(">")[0]
                if address in self.server.kept.refused:
                    self._say("550 nobody here")
                    continue
                recipients.append(address)
                self._say("250 ok")
            elif verb == "DATA":
                self._say("354 go on")
                self._take(recipients)
                recipients = []
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 ok")

    def _take(self, recipients: list[str]) -> None:
        lines = []
        for raw in iter(self.rfile.readline, b".\r\n"):
            lines.append(raw[1:] if raw.startswith(b"..") else raw)
        kept = self.server.kept
        if kept.busy:
            kept.busy -= 1
            self._say("451 later")
            return
        kept.messages.append((recipients, b"".join(lines)))
        self._say("250 taken")


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.kept = _Kept()


class MailServer:
    """A mail server for as long as the context is open.

    `refused` holds addresses that it does not know; `busy` is how many messages it puts off.
    """

    def __enter__(self) -> "MailServer":
        self._server = _Server()
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def refused(self) -> set[str]:
        return self._server.kept.refused

    def put_off(self, number: int) -> None:
        self._server.kept.busy = number

    @property
    def messages(self) -> list[EmailMessage]:
        """What was taken, in order."""
        parse = email.message_from_bytes
        return [parse(raw, policy=email.policy.default) for _, raw in self._server.kept.messages]

    def to(self, address: str) -> list[EmailMessage]:
        """What was taken for this address."""
        return [message for message in self.messages if message["To"] == address]

    def clear(self) -> None:
        self._server.kept.messages.clear()
