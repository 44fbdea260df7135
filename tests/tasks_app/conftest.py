"""What the tests of tasks share."""

from typing import Any

import pytest


@pytest.fixture
def unthrottled(settings: Any) -> None:
    """No limit for keys: a race that is run hundreds of times asks oftener than any may."""
    settings.ASSENT_THROTTLE_PER_MINUTE = 0
