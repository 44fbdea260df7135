"""Named points at which tests let a process die, fail or wait; nothing happens elsewhere.

`ASSENT_FAULTS` holds `point=action` pairs, read only where the setting `ASSENT_TEST_FAULTS` is
on. Actions: `kill9`, `raise`, `sleep:SECONDS`.
"""

import os
import signal
import time

from django.conf import settings


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
        if name != point:
            continue
        if action == "kill9":
            os.kill(os.getpid(), signal.SIGKILL)
        elif action == "raise":
            raise InjectedFault(point)
        elif action.startswith("sleep:"):
            time.sleep(float(action.partition(":")[2]))
