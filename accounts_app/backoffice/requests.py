"""The actor of a back office request: who signed in, in the workspace that they chose."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.http import HttpRequest

from accounts_app.errors import Forbidden
from accounts_app.models import User
from accounts_app.scoping import Actor
from accounts_app.services.members import member_actor

WORKSPACE = "assent.workspace"
_CACHED = "assent_actor"


def actor_of(request: HttpRequest) -> Actor:
    """The person's actor, read once for a request; roles hold from the next request on.

    Raises:
        Forbidden: nobody is signed in, or they are no active member of a workspace.
    """
    known = getattr(request, _CACHED, None)
    if isinstance(known, Actor):
        return known
    actor = _read(request)
    setattr(request, _CACHED, actor)
    return actor


def _read(request: HttpRequest) -> Actor:
    user = _user_of(request)
    request_id = getattr(request, "request_id", "")
    chosen = request.session.get(WORKSPACE)
    if chosen:
        try:
            return member_actor(user, UUID(str(chosen)), request_id=request_id)
        except (Forbidden, ValueError):
            # The membership ended meanwhile: fall back to another, as at a fresh sign-in.
            del request.session[WORKSPACE]
    return member_actor(user, request_id=request_id)


def _user_of(request: HttpRequest) -> User:
    user = request.user
    if not isinstance(user, User) or not user.is_active:
        raise Forbidden("Sign in first.")
    return user


@contextmanager
def seen_from(request: HttpRequest, workspace_id: UUID) -> Iterator[None]:
    """Answer as in another workspace of this person; what they chose stays as it is.

    Raises:
        Forbidden: they are no active member of it.
    """
    known = actor_of(request)
    other = member_actor(_user_of(request), workspace_id, request_id=known.request_id)
    setattr(request, _CACHED, other)
    try:
        yield
    finally:
        setattr(request, _CACHED, known)


def is_member(request: HttpRequest) -> bool:
    """Whether the back office lets this request in at all."""
    try:
        actor_of(request)
    except Forbidden:
        return False
    return True
