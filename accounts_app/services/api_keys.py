"""Keys of integrators: made, shown once, looked up by prefix, compared by keyed digest."""

import datetime as dt
import hashlib
import hmac
import secrets
from collections.abc import Iterable

import structlog
from django.conf import settings
from django.db import OperationalError, transaction
from django.db.models import Q

from accounts_app.clock import DbNow
from accounts_app.errors import Conflict, FieldError, Invalid, NotAuthenticated, NotFound
from accounts_app.models import Agent, ApiKey, Membership, User
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import unit_of_work
from accounts_app.states import ActorType, Channel, Scope

register_verbs({"api_key.created": "made an API key", "api_key.revoked": "revoked an API key"})

logger = structlog.get_logger(__name__)

_MARK = "assent"
_COLUMNS = (
    "workspace_id",
    "name",
    "digest",
    "scopes",
    "agent_id",
    "last_used_at",
    "owner__username",
    "owner__email",
    "owner__is_active",
)


def _digest(secret: str, key: str) -> str:
    return hmac.new(b"assent.api-key\0" + key.encode(), secret.encode(), hashlib.sha256).hexdigest()


def check_scopes(names: Iterable[str]) -> frozenset[Scope]:
    """Read scopes by name.

    Raises:
        Invalid: none given, an unknown one, or `runs` together with `decide`, with which an
            agent could approve itself (promise 10).
    """
    wanted = [name.strip() for name in names if name.strip()]
    unknown = [name for name in wanted if name not in Scope.values]
    if unknown or not wanted:
        offered = ", ".join(Scope.values)
        raise Invalid([FieldError("scopes", "invalid_value", f"Choose from {offered}.")])
    scopes = frozenset(Scope(name) for name in wanted)
    if {Scope.RUNS, Scope.DECIDE} <= scopes:
        text = "A key with `runs` cannot have `decide`: an agent must not approve itself."
        raise Invalid([FieldError("scopes", "invalid_value", text)])
    return scopes


def create_api_key(
    actor: Actor,
    *,
    name: str,
    scopes: Iterable[str],
    agent: Agent | None = None,
    owner: User | None = None,
    expires_in: dt.timedelta | None = None,
) -> tuple[ApiKey, str]:
    """Make a key; its text is returned here and can never be read again.

    Args:
        actor: who makes it; the key belongs to their workspace.
        name: unique among the workspace's live keys.
        scopes: names of scopes.
        agent: the one agent that the key is bound to.
        owner: the person who answers for it, for the self-review rule.
        expires_in: how long it is good for; None is for ever.

    Raises:
        Invalid: scopes that cannot be, or an expiry that is not in the future.
        Conflict: a live key of that name exists.
    """
    wanted = check_scopes(scopes)
    if not name.strip():
        raise Invalid([FieldError("name", "invalid_value", "Give the key a name.")])
    if expires_in is not None and expires_in <= dt.timedelta(0):
        raise Invalid([FieldError("expires_in", "invalid_value", "Must be in the future.")])
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    with unit_of_work() as unit:
        live = ApiKey.objects.in_workspace(actor.workspace_id).filter(revoked_at__isnull=True)
        if live.filter(name=name).exists():
            raise Conflict(f"A key named {name!r} exists; revoke it first.", code="key_exists")
        row = ApiKey.objects.create(
            workspace_id=actor.workspace_id,
            created_at=unit.now,
            name=name,
            prefix=prefix,
            digest=_digest(secret, settings.SECRET_KEY),
            scopes=sorted(scope.value for scope in wanted),
            agent=agent,
            owner=owner,
            expires_at=None if expires_in is None else unit.now + expires_in,
        )
        unit.audit(actor, "api_key.created", ("api_key", row.pk, name), {"scopes": row.scopes})
    return row, f"{_MARK}_{prefix}_{secret}"


def revoke_api_key(actor: Actor, *, name: str) -> None:
    """End a key now; the next request with it is refused.

    Raises:
        NotFound: no live key of that name.
    """
    with unit_of_work() as unit:
        live = ApiKey.objects.in_workspace(actor.workspace_id).filter(revoked_at__isnull=True)
        row = live.filter(name=name).first()
        if row is None or not live.filter(pk=row.pk).update(revoked_at=unit.now):
            raise NotFound(f"There is no live key named {name!r}.")
        unit.audit(actor, "api_key.revoked", ("api_key", row.pk, name))


def authenticate(token: str, *, request_id: str = "", touch: bool = True) -> Actor:
    """Turn the text of a key into the actor that it stands for.

    Args:
        token: what stood behind `Bearer`.
        request_id: copied into the actor.
        touch: note the use, at most once a minute.

    Raises:
        NotAuthenticated: unknown, altered, revoked, expired, or its owner is deactivated.
    """
    mark, _, rest = token.partition("_")
    prefix, _, secret = rest.partition("_")
    refusal = NotAuthenticated("This API key is unknown, revoked or expired.")
    if mark != _MARK or not secret or len(token) > 200 or not token.isascii():
        raise refusal
    live = ApiKey.objects.filter(revoked_at__isnull=True).filter(
        Q(expires_at__isnull=True) | Q(expires_at__gt=DbNow())
    )
    found = live.filter(prefix=prefix).annotate(now=DbNow()).select_related("owner")
    # Every request asks this, and most of its time is spent on columns.
    row = next(iter(found.only(*_COLUMNS).order_by()[:1]), None)
    if row is None or not _matches(row, secret):
        raise refusal
    if row.owner is not None and _has_left(row.owner, row):
        raise refusal
    if touch and (row.last_used_at is None or row.now - row.last_used_at > dt.timedelta(minutes=1)):
        _touch(row)
    return actor_of(row, request_id=request_id)


def _touch(row: ApiKey) -> None:
    """Note the use; where nothing can be written, as on a full disk, reading goes on."""
    try:
        with transaction.atomic():
            ApiKey.objects.filter(pk=row.pk).update(last_used_at=DbNow())
    except OperationalError as error:
        logger.warning("api_key.use_not_noted", key=str(row.pk), error=type(error).__name__)


def _has_left(owner: User, row: ApiKey) -> bool:
    """Whether the key's owner is out: of the installation, or of the key's workspace."""
    memberships = Membership.objects.in_workspace(row.workspace_id).filter(user=owner)
    return not owner.is_active or memberships.filter(is_active=False).exists()


def _matches(row: ApiKey, secret: str) -> bool:
    keys = [settings.SECRET_KEY, *map(str, settings.SECRET_KEY_FALLBACKS)]
    return any(hmac.compare_digest(row.digest, _digest(secret, key)) for key in keys)


def actor_of(row: ApiKey, *, request_id: str = "") -> Actor:
    """The actor that a key stands for."""
    owner = row.owner
    return Actor(
        type=ActorType.API_KEY,
        id=str(row.pk),
        name=row.name,
        workspace_id=row.workspace_id,
        scopes=row.scope_set,
        agent_id=row.agent_id,
        user_id=None if owner is None else owner.pk,
        identities=frozenset() if owner is None else owner.identities,
        channel=Channel.API,
        request_id=request_id,
    )
