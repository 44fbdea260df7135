"""Log lines: what they hold, and where they go."""

import sys
from typing import Any, TextIO, cast

import structlog
from structlog.typing import Processor


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


def _first() -> list[Processor]:
    """What every line gets, whoever writes it."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def configure_structlog() -> None:
    """The product's own lines: JSON on standard error."""
    structlog.configure(
        processors=[
            *_first(),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, Unfailing(sys.stderr))),
        cache_logger_on_first_use=True,
    )


def logging_settings(level: str) -> dict[str, Any]:
    """The standard library's logging, for the lines of libraries: JSON as well.

    Args:
        level: of the root logger.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": "structlog.stdlib.ProcessorFormatter",
                "foreign_pre_chain": _first(),
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    structlog.processors.JSONRenderer(),
                ],
            }
        },
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["console"], "level": level},
        # At their loudest, these write down every header, credentials too, and every value of a
        # row.
        "loggers": {
            name: {"level": "WARNING"}
            for name in ("httpcore2", "httpx2", "django.db.backends", "amqp", "kombu")
        }
        # Its warnings name hosts and paths of addresses, its debugging whole messages.
        | {"apprise": {"level": "CRITICAL"}},
    }
