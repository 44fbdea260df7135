"""The tests' settings for processes of their own, on the database that a test works on."""

from tests.settings import *  # noqa: F403

ALLOWED_HOSTS = ["*"]
ASSENT_TEST_FAULTS = True
# Each fork would take a block of requests from its key's minute, and die with most of it.
ASSENT_THROTTLE_PER_MINUTE = 0
