"""The product's own settings, with a clock that a test can move and points at which to die."""

from config.settings import *  # noqa: F403

ASSENT_TEST_CLOCK = True
ASSENT_TEST_FAULTS = True
