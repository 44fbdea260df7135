"""The product's own settings, with a clock that a test can move and points at which to die."""

import datetime as dt
import os

import time_machine

from config.settings import *  # noqa: F403

ASSENT_TEST_CLOCK = True
ASSENT_TEST_FAULTS = True

# A machine whose clock is wrong by so many seconds.
_SKEW = float(os.environ.get("ASSENT_TEST_SKEW", "0"))
if _SKEW:
    time_machine.travel(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=_SKEW)).start()
