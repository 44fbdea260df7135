"""Messengers by Apprise, through the one door to the network (promise 15).

Apprise knows how Slack, Discord and others want to be spoken to, and would speak to them itself:
it follows redirects, asks the environment for proxies, and reaches any address. So of each service
that is allowed here the module's `requests` is replaced by a door that prepares the same request
and sends it by our client. Services that use anything else for the network are not in the list.
"""

import importlib
import threading
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import requests
from django.conf import settings

from integrations_app.addresses import literal_is_refused
from integrations_app.client import (
    NoAnswer,
    NotSent,
    Origin,
    OutboundPolicy,
    OutboundRequest,
    send,
)

SERVICES: Mapping[str, tuple[str, str]] = {
    "slack": ("slack", "NotifySlack"),
    "discord": ("discord", "NotifyDiscord"),
    "workflow": ("workflows", "NotifyWorkflows"),
    "workflows": ("workflows", "NotifyWorkflows"),
    "gchat": ("google_chat", "NotifyGoogleChat"),
    "mmost": ("mattermost", "NotifyMattermost"),
    "mmosts": ("mattermost", "NotifyMattermost"),
    "rocket": ("rocketchat", "NotifyRocketChat"),
    "rockets": ("rocketchat", "NotifyRocketChat"),
    "zulip": ("zulip", "NotifyZulip"),
    "wxteams": ("webexteams", "NotifyWebexTeams"),
    "webex": ("webexteams", "NotifyWebexTeams"),
    "tgram": ("telegram", "NotifyTelegram"),
    "ntfy": ("ntfy", "NotifyNtfy"),
    "ntfys": ("ntfy", "NotifyNtfy"),
    "gotify": ("gotify", "NotifyGotify"),
    "gotifys": ("gotify", "NotifyGotify"),
    "pover": ("pushover", "NotifyPushover"),
    "json": ("custom_json", "NotifyJSON"),
    "jsons": ("custom_json", "NotifyJSON"),
    "form": ("custom_form", "NotifyForm"),
    "forms": ("custom_form", "NotifyForm"),
}
"""By the scheme of the address: the module of Apprise, and its class."""

OWN_HOST = frozenset(
    {"mmost", "mmosts", "rocket", "rockets", "ntfy", "ntfys", "gotify", "gotifys"}
    | {"json", "jsons", "form", "forms"}
)
"""Services that live where the address says."""

REFUSED_OPTIONS = frozenset(
    {"template", "attach", "method", "retry", "wait", "store", "verify", "redirect", "cto", "rto"}
)
"""They read a file of ours, ask with another verb, wait inside a worker, or loosen the door."""

MAX_ADDRESS = 500
TIMEOUT_SECONDS = 10.0
MAX_ANSWER_BYTES = 64 * 1024
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})
_PERMANENT = frozenset({400, 401, 403, 404, 405, 410})


@dataclass(frozen=True, slots=True)
class Said:
    """What became of a message.

    Args:
        error: empty where it was taken.
        permanent: trying again would change nothing.
    """

    error: str = ""
    permanent: bool = False


@dataclass(slots=True)
class _Heard:
    """What the door saw during one message."""

    failures: list[Said] = field(default_factory=list)


_heard: ContextVar[_Heard | None] = ContextVar("messenger_heard", default=None)
_lock = threading.Lock()


def describe(address: str) -> str:
    """What may be shown of an address: its service, and the host where that is not the service's.

    Raises:
        ValueError: what is wrong with it, and what would be right.
    """
    plugin = _plugin(address)
    name = str(plugin.service_name)
    return f"{name} at {plugin.host}" if _scheme(address) in OWN_HOST else name


def say(address: str, title: str, body: str) -> Said:
    """Send a message to an address; nothing of ours is followed, asked for or read on the way."""
    try:
        plugin = _plugin(address)
    except ValueError as error:
        return Said(str(error), permanent=True)
    heard = _Heard()
    token = _heard.set(heard)
    try:
        taken = plugin.notify(title=title, body=body)
    except Exception as error:
        return Said(f"failed ({type(error).__name__})")
    finally:
        _heard.reset(token)
    if taken:
        return Said()
    return heard.failures[-1] if heard.failures else Said("refused")


def _scheme(address: str) -> str:
    return address.partition("://")[0].lower()


def allowed_schemes() -> tuple[str, ...]:
    """The beginnings of addresses that may be used here: all, or those of the setting."""
    chosen: tuple[str, ...] = settings.ASSENT_NOTIFY_SCHEMES
    return tuple(name for name in SERVICES if not chosen or name in chosen)


