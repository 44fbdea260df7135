"""The product's own settings, with a clock that a test can move."""

from config.settings import *  # noqa: F403

ASSENT_TEST_CLOCK = True
