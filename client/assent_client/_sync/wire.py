# Generated from _async/wire.py by generate_sync.py; edit that instead.
"""Requests: what is safe to repeat is repeated, everything else is said at once."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import httpx2

from assent_client.errors import ApiError, StillWaiting, Unreachable, refusal
from assent_client.retrying import HOPELESS, NEVER_SENT, Pauses, retry_after

VERSION = "0.1.0"
HOLD_SECONDS = 25.0
"""How long one waiting request is held: less than the minute after which proxies hang up."""

SLACK_SECONDS = 15.0

log = logging.getLogger("assent_client")


class Wire:
    """Speaks to one server with one key.

    Args:
        url: where the server is, without `/api/v1`.
        key: an API key.
        timeout: seconds for one request.
        patience: seconds for which a request is repeated while the server is away or busy.
        transport: another way to the server, for tests.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout: float,
        patience: float,
        transport: httpx2.BaseTransport | None,
    ) -> None:
        self._http = httpx2.Client(
            base_url=f"{url.rstrip('/')}/api/v1/",
            headers={
                "Authorization": f"Bearer {key}",
                "User-Agent": f"assent-client/{VERSION}",
                "Accept": "application/json",
            },
            timeout=timeout,
            transport=transport,
            # Each wait holds a connection; with a bound, the waits beyond it would starve.
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
        )
        self._timeout = timeout
        self._patience = patience
        self._pauses = Pauses()

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """Read; repeated while the server is away."""
        return self._repeat("GET", path, None, query=query)

    def put(self, path: str, body: Any) -> Any:
        """Bring to a state; repeated while the server is away."""
        return self._repeat("PUT", path, body)

    def patch(self, path: str, body: Any) -> Any:
        """Merge; repeated while the server is away, for merging twice changes nothing."""
        return self._repeat("PATCH", path, body)

    def post(self, path: str, body: Any = None) -> Any:
        """Create or decide, once: an Idempotency-Key of its own makes it safe to repeat."""
        return self._repeat("POST", path, body, key=str(uuid.uuid4()))

    def end(self, path: str, body: Any, *, done: str) -> Any:
        """Bring to an end that is reached only once.

        Args:
            path: where to post.
            body: what to post.
            done: the refusal's code if it has ended before. Where an earlier attempt of this
                request may have arrived, that refusal means that it did, and None is returned.
        """
        return self._repeat("POST", path, body, done=done)

    def post_unkeyed(self, path: str, body: Any) -> Any:
        """Act where the server takes no key: repeated only if nothing can have been sent."""
        return self._repeat("POST", path, body, repeatable=False)

    def _repeat(
        self,
        method: str,
        path: str,
        body: Any,
        *,
        query: Mapping[str, Any] | None = None,
        key: str | None = None,
        done: str | None = None,
        repeatable: bool = True,
    ) -> Any:
        until = time.monotonic() + self._patience
        failures = 0
        in_doubt = False
        while True:
            asked_for = 0.0
            failure: ApiError | Unreachable
            try:
                return self._once(method, path, body, query=query, key=key)
            except HOPELESS as error:
                raise Unreachable(str(error)) from error
            except httpx2.TransportError as error:
                arrived = not isinstance(error, NEVER_SENT)
                failure = Unreachable(f"{method} {path}: {error or type(error).__name__}")
                failure.__cause__ = error
                may_repeat = repeatable or not arrived
            except ApiError as error:
                if in_doubt and error.code == done:
                    return None
                arrived = error.status in (500, 502, 504)
                failure = error
                may_repeat = error.temporary and (repeatable or error.status in (429, 503))
                asked_for = error.facts.get("retry_after", 0.0)
            in_doubt = in_doubt or arrived
            failures += 1
            pause = self._pauses.after(failures, asked_for=asked_for)
            if not may_repeat or time.monotonic() + pause > until:
                raise failure
            if failures == 1 and isinstance(failure, Unreachable):
                self._say_away(failure, f"for up to {self._patience:.0f} seconds")
            time.sleep(pause)

    def wait(
        self, path: str, is_over: Callable[[Mapping[str, Any]], bool], timeout: float | None
    ) -> Mapping[str, Any]:
        """Ask until it is over: the one wait of this package.

        It survives a server that restarts, refuses for a while or cannot be reached, for as long
        as the caller is willing to wait.

        Args:
            path: what to read.
            is_over: whether this state is an end.
            timeout: seconds to wait; None waits for ever.

        Raises:
            StillWaiting: the time is over.
            ApiError: the server refuses for good; the key was revoked, for instance.
        """
        until = None if timeout is None else time.monotonic() + timeout
        shown: Mapping[str, Any] | None = None
        idle = 0
        while True:
            left = HOLD_SECONDS if until is None else max(0.0, until - time.monotonic())
            hold = min(HOLD_SECONDS, left)
            begun = time.monotonic()
            asked_for = 0.0
            try:
                shown = self._once("GET", path, None, query={"wait": f"{hold:.3f}"}, hold=hold)
            except HOPELESS as error:
                raise Unreachable(str(error)) from error
            except httpx2.TransportError as error:
                idle += 1
                if idle == 1:
                    self._say_away(error, "for as long as the wait lasts")
            except ApiError as error:
                if not error.temporary:
                    raise
                asked_for = error.facts.get("retry_after", 0.0)
                idle += 1
            else:
                if shown is not None and is_over(shown):
                    return shown
                # A server that stops or is full answers at once: do not ask in a tight circle.
                idle = idle + 1 if time.monotonic() - begun < hold / 2 else 0
            pause = self._pauses.after(idle, asked_for=asked_for) if idle else 0.0
            if until is not None and time.monotonic() + pause >= until:
                raise StillWaiting(path, shown)
            time.sleep(pause)

    def _say_away(self, error: Exception, how_long: str) -> None:
        """Once for each outage that a request meets: silence would look like a hang."""
        where = self._http.base_url.host
        log.warning("No answer from %s (%s); asking again %s.", where, error, how_long)

    def _once(
        self,
        method: str,
        path: str,
        body: Any,
        *,
        query: Mapping[str, Any] | None = None,
        key: str | None = None,
        hold: float = 0.0,
    ) -> Any:
        """One request.

        Raises:
            ApiError: the server refused, or what answered is not the server.
            httpx2.TransportError: no whole answer came.
        """
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if key is not None:
            headers["Idempotency-Key"] = key
        answer = self._http.request(
            method,
            path,
            content=None if body is None else json.dumps(body, allow_nan=False),
            params=dict(query) if query else None,
            headers=headers,
            timeout=max(self._timeout, hold + SLACK_SECONDS),
        )
        try:
            shown = answer.json() if answer.content else None
        except ValueError:
            shown = None
        if answer.is_success:
            if shown is None:
                detail = f"{answer.url} answered with no JSON."
                raise ApiError(answer.status_code, {"code": "bad_answer", "detail": detail})
            return shown
        refused: dict[str, Any] = dict(shown) if isinstance(shown, dict) else {}
        refused.setdefault("retry_after", retry_after(answer.headers))
        raise refusal(answer.status_code, refused, answer.headers.get("X-Request-ID", ""))
