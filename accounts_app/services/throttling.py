"""So many requests a minute for each key, over all processes.

A process takes requests from the shared count in blocks, so that most requests cost no statement;
the limit is never exceeded, and what a block has left when the minute ends is lost. A key that is
over its limit is refused from memory until the minute ends, so that a flood costs the database
nothing.
"""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import connection

from accounts_app.models import RateCount

WINDOW_SECONDS = 60
BLOCKS = 60
"""A block is this part of the limit; processes together may refuse so much too early."""

MOST_KEYS = 10_000
_TAKE = """
    INSERT INTO accounts_app_ratecount (name, minute, taken) VALUES (%s, %s, %s)
    ON CONFLICT (name, minute) DO UPDATE SET taken = accounts_app_ratecount.taken + %s
    RETURNING taken
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """Where a key stands.

    Args:
        allowed: whether this request may go on.
        limit: requests in a window.
        remaining: at least so many are left in this window.
        reset_seconds: until the next window.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: int


@dataclass(slots=True)
class _Block:
    minute: int
    left: int = 0
    elsewhere: int = 0
    """What the shared count had left when this block was taken."""

    exhausted: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class Limiter:
    """The part of one process.

    Args:
        clock: seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._blocks: dict[str, _Block] = {}

    def count(self, name: str, limit: int) -> Rate:
        """Count one request.

        Args:
            name: the key.
            limit: requests in a minute.
        """
        now = self._clock()
        minute = int(now // WINDOW_SECONDS)
        reset = math.ceil(WINDOW_SECONDS - now % WINDOW_SECONDS)
        with self._lock:
            block = self._block(name, minute)
        # Of this key alone, so that a slow statement holds up no other.
        with block.lock:
            if block.left == 0 and not block.exhausted:
                self._refill(block, name, limit)
            allowed = block.left > 0
            block.left -= allowed
            return Rate(allowed, limit, block.left + block.elsewhere, reset)

    def _block(self, name: str, minute: int) -> _Block:
        block = self._blocks.get(name)
        if block is None or block.minute != minute:
            if len(self._blocks) >= MOST_KEYS:
                self._blocks = {k: b for k, b in self._blocks.items() if b.minute == minute}
            block = self._blocks[name] = _Block(minute)
        return block

    def _refill(self, block: _Block, name: str, limit: int) -> None:
        size = max(1, limit // BLOCKS)
        with connection.cursor() as cursor:
            cursor.execute(_TAKE, [name, block.minute, size, size])
            taken: int = cursor.fetchone()[0]
        block.left = max(0, min(size, limit - (taken - size)))
        block.elsewhere = max(0, limit - taken)
        block.exhausted = block.left == 0


_limiter = Limiter()


def count_request(name: str, limit: int) -> Rate:
    """Count one request of a key in this process."""
    return _limiter.count(name, limit)


def forget_windows() -> int:
    """Delete the counts of windows that are over; returns how many."""
    over = int(time.time() // WINDOW_SECONDS) - 2
    return RateCount.objects.filter(minute__lt=over).delete()[0]
