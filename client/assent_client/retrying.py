"""How long to pause before asking again (pure)."""

import random
from dataclasses import dataclass

import httpx2

# These say for certain that nothing was sent, so that anything may be asked again.
NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
# These do not heal by themselves.
HOPELESS = (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError)


@dataclass(frozen=True, slots=True)
class Pauses:
    """Growing pauses with jitter, so that many clients do not come back at the same moment.

    Args:
        first: the longest first pause, in seconds.
        longest: what no pause exceeds, except where the server asks for more.
    """

    first: float = 0.25
    longest: float = 10.0

    def after(self, failures: int, *, asked_for: float = 0.0) -> float:
        """The pause after so many failures in a row.

        Args:
            failures: 1 after the first.
            asked_for: the server's `Retry-After`, in seconds.
        """
        bound = min(self.longest, self.first * 2.0 ** min(failures - 1, 16))
        return max(asked_for, bound * random.uniform(0.5, 1.0))  # noqa: S311 - no secret


def retry_after(headers: httpx2.Headers) -> float:
    """The seconds of a `Retry-After`; 0 where there is none that we understand."""
    text: str = headers.get("Retry-After", "")
    return min(float(text), 300.0) if text.isascii() and text.isdigit() else 0.0
