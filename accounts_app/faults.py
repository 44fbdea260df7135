"""Named points at which tests let a process die, fail or wait; nothing happens elsewhere.

`ASSENT_FAULTS` holds `point=action` pairs, read only where the setting `ASSENT_TEST_FAULTS` is
on. Actions: `kill9`, `sigquit_in:SECONDS`, `raise`, `sleep:SECONDS`, and `raise_after_commit`, by
which the transaction is kept and its caller sees a failure all the same.
"""

import os
import signal
import threading
import time

from django.conf import settings
from django.db import transaction

POINTS = (
    "create.before_commit",
    "create.after_commit",
    "decide.before_tx",
    "decide.in_tx",
    "decide.before_commit",
    "decide.after_commit",
    "nudge.before",
    "nudge.after",
    "claim.after",
    "verify.after",
    "mark.before_commit",
    "mark.after",
    "send.connected",
    "send.mid_body",
    "send.after_body",
    "send.after",
    "record.before",
    "record.before_commit",
    "record.after_commit",
    "sweep.mid_batch",
    "expire.after_cas",
    "expire.before_commit",
    "recover.before_commit",
    "webhook.after_send",
    "notice.after_send",
    "replay.after_chunk",
)
"""Every point on the way from a call that was asked for to the news of its end."""


class InjectedFault(RuntimeError):
    """A test asked for this failure."""


def fault(point: str) -> None:
    """Do what a test asked for at this point.

    Raises:
        InjectedFault: the action is `raise`.
    """
    if not getattr(settings, "ASSENT_TEST_FAULTS", False):
        return
    for pair in os.environ.get("ASSENT_FAULTS", "").split(","):
        name, _, action = pair.partition("=")
        if name == point:
            _act(point, action)


def _act(point: str, action: str) -> None:
    if action == "kill9":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action.startswith("sigquit_in:"):
        seconds = float(action.partition(":")[2])
        threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGQUIT)).start()
    elif action == "raise":
        raise InjectedFault(point)
    elif action == "raise_after_commit":

        def fail() -> None:
            raise InjectedFault(point)

        transaction.on_commit(fail)
    elif action.startswith("sleep:"):
        time.sleep(float(action.partition(":")[2]))
