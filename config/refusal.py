"""A process that cannot start for a setting says so in one sentence, without a traceback.

Web, worker, scheduler and `manage.py` have entry points of other people's making; what they have in
common is that a refusal of the settings leaves them uncaught.
"""

import sys
from types import TracebackType

from django.core.exceptions import ImproperlyConfigured

_usual = sys.excepthook


def _say(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, ImproperlyConfigured):
        sys.stderr.write(f"Assent cannot start. {error}\n")
    else:
        _usual(kind, error, trace)


def install() -> None:
    """Let an uncaught `ImproperlyConfigured` end the process with its sentence and status 1."""
    sys.excepthook = _say
