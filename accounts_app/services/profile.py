"""What a person chooses about themselves."""

import zoneinfo

from allauth.mfa.models import Authenticator

from accounts_app.errors import FieldError, Forbidden, Invalid
from accounts_app.models import User
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import unit_of_work
from accounts_app.states import ActorType

register_verbs({"profile.changed": "changed their profile"})


def has_second_factor(user: User) -> bool:
    """Whether a code or a key is asked for beside this person's password."""
    return bool(Authenticator.objects.filter(user_id=user.pk).exists())


def change_profile(actor: Actor, *, first_name: str, last_name: str, time_zone: str) -> None:
    """Save how the person is called and in which zone they read times.

    Raises:
        Forbidden: the actor is no person.
        Invalid: an unknown time zone.
    """
    if actor.type != ActorType.USER or actor.user_id is None:
        raise Forbidden("Only people have a profile.")
    if time_zone not in zoneinfo.available_timezones():
        text = "Choose a time zone like Europe/Vienna."
        raise Invalid([FieldError("time_zone", "invalid_value", text)])
    values = {"first_name": first_name, "last_name": last_name, "time_zone": time_zone}
    with unit_of_work() as unit:
        changed = User.objects.filter(pk=actor.user_id).exclude(**values).update(**values)
        if changed:
            target = ("user", actor.user_id, actor.name)
            unit.audit(actor, "profile.changed", target, {"time_zone": time_zone})
