"""Where log lines go."""

from typing import TextIO


class Unfailing:
    """A stream that may lose lines and never fails: a full disk under a log costs no work.

    The standard library's handlers swallow such errors too; structlog's loggers do not.

    Args:
        stream: where the lines go.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.lost = 0

    def write(self, text: str) -> None:
        try:
            self.stream.write(text)
        except (OSError, ValueError):  # ValueError: it is closed, as when a process ends
            self.lost += 1

    def flush(self) -> None:
        try:
            self.stream.flush()
        except (OSError, ValueError):
            self.lost += 1