def _plugin(address: str) -> Any:
    """The service's object for an address.

    Raises:
        ValueError: not allowed, or no address of such a service.
    """
    if len(address) > MAX_ADDRESS or not address.isascii() or not address.isprintable():
        raise ValueError(f"Must be printable ASCII, at most {MAX_ADDRESS} characters.")
    allowed = allowed_schemes()
    found = _native(address, allowed) if _scheme(address) == "https" else None
    if found is None:
        if _scheme(address) not in allowed:
            names = ", ".join(f"{name}://" for name in allowed) or "nothing, it is switched off"
            raise ValueError(f"Must begin with one of {names}.")
        kind = _class_of(_scheme(address))
        found = kind, kind.parse_url(address)
    kind, read = found
    if not isinstance(read, dict):
        raise ValueError(f"Is no address of {kind.service_name}; see {kind.setup_url}.")
    for name in read.get("qsd") or ():
        if name.lower() in REFUSED_OPTIONS:
            raise ValueError(f"Must not set “{name}”.")
    try:
        plugin = kind(**read)
    except TypeError as error:
        raise ValueError(
            f"Is no whole address of {kind.service_name}; see {kind.setup_url}."
        ) from error
    host = read.get("host") or ""
    if _scheme(address) in OWN_HOST and literal_is_refused(
        host, allow_private=_is_ours(host, read.get("port"), _is_secure(address))
    ):
        raise ValueError("Leads to a private address, which is not allowed here.")
    return plugin


def _is_secure(address: str) -> bool:
    return _scheme(address).endswith("s")


def _is_ours(host: str, port: int | None, secure: bool) -> bool:
    """Whether whoever runs the machine said that this private place may be spoken to."""
    place = f"{host.lower()}:{port or (443 if secure else 80)}"
    return place in settings.ASSENT_NOTIFY_PRIVATE


def _native(address: str, allowed: tuple[str, ...]) -> tuple[Any, Any] | None:
    """The service whose own web address this is, as it is copied from there."""
    for name in allowed:
        kind = _class_of(name)
        read = kind.parse_native_url(address)
        if read is not None:
            return kind, read
    return None


def _class_of(scheme: str) -> Any:
    """The class of a service, with our door in its module."""
    name, kind = SERVICES[scheme]
    with _lock:
        module: ModuleType = importlib.import_module(f"apprise.plugins.{name}")
        vars(module)["requests"] = DOOR
    return getattr(module, kind)


class Door:
    """What a service's module takes for `requests`: the same words, and our client behind them."""

    RequestException = requests.RequestException
    exceptions = requests.exceptions
    codes = requests.codes

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        """Send a request by our client.

        Raises:
            RequestException: not sent, or no whole answer.
        """
        wanted = ("params", "data", "json", "headers", "auth", "files", "cookies")
        built = requests.Request(
            method.upper(), url, **{name: options[name] for name in wanted if options.get(name)}
        ).prepare()
        body = built.body or b""
        if not isinstance(body, (bytes, str)):
            raise requests.RequestException("Only whole bodies are sent.")
        headers = tuple(
            (name, _text(value))
            for name, value in built.headers.items()
            if name.lower() not in _OURS
        )
        return self._send(
            OutboundRequest(
                str(built.method),
                str(built.url).partition("#")[0],
                headers,
                body if isinstance(body, bytes) else body.encode(),
            )
        )

    def get(self, url: str, **options: Any) -> requests.Response:
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> requests.Response:
        return self.request("POST", url, **options)

    def _send(self, request: OutboundRequest) -> requests.Response:
        try:
            origin = Origin.of(request.url)
            policy = OutboundPolicy(
                origin=origin,
                allow_private=_is_ours(origin.host, origin.port, origin.scheme == "https"),
                timeout_seconds=TIMEOUT_SECONDS,
                max_body_bytes=MAX_ANSWER_BYTES,
            )
            answer = send(request, policy, before_first_byte=lambda: None)
        except NotSent as failure:
            _note(Said(failure.code, permanent=failure.permanent))
            raise requests.ConnectionError(failure.code) from failure
        except NoAnswer as failure:
            _note(Said(failure.code))
            raise requests.ConnectionError(failure.code) from failure
        except ValueError as failure:
            _note(Said("address_refused", permanent=True))
            raise requests.ConnectionError("address_refused") from failure
        if answer.status_code >= 300:
            code = answer.status_code
            _note(Said(f"answered {code}", permanent=code in _PERMANENT or code < 400))
        response = requests.Response()
        response.status_code = answer.status_code
        response.headers.update(answer.headers)
        response.url = request.url
        response._content = answer.body
        return response


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _note(said: Said) -> None:
    heard = _heard.get()
    if heard is not None:
        heard.failures.append(said)


DOOR = Door()
